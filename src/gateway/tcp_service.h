// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "gateway/worker.h"
#include "net/task.h"

namespace hawser::gateway {

// Serves one connection of an L4 TCP frontend: picks an endpoint, connects (the next one when that fails),
// makes the tunnel. A client that no endpoint takes is reset.
net::Task<void> serve_tcp(Worker& worker, net::Fd fd, net::SocketAddress peer, PurposeSlot purpose,
                          Admission::Pass pass);

}  // namespace hawser::gateway
