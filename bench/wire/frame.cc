// SPDX-License-Identifier: Apache-2.0
#include "bench/wire/frame.h"

#include <cstring>

namespace hawser::bench {

namespace {

std::size_t header_size(std::uint8_t second) {
    const std::uint8_t length = second & 0x7f;
    return 2U + (length == 126 ? 2U : length == 127 ? 8U : 0U) + ((second & 0x80) != 0 ? 4U : 0U);
}

void put_big_endian(std::uint8_t* out, std::uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
}

// The key as it applies from `offset` on, twice, so that eight bytes are one XOR; the compiler makes vectors
// of it.
std::uint64_t wide_key(MaskKey key, std::uint64_t offset) {
    std::uint8_t bytes[8];
    for (unsigned i = 0; i < 8; ++i) bytes[i] = key[(offset + i) % 4];
    std::uint64_t wide;
    std::memcpy(&wide, bytes, sizeof wide);
    return wide;
}

}  // namespace

std::size_t encode(const FrameHeader& header, std::uint8_t* out) {
    out[0] = static_cast<std::uint8_t>((header.fin ? 0x80 : 0) | header.opcode);
    const std::uint8_t mask_bit = header.masked ? 0x80 : 0;
    std::size_t size = 2;
    if (header.length < 126) {
        out[1] = static_cast<std::uint8_t>(mask_bit | header.length);
    } else if (header.length <= 0xffff) {
        out[1] = mask_bit | 126;
        put_big_endian(out + 2, header.length, 2);
        size = 4;
    } else {
        out[1] = mask_bit | 127;
        put_big_endian(out + 2, header.length, 8);
        size = 10;
    }
    if (header.masked) {
        std::copy(header.key.begin(), header.key.end(), out + size);
        size += 4;
    }
    return size;
}

void copy_masked(std::span<const std::uint8_t> from, std::uint8_t* to, MaskKey key, std::uint64_t offset) {
    const std::uint64_t wide = wide_key(key, offset);
    std::size_t i = 0;
    for (; i + 8 <= from.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, from.data() + i, 8);
        word ^= wide;
        std::memcpy(to + i, &word, 8);
    }
    for (; i < from.size(); ++i) to[i] = from[i] ^ key[(offset + i) % 4];
}

void apply_mask(std::span<std::uint8_t> data, MaskKey key, std::uint64_t offset) {
    const std::uint64_t wide = wide_key(key, offset);
    std::uint8_t* at = data.data();
    std::size_t i = 0;
    for (; i + 8 <= data.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, at + i, 8);
        word ^= wide;
        std::memcpy(at + i, &word, 8);
    }
    for (; i < data.size(); ++i) at[i] ^= key[(offset + i) % 4];
}

std::size_t FrameReader::take_header(std::span<const std::uint8_t> bytes) {
    std::size_t taken = 0;
    while (taken < bytes.size()) {
        raw_[have_++] = bytes[taken++];
        if (have_ < 2 || have_ < header_size(raw_[1])) continue;
        decode_header();
        have_ = 0;
        at_ = 0;
        in_payload_ = true;
        break;
    }
    return taken;
}

void FrameReader::decode_header() {
    header_.fin = (raw_[0] & 0x80) != 0;
    header_.opcode = raw_[0] & 0x0f;
    header_.masked = (raw_[1] & 0x80) != 0;
    header_.length = raw_[1] & 0x7f;
    std::size_t at = 2;
    if (header_.length >= 126) {
        const unsigned bytes = header_.length == 126 ? 2 : 8;
        const std::uint64_t least = bytes == 2 ? 126 : 0x10000;
        header_.length = 0;
        for (unsigned i = 0; i < bytes; ++i) header_.length = header_.length << 8 | raw_[at++];
        if (header_.length < least) error_ = "the length is not in its shortest form";
        if (header_.length >> 63 != 0) error_ = "the length has its highest bit set";
    }
    if (header_.masked) std::copy_n(raw_.begin() + static_cast<std::ptrdiff_t>(at), 4, header_.key.begin());
    if ((raw_[0] & 0x70) != 0) error_ = "a reserved bit is set";
    const bool control = (header_.opcode & 8) != 0;
    if (header_.opcode > pong || (header_.opcode > binary && !control)) error_ = "the opcode is reserved";
    if (control && (!header_.fin || header_.length > 125))
        error_ = "a control frame is fragmented or too long";
}

}  // namespace hawser::bench
