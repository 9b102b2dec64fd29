// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace hawser::bench {

// Tunnels whose ends are no sockets (bench/crowd): as many as there are addresses and ports. The addresses
// must be routed to the interface and be nobody's, or the kernel answers, too. Both sides need CAP_NET_RAW.
struct CrowdPlace {
    std::string interface;
    std::string gateway;      // MAC address of the neighbour that all packets go to
    std::string first;        // the first of our addresses
    std::uint32_t count = 1;  // how many, one after the other
};

struct CrowdServeOptions {
    CrowdPlace place;
    std::uint16_t port = 9080;  // of every address
};

struct CrowdLoadOptions {
    CrowdPlace place;
    std::string target;  // ADDRESS:PORT
    std::string host = "bench.test";
    std::uint64_t connections = 1000;
    std::uint64_t at_once = 256;  // handshakes under way
    double per_second = 0;        // new connections at most; 0 = as fast as they open
    std::uint64_t echoes = 1000;  // tunnels, chosen at random, that are asked for an echo at the end
    double open_timeout = 600;    // until all tunnels must be open
};

// Prints {"event":"listening"}; runs until `stop`. Throws std::invalid_argument and std::system_error.
void serve_crowd(const CrowdServeOptions& options, std::atomic<bool>& stop);

// Opens the tunnels; prints {"event":"progress",...} each second, {"event":"ready"} once all are open; then
// answers what comes until standard input ends; then asks `echoes` of them for an echo, and returns the
// report, one line of JSON. `ok`: nothing went wrong.
std::string load_crowd(const CrowdLoadOptions& options, bool& ok);

}  // namespace hawser::bench
