// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ethernet frames about an address of ours: what tells the neighbours and their switches where it is now, and what asks
// whether somebody else has it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "net/address.h"
#include "vip/advert.h"

namespace hawser::vip {

using Mac = std::array<std::uint8_t, 6>;

// RFC 9568 §7.3: 00-00-5E-00-01-ID, for IPv6 00-00-5E-00-02-ID.
Mac virtual_mac(bool v6, std::uint8_t id);

// IPv4: a gratuitous ARP request (RFC 5227 §3, RFC 9568 §8.1.2). IPv6: an unsolicited Neighbour Advertisement to all
// nodes with the flags R and O (RFC 4861 §7.2.6, RFC 9568 §8.2.2). The source of both is `ip`.
Bytes announcement(const net::IpAddress& ip, const Mac& mac);

// Asks whether somebody has `ip` already: an ARP probe (RFC 5227 §2.1.1), a Neighbour Solicitation for duplicate
// address detection (RFC 4862 §5.4.2).
Bytes duplicate_probe(const net::IpAddress& ip, const Mac& mac);

// Who says in this frame that an address is its own: ARP of any operation, a Neighbour Advertisement. Any bytes.
struct Claim {
    net::IpAddress ip;
    Mac mac{};
};
std::optional<Claim> claim_of(std::span<const std::uint8_t> frame);

}  // namespace hawser::vip
