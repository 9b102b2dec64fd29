// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

namespace hawser::splice {

// The smallest MSS (payload and options, bytes) that a path to an endpoint was found to carry. Clients that
// are told it send no larger segments, and can be spliced. All functions: any thread.
class SmallestMss {
  public:
    [[nodiscard]] std::uint32_t get() const { return value_.load(std::memory_order_relaxed); }

    void lower(std::uint32_t mss) {
        const std::scoped_lock lock(mutex_);
        if (mss >= get()) return;
        const auto now = std::chrono::system_clock::now();
        if (now - changed_at_ >= settling) before_ = get();
        changed_at_ = now;
        value_.store(mss, std::memory_order_relaxed);
        if (changed_) changed_();
    }
    // What a client may have been told whose tunnel began then. The SYN-ACK tells it; the accepted socket has the
    // listener's value of the moment of the handshake's last ACK, and shows that one.
    [[nodiscard]] std::uint32_t told(std::chrono::system_clock::time_point began) const {
        const std::scoped_lock lock(mutex_);
        return began - changed_at_ < settling ? before_ : get();
    }
    // `changed` is called on the thread that lowers it, and must not wait; once this returns, the one before
    // it is not called any more.
    void watch(std::function<void()> changed) {
        const std::scoped_lock lock(mutex_);
        changed_ = std::move(changed);
    }

  private:
    // A SYN-ACK that was lost and repeated, and the client's request.
    static constexpr std::chrono::seconds settling{3};

    mutable std::mutex mutex_;
    std::uint32_t before_ = 65'535;
    std::chrono::system_clock::time_point changed_at_{};
    std::atomic<std::uint32_t> value_{65'535};
    std::function<void()> changed_;
};

}  // namespace hawser::splice
