// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/crowd/segment.h"
#include "bench/generator/socket.h"

namespace hawser::bench {

using MacAddress = std::array<std::uint8_t, 6>;

// "02:00:00:00:00:01"; throws std::invalid_argument.
MacAddress parse_mac(const std::string& text);

// IPv4 packets on an Ethernet interface, past the kernel's own stack: those that come in, and ours to one
// neighbour. Needs CAP_NET_RAW. Failures throw std::system_error.
class PacketSocket {
  public:
    PacketSocket(const std::string& interface, MacAddress neighbour);

    // Waits at most `timeout_ms` for packets, and also for `other` (-1: nothing else). The packets, from the
    // IPv4 header on, are valid until the next call.
    std::span<const std::span<const std::uint8_t>> receive(int timeout_ms, int other = -1);

    // Queues a segment; what is queued goes out when there is much of it, and with flush().
    void send(const Segment& segment);
    void flush();
    // Packets that the kernel threw away because they were not taken in time.
    std::uint64_t lost();

  private:
    static constexpr std::size_t batch = 256, frame_size = 2048;

    Fd fd_;
    MacAddress own_{}, neighbour_;
    std::vector<std::uint8_t> in_, out_;
    std::vector<std::span<const std::uint8_t>> packets_;
    std::array<std::size_t, batch> out_sizes_{};
    std::size_t queued_ = 0;
    std::uint64_t lost_ = 0;
};

}  // namespace hawser::bench
