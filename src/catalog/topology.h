// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "catalog/controllers.h"

namespace hawser::catalog {

// Who this node is, for "local" (E-12) and for zones. Empty: not known.
struct NodeIdentity {
    std::string name;
    std::string zone;
};

// The endpoints of one service port that connections may go to.
struct UsableEndpoints {
    std::vector<const ServiceEndpoint*> cluster;  // traffic policy Cluster, topology hints applied (E-11)
    std::vector<const ServiceEndpoint*> local;    // traffic policy Local
    bool any = false;                             // one is usable somewhere, under any policy
};

// kube-proxy's choice (pkg/proxy/topology.go): the ready ones; where a set has none, those that serve while
// they terminate (E-07), decided for each set by itself.
UsableEndpoints select_usable(std::span<const ServiceEndpoint* const> endpoints, const NodeIdentity& node);

}  // namespace hawser::catalog
