// SPDX-License-Identifier: Apache-2.0
// Tunnels over a VIP: carried by the node that has it, waiting on all others.
#include <ctime>

#include "splice/testing_services.h"
#include "splice/testing_tunnel.h"

namespace hawser::splice::testing {
namespace {

constexpr std::uint32_t place = 3;

std::uint64_t now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec);
}

layout::vip vip(const net::IpAddress& address, bool here, std::uint32_t term) {
    layout::vip out{};
    out.address = to_table(address);
    out.owned_until = here ? now() + 60'000'000'000 : now() - 1;
    out.since = now();
    out.quiet_until = now() + 60'000'000'000;
    out.term = term;
    return out;
}

class VipPackets : public TunnelTest {
  protected:
    // The tunnel came with the VIP: what its flows have seen is of another node, and old.
    void put(bool here, std::uint32_t term = 7, std::uint32_t flow_term = 0) {
        tunnel_.up.vip = tunnel_.down.vip = place;
        tunnel_.up.term = tunnel_.down.term = flow_term;
        tunnel_.put(node_->tables());
        node_->tables().vips.put(place, vip(tunnel_.frontend.ip, here, term));
    }
    layout::flow up_flow() { return flow(tunnel_.up_key()); }
    layout::flow down_flow() { return flow(tunnel_.down_key()); }
};

TEST_P(VipPackets, OfATunnelWhoseVipIsElsewhereGoBy) {
    put(false);
    EXPECT_EQ(up(tunnel_.from_client()).verdict, passed);
    EXPECT_EQ(down(tunnel_.from_endpoint()).verdict, passed);
    Packet again = tunnel_.from_client();
    again.flags = syn;
    EXPECT_EQ(up(again).verdict, passed) << "a SYN is the other node's to judge";
    EXPECT_EQ(up_flow().packets, 0U);
}

TEST_P(VipPackets, OfATunnelWhoseVipIsHereAreTranslatedByTheSameNumbersAsAtTheOtherNode) {
    put(true);
    // A gigabyte was said elsewhere meanwhile.
    Packet there = tunnel_.from_client(), back = tunnel_.from_endpoint();
    there.sequence += 1'000'000'000;
    back.acknowledgment += 1'000'000'000;
    const Outcome to_endpoint = up(there), to_client = down(back);
    ASSERT_EQ(to_endpoint.verdict, redirected);
    EXPECT_EQ(parsed(to_endpoint), translated_up(tunnel_, there));
    ASSERT_EQ(to_client.verdict, redirected);
    EXPECT_EQ(parsed(to_client), translated_down(tunnel_, back));
}

TEST_P(VipPackets, WhatWasSeenIsLearnedAnewOnceBothSidesFitTogether) {
    put(true);
    Packet there = tunnel_.from_client(), back = tunnel_.from_endpoint();
    there.sequence = 900'000'000;
    there.acknowledgment = 500'000'000;
    up(there);
    EXPECT_EQ(up_flow().term, 0U) << "one side alone is believed nothing";
    // It acknowledges the client's five bytes, and goes on where the client stands.
    back.acknowledgment = there.sequence + 5 + tunnel_.up.sequence_delta;
    back.sequence = there.acknowledgment + tunnel_.up.acknowledgment_delta;
    down(back);
    EXPECT_EQ(up_flow().term, 7U);
    EXPECT_EQ(down_flow().term, 7U);
    EXPECT_EQ(static_cast<std::uint32_t>(up_flow().sequence_end), 900'000'005U);
    EXPECT_EQ(up_flow().sequence_end - up_flow().sequence_base, 900'000'005U - 5'000U) << "bytes said elsewhere count";
    EXPECT_EQ(down_flow().acknowledged, back.acknowledgment);
    // From here on it is a tunnel as all others: its ends are seen.
    Packet end = there;
    end.sequence += 5;
    end.acknowledgment = back.sequence + 5 - tunnel_.up.acknowledgment_delta;
    end.payload.clear();
    end.flags = ack | rst;
    up(end);
    EXPECT_NE(up_flow().flags & layout::flow_closed, 0U);
}

TEST_P(VipPackets, WhatDoesNotFitTogetherIsNotLearned) {
    put(true);
    Packet there = tunnel_.from_client(), back = tunnel_.from_endpoint();
    there.sequence = 900'000'000;
    there.acknowledgment = 500'000'000;
    up(there);
    back.acknowledgment = there.sequence + 5 + tunnel_.up.sequence_delta - (1U << 25);
    back.sequence = there.acknowledgment + tunnel_.up.acknowledgment_delta;
    down(back);
    EXPECT_EQ(up_flow().term, 0U) << "it is 32 MiB behind";
    back.acknowledgment += (1U << 25) + 1;
    down(back);
    EXPECT_EQ(up_flow().term, 0U) << "it acknowledges what was not said";
    EXPECT_EQ(up_flow().sequence_end, tunnel_.up.sequence_end);
}

// More than half of the sequence numbers, which are compared modulo 2^32.
TEST_P(VipPackets, ThreeGigabytesThatWereSaidElsewhereAreLearnedToo) {
    put(true);
    constexpr std::uint32_t said = 3'000'000'000;
    Packet there = tunnel_.from_client(), back = tunnel_.from_endpoint();
    there.sequence += said;
    back.acknowledgment = there.sequence + 5 + tunnel_.up.sequence_delta;
    up(there);
    down(back);
    ASSERT_EQ(up_flow().term, 7U);
    EXPECT_EQ(up_flow().sequence_end, tunnel_.up.sequence_end + said + 5);
    // And it is heard from then on: it is not idle.
    const auto before = up_flow().last_data;
    there.sequence += 5;
    up(there);
    EXPECT_GT(up_flow().last_data, before);
    EXPECT_EQ(up_flow().sequence_end, tunnel_.up.sequence_end + said + 10);
}

TEST_P(VipPackets, WhatIsRepeatedAsTheFirstThingIsNoRoundOfTheNumbers) {
    put(true);
    Packet there = tunnel_.from_client(), back = tunnel_.from_endpoint();
    there.sequence -= 100;
    up(there);
    back.acknowledgment = there.sequence + 5 + tunnel_.up.sequence_delta;
    down(back);
    ASSERT_EQ(up_flow().term, 7U);
    EXPECT_EQ(up_flow().sequence_end, tunnel_.up.sequence_end);
}

TEST_P(VipPackets, OfUdpTellThatTheTunnelTalksHere) {
    tunnel_.up.flags |= layout::flow_l4;
    tunnel_.up.idle_seconds = 60;
    tunnel_.up.vip = place;
    tunnel_.up.last_seen = now();
    node_->tables().vips.put(place, vip(tunnel_.frontend.ip, true, 7));
    const auto key = make_key(tunnel_.client, tunnel_.frontend, IPPROTO_UDP);
    node_->tables().flows.put(key, tunnel_.up);
    Packet datagram = tunnel_.from_client();
    datagram.protocol = IPPROTO_UDP;
    datagram.options.clear();
    ASSERT_EQ(up(datagram).verdict, redirected);
    EXPECT_EQ(flow(key).heard_in, 7U);
}

TEST_P(VipPackets, ATunnelOfThisTermIsNotLearnedAnew) {
    put(true, 7, 7);
    up(tunnel_.from_client());
    EXPECT_EQ(up_flow().sequence_end, tunnel_.up.sequence_end + 5);
    EXPECT_EQ(up_flow().heard_in, 0U);
}

TEST_P(VipPackets, OfUnknownTunnelsAreDroppedForAWhileAfterTheVipCame) {
    const auto& tables = node_->tables();
    const auto address = GetParam() ? *net::IpAddress::parse("10.9.0.9") : *net::IpAddress::parse("fd09::9");
    tables.places.put(to_table(address), place);
    tables.vips.put(place, vip(address, true, 1));
    layout::settings settings = ports(20'000, 29'999);
    settings.quiet_until = now() + 60'000'000'000;
    tables.settings.put(0, settings);
    Packet stray = tunnel_.from_client();
    stray.destination = {address, 80};
    const auto dropped_before = node_->program().count(layout::counter_dropped_unknown);
    EXPECT_EQ(up(stray).verdict, dropped);
    EXPECT_EQ(node_->program().count(layout::counter_dropped_unknown), dropped_before + 1);
    Packet other = stray;
    other.flags = syn;
    EXPECT_EQ(up(other).verdict, passed) << "a new connection";
    other.flags = rst;
    EXPECT_EQ(up(other).verdict, passed);
    other = stray;
    other.destination = tunnel_.frontend;
    EXPECT_EQ(up(other).verdict, passed) << "another address";
    tables.vips.put(place, vip(address, false, 1));
    EXPECT_EQ(up(stray).verdict, passed) << "the VIP went away again";
    layout::vip old = vip(address, true, 1);
    old.quiet_until = now() - 1;
    tables.vips.put(place, old);
    EXPECT_EQ(up(stray).verdict, passed) << "its quiet time is over, another's is not";
    tables.vips.put(place, vip(address, true, 1));
    settings.quiet_until = now() - 1;
    tables.settings.put(0, settings);
    EXPECT_EQ(up(stray).verdict, passed) << "the quiet time is over";
}

INSTANTIATE_TEST_SUITE_P(Families, VipPackets, ::testing::Bool(), family_name);

class VipServices : public ServiceTest {
  protected:
    void hold(const net::IpAddress& address, bool here) {
        node_->tables().places.put(to_table(address), place);
        node_->tables().vips.put(place, vip(address, here, 5));
        layout::settings settings = ports(20'000, 29'999);
        settings.vip_port_low = 22'000;
        settings.vip_port_high = 22'000 + 3;
        node_->tables().settings.put(0, settings);
    }
};

TEST_P(VipServices, AreReachedFromTheVipItselfByThisNodesPorts) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    hold(external_ip(), true);
    const Seen seen = run(segment({client(2), 40'000}, {external_ip(), 80}));
    ASSERT_EQ(seen.verdict, redirected);
    EXPECT_EQ(seen.packet.source.ip, external_ip());
    EXPECT_GE(seen.packet.source.port, 22'000);
    EXPECT_LE(seen.packet.source.port, 22'003);
    // The fifth finds no port of this node's: by the node's own address, and carried by this node alone.
    for (std::uint16_t i = 1; i < 4; ++i)
        EXPECT_EQ(run(segment({client(2), static_cast<std::uint16_t>(40'000 + i)}, {external_ip(), 80})).packet.source.ip,
                  external_ip());
    const Seen fifth = run(segment({client(2), 40'100}, {external_ip(), 80}));
    ASSERT_EQ(fifth.verdict, redirected);
    EXPECT_EQ(fifth.packet.source.ip, ip("10.2.0.1", "fd02::1"));
    const auto key = make_key({client(2), 40'100}, {external_ip(), 80}, IPPROTO_TCP);
    EXPECT_EQ(node_->tables().nascent.find(key).value_or(layout::flow{}).vip, 0U);
}

TEST_P(VipServices, WhoseVipIsElsewhereAreReachedFromTheNode) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    hold(external_ip(), false);
    const Seen seen = run(segment({client(2), 40'000}, {external_ip(), 80}));
    ASSERT_EQ(seen.verdict, redirected);
    EXPECT_EQ(seen.packet.source.ip, ip("10.2.0.1", "fd02::1"));
}

TEST_P(VipServices, TunnelsHaveTheVipOnceTheyAreEstablished) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    hold(external_ip(), true);
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    const Seen there = run(segment(from, to));
    Packet answer = segment(there.packet.destination, there.packet.source, syn | ack);
    run(answer, "pod0");
    run(segment(from, to, ack));
    const auto flow = node_->tables().flows.find(make_key(from, to, IPPROTO_TCP));
    ASSERT_TRUE(flow);
    EXPECT_EQ(flow->vip, place);
    EXPECT_EQ(flow->term, 5U);
    // It goes with the VIP.
    hold(external_ip(), false);
    EXPECT_EQ(run(segment(from, to, ack)).verdict, passed);
}

INSTANTIATE_TEST_SUITE_P(Families, VipServices, ::testing::Bool(), family_name);

}  // namespace
}  // namespace hawser::splice::testing
