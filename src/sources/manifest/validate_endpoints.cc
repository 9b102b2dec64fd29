// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "sources/manifest/checks.h"
#include "sources/manifest/names.h"
#include "sources/manifest/validate.h"

namespace hawser::manifest {
namespace {

void check_slice_endpoint(const catalog::SliceEndpoint& endpoint, const Path& path, const std::string& type,
                          Report& report) {
    const Path addresses(path, "addresses"), hints(path, "hints");
    if (endpoint.addresses.empty()) report.error(addresses, "at least one address is required");
    if (endpoint.addresses.size() > 100) report.error(addresses, "must have at most 100 items");
    for (std::size_t i = 0; i < endpoint.addresses.size(); ++i) {
        const Path at(addresses, i);
        const std::string& text = endpoint.addresses[i];
        if (type == "FQDN") {
            refuse(at, text, check_dns_subdomain(text), report);
            continue;
        }
        check_endpoint_ip(at, text, Loopback::warned, report);
        const auto ip = net::IpAddress::parse(text);
        if (ip && ip->is_v4() != (type == "IPv4"))
            report.error(at, "\"" + text + "\" is not of the slice's addressType " + type);
    }
    if (!endpoint.nodeName.empty())
        refuse(Path(path, "nodeName"), endpoint.nodeName, check_dns_subdomain(endpoint.nodeName), report);
    if (!endpoint.hints) return;
    if (endpoint.hints->forZones.size() > 8)
        report.error(Path(hints, "forZones"), "must have at most 8 items");
    if (endpoint.hints->forNodes.size() > 8)
        report.error(Path(hints, "forNodes"), "must have at most 8 items");
}

void check_subset(const catalog::EndpointSubset& subset, const Path& path, Report& report) {
    const Path ready(path, "addresses"), unready(path, "notReadyAddresses"), ports(path, "ports");
    if (subset.addresses.empty() && subset.notReadyAddresses.empty())
        report.error(path, "addresses or notReadyAddresses is required");
    const auto check = [&](const std::vector<catalog::EndpointAddress>& addresses, const Path& at) {
        for (std::size_t i = 0; i < addresses.size(); ++i) {
            const Path each(at, i), ip(each, "ip");
            if (addresses[i].ip.empty())
                require(ip, false, report);
            else
                check_endpoint_ip(ip, addresses[i].ip, Loopback::warned, report);
        }
    };
    check(subset.addresses, ready);
    check(subset.notReadyAddresses, unready);
    for (std::size_t i = 0; i < subset.ports.size(); ++i) {
        const catalog::EndpointPort& port = subset.ports[i];
        const Path each(ports, i);
        if (port.name.empty() && subset.ports.size() > 1)
            report.error(Path(each, "name"), "is required when there is more than one port");
        if (!port.name.empty()) refuse(Path(each, "name"), port.name, check_dns_label(port.name), report);
        in_range(Path(each, "port"), port.port, 1, 65535, report);
        one_of(Path(each, "protocol"), port.protocol, {"TCP", "UDP", "SCTP"}, report);
    }
}

}  // namespace

void validate(catalog::EndpointSlice& object, const Path& root, const ValidationOptions&, Report& report) {
    check_metadata(object.metadata, root, check_dns_subdomain, true, report);
    const Path type(root, "addressType"), endpoints(root, "endpoints"), ports(root, "ports");
    require(type, type.present(), report);
    one_of(type, object.addressType, {"IPv4", "IPv6", "FQDN"}, report);
    if (object.endpoints.size() > 1000) report.error(endpoints, "must have at most 1000 items");  // E-09
    for (std::size_t i = 0; i < object.endpoints.size(); ++i)
        check_slice_endpoint(object.endpoints[i], Path(endpoints, i), object.addressType, report);
    if (object.ports.size() > 100) report.error(ports, "must have at most 100 items");
    std::set<std::string> names;
    for (std::size_t i = 0; i < object.ports.size(); ++i) {
        const catalog::SlicePort& port = object.ports[i];
        const Path at(ports, i), name(at, "name");
        if (port.name && !port.name->empty()) refuse(name, *port.name, check_dns_label(*port.name), report);
        if (!names.insert(port.name.value_or("")).second)
            report.error(name, "\"" + port.name.value_or("") + "\" is given twice");
        one_of(Path(at, "protocol"), port.protocol, {"TCP", "UDP", "SCTP"}, report);
        if (port.port) in_range(Path(at, "port"), *port.port, 1, 65535, report);
    }
    if (!object.metadata.labels.contains("kubernetes.io/service-name")) {
        const Path meta(root, "metadata"), labels(meta, "labels");
        report.warning(labels,
                       "without the label kubernetes.io/service-name the slice belongs to no service");
    }
}

void validate(catalog::Endpoints& object, const Path& root, const ValidationOptions&, Report& report) {
    check_metadata(object.metadata, root, check_dns_subdomain, true, report);
    const Path subsets(root, "subsets");
    for (std::size_t i = 0; i < object.subsets.size(); ++i)
        check_subset(object.subsets[i], Path(subsets, i), report);
}

}  // namespace hawser::manifest
