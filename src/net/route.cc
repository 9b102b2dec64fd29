// SPDX-License-Identifier: Apache-2.0
#include "net/route.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "net/fd.h"

namespace hawser::net {

namespace {

// An address as an attribute carries it.
std::size_t to_bytes(const IpAddress& ip, std::uint8_t* to) {
    const auto& bytes = ip.bytes();
    const std::size_t skip = ip.is_v4() ? 12 : 0;
    std::memcpy(to, bytes.data() + skip, bytes.size() - skip);
    return bytes.size() - skip;
}

struct Query {
    nlmsghdr header{};
    rtmsg route{};
    std::array<std::uint8_t, 64> attributes{};

    void add(std::uint16_t type, const IpAddress& ip) {
        std::array<std::uint8_t, 16> bytes{};
        const std::size_t size = to_bytes(ip, bytes.data());
        rtattr attribute{};
        attribute.rta_type = type;
        attribute.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
        std::uint8_t* const at = attributes.data() + (header.nlmsg_len - NLMSG_LENGTH(sizeof route));
        std::memcpy(at, &attribute, sizeof attribute);
        std::memcpy(at + RTA_LENGTH(0), bytes.data(), size);
        header.nlmsg_len += static_cast<std::uint32_t>(RTA_SPACE(size));
    }
};

IpAddress address_in(const rtattr* attribute, int family) {
    if (family == AF_INET && RTA_PAYLOAD(attribute) >= 4) {
        std::uint32_t v4 = 0;
        std::memcpy(&v4, RTA_DATA(attribute), 4);
        return IpAddress::v4(ntohl(v4));
    }
    std::array<std::uint8_t, 16> v6{};
    if (RTA_PAYLOAD(attribute) >= 16) std::memcpy(v6.data(), RTA_DATA(attribute), 16);
    return IpAddress::v6(v6);
}

}  // namespace

std::optional<Route> find_route(const IpAddress& destination, const IpAddress& source) {
    thread_local Fd socket;
    if (!socket.valid()) socket = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    const int family = destination.is_v4() ? AF_INET : AF_INET6;
    Query query;
    query.header.nlmsg_type = RTM_GETROUTE;
    query.header.nlmsg_flags = NLM_F_REQUEST;
    query.header.nlmsg_len = NLMSG_LENGTH(sizeof query.route);
    query.route.rtm_family = static_cast<unsigned char>(family);
    query.add(RTA_DST, destination);
    if (!source.is_unspecified() && source.is_v4() == destination.is_v4()) query.add(RTA_SRC, source);
    if (::send(socket.get(), &query, query.header.nlmsg_len, 0) < 0) return std::nullopt;
    alignas(nlmsghdr) std::array<char, 4096> answer{};
    const auto got = ::recv(socket.get(), answer.data(), answer.size(), 0);
    if (got < static_cast<ssize_t>(sizeof(nlmsghdr))) return std::nullopt;
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
    if (header->nlmsg_type != RTM_NEWROUTE || header->nlmsg_len > static_cast<std::uint32_t>(got)) return std::nullopt;
    const auto* route = static_cast<const rtmsg*>(NLMSG_DATA(header));
    Route out;
    auto left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *route));
    for (const rtattr* at = RTM_RTA(route); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
        if (at->rta_type == RTA_OIF && RTA_PAYLOAD(at) >= 4) std::memcpy(&out.interface, RTA_DATA(at), 4);
        if (at->rta_type == RTA_PREFSRC) out.source = address_in(at, family);
    }
    if (out.interface == 0 || route->rtm_type != RTN_UNICAST) return std::nullopt;
    return out;
}

}  // namespace hawser::net
