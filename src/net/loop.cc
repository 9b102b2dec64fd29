// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace hawser::net {

namespace {
[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }
}  // namespace

Loop::Loop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wakeup_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      scratch_(scratch_size) {
    if (!epoll_.valid()) fail("epoll_create1");
    if (!wakeup_.valid()) fail("eventfd");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;  // nullptr = the wake-up
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event) != 0) fail("epoll_ctl");
    read_clocks();
}

Loop::~Loop() = default;

void Loop::read_clocks() {
    now_ = Clock::now();
    system_now_ = std::chrono::system_clock::now();
}

void Loop::run() {
    while (!stopped_.load(std::memory_order_relaxed)) turn(Duration{60'000});
    run_posted();
}

void Loop::stop() {
    stopped_.store(true);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = write(wakeup_.get(), &one, sizeof one);
}

void Loop::turn(Duration max_wait) {
    Duration wait = max_wait;
    if (!again_.empty() || !deferred_.empty()) {
        wait = Duration{0};
    } else if (const auto next = timers_.next()) {
        // Rounded up, or the loop would spin through the last millisecond.
        const auto until = std::chrono::ceil<Duration>(*next - Clock::now());
        wait = std::clamp(until, Duration{0}, max_wait);
    }
    event_count_ = epoll_wait(epoll_.get(), events_.data(), events_.size(), static_cast<int>(wait.count()));
    if (event_count_ < 0) {
        if (errno != EINTR) fail("epoll_wait");
        event_count_ = 0;
    }
    read_clocks();
    bool woken = false;
    for (event_next_ = 0; event_next_ < event_count_;) {
        const epoll_event event = events_[event_next_++];
        if (event.data.ptr == nullptr) {
            woken = event.events != 0 || woken;
            continue;
        }
        static_cast<EventHandler*>(event.data.ptr)->on_events(event.events);
    }
    event_count_ = 0;
    timers_.run(now_);
    run_again();
    if (woken) run_posted();
    run_deferred();
    for (const auto& work : turn_end_) work();
}

void Loop::run_again() {
    again_now_.swap(again_);
    // unwatch() blanks entries while this runs.
    for (std::size_t i = 0; i < again_now_.size(); ++i) {
        EventHandler* const handler = again_now_[i];
        if (handler == nullptr) continue;
        again_now_[i] = nullptr;
        handler->again_ = false;
        handler->on_events(0);
    }
    again_now_.clear();
}

void Loop::run_posted() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto n = read(wakeup_.get(), &count, sizeof count);
    std::vector<std::function<void()>> work;
    {
        const std::lock_guard lock(posted_mutex_);
        work.swap(posted_);
    }
    for (const auto& item : work) item();
}

void Loop::run_deferred() {
    while (!deferred_.empty()) {
        std::vector<std::function<void()>> work;
        work.swap(deferred_);
        for (const auto& item : work) item();
    }
}

void Loop::post(std::function<void()> work) {
    bool first = false;
    {
        const std::lock_guard lock(posted_mutex_);
        first = posted_.empty();
        posted_.push_back(std::move(work));
    }
    if (!first) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = write(wakeup_.get(), &one, sizeof one);
}

Result<void> Loop::watch(int fd, EventHandler& handler, std::uint32_t events, Trigger trigger) {
    epoll_event event{};
    event.events = events;
    if (trigger == Trigger::edge) event.events |= EPOLLET;
    event.data.ptr = &handler;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return system_error("epoll_ctl", errno);
    return {};
}

void Loop::unwatch(int fd, EventHandler& handler) {
    if (fd >= 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    for (int i = event_next_; i < event_count_; ++i) {
        if (events_[i].data.ptr != &handler) continue;
        events_[i].data.ptr = nullptr;  // taken for a wake-up without events
        events_[i].events = 0;
    }
    if (!std::exchange(handler.again_, false)) return;
    std::erase(again_, &handler);
    std::replace(again_now_.begin(), again_now_.end(), &handler, static_cast<EventHandler*>(nullptr));
}

}  // namespace hawser::net
