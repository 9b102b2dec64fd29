// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "net/address.h"

namespace hawser::balance {

// CRC-32 as of IEEE 802.3 (zlib, nginx), in steps: start from crc32_init, end with crc32_final.
inline constexpr std::uint32_t crc32_init = 0xffffffff;
std::uint32_t crc32_update(std::uint32_t crc, std::string_view bytes);
inline std::uint32_t crc32_final(std::uint32_t crc) { return crc ^ 0xffffffff; }

// A 64-bit hash that is the same on every machine and in every version: nodes agree on a client's endpoint
// only because of it. Never change it. Not for keys that an attacker may collide (give those a secret seed).
std::uint64_t stable_hash(std::span<const std::uint8_t> bytes, std::uint64_t seed);
std::uint64_t stable_hash(const net::IpAddress& ip, std::uint64_t seed);
std::uint64_t stable_hash(const net::SocketAddress& address, std::uint64_t seed);
std::uint64_t stable_hash(std::string_view text, std::uint64_t seed);
// Mixes two hashes into one.
std::uint64_t mix(std::uint64_t a, std::uint64_t b);

}  // namespace hawser::balance
