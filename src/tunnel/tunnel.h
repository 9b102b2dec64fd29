// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"

namespace hawser::tunnel {

enum class Side : std::uint8_t { client, endpoint };
std::string_view to_string(Side side);

enum class Kind : std::uint8_t {
    upgrade,
    tcp,
    udp
};  // after an HTTP 101, or an L4 service from the first packet
std::string_view to_string(Kind kind);

// Why a tunnel ended. Together with `closed_by` it says who did it.
enum class CloseReason : std::uint8_t {
    finished,   // both ends sent FIN, or one sent it and the other followed
    reset,      // RST
    timed_out,  // the kernel gave up on a peer (keepalive, TCP_USER_TIMEOUT)
    idle,       // nothing was said for the idle timeout
    killed,     // `hawser kill tunnel`
    drained,    // this process goes, or the frontend is gone
    moved,      // another node has the VIP now, and has carried it to its end
    failed,     // our own trouble (out of descriptors, memory)
};
std::string_view to_string(CloseReason reason);

// One direction's counters.
struct Flow {
    std::uint64_t bytes = 0;   // read from that side
    std::uint64_t frames = 0;  // WebSocket frames; 0 for other protocols
    std::optional<std::uint16_t> close_code;
};

// A client connection joined to an endpoint connection: a value that can be copied, listed, logged and sent
// elsewhere.
struct Tunnel {
    std::uint64_t id = 0;  // unique in this process
    Kind kind = Kind::upgrade;
    std::string protocol;  // "websocket", or another Upgrade token; "tcp"
    std::string route;     // route id, or frontend id for L4
    std::string service;
    std::string endpoint_name;
    net::SocketAddress client;    // after real_ip
    net::SocketAddress frontend;  // what the client connected to
    net::SocketAddress endpoint;
    std::chrono::system_clock::time_point started;
    std::chrono::milliseconds idle_timeout{3'600'000};

    // "spliced", or in a word why the relay carries it. Static storage.
    const char* splice = "off";
    bool may_splice = true;  // the route allows it

    Flow from_client, from_endpoint;
    std::chrono::milliseconds idle{0};      // since the last byte, when the value was taken
    std::chrono::milliseconds duration{0};  // since `started`
    // Set at the end.
    std::optional<CloseReason> reason;
    std::optional<Side> closed_by;  // who began: first FIN, RST or Close frame; nothing = hawser
};

// One line for the log: `event` is "open" or "close".
std::string log_line(const Tunnel& tunnel, std::string_view event);

}  // namespace hawser::tunnel
