// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "balance/peers.h"

namespace hawser::balance {

// nginx's ip_hash, hash and hash ... consistent, bit for bit as 1.22. Each returns nothing when nginx would
// go on with round robin: after 20 places that could not be used, for a single server, for an empty key.
// nginx keeps the state of a request between its tries; here the walk begins anew each time and passes over
// what was tried, which leads to the same place.
std::optional<std::size_t> pick_ip_hash(const Peers& peers, const PickRequest& request, const Tried& tried);
std::optional<std::size_t> pick_hash(const Peers& peers, const PickRequest& request, const Tried& tried);

// The ring of hash ... consistent: 160 points for each unit of weight, placed by what nginx.conf calls the
// server (Endpoint::name), so that the same file gives the same ring everywhere.
class Ring {
  public:
    Ring() = default;
    Ring(const catalog::EndpointGroup& group, const Peers& peers);
    std::optional<std::size_t> pick(Peers& peers, const PickRequest& request, const Tried& tried) const;

  private:
    struct Point {
        std::uint32_t hash = 0;
        std::uint32_t server = 0;  // into servers_
    };
    std::vector<Point> points_;
    std::vector<std::vector<std::size_t>> servers_;  // the endpoints of one name
};

}  // namespace hawser::balance
