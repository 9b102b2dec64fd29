// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/error.h"
#include "net/loop.h"
#include "replication/channel.h"
#include "splice/shared_tunnels.h"

namespace hawser::replication {

// What one can see of another node.
struct PeerStatus {
    std::string name;  // as it calls itself; "" = never connected
    net::SocketAddress address;
    bool connected = false;
    std::chrono::system_clock::time_point since;  // of being so
    std::string why_not;                          // the last failure, while it is not connected
    std::vector<net::IpAddress> vips;             // that it has
    bool in_step = false;                         // has heard of everything once, and applied it
    std::uint64_t sent = 0, received = 0;         // messages, of all connections
    std::uint64_t lag = 0;                        // messages that it has not applied yet
    std::chrono::milliseconds lag_time{0};        // since the oldest of them was sent
    std::uint64_t lost = 0;        // messages that it was too slow for; a snapshot makes up for them
    std::uint64_t snapshots = 0;   // that were sent to it
    std::uint64_t not_carried = 0; // tunnels of its that this node cannot carry on
};
struct Status {
    std::vector<PeerStatus> peers;
    std::uint64_t refused = 0;  // connections of those who had not the key, or did not speak this language
    unsigned part = 0, parts = 1;
};

// Tells all nodes that share VIPs with this one of its tunnels over them, and takes theirs. A thread of its own.
class Plane {
  public:
    struct Options {
        std::vector<net::SocketAddress> listen;  // all of one port, which is that of nodes that meet() names
        std::vector<net::SocketAddress> peers;   // besides those
        unsigned parts = 2;                      // into which the ports towards endpoints are divided, 1..16
        std::string name;                        // of this node, for people
        std::uint64_t most_unapplied = 65'536;   // messages under way to a peer; beyond, it gets a snapshot later
        Channel::Limits limits;
        std::chrono::milliseconds heartbeat{1'000}, first_retry{200}, last_retry{5'000};
    };
    struct Callbacks {
        std::function<void(bool warning, const std::string& line)> log;  // on the plane's thread
    };
    // `tunnels` outlives it.
    static net::Result<std::unique_ptr<Plane>> open(Options options, Key key, splice::SharedTunnels& tunnels,
                                                    Callbacks callbacks);
    ~Plane();  // as stop()
    Plane(const Plane&) = delete;
    Plane& operator=(const Plane&) = delete;

    // Any thread: another node of our VIPs is there. May be called very often.
    void meet(const net::IpAddress& node);
    // Any thread: whether that node is connected, and this one has heard of all its tunnels. A link-local address stands
    // for all nodes.
    [[nodiscard]] bool has_all_of(const net::IpAddress& node) const;
    [[nodiscard]] Status status();          // any thread, not after stop()
    void stop();                            // what was said until now is sent, for a moment at most

  private:
    class Peers;
    Plane();
    void run_on_thread(const std::function<void()>& work);

    struct Thread;
    std::unique_ptr<Thread> thread_;
};

}  // namespace hawser::replication
