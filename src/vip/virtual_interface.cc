// SPDX-License-Identifier: Apache-2.0
#include "vip/virtual_interface.h"

#include <net/if.h>
#include <netlink/route/link.h>
#include <netlink/route/link/macvlan.h>

#include <fstream>
#include <map>

#include "net/libnl.h"

namespace hawser::vip {

namespace {

struct LinkFree {
    void operator()(rtnl_link* link) const { rtnl_link_put(link); }
};
struct AddressFree {
    void operator()(nl_addr* address) const { nl_addr_put(address); }
};
using LinkObject = std::unique_ptr<rtnl_link, LinkFree>;

const std::string conf = "/proc/sys/net/ipv4/conf/";

std::string read(const std::string& path) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text);
    return text;
}

void write(const std::string& path, const std::string& value) { std::ofstream(path) << value; }

// Whether it is ours already, left by an earlier process.
bool is_same(nl_sock* socket, const std::string& name, std::uint32_t base, const nl_addr* mac) {
    rtnl_link* found = nullptr;
    if (rtnl_link_get_kernel(socket, 0, name.c_str(), &found) != 0) return false;
    const LinkObject link(found);
    return rtnl_link_get_link(link.get()) == static_cast<int>(base) && rtnl_link_is_macvlan(link.get()) != 0 &&
           rtnl_link_get_addr(link.get()) != nullptr && nl_addr_cmp(rtnl_link_get_addr(link.get()), mac) == 0;
}

}  // namespace

// Settings of an interface on which there are virtual ones: whoever asks for a VIP must hear one MAC, the virtual one.
// All virtual interfaces on it share them; with the last one they are as they were.
class VirtualInterface::QuietBase {
  public:
    static std::shared_ptr<QuietBase> of(const std::string& base) {
        static std::map<std::string, std::weak_ptr<QuietBase>> all;
        auto& place = all[base];
        auto found = place.lock();
        if (!found) place = found = std::make_shared<QuietBase>(base);
        return found;
    }
    explicit QuietBase(const std::string& base) {
        set(conf + base + "/arp_ignore", "1");
        set(conf + base + "/arp_filter", "1");
        // And when this node asks for a client in the VIP's name, the client learns from that, too.
        set(conf + base + "/arp_announce", "2");
    }
    ~QuietBase() {
        for (const auto& [sysctl, value] : before_) write(sysctl, value);
    }
    QuietBase(const QuietBase&) = delete;
    QuietBase& operator=(const QuietBase&) = delete;

  private:
    void set(const std::string& sysctl, const std::string& value) {
        before_[sysctl] = read(sysctl);
        write(sysctl, value);
    }
    std::map<std::string, std::string> before_;
};

net::Result<std::unique_ptr<VirtualInterface>> VirtualInterface::make(const std::string& name, const std::string& base,
                                                                      std::uint32_t base_index, const Mac& mac) {
    const auto socket = net::open_libnl();
    if (!socket) return socket.error();
    const std::unique_ptr<nl_addr, AddressFree> address(nl_addr_build(AF_LLC, mac.data(), mac.size()));
    if (!is_same(socket->get(), name, base_index, address.get())) {
        const LinkObject link(rtnl_link_macvlan_alloc());
        rtnl_link_set_name(link.get(), name.c_str());
        rtnl_link_set_link(link.get(), static_cast<int>(base_index));
        rtnl_link_set_addr(link.get(), address.get());
        rtnl_link_macvlan_set_mode(link.get(), rtnl_link_macvlan_str2mode("private"));
        if (const int code = rtnl_link_add(socket->get(), link.get(), NLM_F_CREATE | NLM_F_EXCL); code != 0)
            return net::netlink_error("make " + name + " on " + base, code);
    }
    std::unique_ptr<VirtualInterface> out(new VirtualInterface(name, QuietBase::of(base)));
    write(conf + name + "/arp_ignore", "1");
    // V-25: no IPv6 address is made of the virtual MAC.
    write("/proc/sys/net/ipv6/conf/" + name + "/addr_gen_mode", "1");
    // What comes in by it leaves by the base.
    write(conf + name + "/rp_filter", "0");
    write(conf + name + "/accept_local", "1");

    const LinkObject change(rtnl_link_alloc()), there(rtnl_link_alloc());
    rtnl_link_set_ifindex(there.get(), static_cast<int>(::if_nametoindex(name.c_str())));
    rtnl_link_set_flags(change.get(), IFF_UP);
    if (const int code = rtnl_link_change(socket->get(), there.get(), change.get(), 0); code != 0)
        return net::netlink_error("switch " + name + " on", code);
    return out;
}

VirtualInterface::~VirtualInterface() {
    const auto socket = net::open_libnl();
    if (!socket) return;
    const LinkObject link(rtnl_link_alloc());
    rtnl_link_set_name(link.get(), name_.c_str());
    rtnl_link_delete(socket->get(), link.get());
}

}  // namespace hawser::vip
