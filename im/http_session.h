// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <string_view>

#include "im/site.h"

namespace hawser::im {

// Serves one accepted connection until it ends or becomes a WebSocket. `beyond_limit`: every request gets
// 503.
void start_http_session(boost::asio::ip::tcp::socket socket, Site& site, bool beyond_limit);

// A header value fit for a log line: control characters and everything beyond ASCII as \xNN, at most 200
// characters.
std::string printable(std::string_view value);

}  // namespace hawser::im
