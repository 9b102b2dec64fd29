// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/values.h"

#include <algorithm>
#include <limits>

namespace hawser::nginx {

namespace {
constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();

std::optional<std::uint64_t> scaled(std::string_view text, std::string_view units) {
    if (text.empty()) return std::nullopt;
    unsigned shift = 0;
    const char last = static_cast<char>(text.back() | 0x20);
    if (units.find(last) != std::string_view::npos && (text.back() < '0' || text.back() > '9')) {
        shift = last == 'k' ? 10 : last == 'm' ? 20 : 30;
        text.remove_suffix(1);
    }
    const auto number = parse_number(text);
    if (!number || *number > (most >> shift)) return std::nullopt;
    return *number << shift;
}

struct Unit {
    std::string_view name;
    std::uint64_t milliseconds;
};
// From the largest to the smallest: a unit may only be followed by smaller ones.
constexpr Unit units[] = {
    {"y", 365ULL * 86'400'000},
    {"M", 30ULL * 86'400'000},
    {"w", 7ULL * 86'400'000},
    {"d", 86'400'000},
    {"h", 3'600'000},
    {"m", 60'000},
    {"s", 1000},
    {"ms", 1},
};
constexpr std::size_t seconds_unit = 6;
constexpr std::uint64_t longest = 50 * units[0].milliseconds;

// With milliseconds allowed years and months are not, as in ngx_parse_time.
std::optional<std::uint64_t> parse_time(std::string_view text, bool with_milliseconds) {
    std::uint64_t total = 0;
    std::size_t next_unit = with_milliseconds ? 2 : 0;
    bool any = false;
    for (std::size_t i = 0; i < text.size();) {
        std::size_t digits = i;
        while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
        const auto number = parse_number(text.substr(i, digits - i));
        if (!number) return std::nullopt;
        i = digits;
        std::size_t unit = seconds_unit;
        // A bare number at the end counts seconds, whatever stood before it.
        if (i < text.size()) {
            const bool is_ms = with_milliseconds && text.substr(i, 2) == "ms";
            const std::string_view name = text.substr(i, is_ms ? 2 : 1);
            const auto* found = std::find_if(std::begin(units), std::end(units),
                                             [name](const Unit& u) { return u.name == name; });
            if (found == std::end(units)) return std::nullopt;
            unit = static_cast<std::size_t>(found - std::begin(units));
            if (unit < next_unit) return std::nullopt;
            next_unit = unit + 1;
            i += name.size();
        }
        if (*number > most / units[unit].milliseconds) return std::nullopt;
        total += *number * units[unit].milliseconds;
        if (total > most) return std::nullopt;
        any = true;
        while (i < text.size() && text[i] == ' ') ++i;
    }
    // Nobody waits longer, and a deadline this far off still fits in a steady clock's nanoseconds.
    return any ? std::optional(std::min(total, longest)) : std::nullopt;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    const auto number = parse_number(text);
    if (!number || *number < 1 || *number > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(*number);
}

const char* take_port(std::string_view text, UrlForm form, Url& url) {
    const std::size_t dash = text.find('-');
    if (form.listening && dash != std::string_view::npos) {
        url.last_port = parse_port(text.substr(dash + 1));
        if (!url.last_port) return "invalid port";
        text = text.substr(0, dash);
    }
    url.port = parse_port(text);
    if (!url.port) return "invalid port";
    if (url.last_port && *url.last_port < *url.port) return "invalid port range";
    return nullptr;
}
}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
    if (text.empty()) return std::nullopt;
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (value > (most - digit) / 10) return std::nullopt;
        value = value * 10 + digit;
    }
    return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text) { return scaled(text, "km"); }
std::optional<std::uint64_t> parse_offset(std::string_view text) { return scaled(text, "kmg"); }

std::optional<std::chrono::milliseconds> parse_time_ms(std::string_view text) {
    const auto value = parse_time(text, true);
    if (!value) return std::nullopt;
    return std::chrono::milliseconds(static_cast<std::int64_t>(*value));
}

std::optional<std::chrono::seconds> parse_time_s(std::string_view text) {
    const auto value = parse_time(text, false);
    if (!value) return std::nullopt;
    return std::chrono::seconds(static_cast<std::int64_t>(*value / 1000));
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    return out;
}

bool starts_with_no_case(std::string_view text, std::string_view lower_case_prefix) {
    return lower(text.substr(0, lower_case_prefix.size())) == lower_case_prefix;
}

std::string Url::authority() const { return port ? host + ":" + std::to_string(*port) : host; }

Url parse_url(std::string_view text, UrlForm form) {
    Url url;
    const bool v6 = !text.empty() && text.front() == '[';
    const std::size_t bracket = v6 ? text.find(']') : 0;
    if (bracket == std::string_view::npos) return url.error = "invalid host", url;

    const std::size_t uri = text.find_first_of("/?", bracket);
    if (uri != std::string_view::npos) {
        if (!form.uri_allowed) return url.error = "invalid host", url;
        url.uri = text.substr(uri);
        text = text.substr(0, uri);
    }
    const std::size_t colon = text.find(':', bracket);
    if (v6) {
        url.host = text.substr(0, bracket + 1);
        if (bracket + 1 != text.size() && colon != bracket + 1) return url.error = "invalid port", url;
        url.ip = net::IpAddress::parse(text.substr(1, bracket - 1));
        if (!url.ip) return url.error = "invalid IPv6 address", url;
    } else if (form.listening && colon == std::string_view::npos &&
               text.find_first_not_of("0123456789-") == std::string_view::npos && !text.empty()) {
        url.is_wildcard = true;
        url.error = take_port(text, form, url);
        return url;
    } else {
        url.host = text.substr(0, colon);
    }
    if (colon != std::string_view::npos) {
        url.error = take_port(text.substr(colon + 1), form, url);
        if (url.error != nullptr) return url;
    }
    if (url.host.empty()) return url.error = "no host", url;
    if (form.listening && url.host == "*") url.is_wildcard = true;
    if (!v6) url.ip = net::IpAddress::parse(url.host);
    return url;
}

}  // namespace hawser::nginx
