// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::im {

// A user or room name: 1..32 of A-Z a-z 0-9 . _ -  (so that it is safe in a URL, a log line and a NATS
// subject).
bool valid_name(std::string_view name);

// A room: a name, or a direct room "dm:ANN:BOB" of two different users in byte order.
bool valid_room(std::string_view room);

// A client message id: 1..64 printable ASCII characters without space.
bool valid_message_id(std::string_view id);

// The room of the direct messages between two users; the same whichever comes first.
std::string direct_room(std::string_view one, std::string_view other);

// The two users of a direct room; nothing for an ordinary room.
std::optional<std::pair<std::string, std::string>> direct_members(std::string_view room);

// Whether this user may read and write the room.
bool may_enter(std::string_view user, std::string_view room);

}  // namespace hawser::im
