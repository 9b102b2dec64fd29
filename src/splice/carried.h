// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "net/address.h"

namespace hawser::splice {

// What a node must know of a tunnel over a VIP to carry it on. Plain values: nothing in it is this machine's but
// the meaning of its addresses.

// A tunnel among all nodes: the tables in which it began, and its id there.
struct Identity {
    std::uint64_t origin = 0;  // Vips::origin(); never 0
    std::uint64_t id = 0;
    auto operator<=>(const Identity&) const = default;
};

// One direction. Numbers are those of TCP (RFC 9293, 7323) as the sender of the direction writes them.
struct CarriedFlow {
    std::uint32_t sequence_delta = 0, acknowledgment_delta = 0, tsval_delta = 0, tsecr_delta = 0;  // to add
    std::uint8_t window_scale = 0;  // of the sender's window field, 0..14
    std::int8_t window_shift = 0;   // left when positive; -14..14
    std::uint32_t largest_segment = 0;  // payload and options that the receiver takes; 0 = any
    // As they were when the value was made.
    std::uint64_t sequence_end = 0, sequence_base = 0;  // layout::flow
    std::uint32_t acknowledged = 0, window = 0, tsval = 0;
    bool operator==(const CarriedFlow&) const = default;
};

struct Carried {
    Identity identity;
    std::uint8_t protocol = 0;                   // IPPROTO_TCP, IPPROTO_UDP
    bool l4 = false;                             // a Service of the kernel's; else an L7 tunnel after its handshake
    bool timestamps = false, blank_sack = false;  // layout::flow_timestamps, flow_blank_sack
    // What the client sends, and what that becomes. The VIP is frontend.ip, and towards_endpoint.ip.
    net::SocketAddress client, frontend, towards_endpoint, endpoint;
    CarriedFlow from_client, from_endpoint;
    std::chrono::system_clock::time_point started;
    std::chrono::seconds idle{0};  // idle timeout; 0 = none
    net::SocketAddress told_client;  // after real_ip
    std::uint64_t bytes_in = 0, bytes_out = 0;    // moved before the flows counted
    std::uint32_t frames_in = 0, frames_out = 0;
    std::string route, service, endpoint_name, kind;  // at most layout::name_size - 1 bytes; kind: "websocket"
    bool operator==(const Carried&) const = default;
};

// The tunnel has ended.
struct Gone {
    Identity identity;
    std::uint8_t protocol = 0;
    net::SocketAddress client, frontend;  // where it is found
    bool operator==(const Gone&) const = default;
};

}  // namespace hawser::splice
