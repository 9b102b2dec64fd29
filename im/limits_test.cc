// SPDX-License-Identifier: Apache-2.0
#include "im/limits.h"

#include <gtest/gtest.h>

namespace hawser::im {
namespace {

using std::chrono::milliseconds;

TEST(Allowance, gives_the_burst_at_once_and_the_rate_from_then_on) {
    Allowance allowance(10, 3);
    auto now = Allowance::Clock::time_point(milliseconds(1000));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(allowance.take(now));
    EXPECT_FALSE(allowance.take(now));
    EXPECT_EQ(allowance.wait(), milliseconds(100));
    now += milliseconds(99);
    EXPECT_FALSE(allowance.take(now));
    now += milliseconds(1);
    EXPECT_TRUE(allowance.take(now));
    EXPECT_FALSE(allowance.take(now));
}

TEST(Allowance, saves_up_no_more_than_the_burst) {
    Allowance allowance(10, 3);
    auto now = Allowance::Clock::time_point(milliseconds(1000));
    EXPECT_TRUE(allowance.take(now));
    now += std::chrono::hours(1);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(allowance.take(now));
    EXPECT_FALSE(allowance.take(now));
}

TEST(Allowance, rate_zero_is_unlimited) {
    Allowance allowance(0, 0);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(allowance.take({}));
}

}  // namespace
}  // namespace hawser::im
