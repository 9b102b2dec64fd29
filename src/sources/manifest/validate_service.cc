// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <set>

#include "sources/manifest/checks.h"
#include "sources/manifest/names.h"
#include "sources/manifest/validate.h"

namespace hawser::manifest {
namespace {

using catalog::Service;
using catalog::ServicePort;
using catalog::ServiceSpec;

constexpr std::string_view source_ranges_annotation =
    "service.beta.kubernetes.io/load-balancer-source-ranges";

bool headless(const ServiceSpec& spec) { return spec.clusterIP == "None"; }

bool externally_accessible(const ServiceSpec& spec) {
    return spec.type == "NodePort" || spec.type == "LoadBalancer" ||
           (spec.type == "ClusterIP" && !spec.externalIPs.empty());
}

void check_target_port(const ServicePort& port, const Path& path, Report& report) {
    if (!port.targetPort) return;
    const Path target(path, "targetPort");
    if (const auto* number = std::get_if<std::int32_t>(&port.targetPort->value))
        in_range(target, *number, 1, 65535, report);
    else
        refuse(target, std::get<std::string>(port.targetPort->value),
               check_port_name(std::get<std::string>(port.targetPort->value)), report);
}

void check_ports(const ServiceSpec& spec, const Path& path, const ValidationOptions& options,
                 Report& report) {
    const Path ports(path, "ports");
    if (spec.ports.empty() && !headless(spec) && spec.type != "ExternalName") require(ports, false, report);
    std::set<std::string_view> names;
    std::set<std::pair<std::string_view, std::int32_t>> numbers, node_ports;
    for (std::size_t i = 0; i < spec.ports.size(); ++i) {
        const ServicePort& port = spec.ports[i];
        const Path at(ports, i), name(at, "name"), number(at, "port"), node_port(at, "nodePort");
        if (port.name.empty() && spec.ports.size() > 1)
            report.error(name, "is required when there is more than one port");
        if (!port.name.empty()) {
            refuse(name, port.name, check_dns_label(port.name), report);
            if (!names.insert(port.name).second) report.error(name, "\"" + port.name + "\" is given twice");
        }
        if (!number.present())
            require(number, false, report);
        else if (number.value()->kind == Value::Kind::integer)
            in_range(number, port.port, 1, 65535, report);
        one_of(Path(at, "protocol"), port.protocol, {"TCP", "UDP", "SCTP"}, report);
        check_target_port(port, at, report);
        if (port.appProtocol)
            refuse(Path(at, "appProtocol"), *port.appProtocol, check_qualified_name(*port.appProtocol),
                   report);
        if (port.port != 0 && !numbers.insert({port.protocol, port.port}).second)
            report.error(number, std::to_string(port.port) + "/" + port.protocol + " is given twice");
        if (spec.type == "LoadBalancer" && port.port == 10250)
            report.error(number, "10250 may not be exposed: it is the kubelet's");
        if (port.nodePort == 0) continue;
        if (spec.type == "ClusterIP" || spec.type == "ExternalName")
            report.error(node_port, "may not be used when type is " + spec.type);
        in_range(node_port, port.nodePort, options.node_port_min, options.node_port_max, report);
        if (!node_ports.insert({port.protocol, port.nodePort}).second)
            report.error(node_port, std::to_string(port.nodePort) + "/" + port.protocol + " is given twice");
    }
}

void check_affinity(const ServiceSpec& spec, const Path& path, Report& report) {
    one_of(Path(path, "sessionAffinity"), spec.sessionAffinity, {"None", "ClientIP"}, report);
    const Path config(path, "sessionAffinityConfig");
    if (!spec.sessionAffinityConfig) return;
    if (spec.sessionAffinity == "None")
        return report.error(config, "may not be set when sessionAffinity is None");
    const Path client(config, "clientIP"), timeout(client, "timeoutSeconds");
    const auto& ip = spec.sessionAffinityConfig->clientIP;
    if (ip && ip->timeoutSeconds) in_range(timeout, *ip->timeoutSeconds, 1, 86400, report);
}

std::string_view family_of(const net::IpAddress& ip) { return ip.is_v4() ? "IPv4" : "IPv6"; }

void check_cluster_ips(ServiceSpec& spec, const Path& path, Report& report) {
    const Path one(path, "clusterIP"), all(path, "clusterIPs"), families(path, "ipFamilies");
    if (spec.clusterIPs.empty() && !spec.clusterIP.empty()) spec.clusterIPs = {spec.clusterIP};
    if (spec.clusterIP.empty() && !spec.clusterIPs.empty()) spec.clusterIP = spec.clusterIPs.front();
    if (!spec.clusterIPs.empty() && spec.clusterIPs.front() != spec.clusterIP)
        report.error(all, "the first one must be the same as clusterIP");
    if (spec.clusterIPs.size() > 2) report.error(all, "may only hold up to 2 values");
    if (headless(spec) && (spec.type == "NodePort" || spec.type == "LoadBalancer"))
        report.error(one, "may not be None when type is " + spec.type);
    if (headless(spec) && spec.clusterIPs.size() > 1) report.error(all, "None must be the only value");
    std::vector<std::string_view> given;
    for (std::size_t i = 0; i < spec.clusterIPs.size() && !headless(spec); ++i) {
        const Path each = all.present() ? Path(all, i) : one;
        if (const auto ip = check_ip(each, spec.clusterIPs[i], report)) given.push_back(family_of(*ip));
    }
    if (given.size() == 2 && given[0] == given[1])
        report.error(all, "two addresses must be of different families");
    if (spec.ipFamilies.size() > 2) report.error(families, "may only hold up to 2 values");
    for (std::size_t i = 0; i < spec.ipFamilies.size(); ++i) {
        const Path each(families, i);
        one_of(each, spec.ipFamilies[i], {"IPv4", "IPv6"}, report);
        if (i == 1 && spec.ipFamilies[0] == spec.ipFamilies[1])
            report.error(each, "\"" + spec.ipFamilies[1] + "\" is given twice");
        if (i < given.size() && given[i] != spec.ipFamilies[i])
            report.error(each,
                         "\"" + spec.ipFamilies[i] + "\" does not fit clusterIPs: " + spec.clusterIPs[i]);
    }
    const Path policy(path, "ipFamilyPolicy");
    if (!spec.ipFamilyPolicy) return;
    one_of(policy, *spec.ipFamilyPolicy, {"SingleStack", "PreferDualStack", "RequireDualStack"}, report);
    if (*spec.ipFamilyPolicy == "SingleStack" && (spec.clusterIPs.size() > 1 || spec.ipFamilies.size() > 1))
        report.error(policy, "must not be SingleStack when there are two families");
}

void check_external_name(const ServiceSpec& spec, const Path& path, Report& report) {
    if (spec.type != "ExternalName") return;
    const Path name(path, "externalName");
    if (!spec.clusterIPs.empty())
        report.error(Path(path, "clusterIPs"), "may not be set for an ExternalName service");
    if (!spec.ipFamilies.empty())
        report.error(Path(path, "ipFamilies"), "may not be set for an ExternalName service");
    std::string_view target = spec.externalName;
    if (target.ends_with('.')) target.remove_suffix(1);
    require(name, !target.empty(), report);
    if (!target.empty()) refuse(name, target, check_dns_subdomain(target), report);
}

void check_source_range(const Path& path, std::string_view text, Report& report) {
    // Blanks around the range are tolerated (S-17).
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.remove_suffix(1);
    if (text.find('/') == std::string_view::npos || !net::Cidr::parse(text))
        report.error(path, "\"" + std::string(text) + "\" is not a range of addresses (10.240.0.0/24)");
}

void check_source_ranges(const Service& object, const Path& root, const Path& spec_path, Report& report) {
    const ServiceSpec& spec = object.spec;
    const Path field(spec_path, "loadBalancerSourceRanges");
    for (std::size_t i = 0; i < spec.loadBalancerSourceRanges.size(); ++i)
        check_source_range(Path(field, i), spec.loadBalancerSourceRanges[i], report);
    if (!spec.loadBalancerSourceRanges.empty() && spec.type != "LoadBalancer")
        report.error(field, "may only be used when type is LoadBalancer");
    const auto found = object.metadata.annotations.find(std::string(source_ranges_annotation));
    if (found == object.metadata.annotations.end()) return;
    const Path meta(root, "metadata"), annotations(meta, "annotations");
    const Value* value =
        annotations.value() != nullptr ? annotations.value()->find(source_ranges_annotation) : nullptr;
    const Path at = Path::keyed(annotations, source_ranges_annotation, value);
    if (spec.type != "LoadBalancer") report.error(at, "may only be used when type is LoadBalancer");
    if (!spec.loadBalancerSourceRanges.empty()) return;
    std::string_view rest = found->second;
    while (!rest.empty()) {
        const std::size_t comma = rest.find(',');
        check_source_range(at, rest.substr(0, comma), report);
        rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
}

void check_traffic_policies(const ServiceSpec& spec, const Path& path, Report& report) {
    const Path external(path, "externalTrafficPolicy"), health(path, "healthCheckNodePort");
    if (spec.externalTrafficPolicy && !spec.externalTrafficPolicy->empty()) {
        if (!externally_accessible(spec))
            report.error(external,
                         "may only be set for externally-accessible services (type NodePort or "
                         "LoadBalancer, or externalIPs)");
        else
            one_of(external, *spec.externalTrafficPolicy, {"Cluster", "Local"}, report);
    }
    if (spec.internalTrafficPolicy)
        one_of(Path(path, "internalTrafficPolicy"), *spec.internalTrafficPolicy, {"Cluster", "Local"},
               report);
    if (spec.trafficDistribution)
        one_of(Path(path, "trafficDistribution"), *spec.trafficDistribution,
               {"PreferSameZone", "PreferSameNode", "PreferClose"}, report);
    if (!spec.healthCheckNodePort || *spec.healthCheckNodePort == 0) return;
    if (spec.type != "LoadBalancer" || spec.externalTrafficPolicy != "Local")
        report.error(health, "may only be set when type is LoadBalancer and externalTrafficPolicy is Local");
    else
        in_range(health, *spec.healthCheckNodePort, 1, 65535, report);
}

void check_load_balancer(const Service& object, const Path& root, const Path& path, Report& report) {
    const ServiceSpec& spec = object.spec;
    const bool balanced = spec.type == "LoadBalancer";
    if (spec.allocateLoadBalancerNodePorts && !balanced)
        report.error(Path(path, "allocateLoadBalancerNodePorts"),
                     "may only be used when type is LoadBalancer");
    const Path class_path(path, "loadBalancerClass");
    if (spec.loadBalancerClass) {
        if (!balanced) report.error(class_path, "may only be used when type is LoadBalancer");
        refuse(class_path, *spec.loadBalancerClass, check_qualified_name(*spec.loadBalancerClass), report);
    }
    if (!spec.loadBalancerIP.empty() && balanced)
        check_ip(Path(path, "loadBalancerIP"), spec.loadBalancerIP, report);
    const Path status(root, "status"), balancer(status, "loadBalancer"), ingress(balancer, "ingress");
    for (std::size_t i = 0; i < object.status.loadBalancer.ingress.size(); ++i) {
        const catalog::LoadBalancerIngress& entry = object.status.loadBalancer.ingress[i];
        const Path at(ingress, i), mode(at, "ipMode");
        if (!entry.ip.empty()) check_ip(Path(at, "ip"), entry.ip, report);
        if (!entry.hostname.empty())
            refuse(Path(at, "hostname"), entry.hostname, check_dns_subdomain(entry.hostname), report);
        if (!entry.ipMode) continue;
        one_of(mode, *entry.ipMode, {"VIP", "Proxy"}, report);
        if (entry.ip.empty()) report.error(mode, "may not be set without ip");
    }
}

}  // namespace

void validate(Service& object, const Path& root, const ValidationOptions& options, Report& report) {
    check_metadata(object.metadata, root, check_dns_label, true, report);  // S-22
    const Path spec(root, "spec");
    one_of(Path(spec, "type"), object.spec.type, {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"},
           report);
    check_cluster_ips(object.spec, spec, report);
    check_ports(object.spec, spec, options, report);
    check_labels(object.spec.selector, Path(spec, "selector"), report);
    check_affinity(object.spec, spec, report);
    const Path external(spec, "externalIPs");
    for (std::size_t i = 0; i < object.spec.externalIPs.size(); ++i)
        check_endpoint_ip(Path(external, i), object.spec.externalIPs[i], Loopback::refused, report);
    check_external_name(object.spec, spec, report);
    check_source_ranges(object, root, spec, report);
    check_traffic_policies(object.spec, spec, report);
    check_load_balancer(object, root, spec, report);
}

}  // namespace hawser::manifest
