// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "catalog/endpoint.h"
#include "catalog/snapshot.h"

namespace hawser::catalog {

// The id whose endpoints' live states a group shares: the service port's, for the group itself, its local set
// ("/local") and its Ingress variants ("@ingress:...").
std::string state_id(const std::string& group_id);

// True when a picker made for one serves as well for the other: everything equal but the live states.
bool same_group(const EndpointGroup& a, const EndpointGroup& b);

// Calls visit(group pointer) for every group of a snapshot, of a listener: some come more than once.
template <class Visit>
void for_each_group(const http::Location& location, Visit visit) {
    if (location.proxy && location.proxy->group) visit(location.proxy->group);
    for (const auto& nested : location.nested) for_each_group(*nested, visit);
}
template <class Visit>
void for_each_group(const http::VirtualServer& server, Visit visit) {
    if (server.groups)
        for (const auto& [name, group] : *server.groups) visit(group);
    for (const auto& location : server.locations) for_each_group(*location, visit);
}
template <class Visit>
void for_each_group(const Snapshot& snapshot, Visit visit) {
    for (const Frontend& frontend : snapshot.frontends) {
        if (frontend.group) visit(frontend.group);
        if (frontend.cluster_group) visit(frontend.cluster_group);
    }
    for (const http::Listener& listener : snapshot.listeners)
        for (const auto& server : listener.servers) for_each_group(*server, visit);
}

// Makes the groups of the next snapshot. What is the same as in the previous one is the same object; live
// states are kept per (state id, address).
class GroupShelf {
  public:
    explicit GroupShelf(const Snapshot* previous);  // may be null; is not kept

    // The shared form of `group`; its endpoints' states are filled in. The same id gives the same object.
    std::shared_ptr<const EndpointGroup> put(EndpointGroup group);
    // The same for a group that a source made (nginx.conf).
    std::shared_ptr<const EndpointGroup> put(const std::shared_ptr<const EndpointGroup>& group);

  private:
    using StateKey = std::pair<std::string, net::SocketAddress>;

    std::map<StateKey, std::shared_ptr<EndpointState>> states_;
    std::unordered_map<std::string, std::shared_ptr<const EndpointGroup>> previous_;  // by id
    std::unordered_map<std::string, std::shared_ptr<const EndpointGroup>> current_;   // by id
    std::unordered_map<const EndpointGroup*, std::shared_ptr<const EndpointGroup>> adopted_;
};

}  // namespace hawser::catalog
