// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_set.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "net/loop.h"
#include "replication/channel.h"
#include "splice/shared_tunnels.h"

namespace hawser::replication {

// Two nodes that know each other, on one connection: news both ways, and the snapshot that makes up for what was missed.
// One loop's thread. Calls from the tunnels' thread come back by the loop, and find nobody once it is gone.
class Session {
  public:
    struct World {
        net::Loop& loop;
        splice::SharedTunnels& tunnels;
        std::function<void()> has_all_of_one;  // a session has_all() now
        std::uint64_t most_unapplied;  // messages that the other has not applied yet: its memory is bounded by ours
    };
    // `channel` is open, and outlives it. The other has said `hello`.
    Session(World& world, Channel& channel, Hello hello);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void begin();  // says which VIPs are here, and sends a snapshot
    // False: it was something that may not be said.
    bool take(Message message);
    void tell(const splice::Carried& tunnel);
    void tell(const splice::Gone& tunnel);
    void tell_vips();
    void say(const Hello& hello) { send(hello); }
    void send_snapshot();  // unless one is under way, which is then followed by another
    void drained() { go_on(); }
    void beat();  // every so often: what was applied, and a sign of life

    [[nodiscard]] const Hello& other() const { return hello_; }
    [[nodiscard]] Channel& channel() const { return channel_; }
    // Its snapshot is in our tables.
    [[nodiscard]] bool has_all() const { return has_all_; }
    [[nodiscard]] bool in_step() const { return snapshot_end_ != 0 && acknowledged_ >= snapshot_end_; }
    [[nodiscard]] std::uint64_t lag() const { return sent_ - acknowledged_; }
    [[nodiscard]] std::chrono::milliseconds lag_time() const;
    [[nodiscard]] const std::set<net::IpAddress>& vips() const { return vips_; }
    struct Counters {
        std::uint64_t sent = 0, received = 0, lost = 0, snapshots = 0, not_carried = 0;
    };
    [[nodiscard]] const Counters& counters() const { return counters_; }

  private:
    void send(const Message& message);
    template <class News>
    void tell_news(const News& news);
    void read_on();
    void go_on();
    void hear_now();
    void applied(std::uint64_t messages, const splice::SharedTunnels::Answer& answer, bool all);
    void settle_vips();

    World& world_;
    Channel& channel_;
    Hello hello_;
    std::set<net::IpAddress> vips_;  // that the other has
    // What we say.
    std::uint64_t sent_ = 0, acknowledged_ = 0;
    std::uint64_t vips_said_ = 0;      // the number of the last Owns
    std::uint64_t snapshot_end_ = 0;   // of the last SnapshotEnd
    std::deque<std::pair<std::uint64_t, net::TimePoint>> marks_;  // when messages were sent, now and then
    bool snapshot_runs_ = false, snapshot_again_ = false, reads_ = false;
    std::shared_ptr<splice::SharedTunnels::Reading> reading_;
    bool too_slow_ = false;
    // What we hear.
    std::uint64_t applied_ = 1;  // its Hello is one
    splice::SharedTunnels::Heard waiting_;
    std::uint64_t waiting_messages_ = 0;
    bool hears_soon_ = false;
    bool has_all_ = false;
    std::shared_ptr<boost::unordered_flat_set<std::uint64_t>> mentioned_;  // while it sends a snapshot
    std::set<net::IpAddress> snapshot_vips_;  // that it had when that began, and of which we had nothing to tell
    Counters counters_;
    std::shared_ptr<Session*> alive_;  // null inside once it is gone
};

}  // namespace hawser::replication
