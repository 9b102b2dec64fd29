// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "gateway/gateway.h"
#include "net/address.h"
#include "net/timer.h"

namespace hawser::gateway {

// Whether a new client may come in. Shared by all workers of a process: the connection count is atomic; the
// table of clients and the rate are behind mutexes that are taken once per connection, and only when such a
// limit is set.
class Admission {
  public:
    explicit Admission(const Limits& limits);

    enum class Refusal : std::uint8_t { max_connections, per_client, rate };
    // Counts the client in while it lives.
    class Pass {
      public:
        Pass() = default;
        Pass(Pass&& other) noexcept;
        Pass& operator=(Pass&& other) noexcept;
        ~Pass() { release(); }

      private:
        friend class Admission;
        Pass(Admission* admission, const net::IpAddress& client) : admission_(admission), client_(client) {}
        void release();
        Admission* admission_ = nullptr;
        net::IpAddress client_;
    };
    struct Decision {
        Pass pass;
        std::optional<Refusal> refusal;
    };
    Decision enter(const net::IpAddress& client, net::TimePoint now);
    [[nodiscard]] std::size_t connections() const { return connections_.load(std::memory_order_relaxed); }

  private:
    struct Shard {
        std::mutex mutex;
        std::unordered_map<net::IpAddress, std::size_t> clients;
    };
    Shard& shard_of(const net::IpAddress& client);
    bool take_token(net::TimePoint now);

    Limits limits_;
    std::atomic<std::size_t> connections_{0};
    std::array<Shard, 16> shards_;
    std::mutex rate_mutex_;
    double tokens_ = 0;
    std::optional<net::TimePoint> refilled_;
};

std::string_view to_string(Admission::Refusal refusal);

}  // namespace hawser::gateway
