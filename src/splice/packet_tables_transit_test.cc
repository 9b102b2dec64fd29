// SPDX-License-Identifier: Apache-2.0
// What the program makes of a tunnel's packets before and during its hand-off.
#include "splice/testing_tunnel.h"

namespace hawser::splice::testing {
namespace {

class TransitPackets : public TunnelTest {
  protected:
    void put(layout::tunnel_state state) {
        tunnel_.record.state = state;
        tunnel_.up.state = tunnel_.down.state = layout::state_relay;
        // The relay has read 10 bytes more than the program counted, and has told the ends of fewer than they
        // have heard of by now.
        tunnel_.record.cut_client = 5'010;
        tunnel_.record.sent_client = 8'000;
        tunnel_.record.cut_endpoint = 2'009'010;
        tunnel_.record.sent_endpoint = 1'004'000;
        tunnel_.put(node_->tables());
    }
};
INSTANTIATE_TEST_SUITE_P(Families, TransitPackets, ::testing::Values(true, false), family_name);

TEST_P(TransitPackets, OfTheRelayPassUntouchedAndLeaveTheirTimestamp) {
    tunnel_.up.sequence_end = tunnel_.up.sequence_base = 0;
    put(layout::state_relay);
    const std::pair<const char*, void (*)(Packet&)> rows[] = {
        {"data", [](Packet&) {}},
        {"an ACK", [](Packet& p) { p.payload.clear(); }},
        {"a FIN", [](Packet& p) { p.flags = ack | fin; }},
        {"a RST", [](Packet& p) { p.flags = rst; }},
        {"a SYN", [](Packet& p) { p.flags = syn; }},
        {"the last hop", [](Packet& p) { p.ttl = 1; }},
    };
    std::uint32_t now = 70'000;
    for (const auto& [sentence, change] : rows) {
        SCOPED_TRACE(sentence);
        Packet p = tunnel_.from_client();
        change(p);
        p.options = timestamps(++now, 1);
        const Bytes input = bytes_of(p);
        const std::uint64_t before = flow(tunnel_.up_key()).last_seen;
        const Outcome outcome = node_->run(input);
        EXPECT_EQ(outcome.verdict, passed);
        EXPECT_EQ(outcome.bytes, input);
        const layout::flow f = flow(tunnel_.up_key());
        EXPECT_EQ(f.tsval, now);
        EXPECT_GT(f.last_seen, before);
        EXPECT_EQ(f.state, layout::state_relay);
        EXPECT_EQ(f.sequence_end, tunnel_.up.sequence_end);
    }
    Packet old = tunnel_.from_client();
    old.options = timestamps(now - 1, 1);
    up(old);
    EXPECT_EQ(flow(tunnel_.up_key()).tsval, now) << "an older one is no news";
}

// The process has read the numbers, and has not flipped the record yet.
TEST_P(TransitPackets, OfARelayWhoseNumbersAreKnownPassUntouchedAndAreCounted) {
    put(layout::state_relay);
    Packet data = tunnel_.from_client();
    data.payload = Bytes(10, 'x');
    data.flags = ack | fin;
    const Bytes input = bytes_of(data);
    const Outcome outcome = node_->run(input);
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, input);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end, tunnel_.up.sequence_end + 11);
    EXPECT_NE(flow(tunnel_.up_key()).flags & layout::flow_fin, 0U);
    EXPECT_NE(flow(tunnel_.down_key()).flags & layout::flow_peer_fin, 0U);
    Packet other = tunnel_.from_client();
    other.payload.clear();
    for (const std::uint8_t flags : {std::uint8_t{rst | ack}, std::uint8_t{syn}}) {
        other.flags = flags;
        EXPECT_EQ(node_->run(bytes_of(other)).verdict, passed);
        EXPECT_EQ(flow(tunnel_.up_key()).flags & (layout::flow_reset | layout::flow_closed), 0U)
            << "is the relay's to judge";
    }
}

// ---- change_tunnel ----

class Changes : public TransitPackets {
  protected:
    // Both sockets as the record has them, everything acknowledged.
    [[nodiscard]] layout::change change(layout::tunnel_state state) const {
        layout::change c{};
        c.id = tunnel_id;
        c.client = tunnel_.up_key();
        c.of_client = {5'000, 9'000, 9'000, 0};
        c.of_endpoint = {2'009'000, 1'005'000, 1'005'000, 0};
        c.bytes_in = 1'000;
        c.bytes_out = 2'000;
        c.frames_in = 10;
        c.frames_out = 20;
        c.state = state;
        return c;
    }
    bool apply(const layout::change& c) { return node_->program().change(c); }
};
INSTANTIATE_TEST_SUITE_P(Families, Changes, ::testing::Values(true, false), family_name);

TEST_P(Changes, InTransitAreTheSocketsNumbersAndNothingElse) {
    put(layout::state_transit);
    layout::change c = change(layout::state_transit);
    c.of_client = {5'020, 8'100, 8'000, 1};
    c.of_endpoint = {2'009'020, 1'004'100, 1'004'000, 1};
    ASSERT_TRUE(apply(c));
    EXPECT_EQ(record().cut_client, 5'020U);
    EXPECT_EQ(record().sent_client, 8'100U);
    EXPECT_EQ(record().cut_endpoint, 2'009'020U);
    EXPECT_EQ(record().sent_endpoint, 1'004'100U);
    EXPECT_EQ(record().state, layout::state_transit);
    EXPECT_EQ(record().bytes_in, tunnel_.record.bytes_in);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end, tunnel_.up.sequence_end);
    EXPECT_EQ(flow(tunnel_.up_key()).flags, tunnel_.up.flags);
}

TEST_P(Changes, OfTheFirstFlipAreTheRelaysCountsToo) {
    tunnel_.record.flags = layout::record_by_client;
    put(layout::state_relay);
    ASSERT_TRUE(apply(change(layout::state_transit)));
    const layout::record flipped = record();
    EXPECT_EQ(flipped.state, layout::state_transit);
    EXPECT_EQ(flipped.cut_client, 5'000U);
    EXPECT_EQ(flipped.sent_endpoint, 1'005'000U);
    EXPECT_EQ(flipped.bytes_in, 1'000U);
    EXPECT_EQ(flipped.bytes_out, 2'000U);
    EXPECT_EQ(flipped.frames_in, 10U);
    EXPECT_EQ(flipped.frames_out, 20U);
    EXPECT_EQ(flipped.flags, layout::record_by_client) << "what the program has seen stays";
}

TEST_P(Changes, AtTheSpliceAreWhatTheSocketsReceivedInTheMeantime) {
    put(layout::state_transit);
    layout::change c = change(layout::state_spliced);
    c.of_client.received += 7;
    c.of_endpoint.sent += 7;
    ASSERT_TRUE(apply(c));
    EXPECT_EQ(record().state, layout::state_spliced);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end, tunnel_.up.sequence_end + 7);
    EXPECT_EQ(flow(tunnel_.down_key()).sequence_end, tunnel_.down.sequence_end);
    c.of_client.received -= 100;
    ASSERT_TRUE(apply(c));
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end, tunnel_.up.sequence_end + 7) << "never less";
}

TEST_P(Changes, OfAFinThatTheRelayPassedOnMakeItKnown) {
    for (const bool acknowledged : {false, true}) {
        SCOPED_TRACE(acknowledged);
        put(layout::state_transit);
        layout::change c = change(layout::state_spliced);
        c.of_client.received += 1;
        c.of_client.finished = 1;
        c.of_endpoint.sent += 1;
        if (acknowledged) c.of_endpoint.acknowledged += 1;
        ASSERT_TRUE(apply(c));
        ASSERT_TRUE(apply(c)) << "and again";
        EXPECT_NE(flow(tunnel_.up_key()).flags & layout::flow_fin, 0U);
        const layout::flow back = flow(tunnel_.down_key());
        EXPECT_NE(back.flags & layout::flow_peer_fin, 0U);
        EXPECT_EQ(back.peer_fin_end, c.of_endpoint.sent);
        EXPECT_EQ((back.flags & layout::flow_peer_fin_acked) != 0, acknowledged);
        EXPECT_EQ(record().flags, layout::record_by_client);
    }
}

TEST_P(Changes, OfTwoFinsThatAreAcknowledgedCloseTheTunnel) {
    put(layout::state_transit);
    node_->events();
    layout::change c = change(layout::state_spliced);
    c.of_client.received += 1;
    c.of_endpoint.received += 1;
    c.of_client.sent += 1;
    c.of_endpoint.sent += 1;
    c.of_client.finished = c.of_endpoint.finished = 1;
    ASSERT_TRUE(apply(c));
    EXPECT_EQ(record().flags & layout::record_closed, 0U) << "nobody has acknowledged them";
    c.of_client.acknowledged += 1;
    ASSERT_TRUE(apply(c));
    EXPECT_EQ(record().flags & layout::record_closed, 0U) << "one end has";
    c.of_endpoint.acknowledged += 1;
    ASSERT_TRUE(apply(c));
    EXPECT_NE(record().flags & layout::record_closed, 0U);
    EXPECT_EQ(record().bytes_in, tunnel_.record.bytes_in) << "a FIN is no byte";
    EXPECT_EQ(record().bytes_out, tunnel_.record.bytes_out);
    EXPECT_EQ(node_->events().size(), 1U);
    ASSERT_TRUE(apply(c));
    EXPECT_EQ(node_->events().size(), 0U) << "it ends once";
}

TEST_P(Changes, ThatKillLeaveWhatWasCounted) {
    for (const std::uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) {
        layout::flow_key client = tunnel_.up_key(), endpoint = tunnel_.down_key();
        client.protocol = endpoint.protocol = protocol;
        node_->tables().flows.put(client, tunnel_.up);
        node_->tables().flows.put(endpoint, tunnel_.down);
        node_->tables().records.put(tunnel_id, tunnel_.record);
        layout::change c{};
        c.id = tunnel_id;
        c.client = client;
        c.state = layout::state_killed;
        ASSERT_TRUE(apply(c));
        EXPECT_EQ(flow(client).state, layout::state_killed);
        EXPECT_EQ(flow(endpoint).state, layout::state_killed);
        EXPECT_EQ(flow(client).sequence_end, tunnel_.up.sequence_end);
        EXPECT_EQ(record().state, layout::state_spliced);
        EXPECT_EQ(record().bytes_in, tunnel_.record.bytes_in);
    }
}

TEST_P(Changes, OfATunnelThatIsNotThereAreRefused) {
    put(layout::state_transit);
    layout::change c = change(layout::state_spliced);
    c.id = 78;
    EXPECT_FALSE(apply(c));
    c.id = tunnel_id;
    c.client = tunnel_.down_key();
    c.client.source_port = 0;
    EXPECT_FALSE(apply(c));
    layout::flow other = tunnel_.down;
    other.id = 78;
    node_->tables().flows.put(tunnel_.down_key(), other);
    EXPECT_FALSE(apply(change(layout::state_spliced)));
    EXPECT_EQ(record().state, layout::state_transit);
}

TEST_P(TransitPackets, WithoutARecordAreTheStacks) {
    put(layout::state_transit);
    node_->tables().records.erase(tunnel_id);
    const Bytes input = bytes_of(tunnel_.from_client());
    const Outcome outcome = node_->run(input);
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, input);
}

TEST_P(TransitPackets, FindTheirTunnelSplicedAsSoonAsItsRecordSaysSo) {
    put(layout::state_spliced);
    EXPECT_EQ(parsed(up(tunnel_.from_client())), translated_up(tunnel_, tunnel_.from_client()));
    EXPECT_EQ(flow(tunnel_.up_key()).state, layout::state_spliced);
    EXPECT_EQ(flow(tunnel_.down_key()).state, layout::state_relay);
}

struct Case {
    const char* sentence;
    std::int32_t offset;  // from the cut
    std::size_t size;
    std::uint8_t flags;
    bool to_socket;
};
const Case cases[] = {
    {"what the relay has read is the socket's, and the ACK is held down", -10, 10, ack, true},
    {"and so is what is older", -500, 10, ack, true},
    {"a FIN that ends at the cut is the socket's", -11, 10, ack | fin, true},
    {"what is new goes on", 0, 10, ack, false},
    {"what is new and further on goes on", 1'000, 10, ack | psh, false},
    {"what begins old and ends new goes on", -5, 10, ack, false},
    {"one byte past the cut is new", -9, 10, ack, false},
    {"a FIN behind the cut goes on", 0, 0, ack | fin, false},
    {"a FIN with old data, itself behind the cut, goes on", -10, 10, ack | fin, false},
    {"a keepalive probe is the socket's", -1, 1, ack, true},
};

TEST_P(TransitPackets, GoWhereTheirBytesBelong) {
    for (const Case& c : cases) {
        SCOPED_TRACE(c.sentence);
        put(layout::state_transit);
        Packet p = tunnel_.from_client();
        p.sequence = tunnel_.record.cut_client + static_cast<std::uint32_t>(c.offset);
        p.payload = Bytes(c.size, 'x');
        p.flags = c.flags;
        Outcome outcome = up(p);
        EXPECT_EQ(outcome.verdict, c.to_socket ? passed : redirected);
        Packet held = p;
        held.acknowledgment = 8'000;
        EXPECT_EQ(parsed(outcome), c.to_socket ? held : translated_up(tunnel_, p));

        p = tunnel_.from_endpoint();
        p.sequence = tunnel_.record.cut_endpoint + static_cast<std::uint32_t>(c.offset);
        p.payload = Bytes(c.size, 'x');
        p.flags = c.flags;
        outcome = down(p);
        EXPECT_EQ(outcome.verdict, c.to_socket ? passed : redirected);
        held = p;
        held.acknowledgment = 1'004'000;
        EXPECT_EQ(parsed(outcome), c.to_socket ? held : translated_down(tunnel_, p));
    }
    EXPECT_EQ(node_->program().count(layout::counter_transit), 2 * std::size(cases));
}

TEST_P(TransitPackets, AreComparedWithACutNearTheWrap) {
    put(layout::state_transit);
    tunnel_.record.cut_client = 3;
    node_->tables().records.put(tunnel_id, tunnel_.record);
    Packet p = tunnel_.from_client();
    p.sequence = 0U - 2;
    p.payload = Bytes(5, 'x');
    EXPECT_EQ(up(p).verdict, passed);
    p.payload = Bytes(6, 'x');
    EXPECT_EQ(up(p).verdict, redirected);
}

TEST_P(TransitPackets, WithoutDataGoOnAndACopyGoesToTheSocket) {
    for (const std::uint8_t flags : {std::uint8_t{ack}, std::uint8_t{rst | ack}}) {
        put(layout::state_transit);
        Wire wire("client0");
        Packet p = tunnel_.from_client();
        p.payload.clear();
        p.flags = flags;
        EXPECT_EQ(parsed(up(p)), translated_up(tunnel_, p));
        const auto copies = wire.take(tunnel_.client.port);
        ASSERT_EQ(copies.size(), 1U);
        Packet held = p;
        held.acknowledgment = 8'000;
        EXPECT_EQ(parsed({passed, copies[0]}), held);
    }
}

// The end has gone on with the other end, further than the socket's window reaches.
TEST_P(TransitPackets, BeyondTheSocketsWindowTheCopyHasTheNumberThatItExpects) {
    struct {
        const char* sentence;
        std::uint32_t sequence, acknowledgment;
        std::uint8_t flags;
        bool held;
    } const table[] = {
        {"an ACK after much data", 405'000, 9'000, ack, true},
        {"a keepalive without data", 404'999, 9'000, ack, true},
        {"an ACK, far from what was sent", 0x40000000, 9'000, ack, false},
        {"an ACK of what nobody sent", 405'000, 0x40000000, ack, false},
        {"a RST is judged by the socket", 405'000, 9'000, rst | ack, false},
    };
    for (const auto& c : table) {
        SCOPED_TRACE(c.sentence);
        tunnel_.up.sequence_end = (std::uint64_t{1} << 32) + 405'000;
        put(layout::state_transit);
        Wire wire("client0");
        Packet p = tunnel_.from_client();
        p.payload.clear();
        p.flags = c.flags;
        p.sequence = c.sequence;
        p.acknowledgment = c.acknowledgment;
        EXPECT_EQ(parsed(up(p)), translated_up(tunnel_, p));
        const auto copies = wire.take(tunnel_.client.port);
        ASSERT_EQ(copies.size(), 1U);
        Packet copy = p;
        copy.acknowledgment = 8'000;
        if (c.held) copy.sequence = tunnel_.record.cut_client;
        EXPECT_EQ(parsed({passed, copies[0]}), copy);
    }
}

TEST_P(TransitPackets, ThatTheProgramHasCopiedPassItUntouched) {
    put(layout::state_transit);
    const Bytes input = bytes_of(tunnel_.from_client());
    const Outcome outcome = node_->run(input, Arrival{.mark = 0x48775357});
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, input);
    EXPECT_EQ(flow(tunnel_.up_key()).packets, 0U);
}

TEST_P(TransitPackets, WithAnAckThatIsNotTooHighAreNotHeldDown) {
    for (const std::uint32_t acknowledgment : {7'999U, 8'000U}) {
        put(layout::state_transit);
        Packet p = tunnel_.from_client();
        p.acknowledgment = acknowledgment;
        const Bytes input = bytes_of(p);
        const Outcome outcome = node_->run(input);
        EXPECT_EQ(outcome.verdict, passed);
        EXPECT_EQ(outcome.bytes, input);
    }
}

TEST_P(TransitPackets, AreDroppedWhenTheyAreSyns) {
    put(layout::state_transit);
    Packet p = tunnel_.from_client();
    for (const std::uint8_t flags : {std::uint8_t{syn}, std::uint8_t{syn | ack}}) {
        p.flags = flags;
        EXPECT_EQ(up(p).verdict, dropped);
    }
    EXPECT_TRUE(node_->tables().flows.has(tunnel_.up_key()));
}

TEST_P(TransitPackets, ThatResetEndTheTunnelByTheirNumber) {
    for (const auto& [sequence, believed] : {std::pair{5'000U, true}, {4'000U, false}}) {
        put(layout::state_transit);
        node_->events();
        Packet p = tunnel_.from_client();
        p.flags = rst;
        p.payload.clear();
        p.sequence = sequence;
        EXPECT_EQ(up(p).verdict, redirected);
        EXPECT_EQ((record().flags & layout::record_closed) != 0, believed);
        EXPECT_EQ(node_->events().size(), believed ? 1U : 0U);
    }
}

TEST_P(TransitPackets, AreCountedAsThoseOfASplicedTunnelAre) {
    put(layout::state_transit);
    Packet p = tunnel_.from_client();
    p.sequence = 5'000;
    p.payload = Bytes(10, 'o');
    up(p);
    p.sequence = 5'010;
    up(p);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end - tunnel_.up.sequence_base, 20U);
    EXPECT_EQ(flow(tunnel_.up_key()).acknowledged, 9'000U) << "not held down here";
}

}  // namespace
}  // namespace hawser::splice::testing
