// SPDX-License-Identifier: Apache-2.0
#include "vip/addresses.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <array>
#include <cstring>

namespace hawser::vip {

namespace {

struct AddrFree {
    void operator()(nl_addr* address) const { nl_addr_put(address); }
    void operator()(rtnl_addr* address) const { rtnl_addr_put(address); }
    void operator()(rtnl_route* route) const { rtnl_route_put(route); }
};
using NlAddr = std::unique_ptr<nl_addr, AddrFree>;
using RtnlAddr = std::unique_ptr<rtnl_addr, AddrFree>;
using RtnlRoute = std::unique_ptr<rtnl_route, AddrFree>;

NlAddr to_nl(const net::IpAddress& ip, unsigned prefix_length) {
    const bool v6 = ip.is_v6();
    std::array<std::uint8_t, 16> bytes = ip.bytes();
    NlAddr out(nl_addr_build(v6 ? AF_INET6 : AF_INET, v6 ? bytes.data() : bytes.data() + 12, v6 ? 16 : 4));
    nl_addr_set_prefixlen(out.get(), static_cast<int>(prefix_length));
    return out;
}

std::string text(const catalog::vip::Address& address) {
    return address.ip.text() + "/" + std::to_string(address.prefix_length);
}

RtnlAddr make(const catalog::vip::Address& address, std::uint32_t index) {
    RtnlAddr out(rtnl_addr_alloc());
    rtnl_addr_set_ifindex(out.get(), static_cast<int>(index));
    rtnl_addr_set_local(out.get(), to_nl(address.ip, address.prefix_length).get());
    if (address.peer) rtnl_addr_set_peer(out.get(), to_nl(*address.peer, address.prefix_length).get());
    return out;
}

unsigned flags_of(const catalog::vip::Address& address) {
    unsigned flags = 0;
    // Duplicate address detection of the kernel's would keep the address from being used for a second; we look for
    // duplicates ourselves.
    if (address.ip.is_v6()) flags |= IFA_F_NODAD;
    if (address.home) flags |= IFA_F_HOMEADDRESS;
    if (address.manage_temporary) flags |= IFA_F_MANAGETEMPADDR;
    if (address.no_prefix_route) flags |= IFA_F_NOPREFIXROUTE;
    if (address.autojoin) flags |= IFA_F_MCAUTOJOIN;
    return flags;
}

RtnlRoute make(const catalog::vip::Route& route, std::uint32_t index) {
    using Kind = catalog::vip::Route::Kind;
    RtnlRoute out(rtnl_route_alloc());
    rtnl_route_set_family(out.get(), route.destination.v4 ? AF_INET : AF_INET6);
    rtnl_route_set_dst(out.get(), to_nl(route.destination.network, route.destination.bits).get());
    rtnl_route_set_table(out.get(), route.table);
    rtnl_route_set_scope(out.get(), route.scope);
    rtnl_route_set_protocol(out.get(), RTPROT_STATIC);
    if (route.metric != 0) rtnl_route_set_priority(out.get(), route.metric);
    if (route.source) rtnl_route_set_pref_src(out.get(), to_nl(*route.source, route.source->is_v6() ? 128 : 32).get());
    rtnl_route_set_type(out.get(), route.kind == Kind::unicast       ? RTN_UNICAST
                                   : route.kind == Kind::blackhole   ? RTN_BLACKHOLE
                                   : route.kind == Kind::unreachable ? RTN_UNREACHABLE
                                                                     : RTN_PROHIBIT);
    if (route.kind != Kind::unicast) return out;
    rtnl_nexthop* const hop = rtnl_route_nh_alloc();
    if (index != 0) rtnl_route_nh_set_ifindex(hop, static_cast<int>(index));
    if (route.via) rtnl_route_nh_set_gateway(hop, to_nl(*route.via, route.via->is_v6() ? 128 : 32).get());
    if (route.onlink) rtnl_route_nh_set_flags(hop, RTNH_F_ONLINK);
    rtnl_route_add_nexthop(out.get(), hop);
    return out;
}

}  // namespace

net::Result<void> Addresses::open() {
    auto opened = net::open_libnl();
    if (!opened) return opened.error();
    socket_ = std::move(*opened);
    return {};
}

net::Result<void> Addresses::put(const catalog::vip::Address& address, std::uint32_t index,
                                 std::chrono::seconds lifetime) {
    const RtnlAddr wanted = make(address, index);
    rtnl_addr_set_scope(wanted.get(), address.scope);
    rtnl_addr_set_flags(wanted.get(), flags_of(address));
    if (!address.label.empty()) rtnl_addr_set_label(wanted.get(), address.label.c_str());
    if (address.broadcast) rtnl_addr_set_broadcast(wanted.get(), to_nl(*address.broadcast, 32).get());
    const auto seconds = static_cast<std::uint32_t>(lifetime.count());
    rtnl_addr_set_valid_lifetime(wanted.get(), seconds);
    // keepalived.conf(5): a /128 is not to be chosen as a source by the kernel.
    const bool deprecated = address.ip.is_v6() && address.prefix_length == 128;
    rtnl_addr_set_preferred_lifetime(wanted.get(), deprecated ? 0 : seconds);
    if (const int code = rtnl_addr_add(socket_.get(), wanted.get(), NLM_F_CREATE | NLM_F_REPLACE); code != 0)
        return net::netlink_error("add " + text(address), code);
    return {};
}

net::Result<void> Addresses::remove(const catalog::vip::Address& address, std::uint32_t index) {
    const int code = rtnl_addr_delete(socket_.get(), make(address, index).get(), 0);
    if (code == 0 || code == -NLE_NOADDR || code == -NLE_OBJ_NOTFOUND || code == -NLE_NODEV) return {};
    return net::netlink_error("remove " + text(address), code);
}

net::Result<void> Addresses::put(const catalog::vip::Route& route, std::uint32_t index) {
    const int code = rtnl_route_add(socket_.get(), make(route, index).get(), NLM_F_CREATE | NLM_F_REPLACE);
    if (code != 0) return net::netlink_error("add the route to " + route.destination.text(), code);
    return {};
}

net::Result<void> Addresses::remove(const catalog::vip::Route& route, std::uint32_t index) {
    const int code = rtnl_route_delete(socket_.get(), make(route, index).get(), 0);
    if (code == 0 || code == -NLE_OBJ_NOTFOUND || code == -NLE_NODEV) return {};
    return net::netlink_error("remove the route to " + route.destination.text(), code);
}

}  // namespace hawser::vip
