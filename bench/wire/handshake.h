// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hawser::bench {

// Heads longer than this are refused by both ends.
inline constexpr std::size_t longest_head = 16 * 1024;

// Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2).
std::string accept_for(std::string_view key);

// The client's opening handshake (section 4.1).
std::string opening_request(std::string_view host, std::string_view path, std::string_view key);

// Checks a response head, up to and with its empty line (section 4.1, "the client MUST validate").
// Returns what is wrong, or an empty view.
std::string_view check_response(std::string_view head, std::string_view expected_accept);

// What the endpoint makes of a request head, up to and with its empty line.
struct Opening {
    std::string path;      // the request target with its query
    std::string response;  // 101, or 400 with the reason as its body
    bool accepted = false;
};
Opening answer(std::string_view head);

// Where the head ends in `received`: the position after its empty line, or npos.
std::size_t head_end(std::string_view received);

}  // namespace hawser::bench
