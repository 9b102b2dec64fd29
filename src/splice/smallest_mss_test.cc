// SPDX-License-Identifier: Apache-2.0
#include "splice/smallest_mss.h"

#include <gtest/gtest.h>

namespace hawser::splice {
namespace {

using std::chrono::seconds;

TEST(SmallestMss, OnlyEverGetsSmaller) {
    SmallestMss mss;
    int changes = 0;
    mss.watch([&changes] { ++changes; });
    mss.lower(1'460);
    mss.lower(1'460);
    mss.lower(1'500);
    EXPECT_EQ(mss.get(), 1'460U);
    EXPECT_EQ(changes, 1);
}

TEST(SmallestMss, ForAWhileClientsMayHaveBeenToldTheOneBefore) {
    SmallestMss mss;
    const auto long_ago = std::chrono::system_clock::now() - seconds(60);
    EXPECT_EQ(mss.told(long_ago), 65'535U);
    mss.lower(1'460);
    mss.lower(860);
    const auto now = std::chrono::system_clock::now();
    EXPECT_EQ(mss.told(now), 65'535U) << "the largest of that while, not the last but one";
    EXPECT_EQ(mss.told(now + seconds(2)), 65'535U);
    EXPECT_EQ(mss.told(now + seconds(4)), 860U);
}

}  // namespace
}  // namespace hawser::splice
