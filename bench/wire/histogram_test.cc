// SPDX-License-Identifier: Apache-2.0
#include "bench/wire/histogram.h"

#include <gtest/gtest.h>

namespace hawser::bench {
namespace {

TEST(Histogram, is_zero_when_empty) {
    const Histogram h;
    EXPECT_EQ(h.percentile(50), 0U);
    EXPECT_EQ(h.max(), 0U);
    EXPECT_EQ(h.mean(), 0);
}

TEST(Histogram, gives_a_value_back_within_a_256th_over_the_whole_range) {
    for (unsigned bits = 0; bits < Histogram::largest_bits; ++bits) {
        for (const std::uint64_t offset :
             {std::uint64_t{0}, std::uint64_t{1}, (std::uint64_t{1} << bits) - 1}) {
            const std::uint64_t value = std::min((std::uint64_t{1} << bits) + offset,
                                                 (std::uint64_t{1} << Histogram::largest_bits) - 1);
            Histogram h;
            h.record(value);
            h.record(value * 2 + 1000);  // the percentile must come from the bucket, not from the maximum
            EXPECT_NEAR(static_cast<double>(h.percentile(50)), static_cast<double>(value),
                        static_cast<double>(value) / 256 + 0.5)
                << value;
        }
    }
}

TEST(Histogram, counts_what_is_too_large_as_the_largest) {
    Histogram h;
    h.record(~std::uint64_t{0});
    EXPECT_EQ(h.max(), (std::uint64_t{1} << Histogram::largest_bits) - 1);
    EXPECT_EQ(h.percentile(100), h.max());
}

TEST(Histogram, finds_the_percentiles_of_an_even_spread) {
    Histogram h;
    for (std::uint64_t v = 1; v <= 100'000; ++v) h.record(v);
    const struct {
        double percent, value;
    } table[] = {{0, 1}, {50, 50'000}, {99, 99'000}, {99.9, 99'900}, {100, 100'000}};
    for (const auto& row : table)
        EXPECT_NEAR(static_cast<double>(h.percentile(row.percent)), row.value, row.value / 256 + 0.5)
            << row.percent;
    EXPECT_NEAR(h.mean(), 50'000.5, 0.01);
}

TEST(Histogram, of_two_threads_merged_is_that_of_one) {
    Histogram odd, even, all;
    for (std::uint64_t v = 0; v < 10'000; ++v) {
        (v % 2 ? odd : even).record(v * 977);
        all.record(v * 977);
    }
    odd.merge(even);
    EXPECT_EQ(odd.count(), all.count());
    EXPECT_EQ(odd.max(), all.max());
    for (const double percent : {1.0, 50.0, 99.0, 99.9})
        EXPECT_EQ(odd.percentile(percent), all.percentile(percent));
}

}  // namespace
}  // namespace hawser::bench
