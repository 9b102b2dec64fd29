// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "net/address.h"
#include "splice/bpf/layout.h"

namespace hawser::splice {

// A TCP segment without data, as bytes of an IP packet with correct checksums. Source port and so on in host
// order.
struct Segment {
    net::SocketAddress source, destination;
    std::uint32_t sequence = 0, acknowledgment = 0;
    std::uint8_t flags = 0;  // RFC 9293 section 3.1: RST 4, ACK 16
    std::uint16_t window = 0;
    struct Timestamps {
        std::uint32_t value = 0, echo = 0;
    };
    std::optional<Timestamps> timestamps;
};
std::vector<std::uint8_t> bytes_of(const Segment& segment);

// Sends it by a raw socket (CAP_NET_RAW), routed as any packet of this node. Best effort: TCP survives its
// loss.
void send(const Segment& segment);

// To the end whose packets arrive as `key`; `flow` is what is known of them, `other` of the tunnel's other
// flow. A reset in the name of the other end. Two segments: the end may or may not have acknowledged all that
// it was sent.
void send_reset(const layout::flow_key& key, const layout::flow& flow, const layout::flow& other);
// A keepalive probe (RFC 9293 section 3.8.4): the end answers with its state, if it lives.
void send_probe(const layout::flow_key& key, const layout::flow& flow, const layout::flow& other);
// The two, as values: for tests.
std::vector<Segment> resets_for(const layout::flow_key& key, const layout::flow& flow,
                                const layout::flow& other);
Segment probe_for(const layout::flow_key& key, const layout::flow& flow, const layout::flow& other);

}  // namespace hawser::splice
