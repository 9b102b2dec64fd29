// SPDX-License-Identifier: Apache-2.0
#include "catalog/build_groups.h"

#include <algorithm>
#include <tuple>

namespace hawser::catalog {
namespace {

auto identity(const Endpoint& e) {
    return std::tie(e.address, e.name, e.node, e.zone, e.local, e.terminating, e.weight, e.max_fails,
                    e.fail_timeout, e.max_conns, e.backup, e.down);
}
bool same_endpoint(const Endpoint& a, const Endpoint& b) { return identity(a) == identity(b); }

auto settings(const EndpointGroup& g) {
    return std::tie(g.id, g.service, g.balancing.scheduler, g.balancing.hash_key,
                    g.balancing.affinity_timeout, g.keepalive, g.keepalive_requests, g.keepalive_timeout,
                    g.keepalive_time, g.has_any_endpoint);
}

}  // namespace

std::string state_id(const std::string& group_id) {
    if (group_id.starts_with("nginx:")) return group_id;
    std::string out = group_id.substr(0, group_id.find('@'));
    constexpr std::string_view local = "/local";
    if (out.ends_with(local)) out.resize(out.size() - local.size());
    return out;
}

bool same_group(const EndpointGroup& a, const EndpointGroup& b) {
    return settings(a) == settings(b) && std::equal(a.endpoints.begin(), a.endpoints.end(),
                                                    b.endpoints.begin(), b.endpoints.end(), same_endpoint);
}

GroupShelf::GroupShelf(const Snapshot* previous) {
    if (previous == nullptr) return;
    for_each_group(*previous, [&](const std::shared_ptr<const EndpointGroup>& group) {
        if (!previous_.emplace(group->id, group).second) return;
        for (const Endpoint& e : group->endpoints)
            if (e.state) states_.emplace(StateKey{state_id(group->id), e.address}, e.state);
    });
}

std::shared_ptr<const EndpointGroup> GroupShelf::put(EndpointGroup group) {
    if (const auto known = current_.find(group.id);
        known != current_.end() && same_group(*known->second, group))
        return known->second;
    std::shared_ptr<const EndpointGroup> out;
    if (const auto old = previous_.find(group.id);
        old != previous_.end() && same_group(*old->second, group)) {
        out = old->second;
    } else {
        const std::string id = state_id(group.id);
        for (Endpoint& e : group.endpoints) {
            auto& state = states_[StateKey{id, e.address}];
            if (!state) state = std::make_shared<EndpointState>();
            e.state = state;
        }
        out = std::make_shared<const EndpointGroup>(std::move(group));
    }
    current_.insert_or_assign(out->id, out);
    return out;
}

std::shared_ptr<const EndpointGroup> GroupShelf::put(const std::shared_ptr<const EndpointGroup>& group) {
    if (!group) return nullptr;
    auto& out = adopted_[group.get()];
    if (!out) out = put(*group);
    return out;
}

}  // namespace hawser::catalog
