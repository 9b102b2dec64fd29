// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "net/error.h"
#include "net/fd.h"

namespace hawser::net {

// A non-blocking rtnetlink socket that hears changes. `groups`: RTMGRP_LINK | ... of rtnetlink(7).
Result<Fd> watch_rtnetlink(std::uint32_t groups);

}  // namespace hawser::net
