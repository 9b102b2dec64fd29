// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <set>

#include "sources/manifest/checks.h"
#include "sources/manifest/names.h"
#include "sources/manifest/validate.h"

namespace hawser::manifest {
namespace {

void check_containers(const catalog::PodSpec& spec, const Path& path, Report& report) {
    const Path containers(path, "containers");
    std::set<std::string_view> names;
    for (std::size_t c = 0; c < spec.containers.size(); ++c) {
        const Path container(containers, c), name(container, "name"), ports(container, "ports");
        const std::string& text = spec.containers[c].name;
        if (text.empty())
            require(name, false, report);
        else
            refuse(name, text, check_dns_label(text), report);
        if (!text.empty() && !names.insert(text).second)
            report.error(name, "\"" + text + "\" is given twice");
        std::set<std::string_view> port_names;
        for (std::size_t p = 0; p < spec.containers[c].ports.size(); ++p) {
            const catalog::ContainerPort& port = spec.containers[c].ports[p];
            const Path at(ports, p), port_name(at, "name");
            in_range(Path(at, "containerPort"), port.containerPort, 1, 65535, report);
            one_of(Path(at, "protocol"), port.protocol, {"TCP", "UDP", "SCTP"}, report);
            if (port.name.empty()) continue;
            refuse(port_name, port.name, check_port_name(port.name), report);
            if (!port_names.insert(port.name).second)
                report.error(port_name, "\"" + port.name + "\" is given twice");
        }
    }
}

void check_pod_status(const catalog::Pod& pod, const Path& path, Report& report) {
    const Path one(path, "podIP"), all(path, "podIPs"), conditions(path, "conditions");
    if (!pod.status.podIP.empty()) check_ip(one, pod.status.podIP, report);
    for (std::size_t i = 0; i < pod.status.podIPs.size(); ++i) {
        const Path item(all, i);
        check_ip(Path(item, "ip"), pod.status.podIPs[i].ip, report);
    }
    if (!pod.status.podIP.empty() && !pod.status.podIPs.empty() &&
        pod.status.podIPs[0].ip != pod.status.podIP)
        report.error(all, "the first one must be the same as podIP");
    if (!pod.status.phase.empty())
        one_of(Path(path, "phase"), pod.status.phase,
               {"Pending", "Running", "Succeeded", "Failed", "Unknown"}, report);
    for (std::size_t i = 0; i < pod.status.conditions.size(); ++i) {
        const Path item(conditions, i);
        require(Path(item, "type"), !pod.status.conditions[i].type.empty(), report);
        one_of(Path(item, "status"), pod.status.conditions[i].status, {"True", "False", "Unknown"}, report);
    }
}

// Standard base64 with padding; line breaks, which YAML's block text leaves in, are allowed.
bool is_base64(std::string_view text) {
    std::size_t symbols = 0, padding = 0;
    for (const char c : text) {
        if (c == '\n' || c == '\r') continue;
        if (c == '=') {
            ++padding;
        } else {
            if (padding != 0 || (!std::isalnum(static_cast<unsigned char>(c)) && c != '+' && c != '/'))
                return false;
        }
        ++symbols;
    }
    return symbols % 4 == 0 && padding <= 2;
}

}  // namespace

void validate(catalog::Pod& object, const Path& root, const ValidationOptions&, Report& report) {
    check_metadata(object.metadata, root, check_dns_subdomain, true, report);
    const Path spec(root, "spec");
    check_containers(object.spec, spec, report);
    if (!object.spec.nodeName.empty())
        refuse(Path(spec, "nodeName"), object.spec.nodeName, check_dns_subdomain(object.spec.nodeName),
               report);
    check_pod_status(object, Path(root, "status"), report);
}

void validate(catalog::Node& object, const Path& root, const ValidationOptions&, Report& report) {
    check_metadata(object.metadata, root, check_dns_subdomain, false, report);
    const Path spec(root, "spec"), cidrs(spec, "podCIDRs"), status(root, "status"),
        addresses(status, "addresses");
    const auto check_cidr = [&](const Path& at, const std::string& text) {
        if (text.find('/') == std::string::npos || !net::Cidr::parse(text))
            report.error(at, "\"" + text + "\" is not a range of addresses (10.244.1.0/24)");
    };
    if (!object.spec.podCIDR.empty()) check_cidr(Path(spec, "podCIDR"), object.spec.podCIDR);
    for (std::size_t i = 0; i < object.spec.podCIDRs.size(); ++i)
        check_cidr(Path(cidrs, i), object.spec.podCIDRs[i]);
    for (std::size_t i = 0; i < object.status.addresses.size(); ++i) {
        const catalog::NodeAddress& address = object.status.addresses[i];
        const Path at(addresses, i);
        one_of(Path(at, "type"), address.type,
               {"InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS"}, report);
        if (address.type == "InternalIP" || address.type == "ExternalIP")
            check_ip(Path(at, "address"), address.address, report);
    }
}

void validate(catalog::Secret& object, const Path& root, const ValidationOptions&, Report& report) {
    check_metadata(object.metadata, root, check_dns_subdomain, true, report);
    const Path data(root, "data"), plain(root, "stringData");
    std::size_t size = 0;
    const auto check_keys = [&](const catalog::StringMap& entries, const Path& path, bool encoded) {
        for (const auto& [key, value] : entries) {
            const Path at =
                Path::keyed(path, key, path.value() != nullptr ? path.value()->find(key) : nullptr);
            refuse(at, key, check_data_key(key), report);
            if (encoded && !is_base64(value)) report.error(at, "is not base64");
            size += encoded ? value.size() / 4 * 3 : value.size();
        }
    };
    check_keys(object.data, data, true);
    check_keys(object.stringData, plain, false);
    if (size > 1024 * 1024) report.error(data, "more than 1048576 bytes in all");
    if (object.type != "kubernetes.io/tls") return;
    for (const char* key : {"tls.crt", "tls.key"})
        if (!object.data.contains(key) && !object.stringData.contains(key))
            report.error(Path::keyed(data, key, nullptr),
                         "is required in a Secret of type kubernetes.io/tls");
}

}  // namespace hawser::manifest
