// SPDX-License-Identifier: Apache-2.0
// What the program makes of packets to L4 services. Ids are those of the facts about Services (S-, P-, A-).
#include <set>

#include "splice/testing_icmp.h"
#include "splice/testing_services.h"

namespace hawser::splice::testing {
namespace {

class L4Packets : public ServiceTest {};
INSTANTIATE_TEST_SUITE_P(Families, L4Packets, ::testing::Values(true, false), family_of_services);

TEST_P(L4Packets, S05P02ANodePortIsMasqueradedTranslatedAndAnsweredFromWhereTheClientSent) {
    apply({frontend(FrontendKind::node_port, GetParam() ? net::IpAddress::any_v4() : net::IpAddress::any_v6(),
                    30'100, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{node(), 30'100};
    const Seen there = run(segment(from, to));
    ASSERT_EQ(there.verdict, redirected);
    EXPECT_EQ(there.packet.destination, (net::SocketAddress{pod(3), 9080}));
    EXPECT_EQ(there.packet.source.ip, ip("10.2.0.1", "fd02::1"));
    EXPECT_GE(there.packet.source.port, 20'000);
    EXPECT_EQ(there.packet.sequence, 1'000U);
    EXPECT_EQ(there.packet.ttl, 63);
    EXPECT_EQ(there.packet.macs, Node::towards("pod0", 3));
    Packet answer = segment(there.packet.destination, there.packet.source, syn | ack);
    answer.acknowledgment = 1'001;
    const Seen back = run(answer, "pod0");
    ASSERT_EQ(back.verdict, redirected);
    EXPECT_EQ(back.packet.source, to);
    EXPECT_EQ(back.packet.destination, from);
    EXPECT_EQ(back.packet.macs, Node::towards("client0", 2));
    // S-07: other addresses and ports are none of ours.
    EXPECT_EQ(run(segment(from, {node(), 30'101})).verdict, passed);
    EXPECT_EQ(run(segment(from, {ip("10.9.9.9", "fd09::9"), 30'100})).verdict, passed);
}

TEST_P(L4Packets, P03AndP09AClientsAddressIsKeptWhereALocalPolicyOrThePodAllowsIt) {
    remake({{net::Cidr::parse(GetParam() ? "10.2.0.0/24" : "fd02::/64").value()}, {}});
    auto cluster = group({pod(3)});
    auto local = group({pod(3)}, Scheduler::rr, "default/web:80/TCP/local");
    Frontend external = frontend(FrontendKind::external_ip, external_ip(), 80, cluster);
    external.group = local;
    apply({external, frontend(FrontendKind::cluster_ip, cluster_ip(), 80, cluster)});
    const net::SocketAddress outside{client(2), 40'000}, inside{pod(4), 40'000};
    EXPECT_EQ(run(segment(outside, {external_ip(), 80})).packet.source, outside);       // P-03
    EXPECT_EQ(run(segment(inside, {cluster_ip(), 80}), "pod0").packet.source, inside);  // P-09
    // The same port again, to the same endpoint by another frontend: that 4-tuple is taken.
    const Seen again = run(segment(inside, {external_ip(), 80}), "pod0");
    EXPECT_EQ(again.packet.source.ip, inside.ip);
    EXPECT_NE(again.packet.source.port, inside.port);
    const net::SocketAddress other{pod(4), 40'001};
    EXPECT_EQ(run(segment(other, {external_ip(), 80}), "pod0").packet.source, other);   // P-04
    EXPECT_NE(run(segment(outside, {cluster_ip(), 80})).packet.source.ip, outside.ip);  // not a pod
}

TEST_P(L4Packets, P07APodThatReachesItselfComesFromTheNode) {
    remake({{net::Cidr::parse(GetParam() ? "10.2.0.0/24" : "fd02::/64").value()}, {}});
    apply({frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({pod(3)}))});
    const Seen seen = run(segment({pod(3), 40'000}, {cluster_ip(), 80}), "pod0");
    ASSERT_EQ(seen.verdict, redirected);
    EXPECT_EQ(seen.packet.source.ip, ip("10.2.0.1", "fd02::1"));
    EXPECT_EQ(seen.packet.destination.ip, pod(3));
}

TEST_P(L4Packets, P03P01WithoutALocalEndpointThereIsSilence) {
    auto cluster = group({pod(3)});
    auto local = group({}, Scheduler::rr, "default/web:80/TCP/local");
    Frontend external = frontend(FrontendKind::external_ip, external_ip(), 80, cluster);
    external.group = local;
    external.when_empty = Frontend::WhenEmpty::drop;
    Frontend internal = frontend(FrontendKind::cluster_ip, cluster_ip(), 80, local);
    internal.when_empty = Frontend::WhenEmpty::drop;
    apply({external, internal});
    EXPECT_EQ(run(segment({client(2), 1}, {external_ip(), 80})).verdict, dropped);
    EXPECT_EQ(run(segment({client(2), 1}, {cluster_ip(), 80})).verdict, dropped);
}

TEST_P(L4Packets, S23UnknownPortsOfAServiceAreRefusedAndUnallocatedAddressesDropped) {
    remake({{}, {net::Cidr::parse(GetParam() ? "10.96.0.0/16" : "fd96::/64").value()}});
    apply({frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({pod(3)}))});
    EXPECT_EQ(run(segment({client(2), 1}, {cluster_ip(), 81})).packet.flags, rst | ack);
    EXPECT_EQ(run(segment({client(2), 1}, {ip("10.96.0.10", "fd96::10"), 80})).verdict, dropped);
    EXPECT_EQ(run(segment({client(2), 1}, {ip("10.97.0.10", "fd97::10"), 80})).verdict, passed);
}

TEST_P(L4Packets, S17TheNodeItselfEntersOnlyWhenItsAddressIsInARange) {
    for (const bool is_inside : {false, true}) {
        SCOPED_TRACE(is_inside);
        Frontend balancer = frontend(FrontendKind::load_balancer, external_ip(), 80, group({pod(3)}));
        balancer.source_ranges = {*net::Cidr::parse(GetParam()  ? is_inside ? "10.1.0.0/24" : "192.0.2.0/24"
                                                    : is_inside ? "fd01::/64"
                                                                : "2001:db8:1::/64")};
        node_->reset();
        remake();
        apply({balancer});
        // S-17: as a process of the node does when it asks for that address.
        EXPECT_EQ(
            run(segment({external_ip(), 5'000}, {external_ip(), 80}), "client0", Hook::egress).verdict !=
                dropped,
            is_inside);
        EXPECT_EQ(run(segment({client(2), 1}, {external_ip(), 80})).verdict,
                  is_inside ? redirected : dropped);
    }
}

TEST_P(L4Packets, S17OnlySourceRangesEnterALoadBalancerAddress) {
    Frontend balancer = frontend(FrontendKind::load_balancer, external_ip(), 80, group({pod(3)}));
    balancer.source_ranges = {net::Cidr::parse(GetParam() ? "10.1.0.2/32" : "fd01::2/128").value()};
    Frontend port =
        frontend(FrontendKind::node_port, GetParam() ? net::IpAddress::any_v4() : net::IpAddress::any_v6(),
                 30'100, balancer.group);
    apply({balancer, port});
    EXPECT_EQ(run(segment({client(2), 1}, {external_ip(), 80})).verdict, redirected);
    EXPECT_EQ(run(segment({client(3), 1}, {external_ip(), 80})).verdict, dropped);
    EXPECT_EQ(run(segment({client(3), 1}, {node(), 30'100})).verdict, redirected);
    // Widened on the live service.
    balancer.source_ranges.push_back(net::Cidr::parse(GetParam() ? "10.1.0.3/32" : "fd01::3/128").value());
    apply({balancer, port});
    EXPECT_EQ(run(segment({client(3), 1}, {external_ip(), 80})).verdict, redirected);
}

TEST_P(L4Packets, P06WithoutEndpointsEverySegmentGetsTheResetThatItBelieves) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({}))});
    struct Case {
        std::uint8_t flags;
        std::size_t size;
        std::uint32_t sequence, acknowledgment;  // of the answer
        std::uint8_t answer;
    };
    // RFC 9293 section 3.10.7.1; the segment is 1,000, and acknowledges 4,242.
    const Case cases[] = {
        {syn, 0, 0, 1'001, rst | ack},   {syn, 10, 0, 1'011, rst | ack},  {syn | ack, 0, 4'242, 0, rst},
        {ack, 0, 4'242, 0, rst},         {ack, 100, 4'242, 0, rst},       {ack | fin, 0, 4'242, 0, rst},
        {psh, 100, 0, 1'100, rst | ack}, {fin, 100, 0, 1'101, rst | ack}, {0, 0, 0, 1'000, rst | ack}};
    for (const Case& c : cases) {
        for (const Bytes& options : {Bytes{}, timestamps(1, 2), Bytes(40, 1)}) {
            Packet p = segment({client(2), 40'000}, {external_ip(), 80}, c.flags);
            p.acknowledgment = 4'242;
            p.payload = Bytes(c.size, 'x');
            p.options = options;
            Packet expected = segment(p.destination, p.source, c.answer);
            expected.sequence = c.sequence;
            expected.acknowledgment = c.acknowledgment;
            expected.window = 0;
            expected.macs = {0xa, 0, 0, 0, 0, 2, 0xa, 0, 0, 0, 0, 1};
            const Outcome outcome = node_->run(bytes_of(p));
            EXPECT_EQ(outcome.verdict, redirected);
            EXPECT_EQ(outcome.bytes, bytes_of(expected)) << int{c.flags} << " of " << c.size;
        }
    }
    EXPECT_EQ(run(segment({client(2), 1}, {external_ip(), 80}, rst)).verdict, dropped);
    EXPECT_EQ(run(segment({client(2), 1}, {external_ip(), 80}, rst | ack)).verdict, dropped);
}

TEST_P(L4Packets, P06WithoutEndpointsADatagramIsUnreachable) {
    apply({udp(frontend(FrontendKind::cluster_ip, cluster_ip(), 53,
                        group({}, Scheduler::rr, "default/web:53/UDP")))});
    for (const std::size_t size : {0U, 1U, 3U, 512U, 1'400U}) {
        Packet p = datagram({client(2), 40'000}, {cluster_ip(), 53});
        p.payload = Bytes(size, 'q');
        p.tos = 0x28;
        IcmpError e;
        e.source = cluster_ip();
        e.destination = client(2);
        e.type = GetParam() ? 3 : 1;
        e.code = GetParam() ? 3 : 4;
        e.quote = quote_of(p);
        e.macs = {0xa, 0, 0, 0, 0, 2, 0xa, 0, 0, 0, 0, 1};
        const Outcome outcome = node_->run(bytes_of(p));
        EXPECT_EQ(outcome.verdict, redirected);
        EXPECT_EQ(outcome.bytes, bytes_of(e)) << size;
        Bytes unsummed = bytes_of(p);
        detail::put16(unsummed, (GetParam() ? 34U : 54U) + 6, 0);
        e.quote = quote_of(unsummed);
        EXPECT_EQ(node_->run(unsummed).bytes, bytes_of(e)) << size << " without a checksum";
    }
    EXPECT_EQ(node_->program().count(layout::counter_rejected), 10U);
}

TEST_P(L4Packets, P06AProcessOfTheNodeIsRefusedByTheWayItExpects) {
    apply({frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({}))});
    const Packet p = segment({node(), 40'000}, {cluster_ip(), 80});
    const Seen seen = run(p, "client0", Hook::egress);
    EXPECT_EQ(seen.verdict, redirected);
    EXPECT_EQ(seen.packet.flags, rst | ack);
    EXPECT_EQ(seen.packet.destination, p.source);
    EXPECT_EQ(seen.packet.macs, (std::array<std::uint8_t, 12>{0xa, 0, 0, 0, 0, 2, 0xa, 0, 0, 0, 0, 2}));
}

TEST_P(L4Packets, InTheMiddleOfNothingAreRefusedOrLeftToTheStack) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)})),
           frontend(FrontendKind::node_port, any(), 30'100, group({pod(3)}))});
    for (const std::uint8_t flags :
         {std::uint8_t{ack}, std::uint8_t{ack | fin}, std::uint8_t{syn | ack}, std::uint8_t{ack | psh}}) {
        Packet lost = segment({client(2), 1}, {external_ip(), 80}, flags);
        lost.acknowledgment = 4'242;
        Seen seen = run(lost);
        EXPECT_EQ(seen.packet.flags, rst);
        EXPECT_EQ(seen.packet.sequence, 4'242U);
        lost.destination = {node(), 30'100};
        EXPECT_EQ(run(lost).verdict, passed) << "the relay may have it";
    }
    EXPECT_EQ(run(segment({client(2), 1}, {external_ip(), 80}, rst)).verdict, dropped);
    EXPECT_EQ(node_->tables().nascent.size(), 0U);
}

TEST_P(L4Packets, OfAProcessOfTheNodeGoToThePodAndComeBackByTheWayItExpects) {
    apply({frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{node(), 40'000}, to{cluster_ip(), 80};
    const Seen there = run(segment(from, to), "client0", Hook::egress);
    ASSERT_EQ(there.verdict, redirected);
    EXPECT_EQ(there.packet.destination.ip, pod(3));
    EXPECT_EQ(there.packet.source.ip, ip("10.2.0.1", "fd02::1"));
    Packet answer = segment(there.packet.destination, there.packet.source, syn | ack);
    const Seen back = run(answer, "pod0");
    ASSERT_EQ(back.verdict, redirected);
    EXPECT_EQ(back.packet.source, to);
    EXPECT_EQ(back.packet.destination, from);
    const auto own = Node::mac("client0");
    EXPECT_TRUE(std::equal(own.begin(), own.end(), back.packet.macs.begin()));
}

TEST_P(L4Packets, ToAnEndpointOnTheNodeKeepTheirAddressAndAreAnsweredByTheEgressProgram) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({ip("10.2.0.1", "fd02::1")}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    const Seen there = run(segment(from, to));
    EXPECT_EQ(there.verdict, passed);
    EXPECT_EQ(there.packet.source, from);
    EXPECT_EQ(there.packet.destination, (net::SocketAddress{ip("10.2.0.1", "fd02::1"), 9080}));
    const Seen back = run(segment(there.packet.destination, from, syn | ack), "client0", Hook::egress);
    EXPECT_EQ(back.verdict, passed);
    EXPECT_EQ(back.packet.source, to);
}

TEST_P(L4Packets, OfAProcessOfTheNodeToAnEndpointOnTheNodeComeInAsTheAddressThatWasAsked) {
    apply({frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({node()}))});
    const net::SocketAddress from{node(), 40'000}, to{cluster_ip(), 80};
    const Seen there = run(segment(from, to), "client0", Hook::egress);
    ASSERT_EQ(there.verdict, redirected);
    EXPECT_EQ(there.packet.source.ip, cluster_ip());
    EXPECT_EQ(there.packet.destination, (net::SocketAddress{node(), 9080}));
    const auto own = Node::mac("client0");
    EXPECT_TRUE(std::equal(own.begin(), own.end(), there.packet.macs.begin()));
    const Seen back =
        run(segment(there.packet.destination, there.packet.source, syn | ack), "client0", Hook::egress);
    ASSERT_EQ(back.verdict, redirected);
    EXPECT_EQ(back.packet.source, to);
    EXPECT_EQ(back.packet.destination, from);
}

TEST_P(L4Packets, WithoutAHopLeftOrARouteAreDropped) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)})),
           frontend(FrontendKind::external_ip, external_ip(), 81,
                    group({ip("198.51.100.7", "2001:db8:77::7")}, Scheduler::rr, "default/far:81/TCP"))});
    Packet p = segment({client(2), 40'000}, {external_ip(), 80});
    p.ttl = 1;
    EXPECT_EQ(run(p).verdict, dropped);
    EXPECT_EQ(node_->program().count(layout::counter_dropped_ttl), 1U);
    EXPECT_EQ(run(segment({client(2), 40'000}, {external_ip(), 81})).verdict, dropped);
    EXPECT_EQ(node_->program().count(layout::counter_dropped_route), 1U);
}

TEST_P(L4Packets, TooLargeForTheWayOnAreAnsweredWithItsMtu) {
    apply({udp(frontend(FrontendKind::external_ip, external_ip(), 53,
                        group({pod(3)}, Scheduler::rr, "default/web:53/UDP")))});
    ASSERT_EQ(std::system(GetParam() ? "ip route replace 10.2.0.3/32 dev pod0 mtu lock 1300"
                                     : "ip -6 route replace fd02::3/128 dev pod0 mtu lock 1300"),
              0);
    const std::size_t headers = GetParam() ? 28 : 48;
    Packet p = datagram({client(2), 40'000}, {external_ip(), 53});
    p.payload = Bytes(1'300 - headers, 'x');
    EXPECT_EQ(run(p).packet.destination.ip, pod(3));
    p.payload.push_back('x');
    const Outcome outcome = node_->run(bytes_of(p));
    ASSERT_EQ(std::system(GetParam() ? "ip route del 10.2.0.3/32" : "ip -6 route del fd02::3/128"), 0);
    EXPECT_EQ(outcome.verdict, redirected);
    EXPECT_EQ(outcome.bytes, bytes_of(too_big(p, 1'300, quote_of(p))));
}

}  // namespace
}  // namespace hawser::splice::testing
