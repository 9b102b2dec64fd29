// SPDX-License-Identifier: Apache-2.0
#include "catalog/build_listeners.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace hawser::catalog {
namespace {

using http::Listener;
using http::Location;
using http::ServerName;
using http::VirtualServer;

std::shared_ptr<const Location> adopt(const std::shared_ptr<const Location>& location, GroupShelf& shelf) {
    Location copy = *location;
    if (copy.proxy) copy.proxy->group = shelf.put(copy.proxy->group);
    for (auto& nested : copy.nested) nested = adopt(nested, shelf);
    return std::make_shared<const Location>(std::move(copy));
}

// A copy whose groups are the shelf's. Listeners may share a server: it is copied once.
class Adopter {
  public:
    explicit Adopter(GroupShelf& shelf) : shelf_(shelf) {}

    std::shared_ptr<const VirtualServer> adopt_server(const std::shared_ptr<const VirtualServer>& server) {
        auto& out = done_[server.get()];
        if (out) return out;
        auto copy = std::make_shared<VirtualServer>(*server);
        if (copy->groups) {
            auto groups =
                std::make_shared<std::map<std::string, std::shared_ptr<const EndpointGroup>>>(*copy->groups);
            for (auto& [name, group] : *groups) group = shelf_.put(group);
            copy->groups = std::move(groups);
        }
        for (auto& location : copy->locations) location = adopt(location, shelf_);
        out = std::move(copy);
        return out;
    }

  private:
    GroupShelf& shelf_;
    std::map<const VirtualServer*, std::shared_ptr<const VirtualServer>> done_;
};

std::string written(const ServerName& name) {
    switch (name.kind) {
        case ServerName::Kind::exact:
            return name.text;
        case ServerName::Kind::leading_wildcard:
            return (name.also_bare ? "" : "*") + name.text;
        case ServerName::Kind::trailing_wildcard:
            return name.text + "*";
        case ServerName::Kind::regex:
            return "~" + name.text;
    }
    return {};
}

void append_ingress(Listener& listener, const std::vector<std::shared_ptr<const VirtualServer>>& ingress,
                    Diagnostics& diagnostics) {
    std::map<std::string, Position> names;
    for (const auto& server : listener.servers)
        for (const ServerName& name : server->names) names.emplace(written(name), server->position);
    for (const auto& server : ingress) {
        if (server->names.empty() && !listener.servers.empty()) {
            const auto& chosen = listener.servers[listener.default_server];
            if (server->locations.empty()) continue;
            diagnostics.warning(server->position, "the Ingress rules without a host are not served at " +
                                                      listener.address.text() +
                                                      ": the default server there is at " +
                                                      chosen->position.text());
            continue;
        }
        for (const ServerName& name : server->names) {
            const auto taken = names.find(written(name));
            if (taken != names.end())
                diagnostics.error(server->position, "the host " + server->name + " is served at " +
                                                        listener.address.text() + " by " +
                                                        taken->second.text() + " already");
        }
        listener.servers.push_back(server);
    }
}

void describe_clash(const Position& where, const std::string& who, const net::SocketAddress& address,
                    const std::string& protocol, const std::string& other, const Position& other_where,
                    Diagnostics& diagnostics) {
    diagnostics.error(where, who + ": " + address.text() + "/" + protocol + " is taken by " + other + " at " +
                                 other_where.text());
}

}  // namespace

std::vector<Listener> merge_listeners(const std::vector<Listener>& sources,
                                      const std::vector<std::shared_ptr<const VirtualServer>>& ingress,
                                      const BuildOptions& options, GroupShelf& shelf,
                                      Diagnostics& diagnostics) {
    std::map<net::SocketAddress, Listener> out;
    Adopter adopter(shelf);
    for (const Listener& source : sources) {
        Listener copy = source;
        for (auto& server : copy.servers) server = adopter.adopt_server(server);
        const auto [at, fresh] = out.emplace(copy.address, copy);
        if (!fresh)
            diagnostics.error(copy.position, "the listener " + copy.address.text() +
                                                 " is given twice: first at " + at->second.position.text());
    }
    if (ingress.empty()) {
        std::vector<Listener> list;
        for (auto& [address, listener] : out) list.push_back(std::move(listener));
        return list;
    }
    const std::set<net::SocketAddress> wanted(options.ingress_listen.begin(), options.ingress_listen.end());
    for (const net::SocketAddress& address : wanted) {
        Listener fresh;
        fresh.address = address;
        fresh.source = "ingress";
        fresh.position = ingress.front()->position;
        append_ingress(out.emplace(address, std::move(fresh)).first->second, ingress, diagnostics);
    }
    std::vector<Listener> list;
    for (auto& [address, listener] : out) list.push_back(std::move(listener));
    return list;
}

void check_addresses(const Snapshot& snapshot, Diagnostics& diagnostics) {
    std::map<std::string, Position> positions;
    for (const ServiceView& view : snapshot.services) positions[view.object->metadata.key()] = view.position;
    std::map<std::pair<net::SocketAddress, Protocol>, const Frontend*> taken;
    for (const Frontend& f : snapshot.frontends) {
        const auto [first, fresh] = taken.emplace(std::pair{f.address, f.protocol}, &f);
        // Two services with one nodePort or ClusterIP were reported when the numbers were allocated.
        const bool reported = f.kind == first->second->kind &&
                              (f.kind == FrontendKind::node_port || f.kind == FrontendKind::cluster_ip);
        if (fresh || reported) continue;
        describe_clash(positions[f.service], "Service " + f.service, f.address,
                       std::string(to_string(f.protocol)), "Service " + first->second->service,
                       positions[first->second->service], diagnostics);
    }
    for (const http::Listener& listener : snapshot.listeners) {
        auto found = taken.find({listener.address, Protocol::tcp});
        // A nodePort stands for every address of the node, but not for its loopback.
        const net::IpAddress any =
            listener.address.ip.is_v4() ? net::IpAddress::any_v4() : net::IpAddress::any_v6();
        if (found == taken.end() && !listener.address.ip.is_loopback())
            found = taken.find({net::SocketAddress{any, listener.address.port}, Protocol::tcp});
        if (found == taken.end() || found->second->kind == FrontendKind::cluster_ip) continue;
        describe_clash(
            listener.position, "the HTTP listener", listener.address, "TCP",
            "Service " + found->second->service + " (" + std::string(to_string(found->second->kind)) + ")",
            positions[found->second->service], diagnostics);
    }
}

}  // namespace hawser::catalog
