// SPDX-License-Identifier: Apache-2.0
#include "splice/ports.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "net/route.h"
#include "net/socket.h"
#include "splice/address.h"
#include "splice/vips.h"

namespace hawser::splice {

namespace {
constexpr std::uint32_t most_tries = 2048;
// Neighbouring ports are taken together and held together: a prime far from 1 leads elsewhere after each
// failure.
constexpr std::uint64_t primes[] = {7'919, 7'907};
}  // namespace

void Ports::set_part(unsigned part, unsigned parts) {
    const PortPart mine = part_of(low_, static_cast<std::uint16_t>(low_ + count_ - 1), part, parts);
    vip_low_ = mine.low;
    vip_count_ = mine.high < mine.low ? 0U : mine.high - mine.low + 1U;
}

net::Result<net::Fd> Ports::connect(const net::SocketAddress& to, int mss, const net::IpAddress* vip) {
    if (vip != nullptr && vip->is_v4() == to.ip.is_v4())
        if (auto fd = connect_from(*vip, vip_low_, vip_count_, to, mss)) return fd;
    const auto route = net::find_route(to.ip, {});
    if (!route || route->source.is_unspecified()) return net::start_connect(to);
    if (auto fd = connect_from(route->source, low_, count_, to, mss); fd || fd.error().code != EADDRINUSE) return fd;
    return net::start_connect(to);  // one of the kernel's, and the relay
}

// EADDRINUSE: no port is free.
net::Result<net::Fd> Ports::connect_from(const net::IpAddress& source, std::uint32_t low, std::uint32_t count,
                                         const net::SocketAddress& to, int mss) {
    // Ports of tunnels that have ended are taken when no other is free: their flows only wait for stray
    // segments.
    const std::uint64_t stride = count % primes[0] == 0 ? primes[1] : primes[0];
    for (const bool ended_too : {false, true}) {
        for (std::uint32_t i = 0; i < std::min(count, most_tries); ++i) {
            const std::uint32_t turn = next_.fetch_add(1, std::memory_order_relaxed);
            const net::SocketAddress from{source,
                                          static_cast<std::uint16_t>(low + std::uint64_t{turn} * stride % count)};
            const auto key = make_key(to, from, IPPROTO_TCP);
            if (const auto flow = program_.tables().flows.find(key)) {
                if (!ended_too || (flow->flags & layout::flow_closed) == 0) continue;
                program_.forget(key, flow->id);
            }
            auto fd = net::start_connect(to, from, mss);
            if (fd || (fd.error().code != EADDRINUSE && fd.error().code != EADDRNOTAVAIL)) return fd;
        }
    }
    return net::system_error("find a free port towards " + to.text(), EADDRINUSE);
}

}  // namespace hawser::splice
