// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hawser::im {

// A message that is stored. `seq` counts from 1 in its room, without holes.
struct Message {
    std::string room;
    std::uint64_t seq = 0;
    std::int64_t time_ms = 0;  // since 1970, when it was stored
    std::string from;
    std::string id;  // chosen by the sender; (room, from, id) names one message for ever
    std::string text;

    bool operator==(const Message&) const = default;
};

// A message that asks to be stored.
struct Draft {
    std::string room;
    std::string from;
    std::string id;
    std::string text;
};

// What became of a Draft. `duplicate`: the same (room, from, id) had been stored before; seq and time are the
// first one's.
struct Appended {
    std::uint64_t seq = 0;
    std::int64_t time_ms = 0;
    bool duplicate = false;

    bool operator==(const Appended&) const = default;
};

struct RoomInfo {
    std::string name;
    std::uint64_t last = 0;  // seq of its newest message, 0: none yet

    bool operator==(const RoomInfo&) const = default;
};

// Part of a room's history. With `after`: the first `limit` messages with seq > after; otherwise the last
// `limit` messages with seq < before (before = 0: the newest).
struct HistoryQuery {
    std::string room;
    std::uint64_t after = 0;
    std::uint64_t before = 0;
    bool forward = false;  // use `after`
    unsigned limit = 50;
};

// Ascending by seq. `more`: there are further messages in the direction asked for.
struct HistoryPage {
    std::vector<Message> messages;
    bool more = false;
};

}  // namespace hawser::im
