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

// An address that is there already: its lifetime was refreshed, which happens to our own VIPs all the time.
bool Links::tells_nothing_new(const char* message, std::size_t size) const {
    for (std::size_t at = 0; at + sizeof(nlmsghdr) <= size;) {
        nlmsghdr header;
        std::memcpy(&header, message + at, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - at) return false;
        if (header.nlmsg_type != RTM_NEWADDR || header.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg))) return false;
        ifaddrmsg about;
        std::memcpy(&about, message + at + NLMSG_HDRLEN, sizeof about);
        bool known = false;
        for (std::size_t next = at + NLMSG_SPACE(sizeof about); next + sizeof(rtattr) <= at + header.nlmsg_len;) {
            rtattr attribute;
            std::memcpy(&attribute, message + next, sizeof attribute);
            if (attribute.rta_len < sizeof attribute || attribute.rta_len > at + header.nlmsg_len - next) return false;
            const std::size_t length = attribute.rta_len - RTA_LENGTH(0);
            // IPv4: IFA_LOCAL is ours where there is a peer. IPv6 has IFA_ADDRESS only.
            if (attribute.rta_type == (about.ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS) &&
                (length == 4 || length == 16)) {
                std::array<std::uint8_t, 16> bytes{};
                std::memcpy(bytes.data(), message + next + RTA_LENGTH(0), length);
                const auto ip = length == 16 ? net::IpAddress::v6(bytes)
                                             : net::IpAddress::v4(std::uint32_t{bytes[0]} << 24 | bytes[1] << 16 |
                                                                  bytes[2] << 8 | bytes[3]);
                for (const auto& [name, link] : links_)
                    if (link.index == about.ifa_index)
                        known = std::find(link.addresses.begin(), link.addresses.end(), ip) != link.addresses.end();
            }
            next += RTA_ALIGN(attribute.rta_len);
        }
        if (!known) return false;
        at += NLMSG_ALIGN(header.nlmsg_len);
    }
    return true;
}

void Links::on_events(std::uint32_t) {
    alignas(nlmsghdr) std::array<char, 16'384> buffer;
    bool look = false;
    for (;;) {
        const ssize_t size = ::recv(netlink_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno != ENOBUFS) break;
        look = look || size < 0 || !tells_nothing_new(buffer.data(), static_cast<std::size_t>(size));
    }
    if (!look) return;
    auto now = read();
    if (!now || *now == links_) return;
    links_ = std::move(*now);
    changed_();
}

}  // namespace hawser::vip
