// SPDX-License-Identifier: Apache-2.0
#include "vip/links.h"

#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "net/rtnetlink.h"

namespace hawser::vip {

namespace {

net::Result<LinkMap> read() {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return net::system_error("list the interfaces", errno);
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
    LinkMap out;
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
        if (at->ifa_addr == nullptr) continue;
        // A label such as eth0:1 belongs to eth0.
        const std::string label(at->ifa_name);
        Link& link = out[label.substr(0, label.find(':'))];
        if (at->ifa_addr->sa_family == AF_PACKET) {
            sockaddr_ll address;
            std::memcpy(&address, at->ifa_addr, sizeof address);
            link.index = static_cast<std::uint32_t>(address.sll_ifindex);
            if (address.sll_halen == link.mac.size()) std::memcpy(link.mac.data(), address.sll_addr, link.mac.size());
            constexpr unsigned needed = IFF_UP | IFF_RUNNING;
            link.up = (at->ifa_flags & needed) == needed;
            continue;
        }
        const bool v6 = at->ifa_addr->sa_family == AF_INET6;
        if (!v6 && at->ifa_addr->sa_family != AF_INET) continue;
        sockaddr_storage storage{};
        std::memcpy(&storage, at->ifa_addr, v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
        link.addresses.push_back(net::SocketAddress::from_sockaddr(storage).ip);
    }
    std::erase_if(out, [](const auto& entry) { return entry.second.index == 0; });
    return out;
}

}  // namespace

Links::~Links() {
    if (netlink_.valid()) loop_.unwatch(netlink_.get(), *this);
}

net::Result<void> Links::open() {
    auto socket = net::watch_rtnetlink(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
    if (!socket) return socket.error();
    netlink_ = std::move(*socket);
    if (auto watched = loop_.watch(netlink_.get(), *this, EPOLLIN); !watched) return watched.error();
    auto now = read();
    if (!now) return now.error();
    links_ = std::move(*now);
    return {};
}

const Link* Links::find(const std::string& name) const {
    const auto at = links_.find(name);
    return at == links_.end() ? nullptr : &at->second;
}

bool Links::has(std::uint32_t index, const net::IpAddress& ip) const {
    return std::any_of(links_.begin(), links_.end(), [&](const auto& each) {
        const auto& addresses = each.second.addresses;
        return each.second.index == index && std::find(addresses.begin(), addresses.end(), ip) != addresses.end();
    });
}

void Links::on_events(std::uint32_t) {
    alignas(nlmsghdr) std::array<char, 16'384> buffer;
    bool look = false;
    for (;;) {
        const ssize_t size = ::recv(netlink_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno != ENOBUFS) break;
        look = look || size < 0 ||
               !net::only_refreshes({buffer.data(), static_cast<std::size_t>(size)},
                                    [this](std::uint32_t index, const net::IpAddress& ip) { return has(index, ip); });
    }
    if (!look) return;
    auto now = read();
    if (!now || *now == links_) return;
    links_ = std::move(*now);
    changed_();
}

}  // namespace hawser::vip
