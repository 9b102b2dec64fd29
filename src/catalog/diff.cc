// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <set>
#include <string>

#include "catalog/build.h"
#include "catalog/build_groups.h"

namespace hawser::catalog {
namespace {

// What is there -> how it is: two snapshots differ where a key came or went, or its value changed.
using Facts = std::map<std::string, std::string>;

std::string shown(const Balancing& balancing) {
    std::string out(to_string(balancing.scheduler));
    if (!balancing.hash_key.empty()) out += " " + balancing.hash_key.source;
    if (balancing.affinity_timeout)
        out += ", ClientIP " + std::to_string(balancing.affinity_timeout->count()) + " s";
    return out;
}

Facts frontends_of(const Snapshot& snapshot) {
    Facts out;
    for (const Frontend& f : snapshot.frontends) {
        std::string how = f.group ? shown(f.group->balancing) : "";
        if (f.group != f.cluster_group) how += ", local";
        for (const net::Cidr& range : f.source_ranges) how += ", from " + range.text();
        out["frontend " + f.address.text() + "/" + std::string(to_string(f.protocol)) + " " + f.service] =
            how;
    }
    for (const http::Listener& l : snapshot.listeners) out["listener " + l.address.text()] = l.source;
    return out;
}

void add_routes(const http::Location& location, Facts& out) {
    std::string how;
    if (location.proxy)
        how = location.proxy->group ? location.proxy->group->id
                                    : (location.proxy->dynamic ? location.proxy->dynamic->source : "");
    out["route " + location.route_id] = how;
    for (const auto& nested : location.nested) add_routes(*nested, out);
}

Facts routes_of(const Snapshot& snapshot) {
    Facts out;
    for (const http::Listener& listener : snapshot.listeners)
        for (const auto& server : listener.servers)
            for (const auto& location : server->locations) add_routes(*location, out);
    return out;
}

Facts endpoints_of(const Snapshot& snapshot) {
    Facts out;
    for (const ServiceView& view : snapshot.services)
        for (const auto& e : view.endpoints)
            out["endpoint " + e.address.text() + "/" + std::string(to_string(e.protocol)) + " " +
                view.object->metadata.key()] = e.terminating ? (e.serving ? "terminating" : "gone")
                                               : e.ready     ? "ready"
                                                             : "not ready";
    std::set<const EndpointGroup*> seen;
    for_each_group(snapshot, [&](const std::shared_ptr<const EndpointGroup>& group) {
        // Endpoints of services are told above, the unusable ones with them.
        if (!group->id.starts_with("nginx:") || !seen.insert(group.get()).second) return;
        for (const Endpoint& e : group->endpoints)
            out["endpoint " + e.address.text() + "/TCP " + group->service] = e.down ? "down" : "ready";
    });
    return out;
}

void compare(const Facts& before, const Facts& after, std::vector<std::string>& out) {
    for (const auto& [what, how] : before)
        if (!after.contains(what)) out.push_back("- " + what);
    for (const auto& [what, how] : after) {
        const auto old = before.find(what);
        if (old == before.end())
            out.push_back("+ " + what);
        else if (old->second != how)
            out.push_back("~ " + what + " (" + old->second + " -> " + how + ")");
    }
}

}  // namespace

std::vector<std::string> diff(const Snapshot& before, const Snapshot& after) {
    std::vector<std::string> out;
    compare(frontends_of(before), frontends_of(after), out);
    compare(routes_of(before), routes_of(after), out);
    compare(endpoints_of(before), endpoints_of(after), out);
    return out;
}

}  // namespace hawser::catalog
