// SPDX-License-Identifier: Apache-2.0
#include "im/protocol.h"

#include <boost/json.hpp>

#include "im/names.h"

namespace hawser::im {
namespace {

namespace json = boost::json;

constexpr std::size_t longest_ref = 64;

// Reads the fields of one request; the first thing wrong is kept and everything after it is ignored.
class Fields {
  public:
    Fields(const json::object& object, Refusal& refusal) : object_(object), refusal_(refusal) {}

    [[nodiscard]] bool ok() const { return refusal_.code.empty(); }

    std::string text(std::string_view key) {
        const auto* value = object_.if_contains(key);
        if (value == nullptr) return {};
        if (value->is_string()) return std::string(value->as_string());
        refuse(key, "is not a string");
        return {};
    }

    std::string name(std::string_view key) {
        return checked(key, valid_name, "is not 1 to 32 of A-Z a-z 0-9 . _ -");
    }
    std::string room(std::string_view key) { return checked(key, valid_room, "is not the name of a room"); }
    std::string message_id(std::string_view key) {
        return checked(key, valid_message_id, "is not 1 to 64 printable ASCII characters");
    }

    std::optional<std::uint64_t> number(std::string_view key) {
        const auto* value = object_.if_contains(key);
        if (value == nullptr || value->is_null()) return std::nullopt;
        return number(key, *value);
    }

    std::map<std::string, std::uint64_t> positions(std::string_view key) {
        std::map<std::string, std::uint64_t> out;
        const auto* value = object_.if_contains(key);
        if (value == nullptr) return out;
        if (!value->is_object() || value->as_object().size() > most_rooms_resumed) {
            refuse(key, "is not an object of at most 256 rooms");
            return out;
        }
        for (const auto& [room_name, position] : value->as_object()) {
            if (!valid_room(room_name)) refuse(key, "has a key that is not the name of a room");
            if (const auto seq = number(key, position)) out.emplace(std::string(room_name), *seq);
        }
        return out;
    }

    void refuse(std::string_view key, std::string_view why) {
        if (!ok()) return;
        refusal_.code = "bad_request";
        refusal_.message = std::string(key).append(" ").append(why);
    }

  private:
    std::string checked(std::string_view key, bool (*valid)(std::string_view), std::string_view why) {
        auto value = text(key);
        if (!valid(value)) refuse(key, value.empty() ? "is missing" : why);
        return value;
    }

    std::optional<std::uint64_t> number(std::string_view key, const json::value& value) {
        // 2^53: what a JavaScript client can count to.
        if (value.is_int64() && value.as_int64() >= 0 && value.as_int64() <= 9007199254740992)
            return static_cast<std::uint64_t>(value.as_int64());
        refuse(key, "is not a sequence number");
        return std::nullopt;
    }

    const json::object& object_;
    Refusal& refusal_;
};

Send decode_send(Fields& fields) {
    Send send;
    send.room = fields.text("room");
    send.to = fields.text("to");
    if (send.room.empty() == send.to.empty()) fields.refuse("send", "needs one of room and to");
    if (!send.room.empty()) send.room = fields.room("room");
    if (!send.to.empty()) send.to = fields.name("to");
    send.id = fields.message_id("id");
    send.text = fields.text("text");
    if (send.text.empty()) fields.refuse("text", "is missing");
    return send;
}

History decode_history(Fields& fields) {
    History history;
    history.query.room = fields.room("room");
    const auto after = fields.number("after");
    const auto before = fields.number("before");
    if (after && before) fields.refuse("history", "takes one of after and before");
    history.query.forward = after.has_value();
    history.query.after = after.value_or(0);
    history.query.before = before.value_or(0);
    const auto limit = fields.number("limit").value_or(50);
    if (limit < 1 || limit > longest_page) fields.refuse("limit", "is not 1 to 200");
    history.query.limit = static_cast<unsigned>(limit);
    return history;
}

json::object message_object(const Message& message) {
    return {{"seq", message.seq},
            {"time", message.time_ms},
            {"from", message.from},
            {"id", message.id},
            {"text", message.text}};
}

json::array message_array(const HistoryPage& page) {
    json::array out;
    out.reserve(page.messages.size());
    for (const auto& message : page.messages) out.emplace_back(message_object(message));
    return out;
}

json::array room_array(const std::vector<RoomInfo>& rooms) {
    json::array out;
    for (const auto& room : rooms) out.emplace_back(json::object{{"room", room.name}, {"last", room.last}});
    return out;
}

json::array user_array(const std::vector<User>& users) {
    json::array out;
    for (const auto& user : users) out.emplace_back(json::object{{"name", user.name}, {"pod", user.pod}});
    return out;
}

Frame frame(json::object object, std::string_view ref = {}) {
    auto text = json::serialize(object);
    if (!ref.empty()) {
        text.pop_back();
        text.append(",\"ref\":").append(ref).append("}");
    }
    return std::make_shared<const std::string>(std::move(text));
}

}  // namespace

std::variant<Request, Refusal> decode_request(std::string_view text) {
    Refusal refusal;
    json::parse_options options;
    options.max_depth = 4;
    boost::system::error_code failed;
    const auto value = json::parse(text, failed, {}, options);
    if (failed || !value.is_object()) {
        refusal.code = "bad_request";
        refusal.message = "the frame is not a JSON object";
        return refusal;
    }
    const auto& object = value.as_object();
    Request request;
    Fields fields(object, refusal);
    if (const auto* ref = object.if_contains("ref"); ref != nullptr && !ref->is_null()) {
        if ((ref->is_string() && ref->as_string().size() <= longest_ref) || ref->is_int64())
            request.ref = json::serialize(*ref);
        else
            fields.refuse("ref", "is not a short string or an integer");
    }
    const auto type = fields.text("type");
    if (type == "signin") {
        SignIn sign_in;
        sign_in.name = fields.name("name");
        sign_in.token = fields.text("token");
        sign_in.resume = fields.positions("resume");
        request.what = std::move(sign_in);
    } else if (type == "join") {
        Join join;
        join.room = fields.room("room");
        join.after = fields.number("after");
        request.what = std::move(join);
    } else if (type == "leave") {
        request.what = Leave{fields.room("room")};
    } else if (type == "send") {
        auto send = decode_send(fields);
        if (!fields.ok() && send.id.size() <= 64) refusal.id = send.id;
        if (fields.ok() && send.text.size() > longest_text) {
            refusal.code = "too_long";
            refusal.message = "text is longer than 8000 bytes";
            refusal.id = send.id;
        }
        request.what = std::move(send);
    } else if (type == "typing") {
        request.what = Typing{fields.room("room")};
    } else if (type == "history") {
        request.what = decode_history(fields);
    } else if (type == "rooms") {
        request.what = ListRooms{};
    } else if (type == "users") {
        request.what = ListUsers{};
    } else if (type == "ping") {
        request.what = Ping{};
    } else {
        fields.refuse("type", "is missing or unknown");
    }
    if (fields.ok()) return request;
    refusal.ref = request.ref;
    return refusal;
}

Frame encode_welcome(const Welcome& welcome, std::string_view ref) {
    return frame({{"type", "welcome"},
                  {"version", protocol_version},
                  {"name", welcome.name},
                  {"pod", welcome.pod},
                  {"epoch", welcome.epoch},
                  {"direct", room_array(welcome.direct)}},
                 ref);
}

Frame encode_joined(const std::string& room, std::uint64_t last, std::string_view ref) {
    return frame({{"type", "joined"}, {"room", room}, {"last", last}}, ref);
}

Frame encode_left(const std::string& room, std::string_view ref) {
    return frame({{"type", "left"}, {"room", room}}, ref);
}

Frame encode_message(const Message& message) {
    return frame({{"type", "message"},
                  {"room", message.room},
                  {"seq", message.seq},
                  {"time", message.time_ms},
                  {"from", message.from},
                  {"id", message.id},
                  {"text", message.text}});
}

Frame encode_ack(const Draft& draft, const Appended& appended, std::string_view ref) {
    return frame({{"type", "ack"},
                  {"room", draft.room},
                  {"id", draft.id},
                  {"seq", appended.seq},
                  {"time", appended.time_ms},
                  {"duplicate", appended.duplicate}},
                 ref);
}

Frame encode_history(const std::string& room, const HistoryPage& page, std::string_view ref) {
    return frame(
        {{"type", "history"}, {"room", room}, {"more", page.more}, {"messages", message_array(page)}}, ref);
}

Frame encode_rooms(const std::vector<RoomInfo>& rooms, std::string_view ref) {
    return frame({{"type", "rooms"}, {"rooms", room_array(rooms)}}, ref);
}

Frame encode_room(const RoomInfo& room) {
    return frame({{"type", "room"}, {"room", room.name}, {"last", room.last}});
}

Frame encode_users(const std::vector<User>& users, std::size_t count, std::string_view ref) {
    return frame({{"type", "users"}, {"count", count}, {"users", user_array(users)}}, ref);
}

Frame encode_presence(const std::vector<User>& online, const std::vector<std::string>& offline,
                      std::size_t count) {
    json::array gone;
    for (const auto& name : offline) gone.emplace_back(name);
    return frame({{"type", "presence"},
                  {"count", count},
                  {"online", user_array(online)},
                  {"offline", std::move(gone)}});
}

Frame encode_typing(const std::string& room, const std::string& from) {
    return frame({{"type", "typing"}, {"room", room}, {"from", from}});
}

Frame encode_pong(std::string_view ref) { return frame({{"type", "pong"}}, ref); }

Frame encode_refusal(const Refusal& refusal) {
    json::object object{{"type", "error"}, {"code", refusal.code}, {"message", refusal.message}};
    if (!refusal.id.empty()) object["id"] = refusal.id;
    if (refusal.retry_after) object["retry_after_ms"] = *refusal.retry_after;
    return frame(std::move(object), refusal.ref);
}

std::string messages_text(const std::string& room, const HistoryPage& page) {
    return json::serialize(
        json::object{{"room", room}, {"more", page.more}, {"messages", message_array(page)}});
}

std::string rooms_text(const std::vector<RoomInfo>& rooms) {
    return json::serialize(json::object{{"rooms", room_array(rooms)}});
}

std::string users_text(const std::vector<User>& users) {
    return json::serialize(json::object{{"users", user_array(users)}});
}

std::string appended_text(const Draft& draft, const Appended& appended) {
    return json::serialize(json::object{{"room", draft.room},
                                        {"id", draft.id},
                                        {"seq", appended.seq},
                                        {"time", appended.time_ms},
                                        {"duplicate", appended.duplicate}});
}

}  // namespace hawser::im
