// SPDX-License-Identifier: Apache-2.0
// The life of L4 tunnels: from nascent to settled to forgotten; affinity; ports.
#include <set>

#include "splice/testing_services.h"

namespace hawser::splice::testing {
namespace {

class TunnelLife : public ServiceTest {};
INSTANTIATE_TEST_SUITE_P(Families, TunnelLife, ::testing::Values(true, false), family_of_services);

TEST_P(TunnelLife, AHandshakeIsNascentUntilItsThirdSegment) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    const auto key = make_key(from, to, IPPROTO_TCP);
    const Seen there = run(segment(from, to));
    EXPECT_TRUE(node_->tables().nascent.has(key));
    Packet ack_of_client = segment(from, to, ack);
    ack_of_client.sequence = 1'001;
    run(ack_of_client);  // before the endpoint has answered
    EXPECT_FALSE(node_->tables().flows.has(key));
    Packet answer = segment(there.packet.destination, there.packet.source, syn | ack);
    answer.acknowledgment = 1'001;
    answer.sequence = 7'000;
    run(answer, "pod0");
    ack_of_client.acknowledgment = 7'001;
    run(ack_of_client);
    const auto flow = node_->tables().flows.find(key);
    ASSERT_TRUE(flow);
    EXPECT_FALSE(node_->tables().nascent.has(key));
    const auto record = node_->tables().records.find(flow->id);
    ASSERT_TRUE(record);
    EXPECT_EQ(names_->find(record->service), "default/web");
    EXPECT_EQ(names_->find(record->endpoint), endpoint_name(group({pod(3)})->endpoints[0]));
    // Its end: FIN, FIN, ACK. The counts are of what was said.
    Packet fin_of_client = ack_of_client;
    fin_of_client.flags = ack | fin;
    fin_of_client.payload = Bytes(700, 'x');
    run(fin_of_client);
    Packet fin_of_endpoint = answer;
    fin_of_endpoint.flags = ack | fin;
    fin_of_endpoint.sequence = 7'001;
    fin_of_endpoint.acknowledgment = 1'702;
    fin_of_endpoint.payload = Bytes(30, 'y');
    run(fin_of_endpoint, "pod0");
    ack_of_client.sequence = 1'702;
    ack_of_client.acknowledgment = 7'032;
    run(ack_of_client);
    const auto ended = node_->tables().records.find(flow->id);
    EXPECT_NE(ended->flags & layout::record_closed, 0U);
    EXPECT_EQ(ended->bytes_in, 700U);
    EXPECT_EQ(ended->bytes_out, 30U);
    // The same 4-tuple begins anew.
    EXPECT_EQ(run(segment(from, to)).verdict, redirected);
    EXPECT_TRUE(node_->tables().nascent.has(key));
}

TEST_P(TunnelLife, IsToldWhenItOpensAndWhenItCloses) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    const Seen there = open(from, to);
    auto events = node_->events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, layout::event_opened);
    const auto flow = node_->tables().flows.find(make_key(from, to, IPPROTO_TCP));
    ASSERT_TRUE(flow);
    EXPECT_EQ(events[0].id, flow->id);
    Packet reset = segment(there.packet.destination, there.packet.source, rst);
    reset.sequence = 7'001;
    EXPECT_EQ(run(reset, "pod0").verdict, redirected);
    events = node_->events();
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].kind, layout::event_closed);
    EXPECT_EQ(events[0].key.source_port, htons(40'000)) << "the flow from the client";
    constexpr std::uint32_t ended = layout::record_closed | layout::record_reset | layout::record_by_endpoint;
    EXPECT_EQ(node_->tables().records.find(flow->id)->flags & ended, ended);
}

TEST_P(TunnelLife, ThatAnEndpointRefusesNeverSettlesAndItsClientMayTryAgain) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    for (int tries = 0; tries < 3; ++tries) {
        const Seen there = run(segment(from, to));
        ASSERT_EQ(there.verdict, redirected);
        Packet refusal = segment(there.packet.destination, there.packet.source, rst | ack);
        refusal.sequence = 0;
        refusal.acknowledgment = 1'001;
        const Seen back = run(refusal, "pod0");
        EXPECT_EQ(back.verdict, redirected);
        EXPECT_EQ(back.packet.source, to);
        EXPECT_EQ(back.packet.destination, from);
        EXPECT_EQ(back.packet.acknowledgment, 1'001U);
    }
    EXPECT_EQ(node_->tables().flows.size(), 0U);
    EXPECT_EQ(node_->events().size(), 0U);
}

TEST_P(TunnelLife, GoesOnAtItsEndpointWhenTheServiceChanges) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    open(from, to);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(4)}))});
    EXPECT_EQ(run(segment(from, to, ack)).packet.destination.ip, pod(3));
    apply({});
    EXPECT_EQ(run(segment(from, to, ack)).packet.destination.ip, pod(3));
    EXPECT_EQ(run(segment({client(3), 1}, to)).verdict, passed);
}

TEST_P(TunnelLife, ThatIsKilledRefusesItsClient) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    open(from, to);
    const auto key = make_key(from, to, IPPROTO_TCP);
    auto flow = *node_->tables().flows.find(key);
    flow.state = layout::state_killed;
    node_->tables().flows.put(key, flow);
    Packet p = segment(from, to, ack);
    p.acknowledgment = 7'001;
    const Seen seen = run(p);
    EXPECT_EQ(seen.packet.flags, rst);
    EXPECT_EQ(seen.packet.sequence, 7'001U);
    EXPECT_EQ(seen.packet.destination, from);
}

TEST_P(TunnelLife, LeavesTcpOptionsAndNumbersAsTheyAre) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    Packet p = segment({client(2), 40'000}, {external_ip(), 80});
    for (const Bytes& options : {Bytes{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7},
                                 Bytes{253, 4, 1, 2}, Bytes(40, 1)}) {
        p.options = options;
        p.tos = 0x2d;
        const Seen seen = run(p);
        Packet expected = p;
        expected.source = seen.packet.source;
        expected.destination = {pod(3), 9080};
        expected.ttl = 63;
        expected.macs = Node::towards("pod0", 3);
        EXPECT_EQ(seen.packet, expected);
    }
}

TEST_P(TunnelLife, UdpIsSettledByTheThirdDatagramAndForgottenWhenIdle) {
    Frontend udp = frontend(FrontendKind::cluster_ip, cluster_ip(), 53,
                            group({pod(3), pod(4)}, Scheduler::rr, "default/web:53/UDP"));
    udp.protocol = catalog::Protocol::udp;
    udp.udp_idle_timeout = std::chrono::seconds(1);
    apply({udp});
    const net::SocketAddress from{client(2), 40'000}, to{cluster_ip(), 53};
    const auto key = make_key(from, to, IPPROTO_UDP);
    const Seen first = run(datagram(from, to));
    ASSERT_EQ(first.verdict, redirected);
    EXPECT_EQ(run(datagram(from, to)).packet.destination, first.packet.destination)
        << "a client keeps its endpoint";
    EXPECT_FALSE(node_->tables().flows.has(key));
    const Seen answer = run(datagram(first.packet.destination, first.packet.source), "pod0");
    EXPECT_EQ(answer.packet.source, to);
    EXPECT_EQ(answer.packet.destination, from);
    run(datagram(from, to));
    const auto flow = node_->tables().flows.find(key);
    ASSERT_TRUE(flow);
    EXPECT_EQ(flow->sequence_end - flow->sequence_base, 9U);
    layout::flow old = *flow;
    old.last_seen = 1;
    node_->tables().flows.put(key, old);
    EXPECT_NE(run(datagram(from, to)).packet.destination, first.packet.destination) << "the next one by turn";
}

TEST_P(TunnelLife, ADatagramWithoutAChecksumStaysWithout) {
    if (!GetParam()) return;  // IPv6 has none without
    Frontend udp =
        frontend(FrontendKind::cluster_ip, cluster_ip(), 53, group({pod(3)}, Scheduler::rr, "x/UDP"));
    udp.protocol = catalog::Protocol::udp;
    apply({udp});
    Bytes bare = bytes_of(datagram({client(2), 40'000}, {cluster_ip(), 53}));
    detail::put16(bare, 34 + 6, 0);
    const Outcome outcome = node_->run(bare);
    ASSERT_EQ(outcome.verdict, redirected);
    EXPECT_EQ(detail::get16(outcome.bytes, 34 + 6), 0U);
}

TEST_P(TunnelLife, A01ToA06AClientKeepsItsEndpointUntilThatGoes) {
    auto pods = group({pod(3), pod(4), pod(5)}, Scheduler::rr);
    pods->balancing.affinity_timeout = std::chrono::seconds(100);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, pods)});
    const net::SocketAddress to{external_ip(), 80};
    const auto first = reached({client(2), 1'000}, to);
    for (std::uint16_t n = 1; n <= 15; ++n)
        EXPECT_EQ(reached({client(2), static_cast<std::uint16_t>(1'000 + n)}, to), first);
    EXPECT_NE(reached({client(3), 1'000}, to), first);
    // older than the timeout.
    layout::affinity_key who{name_key(pods->id), to_table(client(2))};
    auto kept = node_->tables().affinities.find(who);
    ASSERT_TRUE(kept);
    kept->since = 1;
    node_->tables().affinities.put(who, *kept);
    EXPECT_NE(reached({client(2), 2'000}, to), first);
    // the endpoint leaves.
    const auto second = reached({client(2), 2'001}, to);
    std::vector<net::IpAddress> left;
    for (const auto& e : pods->endpoints)
        if (e.address != second) left.push_back(e.address.ip);
    auto fewer = group(left, Scheduler::rr);
    fewer->balancing.affinity_timeout = std::chrono::seconds(100);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, fewer)});
    const auto third = reached({client(2), 2'002}, to);
    EXPECT_NE(third, second);
    EXPECT_EQ(reached({client(2), 2'003}, to), third);
    // switched off.
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group(left, Scheduler::rr))});
    std::set<net::SocketAddress> seen;
    for (std::uint16_t n = 0; n < 4; ++n)
        seen.insert(reached({client(2), static_cast<std::uint16_t>(3'000 + n)}, to));
    EXPECT_EQ(seen.size(), 2U);
}

TEST_P(TunnelLife, OfUdpAndOfTcpOnTheSamePortAreTwo) {
    const net::SocketAddress from{client(2), 40'000}, to{cluster_ip(), 53};
    apply({frontend(FrontendKind::cluster_ip, cluster_ip(), 53, group({pod(3)})),
           udp(frontend(FrontendKind::cluster_ip, cluster_ip(), 53,
                        group({pod(4)}, Scheduler::rr, "default/web:53/UDP")))});
    EXPECT_EQ(run(segment(from, to)).packet.destination.ip, pod(3));
    EXPECT_EQ(run(datagram(from, to)).packet.destination.ip, pod(4));
}

TEST_P(TunnelLife, TwoClientsNeverGetTheSameMasquerade) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    node_->tables().settings.put(0, ports(20'000, 20'063));  // 64 ports
    std::set<std::uint16_t> ports;
    unsigned refused = 0;
    // A client that finds no port repeats its SYN: then another 32 are tried.
    for (std::uint16_t n = 0; n < 64; ++n) {
        for (int tries = 0; tries < 200; ++tries) {
            const Seen seen =
                run(segment({client(2), static_cast<std::uint16_t>(1'000 + n)}, {external_ip(), 80}));
            if (seen.verdict == dropped) {
                ++refused;
                continue;
            }
            EXPECT_TRUE(ports.insert(seen.packet.source.port).second) << seen.packet.source.port;
            EXPECT_GE(seen.packet.source.port, 20'000);
            EXPECT_LE(seen.packet.source.port, 20'063);
            break;
        }
    }
    EXPECT_EQ(ports.size(), 64U) << "the whole range";
    EXPECT_EQ(run(segment({client(3), 1}, {external_ip(), 80})).verdict, dropped);
    EXPECT_EQ(node_->program().count(layout::counter_dropped_no_port), refused + 1);
    // A SYN that is repeated keeps what it has.
    const Seen once = run(segment({client(2), 1'000}, {external_ip(), 80}));
    EXPECT_TRUE(ports.contains(once.packet.source.port));
    EXPECT_EQ(node_->tables().nascent.size(), 128U);
}

// The endpoint may have the last connection in TIME_WAIT: it lets in what goes on from there.
TEST_P(TunnelLife, AClientHasTheSameMasqueradeAgain) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    node_->tables().settings.put(0, ports(20'000, 20'063));
    const auto masquerade = [&](const net::SocketAddress& from) {
        const Seen there = run(segment(from, {external_ip(), 80}));
        Packet refusal = segment(there.packet.destination, there.packet.source, rst | ack);
        refusal.sequence = 0;
        refusal.acknowledgment = 1'001;
        run(refusal, "pod0");
        return there.packet.source.port;
    };
    EXPECT_EQ(masquerade({client(2), 20'010}), 20'010) << "its own, where that is ours to give";
    const std::uint16_t port = masquerade({client(2), 40'000});
    EXPECT_EQ(masquerade({client(2), 40'000}), port);
    // Another client has its usual port: it gets a second one, always the same, too.
    open({client(3), port}, {external_ip(), 80});
    const std::uint16_t second = masquerade({client(2), 40'000});
    EXPECT_NE(second, port);
    EXPECT_EQ(masquerade({client(2), 40'000}), second);
}

TEST_P(TunnelLife, ATunnelThatHasEndedGivesItsPortWhenNoneIsLeft) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    node_->tables().settings.put(0, ports(20'000, 20'003));
    const net::SocketAddress to{external_ip(), 80};
    for (std::uint16_t n = 0; n < 4; ++n)
        open({client(2), static_cast<std::uint16_t>(20'000 + n)}, to);
    EXPECT_EQ(run(segment({client(3), 1'000}, to)).verdict, dropped);
    const auto ended = make_key({client(2), 20'002}, to, IPPROTO_TCP);
    auto flow = *node_->tables().flows.find(ended);
    const auto answer = key_of_answer(flow, IPPROTO_TCP);
    flow.flags |= layout::flow_closed;
    node_->tables().flows.put(ended, flow);
    auto back = *node_->tables().flows.find(answer);
    back.flags |= layout::flow_closed;
    node_->tables().flows.put(answer, back);
    EXPECT_EQ(run(segment({client(3), 1'000}, to)).packet.source.port, 20'002);
    EXPECT_FALSE(node_->tables().flows.has(ended));
    EXPECT_FALSE(node_->tables().flows.has(answer));
}

// The second of two cores on which the client's segments come at one time.
TEST_P(TunnelLife, ThatAnotherCoreIsSettlingIsLeftToIt) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    const Seen there = run(segment(from, to));
    const auto key = make_key(from, to, IPPROTO_TCP);
    layout::record record{};
    record.route = 5;
    const std::uint64_t id = node_->tables().nascent.find(key)->id;
    node_->tables().records.put(id, record);
    Packet answer = segment(there.packet.destination, there.packet.source, syn | ack);
    answer.acknowledgment = 1'001;
    run(answer, "pod0");
    Packet data = segment(from, to, ack);
    data.sequence = 1'001;
    EXPECT_EQ(run(data).verdict, redirected);
    EXPECT_FALSE(node_->tables().flows.has(key));
    EXPECT_TRUE(node_->tables().nascent.has(key));
    EXPECT_EQ(node_->tables().records.find(id)->route, 5U);
}

TEST_P(TunnelLife, IsForgottenByItsIdOnly) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    const auto key = make_key(from, to, IPPROTO_TCP);
    open(from, to);
    const auto flow = *node_->tables().flows.find(key);
    const auto answer = key_of_answer(flow, IPPROTO_TCP);
    node_->program().forget(key, flow.id + 1);
    EXPECT_TRUE(node_->tables().flows.has(key));
    auto other = *node_->tables().flows.find(answer);
    other.id = flow.id + 1;
    node_->tables().flows.put(answer, other);
    node_->program().forget(key, flow.id);
    EXPECT_FALSE(node_->tables().flows.has(key));
    EXPECT_TRUE(node_->tables().flows.has(answer)) << "another's by now";
    node_->program().forget(answer, flow.id + 1);
    EXPECT_FALSE(node_->tables().flows.has(answer));
}

}  // namespace
}  // namespace hawser::splice::testing
