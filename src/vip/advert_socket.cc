// SPDX-License-Identifier: Apache-2.0
#include "vip/advert_socket.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace hawser::vip {

namespace {

constexpr std::size_t most_in_a_turn = 256;  // adverts; a flood leaves time for the timers
// 255 IPv6 addresses and the headers.
constexpr std::size_t largest = 8 + 255 * 16 + 60;

// IP's precedence "internetwork control" (RFC 791), as VRRP implementations send it.
constexpr int traffic_class = 0xc0;

template <class T>
bool set(int fd, int level, int name, const T& value) {
    return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

net::IpAddress address_of(const in6_addr& address) {
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &address, bytes.size());
    return net::IpAddress::v6(bytes);
}

in6_addr to_in6(const net::IpAddress& ip) {
    in6_addr out;
    std::memcpy(&out, ip.bytes().data(), sizeof out);
    return out;
}

// Byte 1 of the message is the VRID. An IPv4 raw socket shows the IP header too.
bool pass_only(int fd, bool v6, std::uint8_t id) {
    std::array<sock_filter, 5> v4_code{{{BPF_LDX | BPF_B | BPF_MSH, 0, 0, 0},
                                        {BPF_LD | BPF_B | BPF_IND, 0, 0, 1},
                                        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, id},
                                        {BPF_RET | BPF_K, 0, 0, 0xffff},
                                        {BPF_RET | BPF_K, 0, 0, 0}}};
    std::array<sock_filter, 4> v6_code{{{BPF_LD | BPF_B | BPF_ABS, 0, 0, 1},
                                        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, id},
                                        {BPF_RET | BPF_K, 0, 0, 0xffff},
                                        {BPF_RET | BPF_K, 0, 0, 0}}};
    sock_fprog program{static_cast<unsigned short>(v6 ? v6_code.size() : v4_code.size()),
                       v6 ? v6_code.data() : v4_code.data()};
    return set(fd, SOL_SOCKET, SO_ATTACH_FILTER, program);
}

bool join(int fd, const net::IpAddress& group, std::uint32_t index) {
    if (group.is_v6()) {
        ipv6_mreq request{to_in6(group), index};
        return set(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, request);
    }
    ip_mreqn request{};
    request.imr_multiaddr.s_addr = htonl(group.v4_host_order());
    request.imr_ifindex = static_cast<int>(index);
    return set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, request) && set(fd, IPPROTO_IP, IP_MULTICAST_IF, request);
}

}  // namespace

AdvertSocket::AdvertSocket(net::Loop& loop, Place place, Receive receive, net::Fd fd)
    : loop_(loop), place_(std::move(place)), receive_(std::move(receive)), fd_(std::move(fd)) {}

AdvertSocket::~AdvertSocket() { loop_.unwatch(fd_.get(), *this); }

net::Result<std::unique_ptr<AdvertSocket>> AdvertSocket::open(net::Loop& loop, const Place& place, Receive receive) {
    net::Fd fd(::socket(place.v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, ip_protocol));
    if (!fd.valid()) return net::system_error("socket of protocol 112 (VRRP)", errno);
    std::unique_ptr<AdvertSocket> out(new AdvertSocket(loop, place, std::move(receive), std::move(fd)));
    if (auto prepared = out->prepare(); !prepared) return prepared.error();
    if (auto watched = loop.watch(out->fd_.get(), *out, EPOLLIN, net::Loop::Trigger::level); !watched)
        return watched.error();
    return out;
}

net::Result<void> AdvertSocket::prepare() {
    const int fd = fd_.get(), one = 1, none = 0, full = 255, ttl = place_.ttl;
    if (!pass_only(fd, place_.v6, place_.id)) return net::system_error("filter of adverts", errno);
    if (!place_.interface.empty() &&
        ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, place_.interface.c_str(),
                     static_cast<socklen_t>(place_.interface.size() + 1)) != 0)
        return net::system_error("bind to " + place_.interface, errno);
    const int priority = 6;  // pfifo_fast's first band
    set(fd, SOL_SOCKET, SO_PRIORITY, priority);
    const bool good =
        place_.v6 ? set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, one) && set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, one) &&
                        set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, full) &&
                        set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl) &&
                        set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, none) &&
                        set(fd, IPPROTO_IPV6, IPV6_TCLASS, traffic_class)
                  : set(fd, IPPROTO_IP, IP_PKTINFO, one) && set(fd, IPPROTO_IP, IP_MULTICAST_TTL, full) &&
                        set(fd, IPPROTO_IP, IP_TTL, ttl) && set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, none) &&
                        set(fd, IPPROTO_IP, IP_TOS, traffic_class);
    if (!good) return net::system_error("options of the adverts' socket", errno);
    if (place_.group && !join(fd, *place_.group, place_.index))
        return net::system_error("join " + place_.group->text() + " on " + place_.interface, errno);
    // What came before it was bound and had its filter is not for it.
    std::array<char, 1> waste{};
    while (::recv(fd, waste.data(), waste.size(), MSG_DONTWAIT) >= 0) {
    }
    return {};
}

void AdvertSocket::on_events(std::uint32_t) {
    std::array<std::uint8_t, largest> buffer;
    alignas(cmsghdr) std::array<std::uint8_t, 256> control;
    for (std::size_t i = 0; i < most_in_a_turn; ++i) {
        iovec part{buffer.data(), buffer.size()};
        sockaddr_storage from{};
        msghdr header{};
        header.msg_name = &from;
        header.msg_namelen = sizeof from;
        header.msg_iov = &part;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        const ssize_t size = ::recvmsg(fd_.get(), &header, 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return;  // EAGAIN; or an ICMP error about a unicast peer, which is told by its silence
        if ((header.msg_flags & MSG_TRUNC) != 0) continue;  // no advert is that long
        take({buffer.data(), static_cast<std::size_t>(size)}, header);
    }
}

void AdvertSocket::take(std::span<const std::uint8_t> packet, const msghdr& header) {
    Datagram out;
    if (!place_.v6) {
        iphdr ip;
        if (packet.size() < sizeof ip) return;
        std::memcpy(&ip, packet.data(), sizeof ip);
        const std::size_t header_size = std::size_t{ip.ihl} * 4;
        if (header_size < sizeof ip || packet.size() < header_size) return;
        out.source = net::IpAddress::v4(ntohl(ip.saddr));
        out.destination = net::IpAddress::v4(ntohl(ip.daddr));
        out.ttl = ip.ttl;
        out.message = packet.subspan(header_size);
        return receive_(out);
    }
    sockaddr_in6 from;
    std::memcpy(&from, header.msg_name, sizeof from);
    out.source = address_of(from.sin6_addr);
    out.message = packet;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
        if (c->cmsg_level != IPPROTO_IPV6) continue;
        if (c->cmsg_type == IPV6_HOPLIMIT) std::memcpy(&out.ttl, CMSG_DATA(c), sizeof out.ttl);
        if (c->cmsg_type != IPV6_PKTINFO) continue;
        in6_pktinfo info;
        std::memcpy(&info, CMSG_DATA(c), sizeof info);
        out.destination = address_of(info.ipi6_addr);
    }
    receive_(out);
}

net::Result<void> AdvertSocket::send(std::span<const std::uint8_t> message, const net::IpAddress& source,
                                     const net::IpAddress& destination) {
    sockaddr_storage to{};
    alignas(cmsghdr) std::array<std::uint8_t, 64> control{};
    iovec part{const_cast<std::uint8_t*>(message.data()), message.size()};
    msghdr header{};
    header.msg_name = &to;
    header.msg_namelen = net::SocketAddress{destination, 0}.to_sockaddr(to);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* const c = CMSG_FIRSTHDR(&header);
    if (place_.v6) {
        auto* const scoped = reinterpret_cast<sockaddr_in6*>(&to);
        if (destination.is_link_local() || destination.is_multicast()) scoped->sin6_scope_id = place_.index;
        const in6_pktinfo info{to_in6(source), place_.index};
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        std::memcpy(CMSG_DATA(c), &info, sizeof info);
        header.msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        in_pktinfo info{};
        info.ipi_ifindex = static_cast<int>(place_.index);
        info.ipi_spec_dst.s_addr = htonl(source.v4_host_order());
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        std::memcpy(CMSG_DATA(c), &info, sizeof info);
        header.msg_controllen = CMSG_SPACE(sizeof info);
    }
    if (::sendmsg(fd_.get(), &header, MSG_DONTWAIT) < 0)
        return net::system_error("send an advert to " + destination.text(), errno);
    return {};
}

}  // namespace hawser::vip
