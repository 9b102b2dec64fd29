// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gateway/http/rules.h"

namespace hawser::gateway {

// Connections per key (limit_conn). A zone that is full refuses new keys: every key in it is in use.
class ConnectionZone;
// Leaky buckets per key (limit_req), the least recently used one first in line to go.
class RequestZone;

// The zones by name. A zone whose name a later snapshot uses again keeps its counters.
class LimitZones {
  public:
    std::shared_ptr<ConnectionZone> connections(const catalog::http::LimitZone& zone);
    std::shared_ptr<RequestZone> requests(const catalog::http::LimitZone& zone);

  private:
    template <class Zone>
    using ByName = std::unordered_map<std::string, std::shared_ptr<Zone>>;
    template <class Zone>
    std::shared_ptr<Zone> find(ByName<Zone>& zones, const catalog::http::LimitZone& zone);

    std::shared_mutex mutex_;
    ByName<ConnectionZone> connections_;
    ByName<RequestZone> requests_;
};

// Both set the variable of their name in the exchange, and answer with the configured status when the limit
// is passed. Nothing is done a second time for the same exchange.
std::optional<Answer> limit_connections(Exchange& exchange, LimitZones& zones, LimitHold& hold);
struct RequestVerdict {
    std::optional<Answer> refusal;
    std::chrono::milliseconds delay{0};
};
RequestVerdict limit_requests(Exchange& exchange, LimitZones& zones, SteadyTime now);

}  // namespace hawser::gateway
