// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hawser::bench {

// Counts of values in log-linear buckets, as HdrHistogram does: a value comes back within 1/256 of itself.
// Values are nanoseconds by convention, from 0 to 2^40 - 1 (18 minutes); larger ones are counted as the
// largest.
class Histogram {
  public:
    static constexpr unsigned largest_bits = 40;

    void record(std::uint64_t value);
    void merge(const Histogram& other);

    [[nodiscard]] std::uint64_t count() const { return count_; }
    // Exact, not the bucket's; 0 when empty.
    [[nodiscard]] std::uint64_t max() const { return max_; }
    [[nodiscard]] double mean() const;
    // The value below or at which `percent` (0 to 100) of all values lie; 0 when empty.
    [[nodiscard]] std::uint64_t percentile(double percent) const;

  private:
    // Values below 2^8 have a bucket each; every further power of two is cut into 2^7.
    static constexpr unsigned exact_bits = 8;
    static constexpr std::size_t half = std::size_t{1} << (exact_bits - 1);
    static constexpr std::size_t buckets = 2 * half + (largest_bits - exact_bits) * half;

    static std::size_t bucket_of(std::uint64_t value);
    static std::uint64_t middle_of(std::size_t bucket);

    std::array<std::uint64_t, buckets> counts_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
    double sum_ = 0;
};

}  // namespace hawser::bench
