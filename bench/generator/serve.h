// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>

namespace hawser::bench {

struct ServeOptions {
    std::string listen = "127.0.0.1:0";
    unsigned threads = 1;
};

// The endpoint. The path of the handshake says what a tunnel does (any other path echoes):
//   /echo             each message comes back as it is
//   /sink             each message of the client is answered by an empty one when it is whole
//   /source?size=N    messages of N bytes, as fast as they are taken
// with `verify` in the query of /sink, a message that is not the MessageTape's number 0 ends the tunnel with
// Close 1007. Pings are answered, a Close is answered and the connection closed, as the server's part is (RFC
// 6455 section 7.1.1). Prints one JSON line with the port once it listens. Runs until `stop`; throws
// std::system_error when it cannot listen, or when the machine refuses later (descriptors), having set `stop`
// itself.
void serve(const ServeOptions& options, std::atomic<bool>& stop);

// The longest message that /sink verifies and /source makes.
inline constexpr std::size_t longest_message = 4U << 20;

}  // namespace hawser::bench
