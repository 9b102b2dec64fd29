// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace hawser::net {

namespace {
constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <class Number>
std::optional<Number> parse_number(std::string_view text, unsigned max) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
    return static_cast<Number>(value);
}
}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) {
    IpAddress ip;
    std::copy(mapped_prefix.begin(), mapped_prefix.end(), ip.bytes_.begin());
    for (int i = 0; i < 4; ++i) ip.bytes_[12 + i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
    return ip;
}

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) {
    IpAddress ip;
    ip.bytes_ = bytes;
    return ip;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    char buffer[INET6_ADDRSTRLEN + 1];
    if (text.empty() || text.size() >= sizeof buffer) return std::nullopt;
    std::memcpy(buffer, text.data(), text.size());
    buffer[text.size()] = '\0';
    if (std::memchr(buffer, '\0', text.size()) != nullptr) return std::nullopt;
    in_addr a4{};
    if (inet_pton(AF_INET, buffer, &a4) == 1) return v4(ntohl(a4.s_addr));
    std::array<std::uint8_t, 16> a6{};
    if (inet_pton(AF_INET6, buffer, a6.data()) == 1) return v6(a6);
    return std::nullopt;
}

bool IpAddress::is_v4() const {
    return std::equal(mapped_prefix.begin(), mapped_prefix.end(), bytes_.begin());
}

std::uint32_t IpAddress::v4_host_order() const {
    return std::uint32_t{bytes_[12]} << 24 | std::uint32_t{bytes_[13]} << 16 |
           std::uint32_t{bytes_[14]} << 8 | bytes_[15];
}

bool IpAddress::is_unspecified() const {
    if (is_v4()) return v4_host_order() == 0;
    return std::all_of(bytes_.begin(), bytes_.end(), [](std::uint8_t b) { return b == 0; });
}

bool IpAddress::is_loopback() const {
    if (is_v4()) return bytes_[12] == 127;
    return bytes_[15] == 1 &&
           std::all_of(bytes_.begin(), bytes_.begin() + 15, [](std::uint8_t b) { return b == 0; });
}

bool IpAddress::is_link_local() const {
    if (is_v4()) return bytes_[12] == 169 && bytes_[13] == 254;
    return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const { return is_v4() ? (bytes_[12] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }

std::string IpAddress::text() const {
    char buffer[INET6_ADDRSTRLEN];
    if (is_v4()) return inet_ntop(AF_INET, bytes_.data() + 12, buffer, sizeof buffer);
    return inet_ntop(AF_INET6, bytes_.data(), buffer, sizeof buffer);
}

std::optional<SocketAddress> SocketAddress::parse(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (bracketed != (host.find(':') != std::string_view::npos)) return std::nullopt;
    const auto ip = IpAddress::parse(host);
    const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), 65535);
    if (!ip || !port) return std::nullopt;
    return SocketAddress{*ip, *port};
}

SocketAddress SocketAddress::from_sockaddr(const sockaddr_storage& storage) {
    SocketAddress out;
    if (storage.ss_family == AF_INET) {
        const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
        out.ip = IpAddress::v4(ntohl(in.sin_addr.s_addr));
        out.port = ntohs(in.sin_port);
    } else if (storage.ss_family == AF_INET6) {
        const auto& in = reinterpret_cast<const sockaddr_in6&>(storage);
        std::array<std::uint8_t, 16> bytes;
        std::memcpy(bytes.data(), &in.sin6_addr, 16);
        out.ip = IpAddress::v6(bytes);
        out.port = ntohs(in.sin6_port);
    }
    return out;
}

socklen_t SocketAddress::to_sockaddr(sockaddr_storage& storage) const {
    std::memset(&storage, 0, sizeof storage);
    if (ip.is_v4()) {
        auto& in = reinterpret_cast<sockaddr_in&>(storage);
        in.sin_family = AF_INET;
        in.sin_addr.s_addr = htonl(ip.v4_host_order());
        in.sin_port = htons(port);
        return sizeof in;
    }
    auto& in = reinterpret_cast<sockaddr_in6&>(storage);
    in.sin6_family = AF_INET6;
    std::memcpy(&in.sin6_addr, ip.bytes().data(), 16);
    in.sin6_port = htons(port);
    return sizeof in;
}

std::string SocketAddress::text() const {
    const std::string host = ip.text();
    return (ip.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
    const auto slash = text.find('/');
    const auto ip = IpAddress::parse(text.substr(0, slash));
    if (!ip) return std::nullopt;
    const unsigned width = ip->is_v4() ? 32 : 128;
    Cidr out{*ip, static_cast<std::uint8_t>(width), ip->is_v4()};
    if (slash != std::string_view::npos) {
        const auto bits = parse_number<std::uint8_t>(text.substr(slash + 1), width);
        if (!bits) return std::nullopt;
        out.bits = *bits;
    }
    auto bytes = ip->bytes();
    const unsigned keep = (out.v4 ? 96U : 0U) + out.bits;
    for (unsigned i = 0; i < 16; ++i) {
        if (i * 8 >= keep)
            bytes[i] = 0;
        else if (i * 8 + 8 > keep)
            bytes[i] &= static_cast<std::uint8_t>(0xff00U >> (keep - i * 8));
    }
    out.network = IpAddress::v6(bytes);
    return out;
}

bool Cidr::contains(const IpAddress& ip) const {
    if (ip.is_v4() != v4) return false;
    const unsigned keep = (v4 ? 96U : 0U) + bits;
    const auto& a = ip.bytes();
    const auto& b = network.bytes();
    const unsigned whole = keep / 8;
    if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
    if (keep % 8 == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xff00U >> (keep % 8));
    return (a[whole] & mask) == (b[whole] & mask);
}

std::string Cidr::text() const { return network.text() + "/" + std::to_string(bits); }

}  // namespace hawser::net

std::size_t std::hash<hawser::net::IpAddress>::operator()(const hawser::net::IpAddress& ip) const noexcept {
    std::uint64_t halves[2];
    std::memcpy(halves, ip.bytes().data(), 16);
    // The finaliser of MurmurHash3, over both halves: clients choose their addresses, so low bits must mix.
    std::uint64_t h = halves[0] * 0x9E3779B97F4A7C15ULL ^ halves[1];
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    return h ^ h >> 33;
}
