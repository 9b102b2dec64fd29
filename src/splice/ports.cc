// SPDX-License-Identifier: Apache-2.0
#include "splice/ports.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "net/route.h"
#include "net/socket.h"
#include "splice/address.h"

namespace hawser::splice {

net::Result<net::Fd> Ports::connect(const net::SocketAddress& to, int mss) {
    const auto route = net::find_route(to.ip, {});
    if (!route || route->source.is_unspecified()) return net::start_connect(to);
    const std::uint32_t tries = count_ < 512 ? count_ : 512;
    for (std::uint32_t i = 0; i < tries; ++i) {
        const std::uint32_t turn = next_.fetch_add(1, std::memory_order_relaxed);
        const net::SocketAddress from{route->source, static_cast<std::uint16_t>(low_ + turn % count_)};
        if (tables_.flows.has(make_key(to, from, IPPROTO_TCP))) continue;
        auto fd = net::start_connect(to, from, mss);
        if (fd || (fd.error().code != EADDRINUSE && fd.error().code != EADDRNOTAVAIL)) return fd;
    }
    return net::system_error("no source port is free to connect to " + to.text(), EADDRNOTAVAIL);
}

}  // namespace hawser::splice
