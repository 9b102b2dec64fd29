// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/wire/histogram.h"

namespace hawser::bench {

enum class LoadMode : std::uint8_t {
    echo,  // each tunnel has one message under way; the time until it is back whole is its latency
    up,  // each tunnel sends messages as fast as they are taken; counted when the endpoint has answered them
    down,       // each tunnel asks for messages and counts what comes
    handshake,  // connect, upgrade, one echo, Close in both directions, end of stream; then again. The
                // latency is of it all
    connect,    // a TCP connection, reset once it is there; then again. The latency is of the connecting
    idle,  // opens the tunnels, says so, waits for the end of standard input, then asks each for one echo
};

struct LoadOptions {
    LoadMode mode = LoadMode::echo;
    std::string target;                // ADDRESS:PORT
    std::string host = "bench.test";   // Host header
    std::vector<std::string> sources;  // addresses to connect from, in turn; empty: the kernel chooses
    std::uint32_t spread = 1;       // each connection goes to one of so many addresses from the target's on
    std::uint64_t connections = 1;  // in all threads together; for handshakes and connects: at once
    std::uint64_t size = 64;        // bytes of payload in a message
    double seconds = 2;             // measured
    double warmup = 0.3;            // before, with the same load
    double open_timeout = 30;       // all tunnels must be open by then
    unsigned threads = 1;
    bool hold = false;    // once all tunnels are open, say so and wait for the end of standard input
    bool verify = false;  // every byte that comes (for up: at the endpoint) against the MessageTape
};

struct LoadReport {
    std::uint64_t messages = 0;                   // or handshakes, within the measured seconds
    std::uint64_t bytes = 0;                      // of payload, within the measured seconds
    std::uint64_t opened = 0;                     // tunnels that reached the 101
    std::uint64_t alive = 0;                      // idle: tunnels that still echoed at the end
    double seconds = 0;                           // what the measurement really took
    double open_seconds = 0;                      // until all tunnels were open
    Histogram latency;                            // ns
    std::map<std::string, std::uint64_t> errors;  // what went wrong, how often
};

// Runs one load. While it runs, lines of JSON on standard output say where it is: {"event":"begin"} and
// {"event":"end"} around the measurement, {"event":"ready"} when the tunnels of an idle load are open, or of
// one that holds. Throws std::invalid_argument for options that make no sense; whatever else goes wrong is in
// the report.
LoadReport run_load(const LoadOptions& options);

// The report as one line of JSON.
std::string to_json(const LoadOptions& options, const LoadReport& report);

}  // namespace hawser::bench
