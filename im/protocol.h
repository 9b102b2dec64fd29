// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "im/message.h"
#include "net/error.h"

// The JSON frames of /ws; docs/im-protocol.md is their description for the users of the service.
namespace hawser::im {

inline constexpr int protocol_version = 1;
inline constexpr std::size_t longest_text = 8000;       // bytes of UTF-8 in one message
inline constexpr std::size_t most_rooms_resumed = 256;  // rooms a session may be in
inline constexpr unsigned longest_page = 200;           // messages in one page of history

// Requests of a client. Names and rooms are valid (names.h) when decode_request() returned them.
struct SignIn {
    std::string name;
    std::string token;
    std::map<std::string, std::uint64_t> resume;  // room -> last seq seen
};
struct Join {
    std::string room;
    std::optional<std::uint64_t> after;  // last seq seen; nothing: from now on
};
struct Leave {
    std::string room;
};
struct Send {
    std::string room;  // one of room and to is empty
    std::string to;
    std::string id;
    std::string text;
};
struct Typing {
    std::string room;
};
struct History {
    HistoryQuery query;
};
struct ListRooms {};
struct ListUsers {};
struct Ping {};

struct Request {
    std::string
        ref;  // the client's own mark, as JSON text ("\"r1\"", "7"), "" without; comes back in the answer
    std::variant<SignIn, Join, Leave, Send, Typing, History, ListRooms, ListUsers, Ping> what;
};

// What is wrong with a request: `code` for programs, `message` for people.
struct Refusal {
    std::string_view code;  // one of the codes in docs/im-protocol.md
    std::string message;
    std::string ref;
    std::string id;                            // of the message that was refused
    std::optional<std::uint64_t> retry_after;  // milliseconds
};

std::variant<Request, Refusal> decode_request(std::string_view text);

// Frames of the server; shared, because one frame goes to many clients.
using Frame = std::shared_ptr<const std::string>;

struct Welcome {
    std::string name;
    std::string pod;
    std::string
        epoch;  // changes when the history is another one: sequence numbers of another epoch mean nothing
    std::vector<RoomInfo> direct;  // the user's direct rooms
};

struct User {
    std::string name;
    std::string pod;
};

Frame encode_welcome(const Welcome& welcome, std::string_view ref);
Frame encode_joined(const std::string& room, std::uint64_t last, std::string_view ref);
Frame encode_left(const std::string& room, std::string_view ref);
Frame encode_message(const Message& message);
Frame encode_ack(const Draft& draft, const Appended& appended, std::string_view ref);
Frame encode_history(const std::string& room, const HistoryPage& page, std::string_view ref);
Frame encode_rooms(const std::vector<RoomInfo>& rooms, std::string_view ref);
// A room that was not there before.
Frame encode_room(const RoomInfo& room);
Frame encode_users(const std::vector<User>& users, std::size_t count, std::string_view ref);
Frame encode_presence(const std::vector<User>& online, const std::vector<std::string>& offline,
                      std::size_t count);
Frame encode_typing(const std::string& room, const std::string& from);
Frame encode_pong(std::string_view ref);
Frame encode_refusal(const Refusal& refusal);

// The same pieces for the REST interface.
std::string messages_text(const std::string& room, const HistoryPage& page);
std::string rooms_text(const std::vector<RoomInfo>& rooms);
std::string users_text(const std::vector<User>& users);
std::string appended_text(const Draft& draft, const Appended& appended);

}  // namespace hawser::im
