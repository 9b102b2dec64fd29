// SPDX-License-Identifier: Apache-2.0
#include "net/rtnetlink.h"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace hawser::net {

Result<Fd> watch_rtnetlink(std::uint32_t groups) {
    Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd.valid()) return system_error("rtnetlink socket", errno);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = groups;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        return system_error("rtnetlink bind", errno);
    return fd;
}

namespace {

// The address that a message of RTM_NEWADDR is about.
std::optional<IpAddress> address_in(std::span<const char> attributes, const ifaddrmsg& about) {
    // IPv4: IFA_LOCAL is the interface's own where there is a peer. IPv6 has IFA_ADDRESS only.
    const int wanted = about.ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS;
    for (std::size_t at = 0; at + sizeof(rtattr) <= attributes.size();) {
        rtattr attribute;
        std::memcpy(&attribute, attributes.data() + at, sizeof attribute);
        if (attribute.rta_len < sizeof attribute || attribute.rta_len > attributes.size() - at) return std::nullopt;
        const char* const data = attributes.data() + at + RTA_LENGTH(0);
        const std::size_t size = attribute.rta_len - RTA_LENGTH(0);
        if (attribute.rta_type == wanted && size == 4) {
            std::uint32_t v4 = 0;
            std::memcpy(&v4, data, sizeof v4);
            return IpAddress::v4(ntohl(v4));
        }
        if (attribute.rta_type == wanted && size == 16) {
            std::array<std::uint8_t, 16> v6{};
            std::memcpy(v6.data(), data, v6.size());
            return IpAddress::v6(v6);
        }
        at += RTA_ALIGN(attribute.rta_len);
    }
    return std::nullopt;
}

}  // namespace

bool only_refreshes(std::span<const char> datagram,
                    const std::function<bool(std::uint32_t interface, const IpAddress&)>& known) {
    for (std::size_t at = 0; at + sizeof(nlmsghdr) <= datagram.size();) {
        nlmsghdr header;
        std::memcpy(&header, datagram.data() + at, sizeof header);
        if (header.nlmsg_len < NLMSG_SPACE(sizeof(ifaddrmsg)) || header.nlmsg_len > datagram.size() - at) return false;
        if (header.nlmsg_type != RTM_NEWADDR) return false;
        ifaddrmsg about;
        std::memcpy(&about, datagram.data() + at + NLMSG_HDRLEN, sizeof about);
        constexpr std::size_t before = NLMSG_SPACE(sizeof about);
        const auto ip = address_in(datagram.subspan(at + before, header.nlmsg_len - before), about);
        if (!ip || !known(about.ifa_index, *ip)) return false;
        at += NLMSG_ALIGN(header.nlmsg_len);
    }
    return true;
}

}  // namespace hawser::net
