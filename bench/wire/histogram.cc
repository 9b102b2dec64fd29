// SPDX-License-Identifier: Apache-2.0
#include "bench/wire/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hawser::bench {

std::size_t Histogram::bucket_of(std::uint64_t value) {
    if (value < 2 * half) return value;
    const unsigned shift = std::bit_width(value) - exact_bits;
    return 2 * half + (shift - 1) * half + ((value >> shift) - half);
}

std::uint64_t Histogram::middle_of(std::size_t bucket) {
    if (bucket < 2 * half) return bucket;
    const std::size_t above = bucket - 2 * half;
    const unsigned shift = static_cast<unsigned>(above / half) + 1;
    const std::uint64_t lowest = std::uint64_t{half + above % half} << shift;
    return lowest + (std::uint64_t{1} << shift) / 2;
}

void Histogram::record(std::uint64_t value) {
    value = std::min(value, (std::uint64_t{1} << largest_bits) - 1);
    ++counts_[bucket_of(value)];
    ++count_;
    max_ = std::max(max_, value);
    sum_ += static_cast<double>(value);
}

void Histogram::merge(const Histogram& other) {
    for (std::size_t i = 0; i < buckets; ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
    sum_ += other.sum_;
}

double Histogram::mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

std::uint64_t Histogram::percentile(double percent) const {
    if (count_ == 0) return 0;
    const auto wanted = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(std::ceil(percent / 100 * static_cast<double>(count_))));
    if (wanted >= count_) return max_;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets; ++i) {
        seen += counts_[i];
        if (seen >= wanted) return std::min(middle_of(i), max_);
    }
    return max_;
}

}  // namespace hawser::bench
