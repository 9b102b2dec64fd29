// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/objects.h"
#include "catalog/snapshot.h"

namespace hawser::catalog {

// Numbers that the API server would hand out, kept over restarts (file of the control plane; see
// allocation.h).
class Allocations;

struct BuildOptions {
    std::string node_name;  // who "local" is; "" = by the node's addresses, else nothing is local
    std::vector<net::IpAddress> node_addresses;  // addresses on this machine's interfaces
    struct InterfaceNetwork {
        std::string interface;
        net::Cidr network;
    };
    std::vector<InterfaceNetwork> interface_networks;  // where a VIP without an interface belongs
    net::Cidr service_cidr_v4 = *net::Cidr::parse("10.96.0.0/12");
    std::optional<net::Cidr> service_cidr_v6;
    std::uint16_t node_port_min = 30000, node_port_max = 32767;
    std::vector<net::Cidr> node_port_addresses;      // S-06; empty = all of this node
    std::vector<net::Cidr> pod_cidrs;                // P-05: whose clients count as pods
    std::vector<net::SocketAddress> ingress_listen;  // where Ingress rules are served; empty = not at all
    std::string ingress_class = "hawser";
};

struct BuildResult {
    std::shared_ptr<const Snapshot> snapshot;  // null when diagnostics.has_errors(): nothing changed
    Diagnostics diagnostics;
};

// Validates the objects against each other and makes the next snapshot. Everything that is wrong is in
// diagnostics. What did not change since `previous` is shared with it (endpoint groups, live endpoint
// states). previous may be null.
BuildResult build(const Objects& objects, const BuildOptions& options,
                  const std::shared_ptr<const Snapshot>& previous, Allocations& allocations);

// One line per frontend, route and endpoint that came, went or changed: "+ frontend 0.0.0.0:30100/TCP
// default/im-service".
std::vector<std::string> diff(const Snapshot& before, const Snapshot& after);

}  // namespace hawser::catalog
