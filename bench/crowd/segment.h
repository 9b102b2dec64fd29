// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace hawser::bench {

enum TcpFlag : std::uint8_t { tcp_fin = 1, tcp_syn = 2, tcp_rst = 4, tcp_psh = 8, tcp_ack = 16 };

// A TCP segment in an IPv4 packet; all numbers in host order.
struct Segment {
    std::uint32_t source = 0, destination = 0;
    std::uint16_t source_port = 0, destination_port = 0;
    std::uint32_t sequence = 0, acknowledgment = 0;
    std::uint32_t tsval = 0, tsecr = 0;  // RFC 7323; 0 when the segment has no timestamps
    std::uint16_t window = 0;
    std::uint8_t flags = 0;
    std::span<const std::uint8_t> payload;  // of whoever made the segment

    [[nodiscard]] bool has(TcpFlag flag) const { return (flags & flag) != 0; }
    // How far it moves the sequence number.
    [[nodiscard]] std::uint32_t length() const {
        return static_cast<std::uint32_t>(payload.size()) + (has(tcp_syn) ? 1 : 0) + (has(tcp_fin) ? 1 : 0);
    }
};

// Nothing when `packet`, from its IPv4 header on, is not a whole TCP segment. Checksums are not looked at:
// between virtual interfaces they are often not written.
std::optional<Segment> parse_segment(std::span<const std::uint8_t> packet);

// IPv4 and TCP headers with all options.
inline constexpr std::size_t largest_segment_head = 20 + 40;

// Writes the packet with both checksums; returns its size. A SYN gets the options of a Linux SYN (MSS 1460,
// SACK permitted, timestamps, window scale 7), others timestamps. `out` has room for largest_segment_head +
// payload.
std::size_t write_segment(const Segment& segment, std::uint8_t* out);

}  // namespace hawser::bench
