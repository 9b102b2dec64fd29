// SPDX-License-Identifier: Apache-2.0
#include "gateway/stats.h"

namespace hawser::gateway {

std::string_view to_string(Handshake result) {
    switch (result) {
        case Handshake::accepted:
            return "accepted";
        case Handshake::no_connection_upgrade:
            return "no_connection_upgrade";
        case Handshake::endpoint_saw_no_upgrade:
            return "endpoint_saw_no_upgrade";
        case Handshake::endpoint_refused:
            return "endpoint_refused";
        case Handshake::endpoint_unreachable:
            return "endpoint_unreachable";
        case Handshake::bad_101:
            return "bad_101";
        case Handshake::answered_here:
            return "answered_here";
    }
    return "?";
}

void Stats::add(const Stats& other) {
    accepted += other.accepted;
    connections += other.connections;
    for (const auto& [cause, n] : other.refused) refused[cause] += n;
    out_of_descriptors += other.out_of_descriptors;
    for (const auto& [status, n] : other.requests) requests[status] += n;
    for (const auto& [result, n] : other.handshakes) handshakes[result] += n;
    bad_requests += other.bad_requests;
    bytes_from_clients += other.bytes_from_clients;
    bytes_to_clients += other.bytes_to_clients;
    for (const auto& [name, theirs] : other.services) {
        PerService& ours = services[name];
        ours.tunnels_active += theirs.tunnels_active;
        ours.tunnels_opened += theirs.tunnels_opened;
        ours.bytes_in += theirs.bytes_in;
        ours.bytes_out += theirs.bytes_out;
        ours.frames_in += theirs.frames_in;
        ours.frames_out += theirs.frames_out;
        for (std::size_t i = 0; i < ours.durations.size(); ++i) ours.durations[i] += theirs.durations[i];
        ours.duration_sum += theirs.duration_sum;
    }
    for (const auto& [key, n] : other.tunnels_closed) tunnels_closed[key] += n;
    for (const auto& [key, n] : other.endpoint_attempts) endpoint_attempts[key] += n;
    udp_flows += other.udp_flows;
    udp_datagrams_in += other.udp_datagrams_in;
    udp_datagrams_out += other.udp_datagrams_out;
    udp_dropped += other.udp_dropped;
    idle_endpoint_connections += other.idle_endpoint_connections;
}

}  // namespace hawser::gateway
