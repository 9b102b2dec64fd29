// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "catalog/snapshot.h"
#include "splice/hand_off.h"
#include "splice/interfaces.h"
#include "splice/inventory.h"
#include "splice/names.h"
#include "splice/ports.h"
#include "splice/program.h"
#include "splice/replicas.h"
#include "splice/services.h"
#include "splice/vips.h"

namespace hawser::splice {

// The kernel's part of the data path, with a thread of its own that looks after it. Destroying it leaves
// programs, tables and tunnels as they are.
class Plane final : public tunnel::Splicer {
  public:
    struct Options {
        Program::Options program;
        // Source ports towards endpoints: the lower half for L4 clients whose address is replaced, the upper
        // for connections of the gateway.
        std::uint16_t port_low = 10'240, port_high = 29'999;
        Services::Options services;
        Inventory::Limits limits;
        // Tunnels over VIPs are told to other nodes, and taken from them: VIPs are held (vips()), or nobody carries them.
        bool shares = false;
        std::chrono::milliseconds quiet_time{5'000};  // Vips::contest()
    };
    // Called on the plane's thread, and must not block for long.
    struct Callbacks {
        std::function<void(const std::string& line)> warning;
        Inventory::Callbacks tunnels;
    };
    // The error says in a word or two why the splice is off on this machine.
    static net::Result<std::unique_ptr<Plane>> open(const Options& options, Callbacks callbacks);
    ~Plane() override;

    // Splicer
    std::unique_ptr<tunnel::HandOff> begin(const tunnel::Tunnel& tunnel, int client, int endpoint,
                                           const char*& why_not) override;
    void take_over(std::uint64_t id, tunnel::Home& home, std::unique_ptr<tunnel::Epilogue> epilogue) override;
    std::unique_ptr<tunnel::Epilogue> give_back(std::uint64_t id) override;

    // Upstream connections of tunnels that may be spliced: the endpoint is told no larger segments than the
    // path to `client` (a connected socket) carries. Any thread.
    net::Result<net::Fd> connect(const net::SocketAddress& to, int client);
    // Ends the thread; nothing is called back after that.
    void stop();
    // After stop(), and after the relays' threads have ended: lets go of what they left here (Epilogue).
    void forget_relays() { inventory_.forget_tails(); }
    // The smallest MSS that a path to an endpoint was found to carry: what listeners should tell clients.
    [[nodiscard]] SmallestMss& smallest_mss() { return smallest_mss_; }
    [[nodiscard]] Vips& vips() { return vips_; }
    [[nodiscard]] SharedTunnels& shared_tunnels() { return replicas_; }

    // Programs the L4 services; returns when it is done. What could not be written is in the diagnostics.
    catalog::Diagnostics apply(std::shared_ptr<const catalog::Snapshot> snapshot);

    [[nodiscard]] std::vector<tunnel::Tunnel> tunnels(std::uint64_t after, std::size_t limit) const {
        return inventory_.list(after, limit);
    }
    [[nodiscard]] std::optional<tunnel::Tunnel> tunnel(std::uint64_t id) const { return inventory_.find(id); }
    bool kill(std::uint64_t id) { return inventory_.kill(id); }
    [[nodiscard]] std::uint64_t highest_id() const { return inventory_.highest_id(); }
    [[nodiscard]] bool adopted() const { return program_->adopted(); }

    struct Stats {
        Inventory::Counts tunnels;
        std::uint64_t handed_off = 0, refused = 0;
        std::uint64_t counts[layout::counters] = {};
        double program_seconds = 0;  // the last apply()
        std::uint64_t programmed = 0, written = 0;
    };
    [[nodiscard]] Stats stats() const;

  private:
    Plane(const Options& options, Callbacks callbacks, std::unique_ptr<Program> program);
    template <class Work>
    auto ask(Work work);

    // Every few minutes: what nobody needs any more goes out of the tables.
    struct Housekeeping : net::Timer {
        explicit Housekeeping(Plane& p) : plane(p) {}
        void on_timer() override;
        Plane& plane;
    };

    net::Loop loop_;
    Callbacks callbacks_;
    std::unique_ptr<Program> program_;
    Names names_;
    Vips vips_;
    Interfaces interfaces_;
    Inventory inventory_;
    Replicas replicas_;
    Services services_;
    Ports ports_;
    Housekeeping housekeeping_{*this};
    SmallestMss smallest_mss_;
    std::atomic<std::uint64_t> handed_off_{0}, refused_{0}, programmed_{0}, written_{0}, program_micros_{0};
    std::thread thread_;
};

// A word for a counter of the program, as metrics name it.
const char* to_string(layout::counter counter);

}  // namespace hawser::splice
