// SPDX-License-Identifier: Apache-2.0
#pragma once

// ICMP errors (RFC 792, RFC 4443) as tests write them.

#include "splice/testing_packets.h"

namespace hawser::splice::testing {

struct IcmpError {
    net::IpAddress source, destination;
    std::uint8_t type = 0, code = 0;
    std::uint32_t rest = 0;  // the MTU of "too big"
    Bytes quote;             // from the IP header on
    std::uint8_t ttl = 64;
    std::array<std::uint8_t, 12> macs = Packet{}.macs;
};

// The beginning of a packet, as errors about it quote it: its IP header and so much more.
inline Bytes quote_of(const Bytes& frame, std::size_t more = 8) {
    const std::size_t end = (detail::get16(frame, 12) == 0x0800 ? 34U : 54U) + more;
    return {frame.begin() + 14, frame.begin() + static_cast<std::ptrdiff_t>(std::min(end, frame.size()))};
}
inline Bytes quote_of(const Packet& packet, std::size_t more = 8) { return quote_of(bytes_of(packet), more); }

// "Too big" about a packet, as the program answers it.
inline IcmpError too_big(const Packet& about, std::uint32_t mtu, Bytes quote) {
    IcmpError out;
    out.source = about.destination.ip;
    out.destination = about.source.ip;
    out.type = out.source.is_v4() ? 3 : 2;
    out.code = out.source.is_v4() ? 4 : 0;
    out.rest = mtu;
    out.quote = std::move(quote);
    std::rotate_copy(about.macs.begin(), about.macs.begin() + 6, about.macs.end(), out.macs.begin());
    return out;
}

// An Ethernet frame with correct checksums.
inline Bytes bytes_of(const IcmpError& error) {
    const bool v4 = error.source.is_v4();
    Packet outer;
    outer.source.ip = error.source;
    outer.destination.ip = error.destination;
    outer.protocol = v4 ? std::uint8_t{IPPROTO_ICMP} : std::uint8_t{IPPROTO_ICMPV6};
    outer.ttl = error.ttl;
    outer.macs = error.macs;
    outer.payload = error.quote;
    Bytes out = bytes_of(outer);  // with the room of a UDP header, which ICMP's takes
    const std::size_t l4 = v4 ? 34 : 54;
    detail::put32(out, l4, static_cast<std::uint32_t>(error.type << 24 | error.code << 16));
    detail::put32(out, l4 + 4, error.rest);
    const std::uint32_t pseudo = v4 ? 0 : detail::pseudo(out, v4, outer.protocol, l4);
    detail::put16(out, l4 + 2, 0xffffU & ~detail::fold(pseudo + detail::sum(out, l4, out.size())));
    return out;
}

}  // namespace hawser::splice::testing
