// SPDX-License-Identifier: Apache-2.0
#include "im/names.h"

#include <algorithm>

namespace hawser::im {
namespace {

constexpr std::string_view direct_prefix = "dm:";

bool name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

}  // namespace

bool valid_name(std::string_view name) {
    return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), name_character);
}

bool valid_room(std::string_view room) { return valid_name(room) || direct_members(room).has_value(); }

bool valid_message_id(std::string_view id) {
    return !id.empty() && id.size() <= 64 &&
           std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string direct_room(std::string_view one, std::string_view other) {
    if (other < one) std::swap(one, other);
    std::string room(direct_prefix);
    room.append(one).append(":").append(other);
    return room;
}

std::optional<std::pair<std::string, std::string>> direct_members(std::string_view room) {
    if (!room.starts_with(direct_prefix)) return std::nullopt;
    room.remove_prefix(direct_prefix.size());
    const auto colon = room.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto one = room.substr(0, colon);
    const auto other = room.substr(colon + 1);
    if (!valid_name(one) || !valid_name(other) || !(one < other)) return std::nullopt;
    return std::pair{std::string(one), std::string(other)};
}

bool may_enter(std::string_view user, std::string_view room) {
    if (const auto members = direct_members(room)) return user == members->first || user == members->second;
    return valid_name(room);
}

}  // namespace hawser::im
