// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace hawser::net {

// An IPv4 or IPv6 address. 16 bytes, IPv4 kept as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2), so that one table
// serves both families; an IPv4-mapped IPv6 address therefore *is* the IPv4 address.
class IpAddress {
  public:
    IpAddress() = default;  // ::
    static IpAddress v4(std::uint32_t host_order);
    static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);
    // Accepts what inet_pton accepts: dotted quad without leading zeros, or RFC 4291 text without brackets.
    static std::optional<IpAddress> parse(std::string_view text);
    static IpAddress any_v4() { return v4(0); }
    static IpAddress any_v6() { return {}; }

    [[nodiscard]] bool is_v4() const;
    [[nodiscard]] bool is_v6() const { return !is_v4(); }
    [[nodiscard]] std::uint32_t v4_host_order() const;  // only if is_v4()
    [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }

    [[nodiscard]] bool is_unspecified() const;  // 0.0.0.0 or ::
    [[nodiscard]] bool is_loopback() const;     // 127.0.0.0/8 or ::1
    [[nodiscard]] bool is_link_local() const;   // 169.254.0.0/16 or fe80::/10
    [[nodiscard]] bool is_multicast() const;    // 224.0.0.0/4 or ff00::/8

    [[nodiscard]] std::string text() const;  // RFC 5952; IPv4 as dotted quad

    auto operator<=>(const IpAddress&) const = default;

  private:
    std::array<std::uint8_t, 16> bytes_{};
};

// Address and port. Port in host order.
struct SocketAddress {
    IpAddress ip;
    std::uint16_t port = 0;

    // "1.2.3.4:80", "[::1]:80". No names, both parts required.
    static std::optional<SocketAddress> parse(std::string_view text);
    static SocketAddress from_sockaddr(const sockaddr_storage& storage);

    // Returns the length for bind/connect. An IPv4 address yields AF_INET.
    socklen_t to_sockaddr(sockaddr_storage& storage) const;
    [[nodiscard]] std::string text() const;

    auto operator<=>(const SocketAddress&) const = default;
};

// A prefix such as 10.0.0.0/8. Host bits are cleared on parsing.
struct Cidr {
    IpAddress network;
    std::uint8_t bits = 0;  // 0..32 for IPv4, 0..128 for IPv6
    bool v4 = true;

    // "10.0.0.0/8", "fd00::/8", or a bare address (full length).
    static std::optional<Cidr> parse(std::string_view text);
    [[nodiscard]] bool contains(const IpAddress& ip) const;  // false for the other family
    [[nodiscard]] std::string text() const;
    auto operator<=>(const Cidr&) const = default;
};

}  // namespace hawser::net

template <>
struct std::hash<hawser::net::IpAddress> {
    std::size_t operator()(const hawser::net::IpAddress& ip) const noexcept;
};
template <>
struct std::hash<hawser::net::SocketAddress> {
    std::size_t operator()(const hawser::net::SocketAddress& a) const noexcept {
        return std::hash<hawser::net::IpAddress>{}(a.ip) * 1099511628211ULL + a.port;
    }
};
