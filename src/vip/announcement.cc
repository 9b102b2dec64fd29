// SPDX-License-Identifier: Apache-2.0
#include "vip/announcement.h"

#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>

#include <algorithm>

namespace hawser::vip {

namespace {

constexpr Mac broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr std::size_t arp_size = 28;
constexpr std::size_t ipv6_header_size = 40;
constexpr std::uint8_t option_target_mac = 2;  // RFC 4861 §4.6.1

void put16(Bytes& out, unsigned value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}

template <class Range>
void put(Bytes& out, const Range& bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_v4(Bytes& out, const net::IpAddress& ip) {
    const auto& bytes = ip.bytes();
    out.insert(out.end(), bytes.begin() + 12, bytes.end());
}

unsigned get16(std::span<const std::uint8_t> bytes, std::size_t at) { return bytes[at] << 8 | bytes[at + 1]; }

net::IpAddress v4_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    return net::IpAddress::v4(get16(bytes, at) << 16 | get16(bytes, at + 2));
}

net::IpAddress v6_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    std::array<std::uint8_t, 16> all;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), all.size(), all.begin());
    return net::IpAddress::v6(all);
}

Bytes ethernet(const Mac& destination, const Mac& source, unsigned type) {
    Bytes out;
    out.reserve(128);
    put(out, destination);
    put(out, source);
    put16(out, type);
    return out;
}

Bytes arp_request(const Mac& mac, const net::IpAddress& sender, const net::IpAddress& target) {
    Bytes out = ethernet(broadcast, mac, ETHERTYPE_ARP);
    put16(out, 1);  // Ethernet
    put16(out, ETHERTYPE_IP);
    out.push_back(ETHER_ADDR_LEN);
    out.push_back(4);
    put16(out, 1);  // request
    put(out, mac);
    put_v4(out, sender);
    put(out, sender == target ? mac : Mac{});  // RFC 9568 §8.1.2: the target's too, in an announcement
    put_v4(out, target);
    return out;
}

Bytes icmp6(const Mac& mac, const net::IpAddress& source, const net::IpAddress& destination, const Bytes& message) {
    const auto& group = destination.bytes();
    // RFC 2464 §7: multicast goes to 33-33 and the last four bytes.
    Bytes out = ethernet({0x33, 0x33, group[12], group[13], group[14], group[15]}, mac, ETHERTYPE_IPV6);
    put(out, std::array<std::uint8_t, 4>{0x60, 0, 0, 0});
    put16(out, static_cast<unsigned>(message.size()));
    out.push_back(IPPROTO_ICMPV6);
    out.push_back(255);  // RFC 4861 §7.1: others are discarded
    put(out, source.bytes());
    put(out, group);
    const std::size_t begin = out.size();
    put(out, message);
    std::uint32_t total = IPPROTO_ICMPV6 + static_cast<std::uint32_t>(message.size());
    for (std::size_t i = begin - 2 * source.bytes().size(); i + 1 < out.size(); i += 2) total += get16(out, i);
    while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
    out[begin + 2] = static_cast<std::uint8_t>(~total >> 8);
    out[begin + 3] = static_cast<std::uint8_t>(~total);
    return out;
}

Bytes neighbour(std::uint8_t type, std::uint8_t flags, const net::IpAddress& target) {
    Bytes out;
    out.reserve(32);
    out.resize(8);
    out[0] = type;
    out[4] = flags;
    put(out, target.bytes());
    return out;
}

net::IpAddress all_nodes() { return *net::IpAddress::parse("ff02::1"); }

// RFC 4291 §2.7.1.
net::IpAddress solicited_node(const net::IpAddress& ip) {
    auto bytes = net::IpAddress::parse("ff02::1:ff00:0")->bytes();
    std::copy_n(ip.bytes().begin() + 13, 3, bytes.begin() + 13);
    return net::IpAddress::v6(bytes);
}

std::optional<Claim> arp_claim(std::span<const std::uint8_t> arp) {
    if (arp.size() < arp_size || get16(arp, 0) != 1 || get16(arp, 2) != ETHERTYPE_IP || arp[4] != ETHER_ADDR_LEN ||
        arp[5] != 4)
        return std::nullopt;
    Claim out;
    std::copy_n(arp.begin() + 8, out.mac.size(), out.mac.begin());
    out.ip = v4_at(arp, 14);
    if (out.ip.is_unspecified()) return std::nullopt;  // a probe claims nothing yet
    return out;
}

std::optional<Claim> neighbour_claim(std::span<const std::uint8_t> packet) {
    constexpr std::size_t fixed = 24;
    if (packet.size() < ipv6_header_size + fixed || packet[0] >> 4 != 6 || packet[6] != IPPROTO_ICMPV6 ||
        packet[7] != 255)
        return std::nullopt;
    const auto message = packet.subspan(ipv6_header_size);
    if (message[0] != ND_NEIGHBOR_ADVERT || message[1] != 0) return std::nullopt;
    Claim out;
    out.ip = v6_at(message, 8);
    for (std::size_t at = fixed; at + 8 <= message.size() && message[at + 1] != 0; at += std::size_t{message[at + 1]} * 8)
        if (message[at] == option_target_mac) std::copy_n(message.begin() + static_cast<std::ptrdiff_t>(at) + 2, 6, out.mac.begin());
    return out;
}

}  // namespace

Mac virtual_mac(bool v6, std::uint8_t id) { return {0, 0, 0x5e, 0, static_cast<std::uint8_t>(v6 ? 2 : 1), id}; }

Bytes announcement(const net::IpAddress& ip, const Mac& mac) {
    if (ip.is_v4()) return arp_request(mac, ip, ip);
    Bytes message = neighbour(ND_NEIGHBOR_ADVERT, 0xa0, ip);  // R and O
    message.push_back(option_target_mac);
    message.push_back(1);
    put(message, mac);
    return icmp6(mac, ip, all_nodes(), message);
}

Bytes duplicate_probe(const net::IpAddress& ip, const Mac& mac) {
    if (ip.is_v4()) return arp_request(mac, net::IpAddress::any_v4(), ip);
    // Without the option of the source's MAC, because the source has no address (RFC 4861 §4.3).
    return icmp6(mac, net::IpAddress::any_v6(), solicited_node(ip), neighbour(ND_NEIGHBOR_SOLICIT, 0, ip));
}

std::optional<Claim> claim_of(std::span<const std::uint8_t> frame) {
    if (frame.size() < ETHER_HDR_LEN) return std::nullopt;
    const auto rest = frame.subspan(ETHER_HDR_LEN);
    if (get16(frame, 12) == ETHERTYPE_ARP) return arp_claim(rest);
    if (get16(frame, 12) != ETHERTYPE_IPV6) return std::nullopt;
    auto out = neighbour_claim(rest);
    // RFC 4861 §7.2.4: an answer may leave the option out.
    if (out && out->mac == Mac{}) std::copy_n(frame.begin() + 6, out->mac.size(), out->mac.begin());
    return out;
}

}  // namespace hawser::vip
