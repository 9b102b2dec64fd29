// SPDX-License-Identifier: Apache-2.0
#include "catalog/topology.h"

#include <algorithm>

namespace hawser::catalog {
namespace {

using List = std::vector<const ServiceEndpoint*>;

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return !name.empty() && std::find(names.begin(), names.end(), name) != names.end();
}

// Narrows the ready endpoints to those that the hints give to this node or zone (E-11).
List follow_hints(const List& ready, const NodeIdentity& node) {
    const auto narrow = [&](auto hints, const std::string& name) {
        List out;
        const bool all_hinted = std::all_of(ready.begin(), ready.end(),
                                            [&](const ServiceEndpoint* e) { return !(e->*hints).empty(); });
        if (all_hinted)
            std::copy_if(ready.begin(), ready.end(), std::back_inserter(out),
                         [&](const ServiceEndpoint* e) { return contains(e->*hints, name); });
        return out;
    };
    if (List out = narrow(&ServiceEndpoint::for_nodes, node.name); !out.empty()) return out;
    if (List out = narrow(&ServiceEndpoint::for_zones, node.zone); !out.empty()) return out;
    return ready;
}

}  // namespace

UsableEndpoints select_usable(std::span<const ServiceEndpoint* const> endpoints, const NodeIdentity& node) {
    UsableEndpoints out;
    const auto is_local = [&](const ServiceEndpoint* e) {
        return !node.name.empty() && e->node == node.name;
    };
    List ready, leaving;
    for (const ServiceEndpoint* e : endpoints) {
        if (e->ready) ready.push_back(e);
        if (e->serving && e->terminating) leaving.push_back(e);
    }
    out.any = !ready.empty() || !leaving.empty();
    out.cluster = ready.empty() ? leaving : follow_hints(ready, node);
    std::copy_if(ready.begin(), ready.end(), std::back_inserter(out.local), is_local);
    if (out.local.empty())
        std::copy_if(leaving.begin(), leaving.end(), std::back_inserter(out.local), is_local);
    return out;
}

}  // namespace hawser::catalog
