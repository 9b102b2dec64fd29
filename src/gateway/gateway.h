// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/snapshot.h"
#include "gateway/stats.h"
#include "net/address.h"
#include "net/error.h"
#include "net/fd.h"
#include "tunnel/splicer.h"
#include "tunnel/tunnel.h"

namespace hawser::gateway {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

// Where the gateway's own words go (not access logs). Called from worker threads: must be thread-safe and
// must not block for long.
class LogSink {
  public:
    virtual ~LogSink() = default;
    virtual void write(LogLevel level, std::string_view line) = 0;
    // False: a line of this level would not be seen, so that it need not be made.
    [[nodiscard]] virtual bool wants(LogLevel level) const = 0;
};

struct Limits {
    std::size_t max_connections = 0;  // clients at a time, tunnels included; 0 = from RLIMIT_NOFILE
    std::size_t max_connections_per_client = 0;  // 0 = no limit
    double max_handshakes_per_second = 0;        // new connections of the whole process; 0 = no limit
    // Spliced tunnels count too. Not where only the descriptors, of which they have none, set the limit.
    bool count_spliced = true;
};

// What the kernel's part of the data path offers; all empty: there is none.
struct Splicing {
    tunnel::Splicer* splicer = nullptr;  // outlives the gateway
    // Starts a connection to an endpoint that may be spliced later; `client` is the other end's descriptor.
    std::function<net::Result<net::Fd>(const net::SocketAddress& endpoint, int client)> connect;
    // The MSS that new clients are to be told; large = as the kernel likes.
    std::function<std::uint32_t()> listener_mss;
    // Has `changed` called, on any thread, when that is another; empty: no more.
    std::function<void(std::function<void()> changed)> watch_listener_mss;
    const char* why_not = "off";        // there is none: why, in a word
    std::uint64_t first_tunnel_id = 0;  // ids of earlier processes end here
};

struct Options {
    unsigned workers = 0;  // 0 = one per core
    Limits limits;
    std::vector<net::Cidr> pod_cidrs;  // P-04, P-05
    std::string host_name;             // $hostname
    Splicing splicing;
};

// The user-space plane. All public functions are for one thread, the control thread; workers are threads of
// their own.
class Gateway {
  public:
    Gateway(Options options, std::shared_ptr<LogSink> log);
    ~Gateway();  // stops and joins
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    void start();

    // Makes a snapshot the one in force: opens listeners and log files that it needs and that are not open,
    // then tells the workers. On any error nothing has changed and every error is in the result. Live tunnels
    // are not touched; listeners that the snapshot does not have are closed.
    catalog::Diagnostics apply(std::shared_ptr<const catalog::Snapshot> snapshot);
    [[nodiscard]] std::shared_ptr<const catalog::Snapshot> current() const;  // null before the first apply

    // Asks all workers and waits for their answers (a turn of their loops).
    [[nodiscard]] std::vector<tunnel::Tunnel> tunnels() const;
    [[nodiscard]] Stats stats() const;
    bool kill_tunnel(std::uint64_t id);  // false: there is none
    // Closes and opens the access logs anew (after logrotate; nginx's USR1).
    void reopen_logs();

    // No new connections; requests end, tunnels get a Close frame (1001) spread evenly over `spread`, and
    // after `grace` what is left is cut. Returns at once; drained() tells when nothing is left.
    void drain(std::chrono::milliseconds spread, std::chrono::milliseconds grace);
    [[nodiscard]] bool drained() const;
    void stop();

    // Addresses that are listened on now, with the port the kernel gave for port 0: for tests and for the
    // log.
    struct Listening {
        std::string what;  // frontend id, or "http"
        net::SocketAddress address;
        bool udp = false;
    };
    [[nodiscard]] std::vector<Listening> listening() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace hawser::gateway
