// SPDX-License-Identifier: Apache-2.0
#include "vip/frame_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace hawser::vip {

namespace {

constexpr std::size_t most_in_a_turn = 64;  // a storm of ARP leaves time for the timers

// ARP, and ICMPv6 of the type Neighbour Advertisement without extension headers (RFC 4861 allows none before it that
// matter here). Not what this machine sends itself.
bool pass_claims(int fd) {
    std::array<sock_filter, 12> code{{
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)},
        {BPF_JMP | BPF_JEQ | BPF_K, 9, 0, PACKET_OUTGOING},
        {BPF_LD | BPF_H | BPF_ABS, 0, 0, 12},
        {BPF_JMP | BPF_JEQ | BPF_K, 6, 0, ETH_P_ARP},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 6, ETH_P_IPV6},
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, 14 + 6},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 4, IPPROTO_ICMPV6},
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, 14 + 40},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 2, ND_NEIGHBOR_ADVERT},
        {BPF_RET | BPF_K, 0, 0, 256},
        {BPF_RET | BPF_K, 0, 0, 256},
        {BPF_RET | BPF_K, 0, 0, 0},
    }};
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

}  // namespace

net::Result<std::unique_ptr<FrameSocket>> FrameSocket::open(net::Loop& loop, std::uint32_t interface_index,
                                                            Heard heard) {
    // Without a protocol it hears nothing until it is bound.
    net::Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return net::system_error("packet socket", errno);
    if (!pass_claims(fd.get())) return net::system_error("filter of the packet socket", errno);
    sockaddr_ll place{};
    place.sll_family = AF_PACKET;
    place.sll_protocol = htons(ETH_P_ALL);
    place.sll_ifindex = static_cast<int>(interface_index);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&place), sizeof place) != 0)
        return net::system_error("bind the packet socket", errno);
    std::unique_ptr<FrameSocket> out(new FrameSocket(loop, interface_index, std::move(heard), std::move(fd)));
    if (auto watched = loop.watch(out->fd_.get(), *out, EPOLLIN, net::Loop::Trigger::level); !watched)
        return watched.error();
    return out;
}

FrameSocket::~FrameSocket() { loop_.unwatch(fd_.get(), *this); }

net::Result<void> FrameSocket::send(std::span<const std::uint8_t> frame) {
    sockaddr_ll place{};
    place.sll_family = AF_PACKET;
    place.sll_ifindex = static_cast<int>(index_);
    if (::sendto(fd_.get(), frame.data(), frame.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&place),
                 sizeof place) < 0)
        return net::system_error("send a frame", errno);
    return {};
}

void FrameSocket::on_events(std::uint32_t) {
    std::array<std::uint8_t, 256> frame;
    for (std::size_t i = 0; i < most_in_a_turn; ++i) {
        const ssize_t size = ::recv(fd_.get(), frame.data(), frame.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return;  // EAGAIN, or ENETDOWN: the link is followed elsewhere
        if (const auto claim = claim_of({frame.data(), static_cast<std::size_t>(size)})) heard_(*claim);
    }
}

}  // namespace hawser::vip
