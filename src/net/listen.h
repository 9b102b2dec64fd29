// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "net/address.h"
#include "net/error.h"
#include "net/fd.h"

namespace hawser::net {

struct ListenOptions {
    int backlog = 511;
    bool udp = false;
    // Accept only from these (S-17): packets of others are dropped before the handshake, without an answer.
    // Empty = from everybody.
    std::vector<Cidr> source_ranges;
    bool drop_everything = false;  // P-03: the port is taken and stays silent
    // Fail when another process has the port already; SO_REUSEPORT alone would share it in silence. Not
    // possible while this process itself listens on that port at another address.
    bool must_be_free = false;
};

// `count` non-blocking sockets bound to one address with SO_REUSEPORT: one for each worker. An address that
// is not on this machine (yet) is bound all the same (IP_FREEBIND, S-08). IPv6 sockets are v6only.
Result<std::vector<Fd>> open_listeners(const SocketAddress& address, unsigned count,
                                       const ListenOptions& options);

// Addresses on this machine's interfaces, loopback included.
Result<std::vector<IpAddress>> interface_addresses();

// The networks of this machine's interfaces: name, and each address's network.
struct InterfaceNetwork {
    std::string interface;
    Cidr network;
};
Result<std::vector<InterfaceNetwork>> interface_networks();

}  // namespace hawser::net
