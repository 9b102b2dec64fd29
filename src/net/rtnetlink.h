// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "net/address.h"
#include "net/error.h"
#include "net/fd.h"

namespace hawser::net {

// A non-blocking rtnetlink socket that hears changes. `groups`: RTMGRP_LINK | ... of rtnetlink(7).
Result<Fd> watch_rtnetlink(std::uint32_t groups);

// Whether a datagram of it only says of addresses that were there already that they still are: their lifetime was set
// anew, which happens to VIPs all the time. `known`: whether the interface had the address.
bool only_refreshes(std::span<const char> datagram,
                    const std::function<bool(std::uint32_t interface, const IpAddress&)>& known);

}  // namespace hawser::net
