// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every user of libnl needs. Whoever includes this links libnl.

#include <netlink/errno.h>
#include <netlink/netlink.h>

#include <memory>
#include <string>

#include "net/error.h"

namespace hawser::net {

struct NlSocketFree {
    void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
using NlSocket = std::unique_ptr<nl_sock, NlSocketFree>;

inline Error netlink_error(const std::string& what, int code) {
    Error error;
    error.message = what + ": " + nl_geterror(code);
    return error;
}

// Connected to NETLINK_ROUTE, for requests.
inline Result<NlSocket> open_libnl() {
    NlSocket socket(nl_socket_alloc());
    if (!socket) return netlink_error("netlink", -NLE_NOMEM);
    if (const int failed = nl_connect(socket.get(), NETLINK_ROUTE); failed < 0) return netlink_error("netlink", failed);
    return socket;
}

}  // namespace hawser::net
