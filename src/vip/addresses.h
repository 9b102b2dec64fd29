// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include "catalog/vip.h"
#include "net/error.h"
#include "net/libnl.h"

namespace hawser::vip {

// Puts VIPs and their routes on this node's interfaces (rtnetlink). Addresses have a lifetime: the kernel takes them
// away when nobody refreshes them, whatever became of this process. Every call blocks for the kernel's answer, some
// microseconds. One thread.
class Addresses {
  public:
    net::Result<void> open();

    // Adds the address, or sets its lifetime anew: at least a second, the kernel counts in those and is up to some
    // 250 ms late. `index`: of its interface.
    net::Result<void> put(const catalog::vip::Address& address, std::uint32_t index, std::chrono::seconds lifetime);
    net::Result<void> remove(const catalog::vip::Address& address, std::uint32_t index);  // good when it is not there
    net::Result<void> put(const catalog::vip::Route& route, std::uint32_t index);         // 0: as `via` says
    net::Result<void> remove(const catalog::vip::Route& route, std::uint32_t index);

  private:
    net::NlSocket socket_;
};

}  // namespace hawser::vip
