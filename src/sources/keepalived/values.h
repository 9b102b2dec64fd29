// SPDX-License-Identifier: Apache-2.0
#pragma once

// Numbers, times, addresses and names as keepalived writes them.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"

namespace hawser::keepalived {

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t least, std::int64_t most);

// Seconds with at most six decimal places; not negative.
std::optional<std::chrono::microseconds> parse_seconds(std::string_view text);

// on off true false yes no
std::optional<bool> parse_bool(std::string_view text);

// "10.0.0.1/24": the address as it is written and the length, if there is one.
struct Prefix {
    net::IpAddress ip;
    std::optional<std::uint8_t> length;
};
std::optional<Prefix> parse_prefix(std::string_view text);

// rtnetlink(7): a name, or a number from 0 to 255.
std::optional<std::uint8_t> parse_scope(std::string_view text);

// 1 to 15 characters without '/' and blanks.
bool is_interface_name(std::string_view text);

}  // namespace hawser::keepalived
