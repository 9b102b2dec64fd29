// SPDX-License-Identifier: Apache-2.0
#include "catalog/controllers.h"

#include <algorithm>
#include <optional>

namespace hawser::catalog {
namespace {

constexpr const char* service_name_label = "kubernetes.io/service-name";
constexpr const char* headless_label = "service.kubernetes.io/headless";
constexpr const char* skip_mirror_label = "endpointslice.kubernetes.io/skip-mirror";
constexpr const char* zone_label = "topology.kubernetes.io/zone";

bool matches(const StringMap& selector, const StringMap& labels) {
    return std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
        const auto found = labels.find(wanted.first);
        return found != labels.end() && found->second == wanted.second;
    });
}

const Condition* ready_condition(const Pod& pod) {
    for (const Condition& c : pod.status.conditions)
        if (c.type == "Ready") return &c;
    return nullptr;
}

// targetPort of this pod (S-03): a number, or the container port of that name and protocol.
std::optional<std::int32_t> resolve_port(const ServicePort& port, const Pod& pod) {
    if (!port.targetPort) return port.port;
    if (const auto* number = std::get_if<std::int32_t>(&port.targetPort->value))
        return *number == 0 ? port.port : *number;
    const std::string& name = std::get<std::string>(port.targetPort->value);
    if (name.empty()) return port.port;
    for (const Container& container : pod.spec.containers)
        for (const ContainerPort& p : container.ports)
            if (p.name == name && p.protocol == port.protocol) return p.containerPort;
    return std::nullopt;
}

// The families that the endpoints of a service are wanted in.
bool has_family(const Service& service, bool v4) {
    if (service.spec.ipFamilies.empty()) return true;
    const char* family = v4 ? "IPv4" : "IPv6";
    return std::find(service.spec.ipFamilies.begin(), service.spec.ipFamilies.end(), family) !=
           service.spec.ipFamilies.end();
}

std::string pod_of(const std::optional<ObjectReference>& reference, const std::string& namespace_) {
    if (!reference || reference->kind != "Pod") return {};
    return (reference->namespace_.empty() ? namespace_ : reference->namespace_) + "/" + reference->name;
}

bool same_place(const ServiceEndpoint& a, const ServiceEndpoint& b) {
    return a.address == b.address && a.protocol == b.protocol && a.port_name == b.port_name;
}

// Keeps one of each address (E-05): the one that is not terminating, else the first.
void deduplicate(std::vector<ServiceEndpoint>& endpoints) {
    std::stable_sort(endpoints.begin(), endpoints.end(),
                     [](const ServiceEndpoint& a, const ServiceEndpoint& b) {
                         return std::tie(a.port_name, a.protocol, a.address, a.terminating) <
                                std::tie(b.port_name, b.protocol, b.address, b.terminating);
                     });
    endpoints.erase(std::unique(endpoints.begin(), endpoints.end(), same_place), endpoints.end());
}

// Adds what `known` does not have yet. Both are sorted and have no duplicates.
void merge(std::vector<ServiceEndpoint>& known, std::vector<ServiceEndpoint> more) {
    const auto less = [](const ServiceEndpoint& a, const ServiceEndpoint& b) {
        return std::tie(a.port_name, a.protocol, a.address) < std::tie(b.port_name, b.protocol, b.address);
    };
    std::erase_if(more, [&](const ServiceEndpoint& e) {
        return std::binary_search(known.begin(), known.end(), e, less);
    });
    known.insert(known.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    std::sort(known.begin(), known.end(), less);
}

}  // namespace

EndpointIndex::EndpointIndex(const Objects& objects) : objects_(objects) {
    for (const auto& s : objects.slices) {
        const StringMap& labels = s.object.metadata.labels;
        const auto name = labels.find(service_name_label);  // E-01
        if (name == labels.end() || labels.contains(headless_label) || s.object.addressType == "FQDN")
            continue;
        slices_[s.object.metadata.namespace_ + "/" + name->second].push_back(&s.object);
    }
    for (auto& [service, slices] : slices_)
        std::sort(slices.begin(), slices.end(), [](const EndpointSlice* a, const EndpointSlice* b) {
            return a->metadata.name < b->metadata.name;
        });
    for (const auto& e : objects.endpoints) {
        const auto skip = e.object.metadata.labels.find(skip_mirror_label);
        if (skip == e.object.metadata.labels.end() || skip->second != "true")
            endpoints_[e.object.metadata.key()] = &e.object;
    }
    for (const auto& p : objects.pods)
        for (const auto& [label, value] : p.object.metadata.labels)
            pods_[p.object.metadata.namespace_ + "/" + label + "=" + value].push_back(&p.object);
    for (const auto& n : objects.nodes) {
        const auto zone = n.object.metadata.labels.find(zone_label);
        if (zone != n.object.metadata.labels.end()) zones_[n.object.metadata.name] = zone->second;
    }
}

std::string EndpointIndex::zone_of(const std::string& node) const {
    const auto found = zones_.find(node);
    return found == zones_.end() ? std::string() : found->second;
}

void EndpointIndex::add_slices(const Service& service, std::vector<ServiceEndpoint>& out) const {
    const auto found = slices_.find(service.metadata.key());
    if (found == slices_.end()) return;
    for (const EndpointSlice* slice : found->second) {
        for (const SlicePort& port : slice->ports) {
            const auto protocol = parse_protocol(port.protocol);
            if (!port.name || port.port.value_or(0) <= 0 || !protocol) continue;  // S-04
            for (const SliceEndpoint& e : slice->endpoints) {
                if (e.addresses.empty()) continue;
                const auto ip = net::IpAddress::parse(e.addresses[0]);               // E-03
                if (!ip || ip->is_v4() != (slice->addressType == "IPv4")) continue;  // E-02
                ServiceEndpoint endpoint;
                endpoint.address = {*ip, static_cast<std::uint16_t>(*port.port)};
                endpoint.port_name = *port.name;
                endpoint.protocol = *protocol;
                endpoint.pod = pod_of(e.targetRef, slice->metadata.namespace_);
                endpoint.node = e.nodeName;
                endpoint.zone = e.zone.empty() ? zone_of(e.nodeName) : e.zone;
                endpoint.ready = e.conditions.ready.value_or(true);  // E-04
                endpoint.serving = e.conditions.serving.value_or(true);
                endpoint.terminating = e.conditions.terminating.value_or(false);
                if (e.hints) {
                    for (const ForZone& z : e.hints->forZones) endpoint.for_zones.push_back(z.name);
                    for (const ForNode& n : e.hints->forNodes) endpoint.for_nodes.push_back(n.name);
                }
                out.push_back(std::move(endpoint));
            }
        }
    }
}

void EndpointIndex::add_endpoints(const Service& service, std::vector<ServiceEndpoint>& out) const {
    const auto found = endpoints_.find(service.metadata.key());
    if (found == endpoints_.end()) return;
    const Endpoints& object = *found->second;
    for (const EndpointSubset& subset : object.subsets) {
        for (const EndpointPort& port : subset.ports) {
            const auto protocol = parse_protocol(port.protocol);
            if (!protocol) continue;
            const auto add = [&](const EndpointAddress& address, bool ready) {
                const auto ip = net::IpAddress::parse(address.ip);
                if (!ip) return;
                ServiceEndpoint endpoint;
                endpoint.address = {*ip, static_cast<std::uint16_t>(port.port)};
                endpoint.port_name = port.name;
                endpoint.protocol = *protocol;
                endpoint.pod = pod_of(address.targetRef, object.metadata.namespace_);
                endpoint.node = address.nodeName;
                endpoint.zone = zone_of(address.nodeName);
                endpoint.ready = endpoint.serving = ready;
                out.push_back(std::move(endpoint));
            };
            for (const EndpointAddress& a : subset.addresses) add(a, true);
            for (const EndpointAddress& a : subset.notReadyAddresses) add(a, false);
        }
    }
}

void EndpointIndex::add_pod(const Service& service, const Pod& pod, std::vector<ServiceEndpoint>& out) const {
    if (pod.status.phase == "Succeeded" || pod.status.phase == "Failed") return;
    std::vector<std::string> ips;
    for (const PodIP& p : pod.status.podIPs) ips.push_back(p.ip);
    if (ips.empty() && !pod.status.podIP.empty()) ips.push_back(pod.status.podIP);
    const Condition* condition = ready_condition(pod);
    const std::string distribution = service.spec.trafficDistribution.value_or("");
    for (const std::string& text : ips) {
        const auto ip = net::IpAddress::parse(text);
        if (!ip || !has_family(service, ip->is_v4())) continue;
        for (const ServicePort& port : service.spec.ports) {
            const auto protocol = parse_protocol(port.protocol);
            const auto number = resolve_port(port, pod);
            if (!protocol || !number) continue;
            ServiceEndpoint endpoint;
            endpoint.address = {*ip, static_cast<std::uint16_t>(*number)};
            endpoint.port_name = port.name;
            endpoint.protocol = *protocol;
            endpoint.pod = pod.metadata.key();
            endpoint.node = pod.spec.nodeName;
            endpoint.zone = zone_of(pod.spec.nodeName);
            endpoint.serving = condition != nullptr && condition->status == "True";
            endpoint.terminating = !pod.metadata.deletionTimestamp.empty();
            endpoint.ready = service.spec.publishNotReadyAddresses.value_or(false) ||  // E-06, E-08
                             (endpoint.serving && !endpoint.terminating);
            if (!distribution.empty() && !endpoint.zone.empty()) endpoint.for_zones = {endpoint.zone};
            if (distribution == "PreferSameNode" && !endpoint.node.empty())
                endpoint.for_nodes = {endpoint.node};
            out.push_back(std::move(endpoint));
        }
    }
}

void EndpointIndex::add_pods(const Service& service, std::vector<ServiceEndpoint>& out) const {
    if (service.spec.selector.empty()) return;
    const auto& [label, value] = *service.spec.selector.begin();
    const auto found = pods_.find(service.metadata.namespace_ + "/" + label + "=" + value);
    if (found == pods_.end()) return;
    for (const Pod* pod : found->second)
        if (matches(service.spec.selector, pod->metadata.labels)) add_pod(service, *pod, out);
}

std::vector<ServiceEndpoint> EndpointIndex::endpoints_of(const Service& service) const {
    if (service.spec.type == "ExternalName") return {};
    std::vector<ServiceEndpoint> out;
    add_slices(service, out);
    deduplicate(out);
    for (const auto add : {&EndpointIndex::add_endpoints, &EndpointIndex::add_pods}) {
        std::vector<ServiceEndpoint> more;
        (this->*add)(service, more);
        deduplicate(more);
        merge(out, std::move(more));
    }
    return out;
}

void EndpointIndex::warn_of_pods_without_condition(Diagnostics& diagnostics) const {
    for (const auto& p : objects_.pods) {
        const PodStatus& status = p.object.status;
        const bool addressed = !status.podIP.empty() || !status.podIPs.empty();
        if (!addressed || status.phase == "Succeeded" || status.phase == "Failed") continue;
        if (ready_condition(p.object) == nullptr)
            diagnostics.warning(p.position, "Pod " + p.object.metadata.key() +
                                                " has no condition of type Ready: it counts as not ready");
    }
}

}  // namespace hawser::catalog
