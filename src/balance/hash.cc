// SPDX-License-Identifier: Apache-2.0
#include "balance/hash.h"

namespace hawser::balance {
namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
        table[i] = crc;
    }
    return table;
}
constexpr std::array<std::uint32_t, 256> crc_table = make_crc_table();

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
std::uint64_t avalanche(std::uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

}  // namespace

std::uint32_t crc32_update(std::uint32_t crc, std::string_view bytes) {
    for (const char c : bytes) crc = (crc >> 8) ^ crc_table[(crc ^ static_cast<std::uint8_t>(c)) & 0xff];
    return crc;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    return avalanche(a * 0x9e3779b97f4a7c15ULL + avalanche(b));
}

std::uint64_t stable_hash(std::span<const std::uint8_t> bytes, std::uint64_t seed) {
    std::uint64_t hash = mix(seed, bytes.size());
    while (!bytes.empty()) {
        std::uint64_t word = 0;  // little endian, whatever the machine
        const std::size_t size = bytes.size() < 8 ? bytes.size() : 8;
        for (std::size_t i = 0; i < size; ++i) word |= std::uint64_t{bytes[i]} << (8 * i);
        hash = mix(hash, word);
        bytes = bytes.subspan(size);
    }
    return hash;
}

std::uint64_t stable_hash(const net::IpAddress& ip, std::uint64_t seed) {
    return stable_hash(std::span<const std::uint8_t>(ip.bytes()), seed);
}

std::uint64_t stable_hash(const net::SocketAddress& address, std::uint64_t seed) {
    return mix(stable_hash(address.ip, seed), address.port);
}

std::uint64_t stable_hash(std::string_view text, std::uint64_t seed) {
    return stable_hash({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, seed);
}

}  // namespace hawser::balance
