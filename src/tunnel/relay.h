// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>
#include <string>

#include "net/socket.h"
#include "net/timer.h"
#include "tunnel/frame_tracker.h"
#include "tunnel/splicer.h"
#include "tunnel/tunnel.h"

namespace hawser::tunnel {

class Registry;

// Moves the bytes of one tunnel in user space. Readiness-driven: an idle relay owns no buffer; a slow reader
// costs at most 64 KiB a direction, because nothing is read for it while that waits. Lives in a Registry.
class Relay : private net::ReadinessListener, private net::Timer, public boost::intrusive::list_base_hook<> {
  public:
    struct Ends {
        std::unique_ptr<net::Socket> client;
        std::unique_ptr<net::Socket> endpoint;
        // Bytes that were read before the tunnel began: from the client for the endpoint, and the other way.
        std::string early_from_client;
        std::string early_from_endpoint;
        // Goes with the sockets: once the kernel carries the tunnel, or at its end. May be null.
        std::shared_ptr<void> companion;
    };
    Relay(Registry& registry, Tunnel tunnel, Ends ends, std::unique_ptr<Epilogue> epilogue);
    ~Relay() override;

    // The value as it is now.
    [[nodiscard]] Tunnel snapshot() const;
    [[nodiscard]] std::uint64_t id() const { return tunnel_.id; }

    void start();
    // Ends it now: RST to both ends.
    void kill(CloseReason reason);
    // WebSocket: a Close frame to both ends at the next frame boundary, then FIN; the ends have `grace` to
    // finish. Other protocols go on until `grace` is over.
    void drain(std::uint16_t code, std::string_view reason, net::Duration grace);
    [[nodiscard]] bool draining() const { return drain_code_ != 0; }
    // The kernel carries it already; the sockets are about to be closed.
    [[nodiscard]] bool is_spliced() const {
        return departure_ && departure_->hand_off && departure_->hand_off->is_spliced();
    }

  private:
    // One direction: what was read from `from` and is owed to `to`.
    struct Direction {
        std::unique_ptr<char[]> pending;
        std::uint32_t pending_begin = 0, pending_end = 0;
        bool source_finished = false;  // FIN was read
        bool fin_sent = false;         // to `to`: FIN was passed on, or follows our Close frame
        [[nodiscard]] bool finished() const { return source_finished && fin_sent; }
        bool discarding = false;  // a Close frame of ours ended this direction
        std::uint64_t bytes = 0;
        FrameTracker frames;
    };
    enum class Progress : std::uint8_t { blocked, more, ended };
    // On its way into the kernel, while that lasts.
    struct Departure : net::Timer {
        Departure(Relay& r) : relay(r) {}
        void on_timer() override { relay.depart(); }
        Relay& relay;
        std::unique_ptr<HandOff> hand_off;  // null until it has begun
        unsigned tries = 0;
    };

    void on_readiness(net::Socket& socket) override;
    void on_timer() override;
    void pump();
    Progress move(Direction& direction, net::Socket& from, net::Socket& to, Side from_side);
    bool flush(Direction& direction, net::Socket& to, Side to_side);
    // Sends what it can and keeps the rest. False: the tunnel has ended.
    bool forward(Direction& direction, net::Socket& to, Side to_side, const char* bytes, std::size_t size);
    std::size_t account(Direction& direction, Side from_side, const char* bytes, std::size_t size);
    void inject_close(Direction& direction, net::Socket& to, Side to_side);
    void keep(Direction& direction, const char* bytes, std::size_t size);
    void failed(Side side, int error);
    void depart();
    void advance_hand_off();
    void enter_transit();
    void leave_to_the_kernel();
    [[nodiscard]] bool in_transit() const {
        return departure_ && departure_->hand_off && !departure_->hand_off->can_turn_back();
    }
    void end(CloseReason reason, bool with_reset);

    Registry& registry_;
    Tunnel tunnel_;
    std::unique_ptr<net::Socket> client_;
    std::unique_ptr<net::Socket> endpoint_;
    Direction up_;    // client -> endpoint
    Direction down_;  // endpoint -> client
    net::TimePoint started_;
    net::TimePoint last_activity_;
    std::unique_ptr<Epilogue> epilogue_;  // with the splicer in transit
    std::shared_ptr<void> companion_;     // Ends::companion
    std::string close_reason_text_;       // of drain()
    std::uint16_t drain_code_ = 0;        // not 0: draining
    net::TimePoint drain_deadline_;
    bool keep_alive_ = false;  // the sockets' keepalive is on
    std::unique_ptr<Departure> departure_;
    bool ended_ = false;
};

// All tunnels of one worker. The worker's thread only.
class Registry : private Home {
  public:
    // `first_id`: ids begin above it. `splicer` takes tunnels over; null = none does. It outlives the
    // registry's loop.
    Registry(net::Loop& loop, unsigned worker, unsigned workers, std::uint64_t first_id = 0,
             Splicer* splicer = nullptr)
        : loop_(loop), next_id_(first_id + worker + 1), id_step_(workers), splicer_(splicer) {}
    ~Registry() override;
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // Gives the tunnel its id and starts the relay.
    Relay& add(Tunnel tunnel, Relay::Ends ends, std::unique_ptr<Epilogue> epilogue);
    [[nodiscard]] std::size_t size() const { return size_; }
    void each(const std::function<void(Relay&)>& visit);
    // False: no such tunnel here.
    bool kill(std::uint64_t id);

    net::Loop& loop() { return loop_; }
    // Bytes and frames of tunnels that have ended.
    struct Totals {
        std::uint64_t opened = 0, closed = 0, bytes_in = 0, bytes_out = 0, frames_in = 0, frames_out = 0;
    };
    // Of all tunnels, the live ones included.
    [[nodiscard]] Totals totals() const;

  private:
    friend class Relay;
    void remove(Relay& relay);
    void count_end(const Tunnel& tunnel);
    void ended(const Tunnel& tunnel, std::unique_ptr<Epilogue> epilogue) override;

    net::Loop& loop_;
    std::uint64_t next_id_;
    std::uint64_t id_step_;
    Splicer* splicer_;
    boost::intrusive::list<Relay, boost::intrusive::constant_time_size<false>> relays_;
    std::size_t size_ = 0;
    Totals ended_;
};

}  // namespace hawser::tunnel
