// SPDX-License-Identifier: Apache-2.0
#include "catalog/build_vips.h"

#include <charconv>
#include <map>

namespace hawser::catalog {

namespace {

constexpr std::int32_t usual_priority = 100, usual_interval_ms = 100;

std::string interface_for(const vip::Address& address, const BuildOptions& options) {
    for (const auto& each : options.interface_networks)
        if (each.network.contains(address.ip) && !(each.network.network == address.ip)) return each.interface;
    return "";
}

std::uint8_t priority_on(const VIPSpec& spec, const std::string& node) {
    for (const VIPNode& each : spec.nodes)
        if (each.name == node) return static_cast<std::uint8_t>(each.priority);
    return static_cast<std::uint8_t>(spec.priority.value_or(usual_priority));
}

// The object has been validated.
vip::VirtualRouter to_router(const Sourced<VIP>& source, const BuildOptions& options, const std::string& node_name,
                             Diagnostics& diagnostics) {
    const VIPSpec& spec = source.object.spec;
    vip::VirtualRouter out;
    out.name = source.object.metadata.name;
    out.position = source.position;
    for (const std::string& text : spec.addresses) {
        out.addresses.push_back(*parse_vip_address(text));
        out.addresses.back().position = source.position;
    }
    const vip::Address& first = out.addresses.front();
    out.v6 = first.ip.is_v6();
    out.id = static_cast<std::uint8_t>(spec.virtualRouterID.value_or(first.ip.bytes().back()));
    if (out.id == 0)
        diagnostics.error(source.position, "VIP " + out.name + ": spec.virtualRouterID: is required, because " +
                                               first.ip.text() + " ends with 0");
    out.priority = priority_on(spec, node_name);
    out.advert_interval = vip::milliseconds(spec.advertIntervalMilliseconds.value_or(usual_interval_ms));
    out.preempt = spec.preempt.value_or(true);
    for (const std::string& peer : spec.peers) out.unicast_peers.push_back({*net::IpAddress::parse(peer)});
    out.interface = spec.interface.empty() ? interface_for(first, options) : spec.interface;
    if (out.interface.empty())
        diagnostics.error(source.position, "VIP " + out.name + ": spec.interface: is required, because no interface of " +
                                               "this node is in the network of " + first.ip.text());
    // V-09: IPv6 adverts begin with a link-local address.
    if (out.v6 && !first.ip.is_link_local()) {
        vip::Address link_local;
        auto bytes = net::IpAddress::parse("fe80::")->bytes();
        bytes[14] = 0x76;  // away from what people give out by hand
        bytes[15] = out.id;
        link_local.ip = net::IpAddress::v6(bytes);
        link_local.prefix_length = 64;
        link_local.position = source.position;
        out.addresses.insert(out.addresses.begin(), link_local);
    }
    return out;
}

}  // namespace

std::optional<vip::Address> parse_vip_address(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto ip = net::IpAddress::parse(text.substr(0, slash));
    if (!ip) return std::nullopt;
    vip::Address out;
    out.ip = *ip;
    const unsigned longest = ip->is_v6() ? 128 : 32;
    unsigned length = longest;
    if (slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
        if (error != std::errc{} || end != digits.data() + digits.size() || length == 0 || length > longest)
            return std::nullopt;
    }
    out.prefix_length = static_cast<std::uint8_t>(length);
    return out;
}

vip::Plan build_vips(const Objects& objects, const BuildOptions& options, const std::string& node_name,
                     Diagnostics& diagnostics) {
    vip::Plan plan = objects.vip_plan;
    for (const auto& source : objects.vips) plan.routers.push_back(to_router(source, options, node_name, diagnostics));
    std::map<std::string, Position> names, ids, addresses;
    const auto once = [&diagnostics](std::map<std::string, Position>& seen, const std::string& key,
                                     const Position& where, const std::string& what) {
        const auto [first, fresh] = seen.emplace(key, where);
        if (!fresh) diagnostics.error(where, what + " is given twice: first at " + first->second.text());
    };
    for (const auto& router : plan.routers) {
        once(names, router.name, router.position, "the virtual router " + router.name);
        const std::string id = router.interface + ", " + (router.v6 ? "IPv6" : "IPv4") + ", " +
                               (!router.unicast_peers.empty() ? router.unicast_peers.front().ip.text()
                                : router.multicast_group      ? router.multicast_group->text()
                                                              : "multicast");
        once(ids, std::to_string(router.id) + " " + id, router.position,
             "the virtual router id " + std::to_string(router.id) + " (" + id + ")");
        for (const auto* list : {&router.addresses, &router.excluded})
            for (const auto& address : *list) {
                const std::string interface = address.interface.empty() ? router.interface : address.interface;
                once(addresses, address.ip.text() + " " + interface, address.position,
                     address.ip.text() + " on " + interface);
            }
    }
    return plan;
}

}  // namespace hawser::catalog
