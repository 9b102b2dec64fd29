// SPDX-License-Identifier: Apache-2.0
#pragma once

// VRRP advertisements as they stand behind the IP header: RFC 9568 §5.2 (version 3), RFC 3768 §5.3 (version 2, with the
// simple password of RFC 2338 §5.3.10).

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/address.h"

namespace hawser::vip {

using Bytes = std::vector<std::uint8_t>;

inline constexpr int ip_protocol = 112;
inline constexpr std::size_t password_size = 8;
inline constexpr std::size_t most_addresses = 255;

// An active router of ours that leaves (priority 0, version 3) says this as its interval. It sends no more adverts, so the
// field has no other meaning; a backup of ours takes it for the unit of its Skew_Time, and has the addresses within 10 ms,
// whatever the interval was. Others go by the interval that they knew (RFC 9568 section 6.4.2).
constexpr std::chrono::milliseconds leaving_interval{10};

struct Advert {
    std::uint8_t version = 3;
    std::uint8_t id = 0;        // VRID
    std::uint8_t priority = 0;  // 0: the active router leaves; 255: the owner
    std::chrono::milliseconds interval{1'000};  // version 3: 10..40'950 in steps of 10; 2: whole seconds
    std::vector<net::IpAddress> addresses;      // all of one family; 1..255
    bool has_password = false;                  // version 2: authentication type 1
    std::array<std::uint8_t, password_size> password{};

    bool operator==(const Advert&) const = default;
};

// The first eight bytes, padded with zeros.
std::array<std::uint8_t, password_size> password_of(std::string_view text);

// What the checksum of version 3 over IPv4 covers. The RFCs differ; over IPv6 it is always both, in version 2 the
// message.
enum class Coverage : std::uint8_t {
    message,           // RFC 9568 §5.2.8
    pseudo_header_too  // RFC 5798 §5.2.8, and keepalived
};

// The message. `source` and `destination` go into the pseudo-header. At most most_addresses addresses.
Bytes encode(const Advert& advert, const net::IpAddress& source, const net::IpAddress& destination,
             Coverage coverage);

// Why a message was discarded; the names are label values of a metric.
enum class Discarded : std::uint8_t {
    ttl,             // V-03
    version,         // V-04
    type,            // V-04
    length,          // V-23: not all of it came, or more than that
    checksum,        // V-08
    no_addresses,    // V-06
    interval,        // V-23: 0; in version 2 also another than ours
    authentication,  // version 2: another type or password
    sender,          // not one of the unicast peers, or we ourselves
    count
};
std::string_view to_string(Discarded why);

// Where a message came from.
struct Envelope {
    net::IpAddress source, destination;
    int ttl = 0;  // or hop limit
    std::uint8_t min_ttl = 255, max_ttl = 255;  // what is taken; unicast peers may be farther away
};

struct Received {
    Advert advert;
    Coverage coverage = Coverage::message;  // of a version 3 message over IPv4: which one was right
};

// Checks all that the message and its envelope tell (RFC 9568 §7.1, RFC 3768 §7.1). Any bytes.
std::variant<Received, Discarded> decode(std::span<const std::uint8_t> message, const Envelope& envelope);

}  // namespace hawser::vip
