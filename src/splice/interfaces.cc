// SPDX-License-Identifier: Apache-2.0
#include "splice/interfaces.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "net/libnl.h"
#include "net/route.h"
#include "net/rtnetlink.h"
#include "splice/address.h"

namespace hawser::splice {

namespace {

// Changes come in bursts: an interface that goes up, pods that start.
constexpr net::Duration settle{2};

struct CacheFree {
    void operator()(nl_cache* cache) const { nl_cache_free(cache); }
};
using Cache = std::unique_ptr<nl_cache, CacheFree>;

bool forwards(const char* family, const std::string& name) {
    std::ifstream file(std::string("/proc/sys/net/") + family + "/conf/" + name + "/forwarding");
    int value = 0;
    return file >> value && value != 0;
}

net::IpAddress address_of(nl_addr* address) {
    const auto* bytes = static_cast<const std::uint8_t*>(nl_addr_get_binary_addr(address));
    if (nl_addr_get_family(address) == AF_INET) {
        std::uint32_t v4 = 0;
        std::memcpy(&v4, bytes, sizeof v4);
        return net::IpAddress::v4(ntohl(v4));
    }
    std::array<std::uint8_t, 16> v6{};
    std::memcpy(v6.data(), bytes, v6.size());
    return net::IpAddress::v6(v6);
}

}  // namespace

Interfaces::Interfaces(net::Loop& loop, Program& program, std::function<void(const std::string&)> complain)
    : loop_(loop), program_(program), complain_(std::move(complain)) {}

Interfaces::~Interfaces() {
    if (netlink_.valid()) loop_.unwatch(netlink_.get(), *this);
}

net::Result<void> Interfaces::open() {
    auto socket = net::watch_rtnetlink(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
    if (!socket) return socket.error();
    netlink_ = std::move(*socket);
    if (auto watched = loop_.watch(netlink_.get(), *this, EPOLLIN); !watched) return watched.error();
    program_.forget_gone_interfaces();
    look();
    return {};
}

void Interfaces::on_events(std::uint32_t) {
    // What a message says is not read further: any that is news, and a lost one (ENOBUFS) too, means "look".
    std::array<char, 16384> buffer{};
    bool news = false;
    for (;;) {
        const ssize_t size = ::recv(netlink_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno != ENOBUFS) break;
        news = news || size < 0 ||
               !net::only_refreshes({buffer.data(), static_cast<std::size_t>(size)},
                                    [this](std::uint32_t index, const net::IpAddress& ip) {
                                        return placed_.contains({index, ip});
                                    });
    }
    if (news && !is_set()) loop_.timers().set(*this, loop_.now() + settle);
}

void Interfaces::serve_node(bool yes) {
    if (serves_node_ == yes) return;
    serves_node_ = yes;
    look();
}

net::Result<std::map<std::uint32_t, Interfaces::Interface>> Interfaces::read() {
    const auto socket = net::open_libnl();
    if (!socket) return socket.error();
    nl_cache* raw = nullptr;
    if (const int failed = rtnl_link_alloc_cache(socket->get(), AF_UNSPEC, &raw); failed < 0)
        return net::netlink_error("list interfaces", failed);
    const Cache links(raw);
    if (const int failed = rtnl_addr_alloc_cache(socket->get(), &raw); failed < 0)
        return net::netlink_error("list addresses", failed);
    const Cache addresses(raw);

    std::map<std::uint32_t, Interface> out;
    for (auto* object = nl_cache_get_first(links.get()); object != nullptr;
         object = nl_cache_get_next(object)) {
        auto* link = reinterpret_cast<rtnl_link*>(object);
        // An Ethernet header is what the program rewrites.
        if (rtnl_link_get_arptype(link) != ARPHRD_ETHER || (rtnl_link_get_flags(link) & IFF_UP) == 0)
            continue;
        Interface& made = out[static_cast<std::uint32_t>(rtnl_link_get_ifindex(link))];
        made.name = rtnl_link_get_name(link);
        const char* type = rtnl_link_get_type(link);
        const char* qdisc = rtnl_link_get_qdisc(link);
        made.is_bridge = type != nullptr && std::strcmp(type, "bridge") == 0;
        made.is_port = rtnl_link_get_master(link) != 0;
        if (nl_addr* mac = rtnl_link_get_addr(link); mac != nullptr && nl_addr_get_len(mac) == 6)
            std::memcpy(made.entry.mac, nl_addr_get_binary_addr(mac), 6);
        // Straight into the pod's namespace, unless a queueing discipline is to be met on the way.
        std::int32_t peer_namespace = -1;
        const bool peer_is_elsewhere =
            rtnl_link_get_link_netnsid(link, &peer_namespace) == 0 && peer_namespace >= 0;
        if (type != nullptr && std::strcmp(type, "veth") == 0 && peer_is_elsewhere && !made.is_port &&
            qdisc != nullptr && std::strcmp(qdisc, "noqueue") == 0)
            made.entry.flags |= layout::interface_peer_redirect;
        made.forwards_v4 = forwards("ipv4", made.name);
        made.forwards_v6 = forwards("ipv6", made.name);
    }
    std::set<net::IpAddress> all;
    std::set<std::pair<std::uint32_t, net::IpAddress>> placed;
    for (auto* object = nl_cache_get_first(addresses.get()); object != nullptr;
         object = nl_cache_get_next(object)) {
        auto* entry = reinterpret_cast<rtnl_addr*>(object);
        nl_addr* local = rtnl_addr_get_local(entry);
        if (local == nullptr) continue;
        const net::IpAddress ip = address_of(local);
        all.insert(ip);
        placed.insert({static_cast<std::uint32_t>(rtnl_addr_get_ifindex(entry)), ip});
        const auto at = out.find(static_cast<std::uint32_t>(rtnl_addr_get_ifindex(entry)));
        if (at == out.end() || ip.is_link_local() || (rtnl_addr_get_flags(entry) & IFA_F_SECONDARY) != 0)
            continue;
        layout::address& primary = ip.is_v4() ? at->second.entry.v4 : at->second.entry.v6;
        const bool is_first = from_table(primary) == net::IpAddress{};
        // A VIP (a host address) is never a node's own word for itself when there is another.
        const bool is_host = nl_addr_get_prefixlen(local) == (ip.is_v4() ? 32U : 128U);
        if (is_first || !is_host) primary = is_first || !is_host ? to_table(ip) : primary;
    }
    placed_ = std::move(placed);
    const std::lock_guard guard(mutex_);
    addresses_ = std::move(all);
    return out;
}

void Interfaces::put_programs(std::map<std::uint32_t, Interface>& now) {
    const auto attach = [this](std::uint32_t index, const Interface& interface, Hook hook) {
        auto attached = program_.attach(index, hook);
        if (attached) return true;
        if (complained_.insert(interface.name).second)
            complain_("splice: " + interface.name + ": " + attached.error().text());
        return false;
    };
    for (auto& [index, interface] : now) {
        // What comes in by a bridge has come in by one of its ports.
        interface.ingress = !interface.is_bridge && attach(index, interface, Hook::ingress);
        if (interface.is_port) continue;  // what this node sends leaves by the bridge
        if (serves_node_)
            interface.egress = attach(index, interface, Hook::egress);
        else
            program_.detach(index, Hook::egress);
    }
}

void Interfaces::look() {
    auto now = read();
    if (!now) {
        complain_("splice: " + now.error().text());
        return;
    }
    put_programs(*now);
    const auto& table = program_.tables().interfaces;
    for (const auto& [index, interface] : *now) table.put(index, interface.entry);
    std::vector<std::uint32_t> gone;
    table.each([&](std::uint32_t index, const layout::interface&) {
        if (!now->contains(index)) gone.push_back(index);
    });
    for (const std::uint32_t index : gone) table.erase(index);
    if (!gone.empty()) program_.forget_gone_interfaces();
    const std::lock_guard guard(mutex_);
    interfaces_ = std::move(*now);
}

bool Interfaces::is_ours(const net::IpAddress& address) const {
    const std::lock_guard guard(mutex_);
    return address.is_loopback() || addresses_.contains(address);
}

const char* Interfaces::why_not(const net::IpAddress& source, const net::IpAddress& destination) const {
    if (is_ours(destination)) return "local";
    auto route = net::find_route(destination, source);
    if (!route)
        route = net::find_route(destination, {});  // the source need not be an address of this machine
    if (!route) return "no route";
    const std::lock_guard guard(mutex_);
    const auto at = interfaces_.find(route->interface);
    if (at == interfaces_.end() || (!at->second.ingress && !at->second.is_bridge)) return "interface";
    if (!(destination.is_v4() ? at->second.forwards_v4 : at->second.forwards_v6)) return "forwarding is off";
    return nullptr;
}

}  // namespace hawser::splice
