// SPDX-License-Identifier: Apache-2.0
#include "catalog/build_services.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>

namespace hawser::catalog {
namespace {

constexpr const char* proxy_name_label = "service.kubernetes.io/service-proxy-name";
constexpr const char* headless_label = "service.kubernetes.io/headless";
constexpr const char* our_proxy_name = "hawser";
constexpr const char* scheduler_annotation = "kube-router.io/service.scheduler";
constexpr const char* local_annotation = "kube-router.io/service.local";
constexpr const char* skip_lb_annotation = "kube-router.io/service.skiplbips";
constexpr const char* source_ranges_annotation = "service.beta.kubernetes.io/load-balancer-source-ranges";

constexpr std::int32_t default_affinity_seconds = 10800;
constexpr std::uint32_t http_keepalive = 64;  // idle connections per worker; L4 traffic has no use for them

bool externally_accessible(const ServiceSpec& spec) {  // P-10
    return spec.type == "NodePort" || spec.type == "LoadBalancer" || !spec.externalIPs.empty();
}

bool external_is_local(const Service& service) {
    if (!externally_accessible(service.spec)) return false;
    // kube-router looks only whether the annotation is there.
    return service.spec.externalTrafficPolicy == "Local" ||
           service.metadata.annotations.contains(local_annotation);
}

std::string_view trim(std::string_view text) {
    const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

// S-17, for one family: empty means everybody.
std::vector<net::Cidr> source_ranges_of(const Service& service, bool v4) {
    std::vector<std::string> texts = service.spec.loadBalancerSourceRanges;
    const auto annotation = service.metadata.annotations.find(source_ranges_annotation);
    if (texts.empty() && annotation != service.metadata.annotations.end()) {
        std::string_view rest = annotation->second;
        for (std::size_t comma = 0; comma != std::string_view::npos;) {
            comma = rest.find(',');
            texts.emplace_back(rest.substr(0, comma));
            if (comma != std::string_view::npos) rest.remove_prefix(comma + 1);
        }
    }
    std::vector<net::Cidr> out;
    for (const std::string& text : texts) {
        const auto cidr = net::Cidr::parse(trim(text));
        if (!cidr || cidr->v4 != v4) continue;
        if (cidr->bits == 0) return {};
        out.push_back(*cidr);
    }
    return out;
}

// The addresses of the load balancer: what the status says (S-10, S-13), else the address asked for (S-15).
std::vector<net::IpAddress> balancer_ips(const Service& service) {
    std::vector<net::IpAddress> out;
    if (service.spec.type != "LoadBalancer" || service.metadata.annotations.contains(skip_lb_annotation))
        return out;
    for (const LoadBalancerIngress& entry : service.status.loadBalancer.ingress)
        if (entry.ipMode.value_or("VIP") == "VIP")
            if (const auto ip = net::IpAddress::parse(entry.ip)) out.push_back(*ip);
    return out;
}

// Where nodePorts of a family are opened: the unspecified address stands for all of the node's (S-06).
std::vector<net::IpAddress> node_port_ips(const BuildOptions& options, bool v4) {
    if (options.node_port_addresses.empty())
        return {v4 ? net::IpAddress::any_v4() : net::IpAddress::any_v6()};
    std::vector<net::IpAddress> out;
    for (const net::IpAddress& ip : options.node_addresses) {
        const bool wanted =
            std::any_of(options.node_port_addresses.begin(), options.node_port_addresses.end(),
                        [&](const net::Cidr& c) { return c.contains(ip); });
        if (wanted && ip.is_v4() == v4) out.push_back(ip);
    }
    return out;
}

class FrontendMaker {
  public:
    FrontendMaker(const ServiceModel& model, const BuildOptions& options, bool v4, std::vector<Frontend>& out)
        : service_(*model.object), options_(options), v4_(v4), out_(out) {}

    void make(const ServicePort& port, Protocol protocol, const PortGroups& groups) {
        port_ = &port;
        protocol_ = protocol;
        const std::string id = group_id(service_, port, v4_);
        const bool internal_local = service_.spec.internalTrafficPolicy == "Local";  // P-01
        for (const std::string& text : service_.spec.clusterIPs) {
            const auto ip = net::IpAddress::parse(text);
            if (ip && ip->is_v4() == v4_)
                add(FrontendKind::cluster_ip, id + "@clusterIP", *ip, port.port, groups, internal_local);
        }
        const bool local = external_is_local(service_);
        if (port.nodePort != 0)
            for (const net::IpAddress& ip : node_port_ips(options_, v4_))
                add(FrontendKind::node_port,
                    id + "@nodePort:" + (ip.is_unspecified() ? "" : ip.text() + ":") +
                        std::to_string(port.nodePort),
                    ip, port.nodePort, groups, local);
        for (const std::string& text : service_.spec.externalIPs) {  // S-08
            const auto ip = net::IpAddress::parse(text);
            if (ip && ip->is_v4() == v4_)
                add(FrontendKind::external_ip, id + "@externalIP:" + ip->text(), *ip, port.port, groups,
                    local);
        }
        for (const net::IpAddress& ip : balancer_ips(service_)) {
            if (ip.is_v4() != v4_) continue;
            Frontend* made = add(FrontendKind::load_balancer, id + "@loadBalancer:" + ip.text(), ip,
                                 port.port, groups, local);
            if (made != nullptr) made->source_ranges = source_ranges_of(service_, v4_);
        }
    }

  private:
    // Null when the service has this frontend already (one address among externalIPs and in the status).
    Frontend* add(FrontendKind kind, std::string id, const net::IpAddress& ip, std::int32_t number,
                  const PortGroups& groups, bool local) {
        const net::SocketAddress address{ip, static_cast<std::uint16_t>(number)};
        if (!seen_.insert({address, protocol_}).second) return nullptr;
        Frontend f;
        f.id = std::move(id);
        f.kind = kind;
        f.address = address;
        f.protocol = protocol_;
        f.service = service_.metadata.key();
        f.service_port = port_->name.empty() ? std::to_string(port_->port) : port_->name;
        f.group = local ? groups.local : groups.cluster;
        // P-04 speaks of external addresses; internalTrafficPolicy has no such exception.
        f.cluster_group = kind == FrontendKind::cluster_ip ? f.group : groups.cluster;
        // P-03, P-01: endpoints elsewhere, none here: silence. P-06: none anywhere: refuse.
        if (local && f.group->has_any_endpoint) f.when_empty = Frontend::WhenEmpty::drop;
        out_.push_back(std::move(f));
        return &out_.back();
    }

    const Service& service_;
    const BuildOptions& options_;
    const bool v4_;
    std::vector<Frontend>& out_;
    const ServicePort* port_ = nullptr;
    Protocol protocol_ = Protocol::tcp;
    std::set<std::pair<net::SocketAddress, Protocol>> seen_;
};

Endpoint to_endpoint(const ServiceEndpoint& from, const NodeIdentity& node) {
    Endpoint out;
    out.address = from.address;
    out.name = from.pod.empty() ? from.address.text() : from.pod;
    out.node = from.node;
    out.zone = from.zone;
    out.local = !node.name.empty() && from.node == node.name;
    out.terminating = from.terminating;
    out.max_fails = 0;  // readiness is the cluster's business; kube-proxy takes no endpoint out either
    return out;
}

}  // namespace

std::string group_id(const Service& service, const ServicePort& port, bool v4) {
    return service.metadata.key() + ":" + (port.name.empty() ? std::to_string(port.port) : port.name) + "/" +
           port.protocol + (v4 ? "" : "/IPv6");
}

std::vector<bool> families_of(const Service& service) {
    std::vector<bool> out;
    for (const std::string& text : service.spec.clusterIPs)
        if (const auto ip = net::IpAddress::parse(text)) out.push_back(ip->is_v4());
    return out;
}

Balancing balancing_of(const ServiceModel& model, Diagnostics& diagnostics) {
    const Service& service = *model.object;
    Balancing out;
    const bool affine = service.spec.sessionAffinity == "ClientIP";
    // Affinity is kept per node, so a client that arrives at another node would get another pod
    // . Where nothing else is asked for, its first pod is chosen by a hash of its address: the same on
    // all nodes.
    out.scheduler = affine ? Scheduler::source_hash : Scheduler::random;
    if (affine) {
        std::int32_t seconds = default_affinity_seconds;
        const auto& config = service.spec.sessionAffinityConfig;
        if (config && config->clientIP && config->clientIP->timeoutSeconds)
            seconds = *config->clientIP->timeoutSeconds;
        out.affinity_timeout = std::chrono::seconds(seconds);
    }
    const auto annotation = service.metadata.annotations.find(scheduler_annotation);
    if (annotation == service.metadata.annotations.end()) return out;
    const std::string& name = annotation->second;
    static constexpr std::pair<std::string_view, Scheduler> schedulers[] = {
        {"rr", Scheduler::rr},          {"lc", Scheduler::least_connected},
        {"sh", Scheduler::source_hash}, {"dh", Scheduler::destination_hash},
        {"mh", Scheduler::maglev},
    };
    out.scheduler = Scheduler::rr;
    for (const auto& [known, scheduler] : schedulers) {
        if (name != known) continue;
        out.scheduler = scheduler;
        return out;
    }
    diagnostics.warning(model.position,
                        "Service " + service.metadata.key() + ": " + scheduler_annotation + ": \"" + name +
                            "\" is not one of rr, lc, sh, dh, mh; rr is used, as in kube-router");
    return out;
}

PortGroups make_groups(const ServiceModel& model, const ServicePort& port, bool v4,
                       const Balancing& balancing, const NodeIdentity& node, GroupShelf& shelf) {
    std::vector<const ServiceEndpoint*> candidates;
    for (const ServiceEndpoint& e : model.endpoints)
        if (e.port_name == port.name && to_string(e.protocol) == port.protocol && e.address.ip.is_v4() == v4)
            candidates.push_back(&e);
    const UsableEndpoints usable = select_usable(candidates, node);
    const auto make = [&](const std::vector<const ServiceEndpoint*>& endpoints, const std::string& id) {
        EndpointGroup group;
        group.id = id;
        group.service = model.object->metadata.key();
        for (const ServiceEndpoint* e : endpoints) group.endpoints.push_back(to_endpoint(*e, node));
        std::sort(group.endpoints.begin(), group.endpoints.end(),
                  [](const Endpoint& a, const Endpoint& b) { return a.address < b.address; });
        group.balancing = balancing;
        group.keepalive = http_keepalive;
        group.has_any_endpoint = usable.any;
        return shelf.put(std::move(group));
    };
    const std::string id = group_id(*model.object, port, v4);
    return {make(usable.cluster, id), make(usable.local, id + "/local")};
}

bool is_served(const Service& service) {
    const auto proxy = service.metadata.labels.find(proxy_name_label);
    if (proxy != service.metadata.labels.end() && proxy->second != our_proxy_name) return false;
    if (service.metadata.labels.contains(headless_label)) return false;
    return service.spec.type != "ExternalName" && service.spec.clusterIP != "None" &&
           !service.spec.clusterIP.empty();
}

std::vector<Frontend> make_frontends(const ServiceModel& model, const BuildOptions& options,
                                     const NodeIdentity& node, GroupShelf& shelf, Diagnostics& diagnostics) {
    std::vector<Frontend> out;
    const Service& service = *model.object;
    if (!is_served(service)) return out;
    const Balancing balancing = balancing_of(model, diagnostics);
    for (const ServicePort& port : service.spec.ports)
        if (port.protocol == "SCTP")
            diagnostics.warning(model.position, "Service " + service.metadata.key() + ": port " +
                                                    std::to_string(port.port) + "/SCTP is not served");
    for (const bool v4 : families_of(service)) {
        FrontendMaker maker(model, options, v4, out);
        for (const ServicePort& port : service.spec.ports) {
            const auto protocol = parse_protocol(port.protocol);
            if (!protocol || *protocol == Protocol::sctp) continue;
            maker.make(port, *protocol, make_groups(model, port, v4, balancing, node, shelf));
        }
    }
    return out;
}

}  // namespace hawser::catalog
