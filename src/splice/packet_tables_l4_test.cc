// SPDX-License-Identifier: Apache-2.0
// What the program makes of packets to L4 services. Ids are those of the facts about Services (S-, P-, A-).
#include <map>
#include <random>
#include <set>

#include "balance/picker.h"
#include "splice/services.h"
#include "splice/testing_packets.h"

namespace hawser::splice::testing {
namespace {

using catalog::Frontend;
using catalog::FrontendKind;
using catalog::Scheduler;

class L4Packets : public PacketTest, public ::testing::WithParamInterface<bool> {
  protected:
    void SetUp() override {
        PacketTest::SetUp();
        if (node_ == nullptr) return;
        names_ = std::make_unique<Names>(node_->tables());
        remake();
    }
    void remake(Services::Options options = {}) {
        services_ = std::make_unique<Services>(node_->tables(), *names_, std::move(options));
    }
    [[nodiscard]] static net::IpAddress ip(const char* v4, const char* v6) {
        return *net::IpAddress::parse(GetParam() ? v4 : v6);
    }
    [[nodiscard]] static net::IpAddress client(int n) {
        return ip(("10.1.0." + std::to_string(n)).c_str(), ("fd01::" + std::to_string(n)).c_str());
    }
    [[nodiscard]] static net::IpAddress pod(int n) {
        return ip(("10.2.0." + std::to_string(n)).c_str(), ("fd02::" + std::to_string(n)).c_str());
    }
    [[nodiscard]] static net::IpAddress node() { return ip("10.1.0.1", "fd01::1"); }
    [[nodiscard]] static net::IpAddress cluster_ip() { return ip("10.96.0.9", "fd96::9"); }
    [[nodiscard]] static net::IpAddress external_ip() { return ip("203.0.113.250", "2001:db8::250"); }

    static std::shared_ptr<catalog::EndpointGroup> group(const std::vector<net::IpAddress>& pods,
                                                         Scheduler scheduler = Scheduler::rr,
                                                         const char* id = "default/web:80/TCP") {
        auto out = std::make_shared<catalog::EndpointGroup>();
        out->id = id;
        out->service = "default/web";
        out->balancing.scheduler = scheduler;
        for (const auto& address : pods) {
            catalog::Endpoint e;
            e.address = {address, 9080};
            e.name = "default/pod-" + address.text();
            e.max_fails = 0;
            e.state = std::make_shared<catalog::EndpointState>();
            out->endpoints.push_back(std::move(e));
        }
        return out;
    }
    static Frontend frontend(FrontendKind kind, const net::IpAddress& address, std::uint16_t port,
                             std::shared_ptr<const catalog::EndpointGroup> endpoints) {
        Frontend f;
        f.id = "default/web:80/TCP@" + std::string(catalog::to_string(kind)) + address.text() +
               std::to_string(port);
        f.kind = kind;
        f.address = {address, port};
        f.service = "default/web";
        f.group = endpoints;
        f.cluster_group = std::move(endpoints);
        return f;
    }
    Services::Result apply(std::vector<Frontend> frontends) {
        auto snapshot = std::make_shared<catalog::Snapshot>();
        std::sort(frontends.begin(), frontends.end(),
                  [](const auto& a, const auto& b) { return a.id < b.id; });
        snapshot->frontends = std::move(frontends);
        for (const char* text : {"10.1.0.1", "10.2.0.1", "fd01::1", "fd02::1"})
            snapshot->node_addresses.push_back(*net::IpAddress::parse(text));
        return services_->apply(snapshot);
    }
    static Packet segment(const net::SocketAddress& from, const net::SocketAddress& to,
                          std::uint8_t flags = syn) {
        Packet p;
        p.source = from;
        p.destination = to;
        p.flags = flags;
        p.sequence = 1'000;
        return p;
    }
    static Packet datagram(const net::SocketAddress& from, const net::SocketAddress& to) {
        Packet p;
        p.source = from;
        p.destination = to;
        p.protocol = IPPROTO_UDP;
        p.payload = {'a', 's', 'k'};
        p.flags = 16;
        p.window = 1000;
        return p;
    }
    struct Seen {
        std::uint32_t verdict = 0;
        Packet packet;
    };
    Seen run(const Packet& p, const char* interface = "client0", Hook hook = Hook::ingress) {
        const Outcome outcome = node_->run(bytes_of(p), interface, hook);
        std::string wrong;
        Seen out{outcome.verdict, packet_of(outcome.bytes, wrong)};
        EXPECT_EQ(wrong, "");
        return out;
    }
    // Where a new client's SYN goes.
    net::SocketAddress reached(const net::SocketAddress& from, const net::SocketAddress& to) {
        const Seen seen = run(segment(from, to));
        EXPECT_EQ(seen.verdict, redirected);
        return seen.packet.destination;
    }
    std::unique_ptr<Names> names_;
    std::unique_ptr<Services> services_;
};
INSTANTIATE_TEST_SUITE_P(Families, L4Packets, ::testing::Values(true, false),
                         [](const auto& each) { return each.param ? "IPv4" : "IPv6"; });

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

TEST_P(L4Packets, AHandshakeIsNascentUntilItsThirdSegment) {
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

TEST_P(L4Packets, P06WithoutEndpointsTcpIsResetAndUdpIsUnreachable) {
    Frontend udp =
        frontend(FrontendKind::cluster_ip, cluster_ip(), 53, group({}, Scheduler::rr, "default/web:53/UDP"));
    udp.protocol = catalog::Protocol::udp;
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({})), udp});
    const net::SocketAddress from{client(2), 40'000};
    Seen seen = run(segment(from, {external_ip(), 80}));
    ASSERT_EQ(seen.verdict, redirected);
    Packet expected = segment({external_ip(), 80}, from, rst | ack);
    expected.sequence = 0;
    expected.acknowledgment = 1'001;
    expected.window = 0;
    expected.macs = {0xa, 0, 0, 0, 0, 2, 0xa, 0, 0, 0, 0, 1};
    EXPECT_EQ(seen.packet, expected);

    seen = run(datagram(from, {cluster_ip(), 53}));
    ASSERT_EQ(seen.verdict, redirected);
    EXPECT_EQ(seen.packet.source.ip, cluster_ip());
    EXPECT_EQ(seen.packet.destination.ip, from.ip);
    EXPECT_EQ(seen.packet.payload[0], GetParam() ? 3 : 1);
    EXPECT_EQ(seen.packet.payload[1], GetParam() ? 3 : 4);
    EXPECT_EQ(detail::get16(seen.packet.payload, 8 + (GetParam() ? 20U : 40U)), 40'000U);
    EXPECT_EQ(node_->program().count(layout::counter_rejected), 2U);
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

TEST_P(L4Packets, S23UnknownPortsOfAServiceAreRefusedAndUnallocatedAddressesDropped) {
    remake({{}, {net::Cidr::parse(GetParam() ? "10.96.0.0/16" : "fd96::/64").value()}});
    apply({frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({pod(3)}))});
    EXPECT_EQ(run(segment({client(2), 1}, {cluster_ip(), 81})).packet.flags, rst | ack);
    EXPECT_EQ(run(segment({client(2), 1}, {ip("10.96.0.10", "fd96::10"), 80})).verdict, dropped);
    EXPECT_EQ(run(segment({client(2), 1}, {ip("10.97.0.10", "fd97::10"), 80})).verdict, passed);
}

TEST_P(L4Packets, InTheMiddleOfNothingAreRefusedOrLeftToTheStack) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)})),
           frontend(FrontendKind::node_port, GetParam() ? net::IpAddress::any_v4() : net::IpAddress::any_v6(),
                    30'100, group({pod(3)}))});
    Packet lost = segment({client(2), 1}, {external_ip(), 80}, ack);
    lost.acknowledgment = 4'242;
    const Seen seen = run(lost);
    EXPECT_EQ(seen.packet.flags, rst);
    EXPECT_EQ(seen.packet.sequence, 4'242U);
    lost.destination = {node(), 30'100};
    EXPECT_EQ(run(lost).verdict, passed);
    lost.destination = {external_ip(), 80};
    lost.flags = rst;
    EXPECT_EQ(run(lost).verdict, dropped);
    layout::settings quiet{20'000, 29'999, 1};
    node_->tables().settings.put(0, quiet);
    lost.flags = ack;
    EXPECT_EQ(run(lost).verdict, dropped);
}

TEST_P(L4Packets, UdpIsSettledByTheThirdDatagramAndForgottenWhenIdle) {
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

TEST_P(L4Packets, ADatagramWithoutAChecksumStaysWithout) {
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

TEST_P(L4Packets, TwoClientsNeverGetTheSameMasquerade) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    node_->tables().settings.put(0, layout::settings{20'000, 20'063, 0});  // 64 ports
    std::set<std::uint16_t> ports;
    unsigned refused = 0;
    for (std::uint16_t n = 0; n < 80; ++n) {
        const Seen seen =
            run(segment({client(2), static_cast<std::uint16_t>(1'000 + n)}, {external_ip(), 80}));
        if (seen.verdict == dropped)
            ++refused;
        else
            EXPECT_TRUE(ports.insert(seen.packet.source.port).second) << seen.packet.source.port;
    }
    EXPECT_EQ(ports.size() + refused, 80U);
    EXPECT_GE(ports.size(), 48U);
    EXPECT_EQ(node_->program().count(layout::counter_dropped_no_port), refused);
    // A SYN that is repeated keeps what it has.
    const Seen once = run(segment({client(2), 1'000}, {external_ip(), 80}));
    EXPECT_TRUE(ports.contains(once.packet.source.port));
}

TEST_P(L4Packets, A01ToA06AClientKeepsItsEndpointUntilThatGoes) {
    auto pods = group({pod(3), pod(4), pod(5)}, Scheduler::rr);
    pods->balancing.affinity_timeout = std::chrono::seconds(100);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, pods)});
    const net::SocketAddress to{external_ip(), 80};
    const auto first = reached({client(2), 1'000}, to);
    for (std::uint16_t n = 1; n <= 15; ++n)
        EXPECT_EQ(reached({client(2), static_cast<std::uint16_t>(1'000 + n)}, to), first);  // A-04
    EXPECT_NE(reached({client(3), 1'000}, to), first);
    // A-03: older than the timeout.
    layout::affinity_key who{name_key(pods->id), to_table(client(2))};
    auto kept = node_->tables().affinities.find(who);
    ASSERT_TRUE(kept);
    kept->since = 1;
    node_->tables().affinities.put(who, *kept);
    EXPECT_NE(reached({client(2), 2'000}, to), first);
    // A-06: the endpoint leaves.
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
    // A-05: switched off.
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group(left, Scheduler::rr))});
    std::set<net::SocketAddress> seen;
    for (std::uint16_t n = 0; n < 4; ++n)
        seen.insert(reached({client(2), static_cast<std::uint16_t>(3'000 + n)}, to));
    EXPECT_EQ(seen.size(), 2U);
}

// ---- schedulers ----

net::IpAddress numbered(bool v4, unsigned n) {
    return *net::IpAddress::parse(v4 ? "10.2." + std::to_string(n / 250) + "." + std::to_string(n % 250 + 2)
                                     : "fd02::1:" + std::to_string(n));
}

TEST_P(L4Packets, SchedulersChooseAsUserSpaceDoes) {
    // A wide route, so that all of them are on the way.
    ASSERT_EQ(std::system("ip route replace 10.2.0.0/16 dev pod0; ip route replace 10.200.0.0/16 dev "
                          "client0; ip -6 route replace fd20::/64 dev client0"),
              0);
    for (const Scheduler scheduler :
         {Scheduler::source_hash, Scheduler::destination_hash, Scheduler::maglev}) {
        for (const unsigned count : {1U, 2U, 33U, 1'024U}) {
            SCOPED_TRACE(std::string(catalog::to_string(scheduler)) + " of " + std::to_string(count));
            std::vector<net::IpAddress> pods;
            for (unsigned n = 0; n < count; ++n) pods.push_back(numbered(GetParam(), n));
            const auto endpoints = group(pods, scheduler);
            apply({frontend(FrontendKind::external_ip, external_ip(), 80, endpoints)});
            balance::Picker picker(endpoints, nullptr, 1);
            for (unsigned n = 0; n < 60; ++n) {
                const auto from = *net::IpAddress::parse(GetParam() ? "10.200.1." + std::to_string(n + 1)
                                                                    : "fd20::" + std::to_string(n + 1));
                balance::Tried tried;
                const auto wanted = picker.pick({from, external_ip(), {}, {}}, tried);
                const Seen seen = run(segment({from, 999}, {external_ip(), 80}));
                ASSERT_EQ(seen.verdict, redirected);
                ASSERT_EQ(seen.packet.destination, endpoints->endpoints[*wanted].address) << from.text();
            }
            node_->reset();
            remake();
        }
    }
}

TEST_P(L4Packets, RoundRobinTakesTurnsAndWeightsAreKept) {
    auto pods = group({pod(3), pod(4), pod(5)}, Scheduler::rr);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, pods)});
    std::map<net::SocketAddress, unsigned> hits;
    for (std::uint16_t n = 0; n < 30; ++n)
        ++hits[reached({client(2), static_cast<std::uint16_t>(1'000 + n)}, {external_ip(), 80})];
    for (const auto& [address, count] : hits) EXPECT_EQ(count, 10U) << address.text();
    auto weighted = group({pod(3), pod(4)}, Scheduler::rr);
    weighted->endpoints[0].weight = 3;
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, weighted)});
    hits.clear();
    for (std::uint16_t n = 0; n < 40; ++n)
        ++hits[reached({client(2), static_cast<std::uint16_t>(2'000 + n)}, {external_ip(), 80})];
    EXPECT_EQ(hits[weighted->endpoints[0].address], 30U);
    EXPECT_EQ(weighted_turns(*weighted), (std::vector<std::uint32_t>{0, 0, 1, 0}));
}

TEST_P(L4Packets, RandomReachesAllAndLeastConnectedTheFreest) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80,
                    group({pod(3), pod(4), pod(5)}, Scheduler::random))});
    std::set<net::SocketAddress> seen;
    for (std::uint16_t n = 0; n < 60; ++n)
        seen.insert(reached({client(2), static_cast<std::uint16_t>(1'000 + n)}, {external_ip(), 80}));
    EXPECT_EQ(seen.size(), 3U);
    const auto pods = group({pod(3), pod(4), pod(5)}, Scheduler::least_connected);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, pods)});
    node_->tables().loads.put(name_key(endpoint_name(pods->endpoints[0])), 7);
    node_->tables().loads.put(name_key(endpoint_name(pods->endpoints[1])), 5);
    node_->tables().loads.put(name_key(endpoint_name(pods->endpoints[2])), 6);
    for (std::uint16_t n = 0; n < 5; ++n)
        EXPECT_EQ(reached({client(2), static_cast<std::uint16_t>(2'000 + n)}, {external_ip(), 80}),
                  pods->endpoints[1].address);
    node_->tables().loads.put(name_key(endpoint_name(pods->endpoints[2])), 5);
    seen.clear();
    for (std::uint16_t n = 0; n < 12; ++n)
        seen.insert(reached({client(2), static_cast<std::uint16_t>(3'000 + n)}, {external_ip(), 80}));
    EXPECT_EQ(seen.size(), 2U) << "equals take turns";
}

// ---- the tables ----

TEST_P(L4Packets, OnlyWhatChangedIsWrittenAndNothingIsLeftBehind) {
    std::vector<Frontend> many;
    for (std::uint16_t n = 0; n < 200; ++n)
        many.push_back(frontend(FrontendKind::external_ip, external_ip(),
                                static_cast<std::uint16_t>(1'000 + n),
                                group({pod(3), pod(4)}, Scheduler::maglev,
                                      ("default/web:" + std::to_string(n) + "/TCP").c_str())));
    EXPECT_GT(apply(many).written, 800U);
    EXPECT_EQ(apply(many).written, 0U);
    many[17].group = many[17].cluster_group =
        group({pod(3), pod(5)}, Scheduler::maglev, many[17].group->id.c_str());
    const auto change = apply(many);
    EXPECT_GT(change.written, 2U);
    EXPECT_LT(change.written, 20U);
    EXPECT_EQ(node_->tables().endpoints.size(), 400U);
    EXPECT_EQ(reached({client(2), 5}, {external_ip(), 1'017}).ip == pod(4), false);
    // Another process finds these tables, and less in its snapshot.
    remake();
    many.resize(3);
    apply(many);
    EXPECT_EQ(node_->tables().frontends.size(), 3U);
    EXPECT_EQ(node_->tables().endpoints.size(), 6U);
    EXPECT_EQ(reached({client(2), 6}, {external_ip(), 1'002}).port, 9080);
    apply({});
    const Tables& t = node_->tables();
    for (const std::size_t left :
         {t.frontends.size(), t.groups.size(), t.endpoints.size(), t.entry_parts.size(), t.hash_parts.size(),
          t.members.size(), t.source_ranges.size()})
        EXPECT_EQ(left, 0U);
}

TEST_P(L4Packets, AnAddressThatGoesFromOneServiceToAnotherIsServedAllTheTime) {
    Frontend before = frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}));
    apply({before});
    Frontend after = frontend(FrontendKind::external_ip, external_ip(), 80,
                              group({pod(4)}, Scheduler::rr, "default/other:80/TCP"));
    after.id = "default/other:80/TCP@externalIP";
    apply({after});
    EXPECT_EQ(reached({client(2), 7}, {external_ip(), 80}).ip, pod(4));
}

TEST_P(L4Packets, GarbageNeitherCrashesNorMakesFlows) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    std::mt19937 random(20'261'128);
    const Bytes model = bytes_of(segment({client(2), 1}, {external_ip(), 80}, ack));
    for (int n = 0; n < 20'000; ++n) {
        Bytes packet = model;
        for (int changes = 0; changes < 4; ++changes)
            packet[12 + random() % (packet.size() - 12)] = static_cast<std::uint8_t>(random());
        // The test run itself wants an IP header.
        packet.resize(std::max<std::size_t>(GetParam() ? 34 : 54, random() % (packet.size() + 30)));
        const auto verdict = node_->run(packet, "client0", n % 2 == 0 ? Hook::ingress : Hook::egress).verdict;
        ASSERT_TRUE(verdict == passed || verdict == dropped || verdict == redirected) << verdict;
    }
    EXPECT_EQ(node_->tables().flows.size(), 0U);
}

TEST_P(L4Packets, FragmentsAndOptionsPassToTheStack) {
    if (!GetParam()) return;  // of IPv4
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    Bytes fragment = bytes_of(segment({client(2), 1}, {external_ip(), 80}));
    fragment[20] = 0x20;  // more fragments
    EXPECT_EQ(node_->run(fragment).verdict, passed);
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

}  // namespace
}  // namespace hawser::splice::testing
