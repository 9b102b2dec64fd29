// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/set.hpp>
#include <chrono>
#include <optional>

namespace hawser::net {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = std::chrono::milliseconds;

class TimerQueue;

// Something that happens once at a moment. Owned by whoever derives from it; leaves the queue when destroyed.
class Timer
    : public boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
  public:
    Timer() = default;
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    virtual ~Timer() = default;

    // Called by TimerQueue::run at or after the deadline; the timer is no longer set and may be set again.
    virtual void on_timer() = 0;

    [[nodiscard]] bool is_set() const { return is_linked(); }
    [[nodiscard]] TimePoint deadline() const { return deadline_; }
    void cancel() {
        if (is_linked()) unlink();
    }

  private:
    friend class TimerQueue;
    friend bool operator<(const Timer& a, const Timer& b) { return a.deadline_ < b.deadline_; }
    TimePoint deadline_;
};

// All timers of one loop, by deadline. Does not read a clock: time comes from the caller, so tests simulate
// it.
class TimerQueue {
  public:
    // Sets or moves a timer.
    void set(Timer& timer, TimePoint deadline) {
        timer.cancel();
        timer.deadline_ = deadline;
        queue_.insert(timer);
    }

    // The earliest deadline, if any timer is set.
    [[nodiscard]] std::optional<TimePoint> next() const {
        if (queue_.empty()) return std::nullopt;
        return queue_.begin()->deadline_;
    }

    // Fires everything due at `now`, in order of deadline. A timer set by another's on_timer for a time not
    // after `now` fires in the same run.
    void run(TimePoint now) {
        while (!queue_.empty() && queue_.begin()->deadline_ <= now) {
            Timer& timer = *queue_.begin();
            queue_.erase(queue_.begin());
            timer.on_timer();
        }
    }

  private:
    boost::intrusive::multiset<Timer, boost::intrusive::constant_time_size<false>> queue_;
};

}  // namespace hawser::net
