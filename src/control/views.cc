// SPDX-License-Identifier: Apache-2.0
#include "control/views.h"

#include <algorithm>
#include <ctime>
#include <tuple>

#include "control/encode.h"

namespace hawser::control {

namespace json = boost::json;
namespace http = catalog::http;

namespace {

json::object list(std::string_view kind, std::string_view api_version, std::uint64_t number,
                  json::array items) {
    return {{"kind", kind},
            {"apiVersion", api_version},
            {"metadata", {{"resourceVersion", std::to_string(number)}}},
            {"items", std::move(items)}};
}

json::object typed(std::string_view kind, std::string_view api_version, json::value object) {
    json::object out{{"kind", kind}, {"apiVersion", api_version}};
    for (auto& member : object.as_object()) out[member.key()] = std::move(member.value());
    return out;
}

constexpr std::string_view own_version = "hawser/v1";

std::string created(const catalog::ObjectMeta& metadata, const FirstSeen& seen) {
    if (!metadata.creationTimestamp.empty()) return metadata.creationTimestamp;
    const auto found = seen.find(metadata.key());
    return found == seen.end() ? "" : rfc3339(found->second);
}

// The ports that one address of a service serves: addresses with the same ports share an EndpointSlice.
using PortKey = std::tuple<std::string, catalog::Protocol, std::uint16_t>;  // name, protocol, number
struct AddressKey {
    net::IpAddress ip;
    std::string pod, node;
    bool ready, serving, terminating;
    auto operator<=>(const AddressKey&) const = default;
};

catalog::SliceEndpoint slice_endpoint(const AddressKey& address, const std::string& namespace_name) {
    catalog::SliceEndpoint endpoint;
    endpoint.addresses = {address.ip.text()};
    endpoint.conditions = {address.ready, address.serving, address.terminating};
    endpoint.nodeName = address.node;
    if (!address.pod.empty()) {
        const auto slash = address.pod.find('/');
        endpoint.targetRef = catalog::ObjectReference{
            "Pod", slash == std::string::npos ? address.pod : address.pod.substr(slash + 1), namespace_name};
    }
    return endpoint;
}

std::vector<catalog::EndpointSlice> slices(const catalog::ServiceView& service, const FirstSeen& seen) {
    std::map<AddressKey, std::vector<PortKey>> addresses;
    for (const auto& e : service.endpoints)
        addresses[{e.address.ip, e.pod, e.node, e.ready, e.serving, e.terminating}].emplace_back(
            e.port_name, e.protocol, e.address.port);
    std::map<std::pair<bool, std::vector<PortKey>>, std::vector<AddressKey>> by_ports;
    for (auto& [address, ports] : addresses) {
        std::sort(ports.begin(), ports.end());
        by_ports[{address.ip.is_v6(), ports}].push_back(address);
    }
    std::vector<catalog::EndpointSlice> out;
    const auto& metadata = service.object->metadata;
    for (const auto& [key, members] : by_ports) {
        catalog::EndpointSlice slice;
        slice.metadata.name = metadata.name + "-" + std::to_string(out.size());
        slice.metadata.namespace_ = metadata.namespace_;
        slice.metadata.labels = {{"kubernetes.io/service-name", metadata.name}};
        slice.metadata.creationTimestamp = created(metadata, seen);
        slice.addressType = key.first ? "IPv6" : "IPv4";
        for (const auto& [name, protocol, number] : key.second)
            slice.ports.push_back({name, std::string(to_string(protocol)), number, std::nullopt});
        for (const auto& member : members)
            slice.endpoints.push_back(slice_endpoint(member, metadata.namespace_));
        out.push_back(std::move(slice));
    }
    return out;
}

// Whole seconds as an integer; Boost.JSON writes 3600.0 as 3.6E3.
json::value seconds(std::chrono::milliseconds time) {
    if (time.count() % 1000 == 0) return time.count() / 1000;
    return static_cast<double>(time.count()) / 1000;
}

std::string_view to_string(http::LocationMatch::Kind kind) {
    switch (kind) {
        case http::LocationMatch::Kind::prefix:
            return "Prefix";
        case http::LocationMatch::Kind::prefix_final:
            return "PrefixFinal";
        case http::LocationMatch::Kind::exact:
            return "Exact";
        case http::LocationMatch::Kind::regex:
            return "Regex";
    }
    return "?";
}

std::string name_text(const http::ServerName& name) {
    switch (name.kind) {
        case http::ServerName::Kind::leading_wildcard:
            return (name.also_bare ? "" : "*") + name.text;
        case http::ServerName::Kind::trailing_wildcard:
            return name.text + "*";
        case http::ServerName::Kind::regex:
            return "~" + name.text;
        case http::ServerName::Kind::exact:
            break;
    }
    return name.text;
}

json::array group_endpoints(const catalog::EndpointGroup& group) {
    json::array out;
    for (const auto& endpoint : group.endpoints) {
        json::object item{{"address", endpoint.address.text()}, {"name", endpoint.name}};
        if (!endpoint.node.empty()) item["node"] = endpoint.node;
        if (endpoint.weight != 1) item["weight"] = endpoint.weight;
        if (endpoint.backup) item["backup"] = true;
        if (endpoint.down) item["down"] = true;
        if (endpoint.terminating) item["terminating"] = true;
        if (endpoint.state) {
            item["active"] = endpoint.state->active.load(std::memory_order_relaxed);
            item["opened"] = endpoint.state->opened.load(std::memory_order_relaxed);
            item["failed"] = endpoint.state->failed.load(std::memory_order_relaxed);
        }
        out.push_back(std::move(item));
    }
    return out;
}

// The first thing that a location without proxy_pass does with every request.
std::string script_action(const http::Script& script) {
    for (const auto& instruction : script) {
        if (const auto* answer = std::get_if<http::Return>(&instruction.what)) {
            std::string out = "return " + std::to_string(answer->status);
            if (!answer->text.source.empty()) out += " " + answer->text.source;
            return out;
        }
    }
    return script.empty() ? "404" : "rewrite";
}

void add_action(json::object& route, const http::Location& location) {
    if (!location.proxy) {
        route["action"] = script_action(location.script);
        return;
    }
    const auto& proxy = *location.proxy;
    route["action"] = "proxy";
    if (proxy.dynamic) route["url"] = proxy.dynamic->source;
    if (proxy.uri) route["uri"] = *proxy.uri;
    route["upgrade"] = proxy.upgrade == http::UpgradePolicy::automatic ? "automatic" : "as configured";
    route["tunnelIdleSeconds"] = seconds(proxy.tunnel_idle_timeout);
    if (!proxy.group) return;
    route["service"] = proxy.group->service;
    route["scheduler"] = catalog::to_string(proxy.group->balancing.scheduler);
    route["endpoints"] = group_endpoints(*proxy.group);
}

void add_routes(json::array& out, const http::Listener& listener, const http::VirtualServer& server,
                bool is_default, const std::vector<std::shared_ptr<const http::Location>>& locations,
                const Filter& filter) {
    for (const auto& location : locations) {
        const bool of_service = location->proxy && location->proxy->group &&
                                filter.takes_service(location->proxy->group->service);
        if ((!filter.service || of_service) && (!filter.name || *filter.name == location->route_id)) {
            json::array hosts;
            for (const auto& name : server.names) hosts.push_back(json::string(name_text(name)));
            json::object route{{"id", location->route_id},     {"listen", listener.address.text()},
                               {"source", listener.source},    {"hosts", std::move(hosts)},
                               {"defaultServer", is_default},  {"match", to_string(location->match.kind)},
                               {"path", location->match.text}, {"position", location->position.text()}};
            add_action(route, *location);
            out.push_back(std::move(route));
        }
        add_routes(out, listener, server, is_default, location->nested, filter);
    }
}

json::object flow_view(const tunnel::Flow& flow) {
    json::object out{{"bytes", flow.bytes}, {"frames", flow.frames}};
    if (flow.close_code) out["closeCode"] = *flow.close_code;
    return out;
}

}  // namespace

json::object tunnel_view(const tunnel::Tunnel& t) {
    return {{"id", std::to_string(t.id)},
            {"kind", tunnel::to_string(t.kind)},
            {"protocol", t.protocol},
            {"route", t.route},
            {"service", t.service},
            {"client", t.client.text()},
            {"frontend", t.frontend.text()},
            {"endpoint", t.endpoint.text()},
            {"endpointName", t.endpoint_name},
            {"splice", t.splice},
            {"started", rfc3339(t.started)},
            {"ageSeconds", t.duration.count() / 1000},
            {"idleSeconds", t.idle.count() / 1000},
            {"idleTimeoutSeconds", seconds(t.idle_timeout)},
            {"fromClient", flow_view(t.from_client)},
            {"fromEndpoint", flow_view(t.from_endpoint)}};
}

bool Filter::takes_service(std::string_view service_name) const {
    if (!service || *service == service_name) return true;
    const auto slash = service_name.find('/');
    return slash != std::string_view::npos && service_name.substr(slash + 1) == *service;
}

bool Filter::takes(const catalog::ObjectMeta& metadata) const {
    return (!namespace_ || *namespace_ == metadata.namespace_) && (!name || *name == metadata.name) &&
           takes_service(metadata.key());
}

json::object service_list(const catalog::Snapshot& snapshot, const FirstSeen& seen, const Filter& filter) {
    json::array items;
    for (const auto& service : snapshot.services) {
        if (!filter.takes(service.object->metadata)) continue;
        catalog::Service object = *service.object;
        object.metadata.creationTimestamp = created(object.metadata, seen);
        items.push_back(typed("Service", "v1", encode(object)));
    }
    return list("ServiceList", "v1", snapshot.number, std::move(items));
}

json::object endpoint_list(const catalog::Snapshot& snapshot, const FirstSeen& seen, const Filter& filter) {
    json::array items;
    for (const auto& service : snapshot.services) {
        if (!filter.takes(service.object->metadata)) continue;
        for (const auto& slice : slices(service, seen))
            items.push_back(typed("EndpointSlice", "discovery.k8s.io/v1", encode(slice)));
    }
    return list("EndpointSliceList", "discovery.k8s.io/v1", snapshot.number, std::move(items));
}

json::object route_list(const catalog::Snapshot& snapshot, const Filter& filter) {
    json::array items;
    for (const auto& listener : snapshot.listeners)
        for (std::size_t i = 0; i < listener.servers.size(); ++i)
            add_routes(items, listener, *listener.servers[i], i == listener.default_server,
                       listener.servers[i]->locations, filter);
    return list("RouteList", own_version, snapshot.number, std::move(items));
}

json::object frontend_list(const catalog::Snapshot& snapshot, const Filter& filter) {
    json::array items;
    for (const auto& frontend : snapshot.frontends) {
        if (!filter.takes_service(frontend.service) || (filter.name && *filter.name != frontend.id)) continue;
        json::object item{
            {"id", frontend.id},
            {"type", catalog::to_string(frontend.kind)},
            {"address", frontend.address.text()},
            {"protocol", catalog::to_string(frontend.protocol)},
            {"service", frontend.service},
            {"servicePort", frontend.service_port},
            {"whenEmpty", frontend.when_empty == catalog::Frontend::WhenEmpty::drop ? "drop" : "reject"}};
        if (frontend.group) {
            item["scheduler"] = catalog::to_string(frontend.group->balancing.scheduler);
            if (const auto& timeout = frontend.group->balancing.affinity_timeout)
                item["affinitySeconds"] = timeout->count();
            item["endpoints"] = group_endpoints(*frontend.group);
        }
        items.push_back(std::move(item));
    }
    return list("FrontendList", own_version, snapshot.number, std::move(items));
}

json::object tunnel_list(std::vector<tunnel::Tunnel> tunnels, const Filter& filter, std::size_t limit,
                         std::uint64_t after) {
    std::erase_if(tunnels, [&](const tunnel::Tunnel& t) {
        return t.id <= after || !filter.takes_service(t.service) ||
               (filter.name && *filter.name != std::to_string(t.id));
    });
    const std::size_t shown = std::min(limit, tunnels.size());
    const auto by_id = [](const tunnel::Tunnel& a, const tunnel::Tunnel& b) { return a.id < b.id; };
    std::partial_sort(tunnels.begin(), tunnels.begin() + static_cast<std::ptrdiff_t>(shown), tunnels.end(),
                      by_id);
    json::array items;
    for (std::size_t i = 0; i < shown; ++i) items.push_back(tunnel_view(tunnels[i]));
    json::object metadata;
    if (shown < tunnels.size() && shown > 0) {
        metadata["continue"] = std::to_string(tunnels[shown - 1].id);
        metadata["remainingItemCount"] = tunnels.size() - shown;
    }
    return {{"kind", "TunnelList"},
            {"apiVersion", own_version},
            {"metadata", std::move(metadata)},
            {"items", std::move(items)}};
}

json::object vip_list(const std::vector<vip::Status>& vips, const Filter& filter) {
    json::array items;
    for (const vip::Status& vip : vips) {
        if (filter.name && *filter.name != vip.name) continue;
        json::object item{{"name", vip.name},
                          {"interface", vip.interface},
                          {"virtualRouterId", vip.id},
                          {"version", vip.version},
                          {"state", vip::to_string(vip.state)},
                          {"since", rfc3339(vip.since)},
                          {"priority", vip.priority},
                          {"basePriority", vip.base_priority},
                          {"advertIntervalMilliseconds", vip.interval.count()},
                          {"addresses", json::array(vip.addresses.begin(), vip.addresses.end())},
                          {"faults", json::array(vip.faults.begin(), vip.faults.end())},
                          {"conflicts", vip.counters.conflicts}};
        item["active"] = vip.master.is_unspecified() ? json::value(nullptr) : json::value(vip.master.text());
        items.push_back(std::move(item));
    }
    return list("VipList", own_version, 0, std::move(items));
}

json::object peer_list(const replication::Status& status, const Filter& filter) {
    json::array items;
    for (const auto& peer : status.peers) {
        const std::string name = peer.name.empty() ? peer.address.ip.text() : peer.name;
        if (filter.name && *filter.name != name) continue;
        json::array vips;
        for (const auto& vip : peer.vips) vips.emplace_back(vip.text());
        json::object item{{"name", name},
                          {"address", peer.address.text()},
                          {"connected", peer.connected},
                          {"inStep", peer.in_step},
                          {"vips", std::move(vips)},
                          {"lagMessages", peer.lag},
                          {"lagMilliseconds", peer.lag_time.count()},
                          {"sent", peer.sent},
                          {"received", peer.received},
                          {"lost", peer.lost},
                          {"snapshots", peer.snapshots},
                          {"notCarried", peer.not_carried}};
        item["since"] = peer.since == std::chrono::system_clock::time_point{} ? json::value(nullptr)
                                                                              : json::value(rfc3339(peer.since));
        item["whyNot"] = peer.why_not.empty() ? json::value(nullptr) : json::value(peer.why_not);
        items.push_back(std::move(item));
    }
    return list("PeerList", own_version, 0, std::move(items));
}

json::array diagnostics_view(const catalog::Diagnostics& diagnostics) {
    json::array out;
    for (const auto& d : diagnostics.all()) {
        out.push_back({{"severity", d.severity == catalog::Severity::error     ? "error"
                                    : d.severity == catalog::Severity::warning ? "warning"
                                                                               : "note"},
                       {"file", d.position.file},
                       {"line", d.position.line},
                       {"column", d.position.column},
                       {"message", d.message},
                       {"text", d.text()}});
    }
    return out;
}

json::object snapshot_view(const catalog::Snapshot* snapshot, const ReloadStatus& status) {
    json::object out{{"kind", "Snapshot"}, {"apiVersion", own_version}};
    const std::uint64_t number = snapshot ? snapshot->number : 0;
    out["metadata"] = {{"resourceVersion", std::to_string(number)}};
    out["number"] = snapshot ? json::value(number) : json::value(nullptr);
    if (snapshot) {
        out["created"] = rfc3339(snapshot->created);
        out["services"] = snapshot->services.size();
        out["frontends"] = snapshot->frontends.size();
        out["listeners"] = snapshot->listeners.size();
        out["remarks"] = diagnostics_view(snapshot->remarks);
    }
    json::object reloads{{"succeeded", status.succeeded}, {"failed", status.failed}};
    if (status.succeeded + status.failed > 0) {
        reloads["lastAttempt"] = rfc3339(status.attempted);
        reloads["lastCause"] = status.cause;
        reloads["lastSuccess"] = status.last_success;
    }
    out["reloads"] = std::move(reloads);
    if (status.last_success || status.failed == 0)
        out["last_error"] = nullptr;
    else
        out["last_error"] = {{"time", rfc3339(status.attempted)},
                             {"cause", status.cause},
                             {"errors", status.diagnostics.errors()},
                             {"diagnostics", diagnostics_view(status.diagnostics)}};
    return out;
}

std::string rfc3339(std::chrono::system_clock::time_point time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace hawser::control
