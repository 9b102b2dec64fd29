// SPDX-License-Identifier: Apache-2.0
#pragma once

// A spliced tunnel in the tables, for packet tables.

#include "splice/testing_packets.h"

namespace hawser::splice::testing {

inline constexpr std::uint64_t tunnel_id = 77;

// A tunnel between client 2 and pod 3, in either family, with deltas that are easy to tell.
struct Tunnel {
    bool v4 = true;
    net::SocketAddress client, frontend, upstream, endpoint;
    layout::flow up{}, down{};
    layout::record record{};

    explicit Tunnel(bool is_v4) : v4(is_v4) {
        const auto ip = [&](const char* a, const char* b) { return *net::IpAddress::parse(v4 ? a : b); };
        client = {ip("10.1.0.2", "fd01::2"), 40'000};
        frontend = {ip("10.1.0.1", "fd01::1"), 80};
        upstream = {ip("10.2.0.1", "fd02::1"), 25'000};
        endpoint = {ip("10.2.0.3", "fd02::3"), 9080};
        up = flow(upstream, endpoint, layout::flow_from_client);
        up.sequence_delta = 1'000'000;
        up.acknowledgment_delta = 2'000'000;
        up.tsval_delta = 3'000;
        up.tsecr_delta = 0U - 4'000;
        up.sequence_end = up.sequence_base = (1ULL << 32) + 5'000;
        up.acknowledged = 9'000;
        up.window_shift = -2;
        up.window_scale = 3;
        down = flow(frontend, client, 0);
        down.sequence_delta = 0U - 2'000'000;
        down.acknowledgment_delta = 0U - 1'000'000;
        down.tsval_delta = 4'000;
        down.tsecr_delta = 0U - 3'000;
        down.sequence_end = down.sequence_base = (1ULL << 32) + 2'009'000;
        down.acknowledged = 1'005'000;
        down.window_shift = 3;
        down.window_scale = 7;
        record.state = layout::state_spliced;
        record.bytes_in = 100;
        record.bytes_out = 200;
    }
    static layout::flow flow(const net::SocketAddress& source, const net::SocketAddress& destination,
                             std::uint32_t flags) {
        layout::flow f{};
        f.source = to_table(source.ip);
        f.source_port = htons(source.port);
        f.destination = to_table(destination.ip);
        f.destination_port = htons(destination.port);
        f.state = layout::state_spliced;
        f.flags = flags | layout::flow_timestamps;
        f.id = tunnel_id;
        f.window = 65'535;
        return f;
    }
    [[nodiscard]] layout::flow_key up_key() const { return make_key(client, frontend, IPPROTO_TCP); }
    [[nodiscard]] layout::flow_key down_key() const { return make_key(endpoint, upstream, IPPROTO_TCP); }
    void put(const Tables& tables) const {
        tables.flows.put(up_key(), up);
        tables.flows.put(down_key(), down);
        tables.records.put(tunnel_id, record);
    }
    [[nodiscard]] Packet from_client() const {
        Packet p;
        p.source = client;
        p.destination = frontend;
        p.sequence = 5'000;
        p.acknowledgment = 9'000;
        p.payload = {'h', 'e', 'l', 'l', 'o'};
        p.options = timestamps(70'000, 80'000);
        return p;
    }
    [[nodiscard]] Packet from_endpoint() const {
        Packet p = from_client();
        p.source = endpoint;
        p.destination = upstream;
        p.sequence = 2'009'000;
        p.acknowledgment = 1'005'000;
        return p;
    }
};

// Of both families; packets of the client arrive at client0, those of the endpoint at pod0.
class TunnelTest : public PacketTest, public ::testing::WithParamInterface<bool> {
  protected:
    Outcome up(const Packet& p) { return node_->run(bytes_of(p), "client0"); }
    Outcome down(const Packet& p) { return node_->run(bytes_of(p), "pod0"); }
    layout::flow flow(const layout::flow_key& key) {
        return node_->tables().flows.find(key).value_or(layout::flow{});
    }
    layout::record record() { return node_->tables().records.find(tunnel_id).value_or(layout::record{}); }
    static Packet parsed(const Outcome& outcome) {
        std::string wrong;
        Packet p = packet_of(outcome.bytes, wrong);
        EXPECT_EQ(wrong, "");
        return p;
    }
    // What leaves towards the endpoint, and towards the client, when `tunnel` is as it was made.
    static Packet translated_up(const Tunnel& tunnel, Packet p) {
        p.source = tunnel.upstream;
        p.destination = tunnel.endpoint;
        p.sequence += tunnel.up.sequence_delta;
        if ((p.flags & ack) != 0) p.acknowledgment += tunnel.up.acknowledgment_delta;
        p.window = static_cast<std::uint16_t>(p.window >> 2);
        if (p.options.size() == 12 && p.options[2] == 8) p.options = timestamps(73'000, 76'000);
        p.ttl = 63;
        p.macs = Node::towards("pod0", 3);
        return p;
    }
    static Packet translated_down(const Tunnel& tunnel, Packet p) {
        p.source = tunnel.frontend;
        p.destination = tunnel.client;
        p.sequence += tunnel.down.sequence_delta;
        if ((p.flags & ack) != 0) p.acknowledgment += tunnel.down.acknowledgment_delta;
        p.window = static_cast<std::uint16_t>(p.window > 8191 ? 65'535 : p.window << 3);
        if (p.options.size() == 12 && p.options[2] == 8) p.options = timestamps(74'000, 77'000);
        p.ttl = 63;
        p.macs = Node::towards("client0", 2);
        return p;
    }
    // A segment of the program's own: turned round where it came in.
    static Packet answer_to(const Packet& p) {
        Packet out;
        out.source = p.destination;
        out.destination = p.source;
        out.window = 0;
        std::rotate_copy(p.macs.begin(), p.macs.begin() + 6, p.macs.end(), out.macs.begin());
        return out;
    }
    Tunnel tunnel_{GetParam()};
};

inline std::string family_name(const ::testing::TestParamInfo<bool>& each) {
    return each.param ? "IPv4" : "IPv6";
}

}  // namespace hawser::splice::testing
