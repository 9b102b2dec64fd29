// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace hawser::gateway {

// The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key (RFC 6455 §4.2.2): base64(SHA-1(key + GUID)).
std::string websocket_accept(std::string_view key);

// True when `token` ("websocket") is one of the protocols that the Upgrade field `asked` lists; names without
// case, versions ("/1.0") count (RFC 9110 §7.8).
bool upgrade_was_asked(std::string_view asked, std::string_view token);

}  // namespace hawser::gateway
