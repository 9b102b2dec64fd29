// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>

#include <bit>
#include <cstring>
#include <string_view>

#include "balance/hash.h"
#include "net/address.h"
#include "splice/bpf/layout.h"

namespace hawser::splice {

// Between net's values and those of the tables.
inline layout::address to_table(const net::IpAddress& ip) {
    return std::bit_cast<layout::address>(ip.bytes());
}

inline net::IpAddress from_table(const layout::address& address) {
    return net::IpAddress::v6(std::bit_cast<std::array<std::uint8_t, 16>>(address));
}

inline net::SocketAddress from_table(const layout::address& address, std::uint16_t port_network_order) {
    return {from_table(address), ntohs(port_network_order)};
}

// The keys by which the tables know a name. 0 stands for "none". Fixed for ever: flows and records of an
// earlier process hold them.
inline std::uint64_t name_key(std::string_view name) {
    if (name.empty()) return 0;
    const std::uint64_t hash = balance::stable_hash(name, 0x6861777365720010);
    return hash == 0 ? 1 : hash;
}

// The other flow of a tunnel answers to what this one writes.
inline layout::flow_key key_of_answer(const layout::flow& flow, std::uint8_t protocol) {
    layout::flow_key key{};
    key.source = flow.destination;
    key.destination = flow.source;
    key.source_port = flow.destination_port;
    key.destination_port = flow.source_port;
    key.protocol = protocol;
    return key;
}

inline layout::flow_key make_key(const net::SocketAddress& source, const net::SocketAddress& destination,
                                 std::uint8_t protocol) {
    layout::flow_key key{};
    key.source = to_table(source.ip);
    key.destination = to_table(destination.ip);
    key.source_port = htons(source.port);
    key.destination_port = htons(destination.port);
    key.protocol = protocol;
    return key;
}

}  // namespace hawser::splice
