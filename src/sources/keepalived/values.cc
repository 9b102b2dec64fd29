// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/values.h"

#include <algorithm>
#include <charconv>

#include "sources/keepalived/line.h"

namespace hawser::keepalived {

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t least, std::int64_t most) {
    if (text.starts_with('+')) text.remove_prefix(1);
    std::int64_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    if (value < least || value > most) return std::nullopt;
    return value;
}

std::optional<std::chrono::microseconds> parse_seconds(std::string_view text) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    std::string fraction(text.substr(std::min(dot + 1, text.size())));
    if (fraction.size() > 6 || text.empty() || text == ".") return std::nullopt;
    fraction.resize(6, '0');
    const auto micro = parse_integer(fraction, 0, 999'999);
    const auto whole = dot == 0 ? 0 : parse_integer(text.substr(0, dot), 0, 4'000'000'000);
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (!micro || !whole || !std::all_of(fraction.begin(), fraction.end(), is_digit)) return std::nullopt;
    return std::chrono::microseconds(*whole * 1'000'000 + *micro);
}

std::optional<bool> parse_bool(std::string_view text) {
    if (text == "on" || text == "true" || text == "yes") return true;
    if (text == "off" || text == "false" || text == "no") return false;
    return std::nullopt;
}

std::optional<Prefix> parse_prefix(std::string_view text) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    const auto ip = net::IpAddress::parse(text.substr(0, slash));
    if (!ip) return std::nullopt;
    if (slash == text.size()) return Prefix{*ip, std::nullopt};
    const auto length = parse_integer(text.substr(slash + 1), 0, ip->is_v4() ? 32 : 128);
    if (!length) return std::nullopt;
    return Prefix{*ip, static_cast<std::uint8_t>(*length)};
}

std::optional<std::uint8_t> parse_scope(std::string_view text) {
    if (text == "global") return 0;
    if (text == "site") return 200;
    if (text == "link") return 253;
    if (text == "host") return 254;
    if (text == "nowhere") return 255;
    const auto number = parse_integer(text, 0, 255);
    if (!number) return std::nullopt;
    return static_cast<std::uint8_t>(*number);
}

bool is_interface_name(std::string_view text) {
    if (text.empty() || text.size() > 15 || text == "." || text == "..") return false;
    return std::none_of(text.begin(), text.end(), [](char c) { return c == '/' || c == ':' || is_blank(c); });
}

}  // namespace hawser::keepalived
