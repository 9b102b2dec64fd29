// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "catalog/build_vips.h"
#include "sources/manifest/checks.h"
#include "sources/manifest/names.h"
#include "sources/manifest/validate.h"

namespace hawser::manifest {

namespace {

// S-09's rules, and those of an address that a host can have on a LAN.
void check_address(const Path& path, const std::string& text, bool first_is_v6, Report& report) {
    const auto address = catalog::parse_vip_address(text);
    if (!address) return report.error(path, "\"" + text + "\" must be an address such as 192.168.0.150/24");
    const auto& ip = address->ip;
    if (ip.is_unspecified() || ip.is_loopback() || ip.is_multicast())
        report.error(path, "\"" + text + "\" cannot be an address of a node on its network");
    if (ip.is_v6() != first_is_v6) report.error(path, "\"" + text + "\" is not of the first address's family");
}

}  // namespace

void validate(catalog::VIP& object, const Path& root, const ValidationOptions&, Report& report) {
    check_metadata(object.metadata, root, check_dns_subdomain, false, report);
    const catalog::VIPSpec& given = object.spec;
    const Path spec(root, "spec"), addresses(spec, "addresses"), peers(spec, "peers"), nodes(spec, "nodes");
    require(addresses, !given.addresses.empty(), report);
    if (given.addresses.size() > 255) report.error(addresses, "must be no more than 255");
    const auto first = given.addresses.empty() ? std::nullopt : catalog::parse_vip_address(given.addresses.front());
    const bool v6 = first && first->ip.is_v6();
    for (std::size_t i = 0; i < given.addresses.size(); ++i)
        check_address(Path(addresses, i), given.addresses[i], v6, report);
    if (given.interface.size() > 15) report.error(Path(spec, "interface"), "must be no more than 15 characters");
    if (given.virtualRouterID) in_range(Path(spec, "virtualRouterID"), *given.virtualRouterID, 1, 255, report);
    if (given.priority) in_range(Path(spec, "priority"), *given.priority, 1, 254, report);
    const Path interval(spec, "advertIntervalMilliseconds");
    if (const auto ms = given.advertIntervalMilliseconds) {
        in_range(interval, *ms, 10, 40'950, report);
        if (*ms % 10 != 0) report.error(interval, std::to_string(*ms) + " must be a multiple of 10");
    }
    std::set<std::string> names;
    for (std::size_t i = 0; i < given.nodes.size(); ++i) {
        const Path node(nodes, i), name(node, "name");
        if (given.nodes[i].name.empty())
            require(name, false, report);
        else if (!names.insert(given.nodes[i].name).second)
            report.error(name, "\"" + given.nodes[i].name + "\" is given twice");
        in_range(Path(node, "priority"), given.nodes[i].priority, 1, 254, report);
    }
    for (std::size_t i = 0; i < given.peers.size(); ++i) {
        const Path peer(peers, i);
        const auto ip = check_ip(peer, given.peers[i], report);
        if (ip && first && ip->is_v6() != v6) report.error(peer, "\"" + given.peers[i] + "\" is not of the addresses' family");
    }
}

}  // namespace hawser::manifest
