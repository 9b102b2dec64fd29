// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "net/address.h"
#include "net/error.h"
#include "net/fd.h"
#include "splice/program.h"

namespace hawser::splice {

// Source ports of upstream connections that may be spliced: once the socket is closed the kernel no longer
// knows that the 4-tuple is taken, so it is chosen here, from a range that the kernel's own ephemeral ports
// do not touch, and looked up in the flow table. Any thread.
class Ports {
  public:
    Ports(const Program& program, std::uint16_t low, std::uint16_t high)
        : program_(program), low_(low), count_(high - low + 1U), vip_low_(low), vip_count_(count_) {}

    // Starts a non-blocking connect from a free port; from one of the kernel's own when none is. `mss`: the
    // largest segment that the endpoint may be told, 0 = the path's.
    // `vip`: the endpoint is to talk to this address of ours, from this node's part of the ports; null: to that of
    // the interface.
    net::Result<net::Fd> connect(const net::SocketAddress& to, int mss, const net::IpAddress* vip = nullptr);
    void set_part(unsigned part, unsigned parts);

    [[nodiscard]] bool has(std::uint16_t port) const { return port >= low_ && port < low_ + count_; }

  private:
    net::Result<net::Fd> connect_from(const net::IpAddress& source, std::uint32_t low, std::uint32_t count,
                                      const net::SocketAddress& to, int mss);

    const Program& program_;
    std::uint16_t low_;
    std::uint32_t count_;
    std::atomic<std::uint32_t> vip_low_{0}, vip_count_{0};
    std::atomic<std::uint32_t> next_{0};
};

}  // namespace hawser::splice
