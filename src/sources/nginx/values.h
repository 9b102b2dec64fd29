// SPDX-License-Identifier: Apache-2.0
#pragma once

// Numbers, sizes and times as nginx writes them.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"

namespace hawser::nginx {

// Decimal digits only; nothing on overflow of 63 bits.
std::optional<std::uint64_t> parse_number(std::string_view text);

// "8k", "1m", "512": k and m only.
std::optional<std::uint64_t> parse_size(std::string_view text);
// The same with "g": client_max_body_size and other offsets.
std::optional<std::uint64_t> parse_offset(std::string_view text);

// "1h30m", "500ms", "60", "60s": units y M w d h m s ms in falling order; without a unit seconds.
std::optional<std::chrono::milliseconds> parse_time_ms(std::string_view text);
// The same without "ms"; the result is in seconds.
std::optional<std::chrono::seconds> parse_time_s(std::string_view text);

std::string lower(std::string_view text);
bool starts_with_no_case(std::string_view text, std::string_view lower_case_prefix);

// An address as listen, server and proxy_pass write it, taken apart as ngx_parse_url does.
struct Url {
    std::string host;                              // "[::1]" with its brackets; "" for a bare port
    std::optional<std::uint16_t> port, last_port;  // nothing: none was written; last_port of "8000-8010"
    std::string uri;                               // from the first '/' or '?', if uri_allowed
    bool is_wildcard = false;                      // "*" or a bare port (only if listening)
    std::optional<net::IpAddress> ip;
    const char* error = nullptr;  // "invalid port", "no host", ...: the rest is void then

    [[nodiscard]] std::string authority() const;  // "host:port", or "host" without a port
};
struct UrlForm {
    bool listening = false;    // a bare number is a port, ranges are allowed
    bool uri_allowed = false;  // otherwise a '/' is "invalid host"
};
Url parse_url(std::string_view text, UrlForm form);

}  // namespace hawser::nginx
