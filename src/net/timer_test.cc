// SPDX-License-Identifier: Apache-2.0
#include "net/timer.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace hawser::net {
namespace {

struct Recorder : Timer {
    std::function<void()> action;
    explicit Recorder(std::function<void()> a) : action(std::move(a)) {}
    void on_timer() override { action(); }
};

constexpr TimePoint at(int ms) { return TimePoint{} + std::chrono::milliseconds(ms); }

TEST(TimerQueue, fires_in_order_of_deadline_and_not_before) {
    TimerQueue queue;
    std::vector<int> fired;
    Recorder a([&] { fired.push_back(1); });
    Recorder b([&] { fired.push_back(2); });
    Recorder c([&] { fired.push_back(3); });
    queue.set(c, at(30));
    queue.set(a, at(10));
    queue.set(b, at(20));
    EXPECT_EQ(queue.next(), at(10));
    queue.run(at(9));
    EXPECT_TRUE(fired.empty());
    queue.run(at(20));
    EXPECT_EQ(fired, (std::vector<int>{1, 2}));
    EXPECT_FALSE(a.is_set());
    EXPECT_TRUE(c.is_set());
}

TEST(TimerQueue, forgets_a_timer_that_is_cancelled_moved_or_destroyed) {
    TimerQueue queue;
    int fired = 0;
    Recorder moved([&] { ++fired; });
    Recorder cancelled([&] { ++fired; });
    {
        Recorder destroyed([&] { ++fired; });
        queue.set(destroyed, at(1));
    }
    queue.set(moved, at(1));
    queue.set(moved, at(50));
    queue.set(cancelled, at(1));
    cancelled.cancel();
    queue.run(at(10));
    EXPECT_EQ(fired, 0);
    queue.run(at(50));
    EXPECT_EQ(fired, 1);
    EXPECT_FALSE(queue.next());
}

TEST(TimerQueue, lets_a_timer_cancel_another_that_is_due_in_the_same_run) {
    TimerQueue queue;
    int fired = 0;
    Recorder second([&] { ++fired; });
    Recorder first([&] { second.cancel(); });
    queue.set(first, at(1));
    queue.set(second, at(2));
    queue.run(at(5));
    EXPECT_EQ(fired, 0);
}

}  // namespace
}  // namespace hawser::net
