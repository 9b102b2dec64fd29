// SPDX-License-Identifier: Apache-2.0
#include "bench/crowd/segment.h"

#include <cstring>

namespace hawser::bench {

namespace {

constexpr std::size_t ip_head = 20, tcp_head = 20;
constexpr std::uint8_t protocol_tcp = 6;

std::uint16_t get_16(const std::uint8_t* at) { return static_cast<std::uint16_t>(at[0] << 8 | at[1]); }
std::uint32_t get_32(const std::uint8_t* at) { return std::uint32_t{get_16(at)} << 16 | get_16(at + 2); }

std::uint8_t* put_16(std::uint8_t* at, std::uint32_t value) {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value);
    return at + 2;
}
std::uint8_t* put_32(std::uint8_t* at, std::uint32_t value) { return put_16(put_16(at, value >> 16), value); }

// RFC 1071, not folded. Only the last piece of a sum may have an odd size.
std::uint64_t sum_of(std::span<const std::uint8_t> bytes) {
    std::uint64_t sum = 0;
    std::size_t i = 0;
    for (; i + 1 < bytes.size(); i += 2) sum += get_16(&bytes[i]);
    if (i < bytes.size()) sum += std::uint32_t{bytes[i]} << 8;
    return sum;
}

std::uint32_t checksum(std::uint64_t sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint32_t>(~sum & 0xffff);
}

void find_timestamps(std::span<const std::uint8_t> options, Segment& out) {
    for (std::size_t i = 0; i < options.size();) {
        const std::uint8_t kind = options[i];
        if (kind == 0) return;
        if (kind == 1) {
            ++i;
            continue;
        }
        if (i + 1 >= options.size() || options[i + 1] < 2 || i + options[i + 1] > options.size()) return;
        if (kind == 8 && options[i + 1] == 10) {
            out.tsval = get_32(&options[i + 2]);
            out.tsecr = get_32(&options[i + 6]);
        }
        i += options[i + 1];
    }
}

std::uint8_t* put_options(const Segment& segment, std::uint8_t* at) {
    if (segment.has(tcp_syn)) {
        at = put_32(at, 0x020405b4);  // MSS 1460
        at = put_16(at, 0x0402);      // SACK permitted
        at = put_32(put_32(put_16(at, 0x080a), segment.tsval), segment.tsecr);
        return put_32(at, 0x01030307);  // window scale 7
    }
    at = put_32(at, 0x0101080a);
    return put_32(put_32(at, segment.tsval), segment.tsecr);
}

}  // namespace

std::optional<Segment> parse_segment(std::span<const std::uint8_t> packet) {
    if (packet.size() < ip_head || packet[0] >> 4 != 4 || packet[9] != protocol_tcp) return std::nullopt;
    const std::size_t head = std::size_t{packet[0]} % 16 * 4;
    const std::size_t size = get_16(&packet[2]);
    const bool is_fragment = (get_16(&packet[6]) & 0x3fff) != 0;
    if (head < ip_head || size > packet.size() || size < head + tcp_head || is_fragment) return std::nullopt;
    const std::uint8_t* tcp = &packet[head];
    const std::size_t offset = std::size_t{tcp[12]} / 16 * 4;
    if (offset < tcp_head || head + offset > size) return std::nullopt;
    Segment out;
    out.source = get_32(&packet[12]);
    out.destination = get_32(&packet[16]);
    out.source_port = get_16(tcp);
    out.destination_port = get_16(tcp + 2);
    out.sequence = get_32(tcp + 4);
    out.acknowledgment = get_32(tcp + 8);
    out.flags = tcp[13];
    out.window = get_16(tcp + 14);
    find_timestamps(packet.subspan(head + tcp_head, offset - tcp_head), out);
    out.payload = packet.subspan(head + offset, size - head - offset);
    return out;
}

std::size_t write_segment(const Segment& segment, std::uint8_t* out) {
    std::uint8_t* const tcp = out + ip_head;
    std::uint8_t* const body = put_options(segment, tcp + tcp_head);
    if (!segment.payload.empty()) std::memcpy(body, segment.payload.data(), segment.payload.size());
    const auto size =
        static_cast<std::uint32_t>(body - out) + static_cast<std::uint32_t>(segment.payload.size());

    std::uint8_t* at = put_32(out, 0x45000000 | size);
    at = put_32(at, 0x00004000);  // do not fragment
    at = put_32(at, 64U << 24 | std::uint32_t{protocol_tcp} << 16);
    at = put_32(put_32(at, segment.source), segment.destination);
    put_16(out + 10, checksum(sum_of({out, ip_head})));

    at = put_32(at, std::uint32_t{segment.source_port} << 16 | segment.destination_port);
    at = put_32(put_32(at, segment.sequence), segment.acknowledgment);
    const auto words = static_cast<std::uint32_t>(body - tcp) / 4;
    at = put_16(at, words << 12 | segment.flags);
    put_32(put_16(at, segment.window), 0);
    const std::uint64_t pseudo = sum_of({out + 12, 8}) + protocol_tcp + (size - ip_head);
    put_16(tcp + 16, checksum(pseudo + sum_of({tcp, size - ip_head})));
    return size;
}

}  // namespace hawser::bench
