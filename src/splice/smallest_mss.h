// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
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
        value_.store(mss, std::memory_order_relaxed);
        if (changed_) changed_();
    }
    // `changed` is called on the thread that lowers it, and must not wait; once this returns, the one before
    // it is not called any more.
    void watch(std::function<void()> changed) {
        const std::scoped_lock lock(mutex_);
        changed_ = std::move(changed);
    }

  private:
    std::mutex mutex_;
    std::atomic<std::uint32_t> value_{65'535};
    std::function<void()> changed_;
};

}  // namespace hawser::splice
