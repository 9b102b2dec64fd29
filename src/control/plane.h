// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/snapshot.h"
#include "gateway/stats.h"
#include "tunnel/tunnel.h"

namespace hawser::control {

// What the control plane asks of the gateway (gateway/gateway.h says what each function does): a seam, so
// that the control plane is tested without sockets and threads of workers. Control thread only.
class Plane {
  public:
    virtual ~Plane() = default;
    virtual catalog::Diagnostics apply(std::shared_ptr<const catalog::Snapshot> snapshot) = 0;
    [[nodiscard]] virtual std::shared_ptr<const catalog::Snapshot> current() const = 0;
    [[nodiscard]] virtual std::vector<tunnel::Tunnel> tunnels() const = 0;
    [[nodiscard]] virtual gateway::Stats stats() const = 0;
    virtual bool kill_tunnel(std::uint64_t id) = 0;
};

}  // namespace hawser::control
