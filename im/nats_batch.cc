// SPDX-License-Identifier: Apache-2.0
#include "im/nats_batch.h"

#include <algorithm>
#include <boost/json.hpp>

#include "im/names.h"

namespace hawser::im {
namespace {

namespace json = boost::json;

constexpr std::string_view prefix = "hawser.im.room.";

std::optional<std::string> text_of(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    if (value == nullptr || !value->is_string()) return std::nullopt;
    return std::string(value->as_string());
}

std::int64_t number_of(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

}  // namespace

std::string subject_of(std::string_view room) {
    std::string subject(prefix);
    subject.append(room);
    std::replace(subject.begin() + static_cast<std::ptrdiff_t>(prefix.size()), subject.end(), '.', '=');
    return subject;
}

std::optional<std::string> room_of(std::string_view subject) {
    if (!subject.starts_with(prefix)) return std::nullopt;
    std::string room(subject.substr(prefix.size()));
    std::replace(room.begin(), room.end(), '=', '.');
    if (!valid_room(room)) return std::nullopt;
    return room;
}

std::string encode_entry(std::span<const Draft> drafts, std::uint64_t first, std::int64_t time_ms,
                         std::string_view writer) {
    json::array messages;
    for (const auto& draft : drafts)
        messages.emplace_back(json::object{{"from", draft.from}, {"id", draft.id}, {"text", draft.text}});
    return json::serialize(json::object{
        {"first", first}, {"time", time_ms}, {"writer", writer}, {"messages", std::move(messages)}});
}

Entry decode_entry(const std::string& room, std::uint64_t position, std::string_view payload) {
    Entry entry;
    entry.batch.room = room;
    entry.batch.position = position;
    boost::system::error_code failed;
    const auto value = json::parse(payload, failed);
    if (failed || !value.is_object()) return entry;
    const auto& object = value.as_object();
    const auto* messages = object.if_contains("messages");
    const auto first = number_of(object, "first");
    if (messages == nullptr || !messages->is_array() || first < 1) return entry;
    auto seq = static_cast<std::uint64_t>(first);
    for (const auto& item : messages->as_array()) {
        const auto* fields = item.if_object();
        auto from = fields == nullptr ? std::nullopt : text_of(*fields, "from");
        auto id = fields == nullptr ? std::nullopt : text_of(*fields, "id");
        auto text = fields == nullptr ? std::nullopt : text_of(*fields, "text");
        if (!from || !id || !text) {
            entry.batch.messages.clear();
            return entry;
        }
        entry.batch.messages.push_back(Message{room, seq++, number_of(object, "time"), std::move(*from),
                                               std::move(*id), std::move(*text)});
    }
    entry.writer = text_of(object, "writer").value_or("");
    return entry;
}

}  // namespace hawser::im
