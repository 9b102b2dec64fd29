// SPDX-License-Identifier: Apache-2.0
#include "bench/crowd/end.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace hawser::bench {
namespace {

// Both ends on one wire, which can lose a segment.
class Crowd : public testing::Test {
  protected:
    struct Sent {
        Segment segment;
        std::vector<std::uint8_t> payload;
        void keep() {
            payload.assign(segment.payload.begin(), segment.payload.end());
            segment.payload = payload;
        }
    };

    Crowd() : client_side("bench.test") {
        first.source = 1;
        first.source_port = 1000;
        first.destination = 2;
        first.destination_port = 80;
    }

    std::optional<Sent> to_server(const Segment& in) {
        Sent out;
        if (!server_side.take(server, in, 50, out.segment)) return std::nullopt;
        out.keep();
        return out;
    }
    std::optional<Sent> to_client(const Segment& in) {
        Sent out;
        if (!client_side.take(client, in, 70, out.segment)) return std::nullopt;
        out.keep();
        return out;
    }

    // Until nobody answers, or segment number `lost` is lost; returns how many were sent.
    int run(const Segment& segment, int lost = 0) {
        Sent at{segment, {}};
        at.keep();
        int count = 1;
        for (bool to = true; count != lost; to = !to, ++count) {
            auto next = to ? to_server(at.segment) : to_client(at.segment);
            if (!next || count > 20) break;
            at = *next;
            at.keep();
        }
        return count;
    }
    void open() {
        Segment syn = first;
        client_side.open(client, 10, syn);
        run(syn);
    }
    static Segment from_server() {
        Segment out;
        out.source = 2;
        out.source_port = 80;
        out.destination = 1;
        out.destination_port = 1000;
        return out;
    }

    CrowdServer server_side;
    CrowdClient client_side;
    End server, client;
    Segment first;
};

TEST_F(Crowd, a_tunnel_opens_in_five_segments) {
    Segment syn = first;
    client_side.open(client, 10, syn);
    EXPECT_EQ(run(syn), 5);  // SYN, SYN+ACK, request, 101, ACK
    EXPECT_EQ(client.state, EndState::open);
    EXPECT_EQ(server.state, EndState::open);
    EXPECT_EQ(client.send_next, server.receive_next);
    EXPECT_EQ(server.send_next, client.receive_next);
}

TEST_F(Crowd, a_message_comes_back) {
    open();
    Segment message = first;
    client_side.echo(client, 20, message);
    EXPECT_EQ(client.state, EndState::echoing);
    EXPECT_EQ(run(message), 3);
    EXPECT_EQ(client.state, EndState::open);
    EXPECT_EQ(client.receive_next, server.send_next);
}

TEST_F(Crowd, whatever_is_lost_is_made_good_by_sending_again) {
    for (int lost = 1; lost <= 8; ++lost) {
        client = server = {};
        const auto until_open = [&](const Segment& segment, int lost_here) {
            run(segment, lost_here);
            for (int tries = 0; tries < 3 && client.state != EndState::open; ++tries) {
                Segment again = first;
                if (client_side.resend(client, 30, again)) run(again);
            }
            EXPECT_EQ(client.state, EndState::open) << "lost segment " << lost;
            EXPECT_EQ(client.send_next, server.receive_next) << "lost segment " << lost;
            EXPECT_EQ(client.receive_next, server.send_next) << "lost segment " << lost;
        };
        Segment segment = first;
        client_side.open(client, 10, segment);
        until_open(segment, lost);  // five segments
        segment = first;
        client_side.echo(client, 20, segment);
        until_open(segment, lost - 5);  // three
    }
}

TEST_F(Crowd, a_keepalive_is_answered_and_an_acknowledgement_is_not) {
    open();
    Segment probe = first;
    probe.flags = tcp_ack;
    probe.sequence = server.receive_next - 1;
    probe.acknowledgment = server.send_next;
    probe.tsval = 99;
    const auto answer = to_server(probe);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->segment.flags, tcp_ack);
    EXPECT_EQ(answer->segment.sequence, server.send_next);
    EXPECT_EQ(answer->segment.acknowledgment, server.receive_next);
    ++probe.sequence;
    EXPECT_FALSE(to_server(probe));

    Segment back = from_server();
    back.flags = tcp_ack;
    back.sequence = client.receive_next - 1;
    back.acknowledgment = client.send_next;
    EXPECT_TRUE(to_client(back));
    ++back.sequence;
    EXPECT_FALSE(to_client(back));
}

TEST_F(Crowd, answers_go_back_to_where_the_segment_came_from_with_its_timestamp) {
    Segment syn = first;
    client_side.open(client, 10, syn);
    const auto answer = to_server(syn);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->segment.source, 2U);
    EXPECT_EQ(answer->segment.destination, 1U);
    EXPECT_EQ(answer->segment.source_port, 80);
    EXPECT_EQ(answer->segment.destination_port, 1000);
    EXPECT_EQ(answer->segment.tsecr, 10U);
    EXPECT_EQ(answer->segment.tsval, 50U);
}

TEST_F(Crowd, a_reset_and_an_end_break_a_tunnel) {
    for (const std::uint8_t flags : {std::uint8_t{tcp_rst}, std::uint8_t{tcp_fin | tcp_ack}}) {
        client = server = {};
        open();
        Segment last = from_server();
        last.flags = flags;
        last.sequence = client.receive_next;
        last.acknowledgment = client.send_next;
        to_client(last);
        EXPECT_EQ(client.state, EndState::broken);
    }
}

TEST_F(Crowd, a_changed_message_breaks_a_tunnel) {
    open();
    Segment message = first;
    client_side.echo(client, 20, message);
    auto echoed = to_server(message);
    ASSERT_TRUE(echoed);
    echoed->keep();
    echoed->payload.back() ^= 1;
    echoed->segment.payload = echoed->payload;
    to_client(echoed->segment);
    EXPECT_EQ(client.state, EndState::broken);
}

TEST_F(Crowd, a_segment_without_a_tunnel_is_refused) {
    Segment stray = first;
    stray.flags = tcp_ack;
    stray.acknowledgment = 4711;
    const auto refused = to_server(stray);
    ASSERT_TRUE(refused);
    EXPECT_TRUE(refused->segment.has(tcp_rst));
    EXPECT_EQ(refused->segment.sequence, 4711U);
}

TEST_F(Crowd, an_end_is_small) { EXPECT_EQ(sizeof(End), 16U); }

}  // namespace
}  // namespace hawser::bench
