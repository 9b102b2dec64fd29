// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "im/database.h"
#include "im/nats_batch.h"
#include "im/nats_connection.h"
#include "im/store.h"
#include "im/worker.h"

namespace hawser::im {

// The store of many replicas: one JetStream stream is the log, and each replica keeps a view of it in SQLite,
// which answers every question about history.
//
// A replica appends to a room by publishing with the condition that the room's newest entry is the one that
// its view ends with (Nats-Expected-Last-Subject-Sequence). So an append succeeds only if the replica had
// seen everything of that room: the number it gives is the next one, and a message id that it did not find is
// not there. Refused, it waits for its view to come up, looks again, and tries again. One entry per room is
// under way at a time; what arrives meanwhile goes into the next entry. A message is acknowledged when its
// entry has come back on the stream.
class NatsStore final : public Store {
  public:
    struct Options {
        std::string url;
        std::string pod;
        int replicas = 1;
        std::string view_path;  // SQLite file of the view; "": a temporary one
        std::string stream = "HAWSER_IM";
        std::chrono::milliseconds patience{15'000};  // with one append, before it is answered with an error
    };
    static constexpr std::size_t most_waiting = 20'000;
    static constexpr std::size_t most_in_an_entry = 200;
    static constexpr std::size_t longest_entry = 256 * 1024;  // bytes of text; NATS carries 1 MiB
    static constexpr std::chrono::milliseconds flight_time{3'000};

    static net::Result<std::unique_ptr<NatsStore>> open(Options options, Post post);
    ~NatsStore() override;

    void start(Events events) override;
    void append(Draft draft, Answer<Appended> answer) override;
    void read(HistoryQuery query, Answer<HistoryPage> answer) override;
    void send_signal(Signal signal) override;
    // Waits up to `patience` for NATS.
    net::Result<std::string> shared_secret(const std::string& candidate) override;
    void tick() override {}
    void stop() override;

  private:
    using Clock = std::chrono::steady_clock;
    struct Waiting {
        Draft draft;
        Answer<Appended> answer;
        Clock::time_point since;
    };
    struct Room {
        std::deque<Waiting> waiting;
        std::vector<Waiting> in_flight;
        std::uint64_t flight = 0;    // number of the entry under way
        std::uint64_t expected = 0;  // the position that it was published behind
        Clock::time_point sent{};
    };

    NatsStore(Options options, Post post, std::unique_ptr<NatsConnection> nats, Database view);

    // On the follower's thread.
    void follow();
    bool subscribe();
    void take(NatsConnection::Delivered first);
    void watch();
    void pause() const;

    // On the worker.
    void set_connected(bool connected);
    void start_view(const std::string& epoch, std::uint64_t target);
    void apply(std::vector<Entry> entries);
    void caught_up_if(std::uint64_t position);
    void enqueue(Waiting waiting);
    void pump(const std::string& name);
    void publish(const std::string& name, Room& room, const RoomEnd& end);
    void refused(std::uint64_t flight, const std::string& why);
    void land(const std::string& name);
    void answer(const Waiting& waiting, net::Result<Appended> result);
    void retry();
    void set_ready(bool ready);
    void fail_all();

    Options options_;
    Post post_;
    std::unique_ptr<NatsConnection> nats_;
    Database view_;  // of worker_
    Events events_;
    std::string writer_;  // unique to this process
    std::string inbox_;
    std::atomic<bool> stopping_ = false;
    std::atomic<bool> resubscribe_ = false;
    std::atomic<std::size_t> waiting_ = 0;
    std::atomic<std::size_t> applying_ = 0;  // batches posted to the worker and not yet applied

    // Of the follower.
    std::optional<NatsConnection::Reader> reader_;
    unsigned generation_ = 0;
    std::int64_t created_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t watched_ = 0;  // received_ at the last watch()

    // Of the worker.
    std::map<std::string, Room> rooms_;
    std::map<std::uint64_t, std::string> flights_;
    std::uint64_t next_flight_ = 1;
    std::string epoch_;
    std::uint64_t target_ = 0;  // the view is complete from this position on
    bool caught_up_ = false;
    bool ready_ = false;
    bool broken_ = false;  // an entry could not be applied: nothing more until the stream is read anew
    bool told_ = false;    // Events::history for this epoch

    std::thread follower_;
    Worker worker_;
};

}  // namespace hawser::im
