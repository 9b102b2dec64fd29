// SPDX-License-Identifier: Apache-2.0
#include "vip/virtual_interface.h"

#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/macvlan.h>

#include <fstream>

namespace hawser::vip {

namespace {

struct SocketFree {
    void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
struct LinkFree {
    void operator()(rtnl_link* link) const { rtnl_link_put(link); }
};
struct AddressFree {
    void operator()(nl_addr* address) const { nl_addr_put(address); }
};
using Socket = std::unique_ptr<nl_sock, SocketFree>;
using LinkObject = std::unique_ptr<rtnl_link, LinkFree>;

net::Error netlink_error(const std::string& what, int code) {
    net::Error error;
    error.message = what + ": " + nl_geterror(code);
    return error;
}

Socket connect() {
    Socket socket(nl_socket_alloc());
    if (nl_connect(socket.get(), NETLINK_ROUTE) != 0) socket.reset();
    return socket;
}

std::string read(const std::string& path) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text);
    return text;
}

// Whether it is ours already, left by an earlier process.
bool is_same(nl_sock* socket, const std::string& name, std::uint32_t base, const nl_addr* mac) {
    rtnl_link* found = nullptr;
    if (rtnl_link_get_kernel(socket, 0, name.c_str(), &found) != 0) return false;
    const LinkObject link(found);
    return rtnl_link_get_link(link.get()) == static_cast<int>(base) && rtnl_link_is_macvlan(link.get()) != 0 &&
           rtnl_link_get_addr(link.get()) != nullptr && nl_addr_cmp(rtnl_link_get_addr(link.get()), mac) == 0;
}

}  // namespace

net::Result<std::unique_ptr<VirtualInterface>> VirtualInterface::make(const std::string& name, const std::string& base,
                                                                      std::uint32_t base_index, const Mac& mac) {
    const Socket socket = connect();
    if (!socket) return net::system_error("rtnetlink socket", errno);
    const std::unique_ptr<nl_addr, AddressFree> address(nl_addr_build(AF_LLC, mac.data(), mac.size()));
    if (!is_same(socket.get(), name, base_index, address.get())) {
        const LinkObject link(rtnl_link_macvlan_alloc());
        rtnl_link_set_name(link.get(), name.c_str());
        rtnl_link_set_link(link.get(), static_cast<int>(base_index));
        rtnl_link_set_addr(link.get(), address.get());
        rtnl_link_macvlan_set_mode(link.get(), rtnl_link_macvlan_str2mode("private"));
        if (const int code = rtnl_link_add(socket.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL); code != 0)
            return netlink_error("make " + name + " on " + base, code);
    }
    std::unique_ptr<VirtualInterface> out(new VirtualInterface(name));
    const std::string conf = "/proc/sys/net/ipv4/conf/";
    // Whoever asks for the VIP must hear one MAC, the virtual one.
    out->set(conf + base + "/arp_ignore", "1", true);
    out->set(conf + base + "/arp_filter", "1", true);
    // And when this node asks for a client in the VIP's name, the client learns from that, too.
    out->set(conf + base + "/arp_announce", "2", true);
    out->set(conf + name + "/arp_ignore", "1", false);
    // V-25: no IPv6 address is made of the virtual MAC.
    out->set("/proc/sys/net/ipv6/conf/" + name + "/addr_gen_mode", "1", false);
    // What comes in by it leaves by the base.
    out->set(conf + name + "/rp_filter", "0", false);
    out->set(conf + name + "/accept_local", "1", false);

    const LinkObject change(rtnl_link_alloc()), there(rtnl_link_alloc());
    rtnl_link_set_ifindex(there.get(), static_cast<int>(::if_nametoindex(name.c_str())));
    rtnl_link_set_flags(change.get(), IFF_UP);
    if (const int code = rtnl_link_change(socket.get(), there.get(), change.get(), 0); code != 0)
        return netlink_error("switch " + name + " on", code);
    return out;
}

void VirtualInterface::set(const std::string& sysctl, const std::string& value, bool restore) {
    if (restore) before_[sysctl] = read(sysctl);
    std::ofstream(sysctl) << value;
}

VirtualInterface::~VirtualInterface() {
    for (const auto& [sysctl, value] : before_) std::ofstream(sysctl) << value;
    const Socket socket = connect();
    if (!socket) return;
    const LinkObject link(rtnl_link_alloc());
    rtnl_link_set_name(link.get(), name_.c_str());
    rtnl_link_delete(socket.get(), link.get());
}

}  // namespace hawser::vip
