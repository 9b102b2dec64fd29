// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "net/address.h"

namespace hawser::net {

struct Route {
    std::uint32_t interface = 0;  // index of the interface that a packet would leave by
    IpAddress source;             // that the kernel would choose; unspecified when it did not say
};

// The route that the kernel would take now (RTM_GETROUTE). `source` may be unspecified. Nothing when there is none. Two
// system calls on a socket of the thread's own.
std::optional<Route> find_route(const IpAddress& destination, const IpAddress& source);

}  // namespace hawser::net
