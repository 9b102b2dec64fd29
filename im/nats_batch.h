// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "im/database.h"
#include "im/message.h"

namespace hawser::im {

// How rooms and messages look in the NATS stream: one subject per room, one entry per batch of messages.

inline constexpr std::string_view room_subjects = "hawser.im.room.>";

// "hawser.im.room.<room>", with "." of the room's name as "=" (which no name has), because "." parts
// subjects.
std::string subject_of(std::string_view room);
std::optional<std::string> room_of(std::string_view subject);

// One entry: the drafts numbered from `first` on. `writer` says who wrote it, so that it knows its own entry
// again.
std::string encode_entry(std::span<const Draft> drafts, std::uint64_t first, std::int64_t time_ms,
                         std::string_view writer);

struct Entry {
    Batch batch;
    std::string writer;
};

// `position` is the entry's number in the stream. Something that is not ours gives an entry without messages,
// so that its position counts all the same.
Entry decode_entry(const std::string& room, std::uint64_t position, std::string_view payload);

}  // namespace hawser::im
