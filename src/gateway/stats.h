// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>

#include "tunnel/tunnel.h"

namespace hawser::gateway {

// How a WebSocket (or other upgrade) handshake ended. The cause is what the log says in words.
enum class Handshake : std::uint8_t {
    accepted,
    no_connection_upgrade,    // the client sent Upgrade without Connection: upgrade
    endpoint_saw_no_upgrade,  // the configuration does not pass Upgrade on
    endpoint_refused,         // any answer but 101
    endpoint_unreachable,     // 502, 504
    bad_101,        // 101 without being asked, for another protocol, or with a wrong Sec-WebSocket-Accept
    answered_here,  // a return, a redirect, an access rule, a limit answered
};
std::string_view to_string(Handshake result);

// Upper bounds of the tunnel duration histogram, in seconds: from a blink to a month.
inline constexpr std::array<double, 12> duration_bounds{0.1,  1,     10,    60,    300,    900,
                                                        3600, 14400, 43200, 86400, 604800, 2592000};

// Counters of one worker since its start, or of all workers together. Plain numbers: a worker counts without
// atomics and hands out copies.
struct Stats {
    std::uint64_t accepted = 0;                       // connections
    std::uint64_t connections = 0;                    // now, tunnels not included
    std::map<std::string, std::uint64_t> refused;     // by cause: "max_connections", "per_client", "rate",
                                                      // "no_endpoint", "descriptors", "drained"
    std::uint64_t out_of_descriptors = 0;             // times that accepting was suspended
    std::map<std::uint16_t, std::uint64_t> requests;  // by status
    std::map<Handshake, std::uint64_t> handshakes;
    std::uint64_t bad_requests = 0;                              // did not parse
    std::uint64_t bytes_from_clients = 0, bytes_to_clients = 0;  // HTTP, tunnels not included

    struct PerService {
        std::uint64_t tunnels_active = 0, tunnels_opened = 0;
        std::uint64_t bytes_in = 0, bytes_out = 0, frames_in = 0,
                      frames_out = 0;                                       // of tunnels, live ones included
        std::array<std::uint64_t, duration_bounds.size() + 1> durations{};  // not cumulative; last: longer
        double duration_sum = 0;                                            // seconds
        bool operator==(const PerService&) const = default;
    };
    std::map<std::string, PerService> services;
    // closed tunnels by service, who closed ("client", "endpoint", "hawser"), reason and WebSocket close code
    // (0: none)
    std::map<std::tuple<std::string, std::string, std::string, std::uint16_t>, std::uint64_t> tunnels_closed;
    // attempts to reach endpoints: service, endpoint, "ok" | "connect_error" | "timeout" | "reset" |
    // "invalid"
    std::map<std::tuple<std::string, std::string, std::string>, std::uint64_t> endpoint_attempts;
    std::uint64_t udp_flows = 0;  // now
    std::uint64_t udp_datagrams_in = 0, udp_datagrams_out = 0, udp_dropped = 0;
    std::uint64_t idle_endpoint_connections = 0;  // in the keep-alive pools, now

    void add(const Stats& other);
};

}  // namespace hawser::gateway
