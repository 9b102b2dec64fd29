// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/snapshot.h"
#include "gateway/stats.h"
#include "replication/plane.h"
#include "splice/plane.h"
#include "tunnel/tunnel.h"
#include "vip/router.h"

namespace hawser::control {

// What the control plane asks of the gateway (gateway/gateway.h says what each function does): a seam, so
// that the control plane is tested without sockets and threads of workers. Control thread only.
class Plane {
  public:
    virtual ~Plane() = default;
    virtual catalog::Diagnostics apply(std::shared_ptr<const catalog::Snapshot> snapshot) = 0;
    [[nodiscard]] virtual std::shared_ptr<const catalog::Snapshot> current() const = 0;
    // At least those `limit` tunnels with the lowest ids above `after`, if there are so many; in any order.
    [[nodiscard]] virtual std::vector<tunnel::Tunnel> tunnels(std::uint64_t after, std::size_t limit) const = 0;
    [[nodiscard]] virtual std::optional<tunnel::Tunnel> tunnel(std::uint64_t id) const = 0;
    [[nodiscard]] virtual gateway::Stats stats() const = 0;
    virtual bool kill_tunnel(std::uint64_t id) = 0;
    // Nothing when the kernel carries nothing.
    [[nodiscard]] virtual std::optional<splice::Plane::Stats> splice_stats() const { return std::nullopt; }
    [[nodiscard]] virtual std::vector<vip::Status> vips() const { return {}; }
    // Nothing when tunnels are told to nobody.
    [[nodiscard]] virtual std::optional<replication::Status> replication() const { return std::nullopt; }
};

}  // namespace hawser::control
