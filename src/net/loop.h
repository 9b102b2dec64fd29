// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "net/error.h"
#include "net/fd.h"
#include "net/timer.h"

namespace hawser::net {

class Loop;

// Gets the events of one file descriptor. Owned by whoever derives; must unwatch before it goes.
class EventHandler {
  public:
    virtual ~EventHandler() = default;
    virtual void on_events(std::uint32_t epoll_events) = 0;

  private:
    friend class Loop;
    bool again_ = false;  // stands in the loop's list for the next turn
};

// The event loop of one thread: edge-triggered epoll, timers, and work posted by other threads. All but
// post() and stop() must be called on the loop's own thread. The clock is read once per turn.
class Loop {
  public:
    using SystemTime = std::chrono::system_clock::time_point;

    Loop();  // throws std::system_error when the kernel gives no epoll or eventfd
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void run();   // until stop()
    void stop();  // any thread
    // One turn: waits at most max_wait for events. Returns after they, due timers and posted work are done.
    void turn(Duration max_wait);

    [[nodiscard]] TimePoint now() const { return now_; }
    [[nodiscard]] SystemTime system_now() const { return system_now_; }
    TimerQueue& timers() { return timers_; }

    // Runs `work` on the loop's thread, in order. Any thread.
    void post(std::function<void()> work);
    // Runs `work` before the loop waits again. The loop's thread only.
    void defer(std::function<void()> work) { deferred_.push_back(std::move(work)); }
    // Calls handler->on_events(0) in the next turn: for one that used up its share of this turn while its
    // descriptor is still ready (edge-triggered: no event would come).
    void again(EventHandler& handler) {
        if (std::exchange(handler.again_, true)) return;  // or a busy one would get more turns than others
        again_.push_back(&handler);
    }
    // Called at the end of every turn: flushes of logs.
    void at_turn_end(std::function<void()> work) { turn_end_.push_back(std::move(work)); }

    // edge: an event tells of a change only. level: there is one in every turn in which the descriptor is
    // ready.
    enum class Trigger : std::uint8_t { edge, level };
    // `events`: EPOLLIN | ...; EPOLLET is added.
    Result<void> watch(int fd, EventHandler& handler, std::uint32_t events, Trigger trigger = Trigger::edge);
    // Forgets the handler, events of this turn included. Call before closing the descriptor.
    void unwatch(int fd, EventHandler& handler);

    // A buffer for reading and writing on within one call, shared by everything on this thread: nobody owns
    // it over a suspension. 256 KiB.
    [[nodiscard]] char* scratch() { return scratch_.data(); }
    static constexpr std::size_t scratch_size = 256 * 1024;

  private:
    void read_clocks();
    void run_posted();
    void run_deferred();
    void run_again();

    Fd epoll_;
    Fd wakeup_;
    TimerQueue timers_;
    TimePoint now_;
    SystemTime system_now_;
    std::atomic<bool> stopped_{false};
    std::array<epoll_event, 256> events_{};
    int event_count_ = 0;
    int event_next_ = 0;
    std::vector<EventHandler*> again_;
    std::vector<EventHandler*> again_now_;
    std::vector<std::function<void()>> deferred_;
    std::vector<std::function<void()>> turn_end_;
    std::mutex posted_mutex_;
    std::vector<std::function<void()>> posted_;
    std::vector<char> scratch_;
};

// co_await Yield{loop}: goes on in the next turn, after the others had theirs. For loops that a fast peer
// could keep from ever waiting.
class Yield : private EventHandler {
  public:
    explicit Yield(Loop& loop) : loop_(loop) {}
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
        handle_ = handle;
        loop_.again(*this);
    }
    void await_resume() const noexcept {}

  private:
    void on_events(std::uint32_t) override { handle_.resume(); }
    Loop& loop_;
    std::coroutine_handle<> handle_;
};

}  // namespace hawser::net
