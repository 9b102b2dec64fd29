// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "gateway/http1/message.h"

namespace hawser::gateway::http1 {

// A piece of a head, by place: survives the move of the bytes.
struct Span {
    std::uint32_t at = 0;
    std::uint32_t size = 0;
    [[nodiscard]] std::string_view of(const char* base) const { return {base + at, size}; }
};

// The parts of a request line (RFC 9112 §3), as places in it.
struct RequestLine {
    Span method;
    Span target;
    Span scheme;     // absolute-form only
    Span authority;  // absolute-form only: host and port
    Span host;       // absolute-form only: without port
    Span path;       // empty: absolute-form without a path, which means "/"
    Span query;
    bool absolute = false;
    bool has_query = false;
    bool plain_path = true;          // no '%', "//", "/." in the path: it is its own normal form
    std::uint8_t minor_version = 1;  // 1.2 and above count as 1.1; 9: HTTP/0.9
};

// `line` comes without its CRLF and holds no control bytes.
std::variant<RequestLine, ParseError> parse_request_line(std::string_view line);

// Decodes percent escapes, resolves "." and ".." (escaped ones too) and merges slashes if asked, as nginx
// does for $uri. Stops at '?' and '#' as sent; escaped ones are data. Nothing: a bad escape, %00, or ".."
// above the root.
std::optional<std::string> normalize_path(std::string_view raw, bool merge_slashes);

// The host of a Host value or authority: without port and without one trailing dot. Nothing: it is not
// one that nginx takes (empty, "..", '/', control bytes or spaces in it).
std::optional<std::string_view> host_of(std::string_view value);

}  // namespace hawser::gateway::http1
