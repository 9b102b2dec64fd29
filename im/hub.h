// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "im/delivery.h"
#include "im/limits.h"
#include "im/metrics.h"
#include "im/presence.h"
#include "im/protocol.h"
#include "im/store.h"
#include "im/token.h"

namespace hawser::im {

// The chat: sessions from sign-in to close, their requests and limits. Belongs to one thread; time comes from
// tick() and the clock it was made with.
class Hub {
  public:
    using Clock = std::chrono::steady_clock;
    using TimePoint = Clock::time_point;
    static constexpr std::chrono::milliseconds last_words{
        2'000};  // a leaving session waits so long for its acks
    static constexpr std::chrono::milliseconds typing_pace{1'000};
    static constexpr unsigned most_sign_in_attempts = 3;
    static constexpr std::size_t most_listed = 500;  // rooms or users in one answer

    struct Options {
        std::string pod;
        std::string secret;
        std::vector<std::string> rooms;  // listed even when nobody ever wrote there
        Limits limits;
    };

    Hub(Options options, Store& store, Metrics& metrics, std::function<TimePoint()> clock);

    // What the store has to be started with.
    Store::Events events();

    // A WebSocket was opened. `connection` must live until closed().
    SessionId opened(Connection& connection);
    void frame(SessionId id, std::string_view text);  // a text message of the client
    void drained(SessionId id);                       // its queue has become short
    void closed(SessionId id);

    // To be called every 50 ms or so.
    void tick();

    // Stores a message for a session or the REST interface. Checks nothing.
    void append(Draft draft, Store::Answer<Appended> answer);

    // Whether the room is there or may be made.
    [[nodiscard]] bool has_place_for(const std::string& room) const {
        return delivery_.last(room) != 0 || delivery_.room_count() < options_.limits.max_rooms;
    }

    [[nodiscard]] bool ready() const { return ready_ && !draining_; }
    [[nodiscard]] bool draining() const { return draining_; }
    [[nodiscard]] std::vector<RoomInfo> rooms() const;
    [[nodiscard]] std::vector<User> users() const { return presence_.users(most_listed * 20); }

    // Not ready from now on; closes every session with 1001, spread over `spread`, each after its acks.
    void drain(std::chrono::milliseconds spread);
    [[nodiscard]] bool empty() const { return sessions_.empty(); }

  private:
    struct Session {
        Connection* connection = nullptr;
        std::string name;  // empty: not signed in
        TimePoint opened{};
        Allowance allowance;
        unsigned strikes = 0;
        unsigned attempts = 0;
        unsigned pending = 0;  // appends without an answer
        TimePoint typed{};
        TimePoint leaving{};  // when the drain came to it
        bool closing = false;
    };

    void handle(SessionId id, Session& session, const Request& request);
    void on(SessionId id, Session& session, const SignIn& sign_in, const std::string& ref);
    void on(SessionId id, Session& session, const Join& join, const std::string& ref);
    void on(SessionId id, Session& session, const Leave& leave, const std::string& ref);
    void on(SessionId id, Session& session, const Send& send, const std::string& ref);
    void on(SessionId id, Session& session, const Typing& typing, const std::string& ref);
    void on(SessionId id, Session& session, const History& history, const std::string& ref);
    void on(SessionId id, Session& session, const ListRooms& list, const std::string& ref);
    void on(SessionId id, Session& session, const ListUsers& list, const std::string& ref);
    void on(SessionId id, Session& session, const Ping& ping, const std::string& ref);

    Session* find(SessionId id);
    bool allowed(Session& session);
    void refuse(Session& session, std::string_view code, std::string message, const std::string& ref,
                const std::string& id = {});
    void close(Session& session, CloseCode code, std::string reason);
    void close_all(CloseCode code, const std::string& reason);
    void drain_some(TimePoint now);

    void got_history(const std::string& epoch, std::vector<RoomInfo> rooms);
    void got_messages(const std::vector<Message>& messages);
    void got_signal(const Signal& signal);
    void set_ready(bool ready);

    Options options_;
    Store& store_;
    Metrics& metrics_;
    std::function<TimePoint()> clock_;
    std::string instance_;
    Delivery delivery_;
    Presence presence_;
    std::unordered_map<SessionId, Session> sessions_;
    SessionId next_id_ = 1;
    std::string epoch_;  // empty: the store has not told yet
    bool ready_ = false;
    bool draining_ = false;
    TimePoint drain_began_{};
    TimePoint store_ticked_{};
    std::chrono::milliseconds drain_spread_{};
    std::vector<SessionId> to_drain_;
    std::size_t drained_ = 0;
};

}  // namespace hawser::im
