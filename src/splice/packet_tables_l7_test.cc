// SPDX-License-Identifier: Apache-2.0
// What the program makes of the packets of spliced tunnels: each row an input, an output and a sentence.
#include "splice/segment.h"
#include "splice/testing_packets.h"

namespace hawser::splice::testing {
namespace {

constexpr std::uint64_t id = 77;

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
        f.id = id;
        f.window = 65'535;
        return f;
    }
    [[nodiscard]] layout::flow_key up_key() const { return make_key(client, frontend, IPPROTO_TCP); }
    [[nodiscard]] layout::flow_key down_key() const { return make_key(endpoint, upstream, IPPROTO_TCP); }
    void put(const Tables& tables) const {
        tables.flows.put(up_key(), up);
        tables.flows.put(down_key(), down);
        tables.records.put(id, record);
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

class L7Packets : public PacketTest, public ::testing::WithParamInterface<bool> {
  protected:
    Outcome up(const Packet& p) { return node_->run(bytes_of(p), "client0"); }
    Outcome down(const Packet& p) { return node_->run(bytes_of(p), "pod0"); }
    layout::flow flow(const layout::flow_key& key) {
        return node_->tables().flows.find(key).value_or(layout::flow{});
    }
    Packet parsed(const Outcome& outcome) {
        std::string wrong;
        Packet p = packet_of(outcome.bytes, wrong);
        EXPECT_EQ(wrong, "");
        return p;
    }
    Tunnel tunnel_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, L7Packets, ::testing::Values(true, false),
                         [](const auto& each) { return each.param ? "IPv4" : "IPv6"; });

struct Row {
    const char* sentence;
    void (*input)(Packet&);
    void (*expected)(Packet&);
    void (*flow)(layout::flow&) = nullptr;
};

// `expected` starts as the plain translation of the input.
const Row upward[] = {
    {"a segment has its addresses, ports, numbers, timestamps and window translated", [](Packet&) {},
     [](Packet&) {}},
    {"an ACK without data is translated too", [](Packet& p) { p.payload.clear(); }, [](Packet&) {}},
    {"sequence numbers wrap around",
     [](Packet& p) {
         p.sequence = 0xffffff00;
         p.acknowledgment = 0xffffffff;
     },
     [](Packet& p) {
         p.sequence = 999'744;
         p.acknowledgment = 1'999'999;
     }},
    {"a window shifted right loses its low bits", [](Packet& p) { p.window = 7; },
     [](Packet& p) { p.window = 1; }},
    {"a window shifted left stops at 65535", [](Packet& p) { p.window = 40'000; },
     [](Packet& p) { p.window = 65'535; }, [](layout::flow& f) { f.window_shift = 4; }},
    {"ECN bits and DSCP pass",
     [](Packet& p) {
         p.tos = 0xb9;
         p.flags = ack | 0xc0;
     },
     [](Packet&) {}},
    {"the urgent pointer passes",
     [](Packet& p) {
         p.flags = ack | urg;
         p.urgent = 3;
     },
     [](Packet&) {}},
    {"a segment without options", [](Packet& p) { p.options.clear(); }, [](Packet&) {},
     [](layout::flow& f) { f.flags &= ~static_cast<std::uint32_t>(layout::flow_timestamps); }},
    {"FIN and PSH pass", [](Packet& p) { p.flags = ack | fin | psh; }, [](Packet&) {}},
    {"without ACK the field stays as it is",
     [](Packet& p) {
         p.flags = psh;
         p.acknowledgment = 5;
     },
     [](Packet& p) { p.acknowledgment = 5; }},
    {"SACK blocks are of the other direction's numbers",
     [](Packet& p) {
         const Bytes sack{1, 1, 5, 10, 0, 0, 0x30, 0, 0, 0, 0x40, 0};
         p.options.insert(p.options.end(), sack.begin(), sack.end());
     },
     [](Packet& p) {
         const Bytes sack{1, 1, 5, 10, 0, 0x1e, 0xb4, 0x80, 0, 0x1e, 0xc4, 0x80};
         p.options = timestamps(73'000, 76'000);
         p.options.insert(p.options.end(), sack.begin(), sack.end());
     }},
    {"three SACK blocks at an odd place, behind a timestamp at an odd place",
     [](Packet& p) {
         p.options = {1, 8, 10, 0, 1, 0x11, 0x70, 0, 1, 0x38, 0x80, 5, 26, 0, 0, 0, 1, 0, 0, 0,
                      2, 0, 0,  0, 3, 0,    0,    0, 4, 0,    0,    0, 5,  0, 0, 0, 6, 1, 1, 1};
     },
     [](Packet& p) {
         p.options = {1,    8,    10,   0,    1,    0x1d, 0x28, 0,    1,    0x28, 0xe0, 5, 26,   0,
                      0x1e, 0x84, 0x81, 0,    0x1e, 0x84, 0x82, 0,    0x1e, 0x84, 0x83, 0, 0x1e, 0x84,
                      0x84, 0,    0x1e, 0x84, 0x85, 0,    0x1e, 0x84, 0x86, 1,    1,    1};
     }},
    {"where only one end permits SACK the blocks become NOPs",
     [](Packet& p) {
         const Bytes sack{1, 1, 5, 10, 0, 0, 0x30, 0, 0, 0, 0x40, 0};
         p.options.insert(p.options.end(), sack.begin(), sack.end());
     },
     [](Packet& p) {
         p.options = timestamps(73'000, 76'000);
         p.options.insert(p.options.end(), 12, 1);
     },
     [](layout::flow& f) { f.flags |= layout::flow_blank_sack; }},
    {"options that nobody negotiated become NOPs",
     [](Packet& p) { p.options = {30, 8, 1, 2, 3, 4, 5, 6, 254, 4, 0xf9, 0x89}; },
     [](Packet& p) { p.options = Bytes(12, 1); }},
    {"what follows the end of options is left alone", [](Packet& p) { p.options = {1, 1, 1, 0, 9, 9, 9, 9}; },
     [](Packet& p) { p.options = {1, 1, 1, 0, 9, 9, 9, 9}; }},
    {"an option whose length is impossible ends the reading",
     [](Packet& p) {
         p.options = {8, 77, 1, 1};
     },
     [](Packet& p) {
         p.options = {8, 77, 1, 1};
     }},
};

TEST_P(L7Packets, OfAClientAreTranslatedForTheEndpoint) {
    for (const Row& row : upward) {
        SCOPED_TRACE(row.sentence);
        Tunnel tunnel = tunnel_;
        if (row.flow != nullptr) row.flow(tunnel.up);
        tunnel.put(node_->tables());
        Packet input = tunnel.from_client();
        row.input(input);
        Packet expected = input;
        expected.source = tunnel.upstream;
        expected.destination = tunnel.endpoint;
        expected.sequence += 1'000'000;
        if ((input.flags & ack) != 0) expected.acknowledgment += 2'000'000;
        expected.window = static_cast<std::uint16_t>(input.window >> 2);
        if (expected.options.size() == 12 && expected.options[2] == 8)
            expected.options = timestamps(73'000, 76'000);
        expected.ttl = 63;
        expected.macs = Node::towards("pod0", 3);
        row.expected(expected);
        const Outcome outcome = up(input);
        EXPECT_EQ(outcome.verdict, redirected);
        EXPECT_EQ(parsed(outcome), expected);
    }
}

TEST_P(L7Packets, OfAnEndpointAreTranslatedForTheClient) {
    tunnel_.put(node_->tables());
    const Packet input = tunnel_.from_endpoint();
    Packet expected = input;
    expected.source = tunnel_.frontend;
    expected.destination = tunnel_.client;
    expected.sequence = 9'000;
    expected.acknowledgment = 5'000;
    expected.window = 8'000;
    expected.options = timestamps(74'000, 77'000);
    expected.ttl = 63;
    expected.macs = Node::towards("client0", 2);
    const Outcome outcome = down(input);
    EXPECT_EQ(outcome.verdict, redirected);
    EXPECT_EQ(parsed(outcome), expected);
}

TEST_P(L7Packets, WithAWrongChecksumStayWrong) {
    tunnel_.put(node_->tables());
    Bytes damaged = bytes_of(tunnel_.from_client());
    damaged.back() ^= 1;
    std::string wrong;
    packet_of(up(tunnel_.from_client()).bytes, wrong);
    EXPECT_EQ(wrong, "");
    packet_of(node_->run(damaged).bytes, wrong);
    EXPECT_EQ(wrong, "L4 checksum; ");
}

TEST_P(L7Packets, WithoutAHopLeftAreDropped) {
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.ttl = 1;
    EXPECT_EQ(up(p).verdict, dropped);
    EXPECT_EQ(node_->program().count(layout::counter_dropped_ttl), 1U);
}

TEST_P(L7Packets, AreCountedByWhatTheyAddToTheStream) {
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    up(p);
    up(p);  // repeated
    p.sequence += 5;
    up(p);
    p.sequence -= 3;  // overlaps
    up(p);
    const layout::flow f = flow(tunnel_.up_key());
    EXPECT_EQ(f.packets, 4U);
    EXPECT_EQ(f.sequence_end - f.sequence_base, 10U);
    EXPECT_EQ(f.tsval, 70'000U);
}

TEST_P(L7Packets, BeyondTheWindowAreForwardedButNotBelieved) {
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.sequence += 1U << 29;
    EXPECT_EQ(up(p).verdict, redirected);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end, tunnel_.up.sequence_end);
}

// ---- relay and transit ----

TEST_P(L7Packets, InTheRelayPassUntouchedAndLeaveTheirTimestamp) {
    tunnel_.record.state = layout::state_relay;
    tunnel_.up.state = tunnel_.down.state = layout::state_relay;
    tunnel_.put(node_->tables());
    const Bytes input = bytes_of(tunnel_.from_client());
    const Outcome outcome = node_->run(input);
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, input);
    EXPECT_EQ(flow(tunnel_.up_key()).tsval, 70'000U);
    EXPECT_GT(flow(tunnel_.up_key()).last_seen, 0U);
}

TEST_P(L7Packets, InTransitGoWhereTheirBytesBelong) {
    tunnel_.record.state = layout::state_transit;
    tunnel_.up.state = tunnel_.down.state = layout::state_relay;
    tunnel_.record.cut_client = 5'010;
    tunnel_.record.sent_client = 8'000;
    struct Case {
        const char* sentence;
        std::uint32_t sequence;
        std::size_t size;
        std::uint8_t flags;
        std::uint32_t verdict;
        std::optional<std::uint32_t> held;  // the acknowledgement that the stack gets; nothing: translated
    };
    const Case cases[] = {
        {"what the relay has read is the socket's, and the ACK is held down", 5'000, 10, ack, passed, 8'000},
        {"what is new goes on", 5'010, 10, ack, redirected, std::nullopt},
        {"what begins old and ends new goes on", 5'005, 10, ack, redirected, std::nullopt},
        {"a FIN behind the cut goes on", 5'010, 0, ack | fin, redirected, std::nullopt},
        {"an ACK alone goes on, a copy to the socket", 5'010, 0, ack, redirected, std::nullopt},
        {"a RST goes on, a copy to the socket", 5'010, 0, rst | ack, redirected, std::nullopt},
        {"a keepalive probe is the socket's", 5'009, 1, ack, passed, 8'000},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.sentence);
        tunnel_.put(node_->tables());
        Packet p = tunnel_.from_client();
        p.sequence = c.sequence;
        p.payload = Bytes(c.size, 'x');
        p.flags = c.flags;
        const Outcome outcome = up(p);
        EXPECT_EQ(outcome.verdict, c.verdict);
        Packet expected = p;
        if (c.held) {
            expected.acknowledgment = *c.held;
            EXPECT_EQ(parsed(outcome), expected);
        } else {
            EXPECT_EQ(parsed(outcome).destination, tunnel_.endpoint);
            EXPECT_EQ(parsed(outcome).sequence, c.sequence + 1'000'000);
            EXPECT_EQ(parsed(outcome).acknowledgment, 2'009'000U);
        }
    }
}

TEST_P(L7Packets, AnAckThatIsNotTooHighIsNotHeldDown) {
    tunnel_.record.state = layout::state_transit;
    tunnel_.up.state = layout::state_relay;
    tunnel_.record.cut_client = 5'010;
    tunnel_.record.sent_client = 9'500;
    tunnel_.put(node_->tables());
    const Bytes input = bytes_of(tunnel_.from_client());
    EXPECT_EQ(node_->run(input).bytes, input);
}

TEST_P(L7Packets, ASynInTransitIsDropped) {
    tunnel_.record.state = layout::state_transit;
    tunnel_.up.state = layout::state_relay;
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.flags = syn;
    EXPECT_EQ(up(p).verdict, dropped);
}

// ---- ends ----

TEST_P(L7Packets, ASynOnALivingTunnelIsChallenged) {
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.flags = syn;
    p.sequence = 123;
    p.payload.clear();
    const Outcome outcome = up(p);
    EXPECT_EQ(outcome.verdict, redirected);
    Packet expected;
    expected.source = tunnel_.frontend;
    expected.destination = tunnel_.client;
    expected.sequence = 9'000;
    expected.acknowledgment = 5'000;
    expected.flags = ack;
    expected.window = 0;
    expected.macs = {0xa, 0, 0, 0, 0, 2, 0xa, 0, 0, 0, 0, 1};
    EXPECT_EQ(parsed(outcome), expected);
    EXPECT_TRUE(node_->tables().flows.has(tunnel_.up_key()));
}

TEST_P(L7Packets, ASynOnAnEndedTunnelFindsTheStack) {
    tunnel_.up.flags |= layout::flow_closed;
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.flags = syn;
    const Bytes input = bytes_of(p);
    const Outcome outcome = node_->run(input);
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, input);
    EXPECT_FALSE(node_->tables().flows.has(tunnel_.up_key()));
    EXPECT_FALSE(node_->tables().flows.has(tunnel_.down_key()));
}

TEST_P(L7Packets, AResetIsBelievedByItsNumberOnlyAndForwardedAnyhow) {
    const std::pair<std::uint32_t, bool> cases[] = {
        {5'000, true}, {5'001, false}, {4'999, false}, {0x80000000, false}};
    for (const auto& [sequence, believed] : cases) {
        SCOPED_TRACE(sequence);
        tunnel_.put(node_->tables());
        Packet p = tunnel_.from_client();
        p.flags = rst;
        p.sequence = sequence;
        p.payload.clear();
        EXPECT_EQ(up(p).verdict, redirected);
        EXPECT_EQ((flow(tunnel_.down_key()).flags & layout::flow_closed) != 0, believed);
        const auto record = node_->tables().records.find(id);
        constexpr std::uint32_t ended =
            layout::record_closed | layout::record_reset | layout::record_by_client;
        EXPECT_EQ((record->flags & ended) == ended, believed);
    }
}

TEST_P(L7Packets, BothFinsAcknowledgedEndTheTunnelWithExactCounts) {
    tunnel_.put(node_->tables());
    Packet up_fin = tunnel_.from_client();
    up_fin.flags = ack | fin;
    up(up_fin);  // 5 bytes and FIN: 5,000 .. 5,006
    Packet down_fin = tunnel_.from_endpoint();
    down_fin.acknowledgment = 1'005'006;
    down_fin.flags = ack | fin;
    down_fin.payload = Bytes(1000, 'y');
    down(down_fin);
    EXPECT_EQ(flow(tunnel_.up_key()).flags & layout::flow_closed, 0U);
    Packet last = tunnel_.from_client();
    last.sequence = 5'006;
    last.acknowledgment = 10'001;
    last.payload.clear();
    EXPECT_EQ(up(last).verdict, redirected);
    EXPECT_NE(flow(tunnel_.up_key()).flags & layout::flow_closed, 0U);
    const auto record = node_->tables().records.find(id);
    EXPECT_EQ(record->bytes_in, 105U);
    EXPECT_EQ(record->bytes_out, 1'200U);
    EXPECT_EQ(record->flags & (layout::record_closed | layout::record_by_client | layout::record_by_endpoint),
              layout::record_closed | layout::record_by_client);
}

TEST_P(L7Packets, OfAKilledTunnelAreRefused) {
    tunnel_.up.state = layout::state_killed;
    tunnel_.put(node_->tables());
    const Outcome outcome = up(tunnel_.from_client());
    EXPECT_EQ(outcome.verdict, redirected);
    Packet expected;
    expected.source = tunnel_.frontend;
    expected.destination = tunnel_.client;
    expected.sequence = 9'000;
    expected.flags = rst;
    expected.window = 0;
    expected.macs = {0xa, 0, 0, 0, 0, 2, 0xa, 0, 0, 0, 0, 1};
    EXPECT_EQ(parsed(outcome), expected);
}

TEST_P(L7Packets, ASuperPacketIsTranslatedWhole) {
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.payload = Bytes(3'000, 'z');
    const Outcome outcome = node_->run(bytes_of(p), "client0", Hook::ingress, 1'428);
    EXPECT_EQ(outcome.verdict, redirected);
    EXPECT_EQ(parsed(outcome).payload.size(), 3'000U);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end - tunnel_.up.sequence_base, 3'000U);
}

// ---- our own segments ----

TEST_P(L7Packets, ProbesAndResetsOfOursAreWhatTheEndExpects) {
    const auto at_client = resets_for(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    ASSERT_EQ(at_client.size(), 1U);  // everything is acknowledged: one number fits
    EXPECT_EQ(at_client[0].sequence, 9'000U);
    EXPECT_EQ(at_client[0].source, tunnel_.frontend);
    EXPECT_EQ(at_client[0].destination, tunnel_.client);
    layout::flow more = tunnel_.down;
    more.sequence_end += 50;  // sent, not acknowledged yet
    const auto both = resets_for(tunnel_.up_key(), tunnel_.up, more);
    ASSERT_EQ(both.size(), 2U);
    EXPECT_EQ(both[1].sequence, 9'050U);

    tunnel_.up.tsval = 70'000;
    tunnel_.down.tsval = 90'000;
    const Segment probe = probe_for(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    EXPECT_EQ(probe.sequence, 8'999U);
    EXPECT_EQ(probe.acknowledgment, 5'000U);
    EXPECT_EQ(probe.timestamps->value, 94'000U);
    EXPECT_EQ(probe.timestamps->echo, 70'000U);

    // As bytes: the checksums are right.
    Bytes frame(14);
    frame[12] = GetParam() ? 0x08 : 0x86;
    frame[13] = GetParam() ? 0x00 : 0xdd;
    const auto ip = splice::bytes_of(probe);
    frame.insert(frame.end(), ip.begin(), ip.end());
    std::string wrong;
    const Packet read = packet_of(frame, wrong);
    EXPECT_EQ(wrong, "");
    EXPECT_EQ(read.sequence, probe.sequence);
    EXPECT_EQ(read.options, timestamps(94'000, 70'000));
}

// ---- ICMP ----

// A router's error about a packet that we sent, as `quoted`.
Bytes icmp_error(const Packet& quoted, const net::IpAddress& from, std::uint8_t type, std::uint8_t code,
                 std::uint32_t rest) {
    const bool v4 = quoted.source.ip.is_v4();
    const Bytes frame = bytes_of(quoted);
    Packet outer;
    outer.source.ip = from;
    outer.destination.ip = quoted.source.ip;
    outer.protocol = v4 ? std::uint8_t{IPPROTO_ICMP} : std::uint8_t{IPPROTO_ICMPV6};
    Bytes body{type, code, 0, 0};
    for (int shift = 24; shift >= 0; shift -= 8) body.push_back(static_cast<std::uint8_t>(rest >> shift));
    body.insert(body.end(), frame.begin() + 14, frame.begin() + (v4 ? 34 : 54) + 8);
    outer.payload = Bytes(body.begin() + 8, body.end());
    Bytes out = bytes_of(outer);  // with a UDP header's room, which ICMP's takes
    std::copy_n(body.begin(), 8, out.begin() + (v4 ? 34 : 54));
    const std::size_t l4 = v4 ? 34 : 54;
    detail::put16(out, l4 + 2, 0);
    const std::uint32_t own = v4 ? 0 : detail::pseudo(out, v4, outer.protocol, l4);
    detail::put16(out, l4 + 2, 0xffffU & ~detail::fold(own + detail::sum(out, l4, out.size())));
    return out;
}

TEST_P(L7Packets, IcmpErrorsReachTheEndThatTheyAreFor) {
    tunnel_.put(node_->tables());
    const bool v4 = GetParam();
    Packet sent = tunnel_.from_client();  // as we sent it on
    sent.source = tunnel_.upstream;
    sent.destination = tunnel_.endpoint;
    sent.sequence = 1'005'000;
    const auto router = *net::IpAddress::parse(v4 ? "10.2.0.5" : "fd02::5");
    for (const auto& from : {router, tunnel_.endpoint.ip}) {
        const Bytes error = v4 ? icmp_error(sent, from, 3, 4, 1400) : icmp_error(sent, from, 2, 0, 1400);
        const Outcome outcome = node_->run(error, "pod0");
        ASSERT_EQ(outcome.verdict, redirected);
        const Packet outer = parsed(outcome);
        EXPECT_EQ(outer.destination.ip, tunnel_.client.ip);
        // A router stays itself; the endpoint is known to the client as the frontend.
        EXPECT_EQ(outer.source.ip, from == router ? router : tunnel_.frontend.ip);
        EXPECT_EQ(outer.macs, Node::towards("client0", 2));
        Bytes quoted(14);
        quoted[12] = v4 ? 0x08 : 0x86;
        quoted[13] = v4 ? 0x00 : 0xdd;
        quoted.insert(quoted.end(), outer.payload.begin() + 8, outer.payload.end());
        const std::size_t l4 = v4 ? 34 : 54;
        EXPECT_EQ(detail::get16(quoted, l4), tunnel_.client.port);
        EXPECT_EQ(detail::get16(quoted, l4 + 2), tunnel_.frontend.port);
        EXPECT_EQ(detail::get32(quoted, l4 + 4), 5'000U);
        EXPECT_EQ(detail::get32(outer.payload, 4) & 0xffff, 1400U);
        if (v4) {
            EXPECT_EQ(detail::fold(detail::sum(quoted, 14, 34)), 0xffff);
        }
    }
}

TEST_P(L7Packets, IcmpErrorsOfOthersPass) {
    tunnel_.put(node_->tables());
    Packet sent = tunnel_.from_client();
    sent.source = tunnel_.upstream;
    sent.destination = tunnel_.endpoint;
    sent.source.port = 1;
    const Bytes error = icmp_error(sent, tunnel_.endpoint.ip, GetParam() ? 3 : 1, 1, 0);
    const Outcome outcome = node_->run(error, "pod0");
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, error);
}

TEST_P(L7Packets, LargerThanTheReceiverTakesAreAnsweredWithWhatItTakes) {
    tunnel_.up.largest_segment = 1'000;
    tunnel_.put(node_->tables());
    Packet p = tunnel_.from_client();
    p.payload = Bytes(988, 'x');  // and 12 bytes of options
    EXPECT_EQ(parsed(up(p)).destination, tunnel_.endpoint);
    p.payload = Bytes(989, 'x');
    const Packet error = parsed(up(p));
    EXPECT_EQ(error.destination.ip, tunnel_.client.ip);
    EXPECT_EQ(detail::get32(error.payload, 4), GetParam() ? 1'040U : 1'060U);
}

TEST_P(L7Packets, TooLargeForTheWayOnAreAnsweredWithItsMtu) {
    tunnel_.put(node_->tables());
    ASSERT_EQ(std::system("ip link set pod0 mtu 1300"), 0);
    Packet p = tunnel_.from_client();
    p.payload = Bytes(1'400, 'x');
    const Outcome outcome = up(p);
    ASSERT_EQ(std::system("ip link set pod0 mtu 1500"), 0);
    ASSERT_EQ(outcome.verdict, redirected);
    const Packet error = parsed(outcome);
    EXPECT_EQ(error.source.ip, tunnel_.frontend.ip);
    EXPECT_EQ(error.destination.ip, tunnel_.client.ip);
    EXPECT_EQ(error.payload[0], GetParam() ? 3 : 2);
    EXPECT_EQ(error.payload[1], GetParam() ? 4 : 0);
    EXPECT_EQ(detail::get32(error.payload, 4), 1'300U);
    // It quotes what the client sent.
    EXPECT_EQ(detail::get16(error.payload, 8 + (GetParam() ? 20U : 40U)), tunnel_.client.port);
}

}  // namespace
}  // namespace hawser::splice::testing
