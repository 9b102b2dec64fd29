// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "im/limits.h"
#include "im/protocol.h"
#include "im/store.h"

namespace hawser::im {

using SessionId = std::uint64_t;

// The connection of one session, as far as the chat needs it. Lives until Hub::closed().
class Connection {
  public:
    virtual ~Connection() = default;
    // Queues the frame. Never calls back into the caller.
    virtual void send(Frame frame) = 0;
    [[nodiscard]] virtual std::size_t queued_bytes() const = 0;
    // Sends what is queued, then Close. Further calls do nothing. Never calls back into the caller.
    virtual void close(CloseCode code, std::string reason) = 0;
    // About once a second: cuts the connection if a write or a close takes too long. Never calls back into
    // the caller.
    virtual void check(std::chrono::steady_clock::time_point now) = 0;
};

// Rooms, and how far each session has got in each of its rooms. Each session has a cursor per room: the next
// seq that it must get. A new message goes out at once to those whose cursor stands at it and whose queue is
// short; everyone else is behind, and is brought up from the store, a page at a time, as their queue drains.
// So nobody misses a number or gets one twice, and a slow reader costs a bounded queue.
class Delivery {
  public:
    // Bytes queued for a client above which messages wait in the store, and signals are dropped.
    static constexpr std::size_t short_queue = 128 * 1024;
    static constexpr unsigned page = 100;

    explicit Delivery(Store& store) : store_(store) {}

    // The rooms that there are; forgets all others. Sessions must be gone or go.
    void set_rooms(const std::vector<RoomInfo>& rooms);
    [[nodiscard]] std::size_t room_count() const { return rooms_.size(); }
    [[nodiscard]] std::uint64_t last(const std::string& room) const;
    [[nodiscard]] std::vector<RoomInfo> open_rooms(std::size_t limit) const;  // without direct ones
    [[nodiscard]] std::vector<RoomInfo> direct_rooms_of(const std::string& user) const;

    void add(SessionId id, const std::string& user, Connection& connection);
    void remove(SessionId id);

    // Starts delivery after `after`, or with the next message; a session that is in the room already keeps
    // its place. `joined` is sent before any message. False: the session is in too many rooms.
    bool join(SessionId id, const std::string& room, std::optional<std::uint64_t> after,
              std::string_view ref);
    void leave(SessionId id, const std::string& room);

    void publish(const Message& message);
    // A frame that may be lost, to everyone in the room except `except`.
    void whisper(const std::string& room, const Frame& frame, const std::string& except);
    // A frame that may be lost, to all.
    void whisper_all(const Frame& frame);

    // The session's queue has become short.
    void drained(SessionId id);

    [[nodiscard]] std::size_t sessions() const { return subscribers_.size(); }

  private:
    struct Cursor {
        std::uint64_t next = 1;
        std::uint64_t reading = 0;  // the number of the read that is on its way from the store, 0: none
    };
    struct Subscriber {
        std::string user;
        Connection* connection = nullptr;
        std::map<std::string, Cursor> cursors;
        std::set<std::string> behind;
    };
    struct Room {
        std::uint64_t last = 0;
        std::set<SessionId> members;
    };

    void catch_up(SessionId id, Subscriber& subscriber, const std::string& room);
    void got_page(SessionId id, const std::string& room, std::uint64_t read,
                  const net::Result<HistoryPage>& result);
    void add_direct(const std::string& room);

    Store& store_;
    std::unordered_map<SessionId, Subscriber> subscribers_;
    std::unordered_map<std::string, std::set<SessionId>> sessions_of_;     // by user
    std::unordered_map<std::string, std::set<std::string>> direct_rooms_;  // by user
    std::map<std::string, Room> rooms_;
    std::uint64_t reads_ = 0;
};

}  // namespace hawser::im
