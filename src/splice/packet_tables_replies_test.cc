// SPDX-License-Identifier: Apache-2.0
// What ends a tunnel, and what the program answers itself: the bytes of each answer.
#include "splice/testing_icmp.h"
#include "splice/testing_tunnel.h"

namespace hawser::splice::testing {
namespace {

class Replies : public TunnelTest {
  protected:
    static constexpr std::uint32_t who =
        layout::record_closed | layout::record_reset | layout::record_by_client | layout::record_by_endpoint;
    bool closed(const layout::flow_key& key) { return (flow(key).flags & layout::flow_closed) != 0; }
    Packet bare(Packet p, std::uint8_t flags) {
        p.flags = flags;
        p.payload.clear();
        return p;
    }
    // That the program answers with `expected` and nothing else.
    void expect_answer(const Packet& input, const Packet& expected, const char* interface = "client0") {
        const Outcome outcome = node_->run(bytes_of(input), interface);
        EXPECT_EQ(outcome.verdict, redirected);
        EXPECT_EQ(parsed(outcome), expected);
        EXPECT_EQ(outcome.bytes, bytes_of(expected));
    }
    void expect_too_big(const Packet& input, std::uint32_t mtu, const char* interface = "client0",
                        std::uint32_t gso_size = 0) {
        const Outcome outcome = node_->run(bytes_of(input), interface, Hook::ingress, gso_size);
        EXPECT_EQ(outcome.verdict, redirected);
        EXPECT_EQ(outcome.bytes, bytes_of(too_big(input, mtu, quote_of(input, 20))));
    }
};
INSTANTIATE_TEST_SUITE_P(Families, Replies, ::testing::Values(true, false), family_name);

// ---- SYN ----

TEST_P(Replies, ASynOnALivingTunnelIsChallenged) {
    tunnel_.down.window = 500U << 7;
    tunnel_.put(node_->tables());
    Packet p = bare(tunnel_.from_client(), syn);
    for (const std::uint32_t sequence : {123U, 5'000U, 0U}) {
        p.sequence = sequence;
        Packet expected = answer_to(p);
        expected.macs = Node::towards("client0", 2);  // by the route, whoever sent the frame
        expected.sequence = 9'000;
        expected.acknowledgment = 5'000;
        expected.window = 4'000;  // not 0: a blind attacker's SYN must not stop the client
        expect_answer(p, expected);
    }
    p.payload = Bytes(300, 'x');
    p.options = {2, 4, 5, 0xb4};
    Packet expected = answer_to(p);
    expected.macs = Node::towards("client0", 2);
    expected.sequence = 9'000;
    expected.acknowledgment = 5'000;
    expected.window = 4'000;
    expect_answer(p, expected);
    EXPECT_EQ(node_->program().count(layout::counter_challenged), 4U);
    EXPECT_EQ(flow(tunnel_.up_key()).sequence_end, tunnel_.up.sequence_end);
    EXPECT_FALSE(closed(tunnel_.up_key()));
}

TEST_P(Replies, ASynOfTheEndpointsSideIsChallengedInItsNumbers) {
    tunnel_.put(node_->tables());
    const Packet p = bare(tunnel_.from_endpoint(), syn);
    Packet expected = answer_to(p);
    expected.macs = Node::towards("pod0", 3);
    expected.sequence = 1'005'000;
    expected.acknowledgment = 2'009'000;
    expected.window = 65'535 >> 3 >> 2;
    expect_answer(p, expected, "pod0");
}

TEST_P(Replies, ASynThatAcknowledgesIsDropped) {
    tunnel_.put(node_->tables());
    EXPECT_EQ(up(bare(tunnel_.from_client(), syn | ack)).verdict, dropped);
    EXPECT_TRUE(node_->tables().flows.has(tunnel_.up_key()));
}

TEST_P(Replies, ASynOnAnEndedTunnelFindsTheStack) {
    tunnel_.up.flags |= layout::flow_closed;
    tunnel_.put(node_->tables());
    const Bytes input = bytes_of(bare(tunnel_.from_client(), syn));
    const Outcome outcome = node_->run(input);
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, input);
    EXPECT_FALSE(node_->tables().flows.has(tunnel_.up_key()));
    EXPECT_FALSE(node_->tables().flows.has(tunnel_.down_key()));
    EXPECT_TRUE(node_->tables().records.has(tunnel_id)) << "until its line is written";
}

TEST_P(Replies, ASynOnAnEndedTunnelLeavesTheFlowThatAnotherTunnelHasNow) {
    tunnel_.up.flags |= layout::flow_closed;
    tunnel_.put(node_->tables());
    auto taken = *node_->tables().flows.find(tunnel_.down_key());
    taken.id = tunnel_id + 1;
    node_->tables().flows.put(tunnel_.down_key(), taken);
    EXPECT_EQ(node_->run(bytes_of(bare(tunnel_.from_client(), syn))).verdict, passed);
    EXPECT_FALSE(node_->tables().flows.has(tunnel_.up_key()));
    EXPECT_TRUE(node_->tables().flows.has(tunnel_.down_key()));
}

// ---- RST ----

TEST_P(Replies, AResetIsBelievedByItsNumberOnlyAndForwardedAnyhow) {
    // 50 bytes are on the way to the endpoint.
    tunnel_.up.sequence_end += 50;
    const std::pair<std::uint32_t, bool> cases[] = {{5'050, true},  {5'000, true},      {5'001, false},
                                                    {5'049, false}, {4'999, false},     {5'051, false},
                                                    {0, false},     {0x80000000, false}};
    for (const auto& [sequence, believed] : cases) {
        for (const std::uint8_t flags : {std::uint8_t{rst}, std::uint8_t{rst | ack}}) {
            SCOPED_TRACE(std::to_string(sequence) + " flags " + std::to_string(flags));
            tunnel_.put(node_->tables());
            node_->events();
            Packet p = bare(tunnel_.from_client(), flags);
            p.sequence = sequence;
            const Outcome outcome = up(p);
            EXPECT_EQ(outcome.verdict, redirected);
            EXPECT_EQ(parsed(outcome), translated_up(tunnel_, p));
            EXPECT_EQ(closed(tunnel_.up_key()), believed);
            EXPECT_EQ(closed(tunnel_.down_key()), believed);
            EXPECT_EQ((flow(tunnel_.up_key()).flags & layout::flow_reset) != 0, believed);
            constexpr std::uint32_t ended =
                layout::record_closed | layout::record_reset | layout::record_by_client;
            EXPECT_EQ(record().flags & who, believed ? ended : 0U);
            EXPECT_EQ(record().bytes_in, believed ? 150U : 100U);
            EXPECT_EQ(node_->events().size(), believed ? 1U : 0U);
        }
    }
}

TEST_P(Replies, AResetOfTheEndpointIsItsOwnAndToldOnce) {
    tunnel_.put(node_->tables());
    Packet p = bare(tunnel_.from_endpoint(), rst);
    down(p);
    down(p);
    EXPECT_EQ(record().flags & who,
              layout::record_closed | layout::record_reset | layout::record_by_endpoint);
    const auto events = node_->events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, layout::event_closed);
    EXPECT_EQ(events[0].id, tunnel_id);
    EXPECT_EQ(events[0].key.source_port, tunnel_.up_key().source_port) << "the flow from the client";
}

TEST_P(Replies, AResetBehindBothFinsEndsATunnelThatHasFinished) {
    tunnel_.up.flags |= layout::flow_fin | layout::flow_peer_fin;
    tunnel_.down.flags |= layout::flow_fin | layout::flow_peer_fin;
    tunnel_.record.flags = layout::record_by_client;
    tunnel_.put(node_->tables());
    up(bare(tunnel_.from_client(), rst));
    EXPECT_EQ(record().flags & who, layout::record_closed | layout::record_by_client);
    EXPECT_EQ(flow(tunnel_.up_key()).flags & layout::flow_reset, 0U);
    EXPECT_EQ(node_->events().size(), 1U);
}

// ---- numbers that a blind attacker guessed ----

TEST_P(Replies, WhatABlindSegmentSaysIsForwardedAndNotRemembered) {
    struct Case {
        const char* sentence;
        std::uint32_t sequence, acknowledgment;
        std::uint8_t flags;
        std::size_t size;
    };
    const Case cases[] = {
        {"a window, far behind", 5'000U - (1U << 21), 9'000, ack, 0},
        {"a window, with an acknowledgement far behind", 5'000, 9'000U - (1U << 21), ack, 0},
        {"a window, with an acknowledgement of what nobody sent", 5'000, 0x40000000, ack, 0},
        {"a window, without an acknowledgement", 5'000, 0, psh, 0},
        {"data behind a gap, with such an acknowledgement", 5'100, 0x40000000, ack, 4},
        {"data behind a gap, with an acknowledgement far behind", 5'100, 9'000U - (1U << 21), ack, 4},
        {"data beyond the window", 0x40000000, 9'000, ack, 4},
        {"a FIN that lies behind", 4'900, 9'000, ack | fin, 0},
        {"a FIN far behind", 5'000U - (1U << 21), 9'000, ack | fin, 0},
        {"a FIN beyond the window", 0x40000000, 9'000, ack | fin, 0},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.sentence);
        tunnel_.put(node_->tables());
        up(bare(tunnel_.from_client(), ack));
        const layout::flow before = flow(tunnel_.up_key());
        Packet p = bare(tunnel_.from_client(), c.flags);
        p.sequence = c.sequence;
        p.acknowledgment = c.acknowledgment;
        p.window = 0xffff;
        p.payload = Bytes(c.size, 'x');
        EXPECT_EQ(parsed(up(p)), translated_up(tunnel_, p));
        const layout::flow after = flow(tunnel_.up_key());
        EXPECT_EQ(after.sequence_end, before.sequence_end);
        if (c.sequence != 4'900) {
            EXPECT_EQ(after.acknowledged, before.acknowledged);
            EXPECT_EQ(after.window, before.window);
        }
        EXPECT_EQ(after.flags, before.flags);
        EXPECT_EQ(record().flags & who, 0U);
    }
}

// ---- FIN ----

// A story in steps: who sends what.
struct Step {
    bool from_client;
    std::uint32_t sequence, acknowledgment;
    std::uint8_t flags;
    std::size_t size;
};
struct Story {
    const char* sentence;
    std::vector<Step> steps;  // the last of them ends the tunnel, if any does
    bool ends;
    std::uint32_t by;
    std::uint64_t bytes_in, bytes_out;
};

TEST_P(Replies, BothFinsAcknowledgedEndTheTunnelWithExactCounts) {
    constexpr std::uint32_t c = layout::record_by_client, e = layout::record_by_endpoint;
    const Story stories[] = {
        {"the client first",
         {{true, 5'000, 9'000, ack | fin, 5},
          {false, 2'009'000, 1'005'006, ack | fin, 1'000},
          {true, 5'006, 10'001, ack, 0}},
         true,
         c,
         105,
         1'200},
        {"the endpoint first",
         {{false, 2'009'000, 1'005'000, ack | fin, 0},
          {true, 5'000, 9'001, ack | fin, 0},
          {false, 2'009'001, 1'005'001, ack, 0}},
         true,
         e,
         100,
         200},
        {"half closed, and the other half talks on",
         {{true, 5'000, 9'000, ack | fin, 0},
          {false, 2'009'000, 1'005'001, ack, 700},
          {true, 5'001, 9'700, ack, 0},
          {false, 2'009'700, 1'005'001, ack | fin, 300},
          {true, 5'001, 10'001, ack, 0}},
         true,
         c,
         100,
         1'200},
        {"both at once",
         {{true, 5'000, 9'000, ack | fin, 7},
          {false, 2'009'000, 1'005'000, ack | fin, 8},
          {true, 5'008, 9'009, ack, 0},
          {false, 2'009'009, 1'005'008, ack, 0}},
         true,
         c,
         107,
         208},
        {"a FIN that is repeated counts once",
         {{true, 5'000, 9'000, ack | fin, 5},
          {true, 5'000, 9'000, ack | fin, 5},
          {false, 2'009'000, 1'005'006, ack | fin, 0},
          {false, 2'009'000, 1'005'006, ack | fin, 0},
          {true, 5'006, 9'001, ack, 0}},
         true,
         c,
         105,
         200},
        {"the last data overtakes the FIN",
         {{true, 5'100, 9'000, ack | fin, 0},
          {true, 5'000, 9'000, ack, 100},
          {false, 2'009'000, 1'005'101, ack | fin, 0},
          {true, 5'101, 9'001, ack, 0}},
         true,
         c,
         200,
         200},
        {"one FIN is not acknowledged yet",
         {{true, 5'000, 9'000, ack | fin, 5},
          {false, 2'009'000, 1'005'005, ack | fin, 0},
          {true, 5'006, 9'001, ack, 0}},
         false,
         c,
         100,
         200},
    };
    for (const Story& story : stories) {
        SCOPED_TRACE(story.sentence);
        tunnel_.put(node_->tables());
        node_->events();
        for (std::size_t i = 0; i < story.steps.size(); ++i) {
            EXPECT_FALSE(closed(tunnel_.up_key())) << "before step " << i;
            const Step& step = story.steps[i];
            Packet p = step.from_client ? tunnel_.from_client() : tunnel_.from_endpoint();
            p.sequence = step.sequence;
            p.acknowledgment = step.acknowledgment;
            p.flags = step.flags;
            p.payload = Bytes(step.size, 'x');
            EXPECT_EQ(parsed(step.from_client ? up(p) : down(p)),
                      step.from_client ? translated_up(tunnel_, p) : translated_down(tunnel_, p));
        }
        EXPECT_EQ(closed(tunnel_.up_key()), story.ends);
        EXPECT_EQ(closed(tunnel_.down_key()), story.ends);
        EXPECT_EQ(record().flags & who, story.ends ? story.by | layout::record_closed : story.by);
        EXPECT_EQ(record().bytes_in, story.bytes_in);
        EXPECT_EQ(record().bytes_out, story.bytes_out);
        const auto events = node_->events();
        ASSERT_EQ(events.size(), story.ends ? 1U : 0U);
        if (story.ends) {
            EXPECT_EQ(events[0].kind, layout::event_closed);
        }
    }
}

TEST_P(Replies, StraySegmentsOfAnEndedTunnelAreStillTranslated) {
    tunnel_.up.flags |= layout::flow_closed;
    tunnel_.down.flags |= layout::flow_closed;
    tunnel_.put(node_->tables());
    EXPECT_EQ(parsed(up(tunnel_.from_client())), translated_up(tunnel_, tunnel_.from_client()));
    EXPECT_EQ(parsed(down(tunnel_.from_endpoint())), translated_down(tunnel_, tunnel_.from_endpoint()));
    EXPECT_EQ(node_->events().size(), 0U);
}

// ---- killed ----

TEST_P(Replies, OfAKilledTunnelTakeTheNumbersOfTheSegment) {
    struct Case {
        const char* sentence;
        std::uint8_t flags;
        std::size_t size;
        std::uint32_t sequence, acknowledgment;  // of the answer
        std::uint8_t answer;
    };
    const Case cases[] = {
        {"data", ack, 5, 9'000, 0, rst},
        {"an ACK", ack, 0, 9'000, 0, rst},
        {"a FIN", ack | fin, 5, 9'000, 0, rst},
        {"data without an ACK", psh, 5, 0, 5'005, rst | ack},
        {"a FIN without an ACK", fin, 5, 0, 5'006, rst | ack},
    };
    for (const bool by_record : {false, true}) {
        for (const Case& c : cases) {
            SCOPED_TRACE(c.sentence);
            tunnel_.up.state = by_record ? layout::state_relay : layout::state_killed;
            tunnel_.record.state = by_record ? layout::state_killed : layout::state_spliced;
            tunnel_.put(node_->tables());
            Packet p = tunnel_.from_client();
            p.flags = c.flags;
            p.payload = Bytes(c.size, 'x');
            Packet expected = answer_to(p);
            expected.sequence = c.sequence;
            expected.acknowledgment = c.acknowledgment;
            expected.flags = c.answer;
            expect_answer(p, expected);
        }
    }
    EXPECT_EQ(up(bare(tunnel_.from_client(), rst)).verdict, dropped) << "a RST is never answered";
    tunnel_.down.state = layout::state_killed;
    tunnel_.put(node_->tables());
    Packet expected = answer_to(tunnel_.from_endpoint());
    expected.sequence = 1'005'000;
    expected.flags = rst;
    expect_answer(tunnel_.from_endpoint(), expected, "pod0");
}

// ---- size ----

TEST_P(Replies, LargerThanTheReceiverTakesIsAnsweredWithWhatItTakes) {
    tunnel_.up.largest_segment = 1'000;
    tunnel_.put(node_->tables());
    const std::uint32_t mtu = GetParam() ? 1'040 : 1'060;
    Packet p = tunnel_.from_client();
    p.payload = Bytes(988, 'x');  // and 12 bytes of options
    EXPECT_EQ(parsed(up(p)), translated_up(tunnel_, p));
    p.payload = Bytes(989, 'x');
    expect_too_big(p, mtu);
    // A super-packet is as large as its parts.
    p.payload = Bytes(3'000, 'x');
    EXPECT_EQ(node_->run(bytes_of(p), "client0", Hook::ingress, 988).verdict, redirected);
    EXPECT_EQ(node_->program().count(layout::counter_too_big), 1U);
    expect_too_big(p, mtu, "client0", 989);
    EXPECT_EQ(node_->program().count(layout::counter_too_big), 2U);
}

TEST_P(Replies, TooLargeForTheWayOnIsAnsweredWithItsMtu) {
    tunnel_.put(node_->tables());
    const std::string route = GetParam() ? "ip route replace 10.2.0.3/32 dev pod0 mtu lock 1300"
                                         : "ip -6 route replace fd02::3/128 dev pod0 mtu lock 1300";
    ASSERT_EQ(std::system(route.c_str()), 0);
    const std::size_t headers = (GetParam() ? 20U : 40U) + 32;
    Packet p = tunnel_.from_client();
    p.payload = Bytes(1'300 - headers, 'x');
    EXPECT_EQ(parsed(up(p)), translated_up(tunnel_, p));
    p.payload.push_back('x');
    expect_too_big(p, 1'300);
    p.payload = Bytes(3'000, 'x');
    expect_too_big(p, 1'300);
    EXPECT_EQ(node_->run(bytes_of(p), "client0", Hook::ingress, static_cast<std::uint32_t>(1'300 - headers))
                  .verdict,
              redirected);
    expect_too_big(p, 1'300, "client0", static_cast<std::uint32_t>(1'301 - headers));
    EXPECT_EQ(node_->program().count(layout::counter_too_big), 3U);
    ASSERT_EQ(std::system(GetParam() ? "ip route del 10.2.0.3/32" : "ip -6 route del fd02::3/128"), 0);
}

}  // namespace
}  // namespace hawser::splice::testing
