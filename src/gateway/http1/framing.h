// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "gateway/http1/message.h"

namespace hawser::gateway::http1 {

// What the fields of a parsed head mean for the connection: host, framing, keep_alive, expect_continue. The
// rest of the head has to be filled in. An error is what the client gets.
std::optional<ParseError> frame_request(RequestHead& head);

// The same for a response to a request that was HEAD or not. Errors have status 502.
std::optional<ParseError> frame_response(ResponseHead& head, bool request_was_head);

// 1*DIGIT up to 2^63-1 (RFC 9110 §8.6); no sign, no list.
std::optional<std::uint64_t> parse_content_length(std::string_view value);

}  // namespace hawser::gateway::http1
