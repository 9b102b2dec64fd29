// SPDX-License-Identifier: Apache-2.0
// Packets that nobody would send, and those that the program leaves to others.
#include <random>

#include "splice/testing_icmp.h"
#include "splice/testing_services.h"

namespace hawser::splice::testing {
namespace {

class OddPackets : public ServiceTest {};
INSTANTIATE_TEST_SUITE_P(Families, OddPackets, ::testing::Values(true, false), family_of_services);

// Everything is served, so that whatever passes does so because of its form.
class FormOnly : public ServiceTest {
  protected:
    void SetUp() override {
        ServiceTest::SetUp();
        if (node_ == nullptr) return;
        apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)})),
               udp(frontend(FrontendKind::external_ip, external_ip(), 80,
                            group({pod(3)}, Scheduler::rr, "default/web:80/UDP")))});
        syn_ = bytes_of(segment({client(2), 40'000}, {external_ip(), 80}));
        udp_ = bytes_of(datagram({client(2), 40'000}, {external_ip(), 80}));
    }
    static std::size_t l4() { return GetParam() ? 34 : 54; }
    void expect_passed(const Bytes& packet, const char* sentence) {
        for (const Hook hook : {Hook::ingress, Hook::egress}) {
            const Outcome outcome = node_->run(packet, "client0", hook);
            EXPECT_EQ(outcome.verdict, passed) << sentence;
            EXPECT_EQ(outcome.bytes, packet) << sentence;
        }
        EXPECT_EQ(node_->tables().nascent.size(), 0U) << sentence;
    }
    Bytes syn_, udp_;
};
INSTANTIATE_TEST_SUITE_P(Families, FormOnly, ::testing::Values(true, false), family_of_services);

TEST_P(FormOnly, OptionsExtensionHeadersAndFragmentsOfTcpAreTheStacks) {
    for (const Bytes& whole : {syn_, udp_}) {
        if (GetParam()) {
            for (const unsigned fragment : {0x2000U, 0x2001U, 0x0001U, 0x1fffU}) {
                if (whole == udp_) break;
                Bytes p = whole;
                detail::put16(p, 20, fragment);
                expect_passed(p, "a fragment");
            }
            Bytes p = whole;
            p[14] = 0x46;
            p.insert(p.begin() + 34, {1, 1, 1, 1});
            detail::put16(p, 16, detail::get16(p, 16) + 4);
            expect_passed(p, "IP options");
            p = whole;
            p[14] = 0x44;
            expect_passed(p, "an IP header that is too short");
            p = whole;
            p[14] = 0x65;
            expect_passed(p, "another version");
            continue;
        }
        for (const int kind : {0, 43, 44, 60, 50, 51, 59, 135, 255}) {
            Bytes p = whole;
            p[20] = static_cast<std::uint8_t>(kind);
            expect_passed(p, "an extension header");
        }
        Bytes p = whole;
        p[14] = 0x45;
        expect_passed(p, "another version");
    }
}

TEST_P(FormOnly, HeadersThatAreCutShortAreTheStacks) {
    for (const Bytes& whole : {syn_, udp_}) {
        const std::size_t header = whole == syn_ ? 20 : 8;
        for (std::size_t size = l4(); size < l4() + header; ++size) {
            Bytes p(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
            expect_passed(p, "a packet that is shorter than it says");
            if (GetParam())
                detail::put16(p, 16, static_cast<unsigned>(size - 14));
            else if (size > l4())
                detail::put16(p, 18, static_cast<unsigned>(size - 54));
            if (GetParam() || size > l4()) expect_passed(p, "a header that is cut short");
        }
    }
}

TEST_P(FormOnly, LengthsThatLieAreTheStacks) {
    const std::size_t at = GetParam() ? 16 : 18;
    Bytes p = syn_;
    detail::put16(p, at, detail::get16(p, at) + 1);
    expect_passed(p, "longer than it is");
    p = syn_;
    detail::put16(p, at, 0xffff);
    expect_passed(p, "much longer");
    p = syn_;
    detail::put16(p, at, GetParam() ? 19 : 7);
    expect_passed(p, "shorter than a header");
}

TEST_P(FormOnly, ADataOffsetThatCannotBeIsTheStacks) {
    for (const std::uint8_t words : {0, 1, 4, 6, 15}) {  // there are 20 bytes
        Bytes p = syn_;
        p[l4() + 12] = static_cast<std::uint8_t>(words << 4);
        expect_passed(p, "a data offset");
    }
}

TEST_P(FormOnly, BytesBehindTheIpPacketAreNotItsData) {
    // Ethernet pads to 60 bytes; v6 too when a driver leaves it there.
    Bytes p = syn_;
    p.resize(p.size() + 20, 0);
    const Outcome outcome = node_->run(p);
    EXPECT_EQ(outcome.verdict, redirected);
    const auto flow =
        node_->tables().nascent.find(make_key({client(2), 40'000}, {external_ip(), 80}, IPPROTO_TCP));
    ASSERT_TRUE(flow);
    EXPECT_EQ(static_cast<std::uint32_t>(flow->sequence_end), 1'001U);
}

TEST_P(FormOnly, OtherProtocolsAreTheStacks) {
    for (const int type : {0x8100, 0x88a8, 0x0806, 0x8863, 0x88cc, 0x0000, 0xffff}) {
        Bytes p =
            syn_;  // a tag in the frame; a tag that the device has taken out cannot be had in a test run
        detail::put16(p, 12, static_cast<unsigned>(type));
        expect_passed(p, "another protocol than IP");
    }
    for (const int protocol : {2, 4, 41, 47, 132, 136}) {
        Bytes p = syn_;
        p[GetParam() ? 23 : 20] = static_cast<std::uint8_t>(protocol);
        expect_passed(p, "neither TCP nor UDP");
    }
    Bytes p = syn_;
    detail::put16(p, 12, GetParam() ? 0x86dd : 0x0800);
    expect_passed(p, "one family's packet as the other's");
}

TEST_P(FormOnly, WhatTheNodeForwardsIsNotServedTwice) {
    const Outcome outcome = node_->run(syn_, Arrival{.hook = Hook::egress, .forwarded = true});
    EXPECT_EQ(outcome.verdict, passed);
    EXPECT_EQ(outcome.bytes, syn_);
    EXPECT_EQ(node_->tables().nascent.size(), 0U);
}

TEST_P(OddPackets, SuperPacketsAreTranslatedWhole) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    open(from, to);
    const auto key = make_key(from, to, IPPROTO_TCP);
    const std::uint64_t before = node_->tables().flows.find(key)->sequence_end;
    // As large as a test run lets them be; the lab has those of 64 KiB, and CHECKSUM_PARTIAL.
    Packet p = segment(from, to, ack);
    p.sequence = 1'001;
    p.payload = Bytes(3'500, 's');
    const Outcome outcome = node_->run(bytes_of(p), "client0", Hook::ingress, 1'400);
    EXPECT_EQ(outcome.verdict, redirected);
    std::string wrong;
    EXPECT_EQ(packet_of(outcome.bytes, wrong).payload, p.payload);
    EXPECT_EQ(wrong, "");
    EXPECT_EQ(node_->tables().flows.find(key)->sequence_end - before, 3'500U);
}

TEST_P(OddPackets, SummedUpByTheDeviceKeepARightSum) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)})),
           udp(frontend(FrontendKind::external_ip, external_ip(), 80,
                        group({pod(3)}, Scheduler::rr, "default/web:80/UDP")))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    const Arrival summed{.flags = summed_by_device};
    try {
        node_->run(bytes_of(segment(from, {node(), 9})), summed);  // passes untouched
    } catch (const std::runtime_error&) {
        GTEST_SKIP() << "the kernel's test runs have no CHECKSUM_COMPLETE (Linux 6.16 has)";
    }
    const Outcome there = node_->run(bytes_of(segment(from, to)), summed);
    EXPECT_EQ(there.verdict, redirected);
    EXPECT_EQ(node_->run(bytes_of(datagram(from, to)), summed).verdict, redirected);
    IcmpError e;
    e.source = pod(3);
    e.destination = ip("10.2.0.1", "fd02::1");
    e.type = GetParam() ? 3 : 1;
    e.quote = quote_of(there.bytes);
    EXPECT_EQ(node_->run(bytes_of(e), {.interface = "pod0", .flags = summed_by_device}).verdict, redirected);
}

TEST_P(OddPackets, GarbageNeitherCrashesNorMakesFlows) {
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)})),
           frontend(FrontendKind::external_ip, external_ip(), 81,
                    group({}, Scheduler::rr, "default/none:81/TCP")),
           udp(frontend(FrontendKind::external_ip, external_ip(), 82,
                        group({}, Scheduler::rr, "default/none:82/UDP")))});
    const net::SocketAddress from{client(2), 40'000}, to{external_ip(), 80};
    open(from, to);
    std::mt19937 random(20'261'128);
    Packet full = segment(from, to, ack);
    full.options = Bytes(40, 8);
    full.payload = Bytes(100, 'x');
    const Bytes models[] = {bytes_of(segment(from, to, ack)), bytes_of(full),
                            bytes_of(segment(from, {external_ip(), 81}, ack)),
                            bytes_of(datagram(from, {external_ip(), 82}))};
    for (int n = 0; n < 50'000; ++n) {  // of each family
        Bytes packet = models[random() % std::size(models)];
        const unsigned changes = random() % 5;
        for (unsigned change = 0; change < changes; ++change)
            packet[12 + random() % (packet.size() - 12)] = static_cast<std::uint8_t>(random());
        if (n % 16 == 0)
            for (std::size_t i = 12; i < packet.size(); ++i) packet[i] = static_cast<std::uint8_t>(random());
        // The test run itself wants an IP header.
        if (n % 3 == 0) packet.resize(std::max<std::size_t>(54, random() % (packet.size() + 30)));
        const Hook hook = n % 2 == 0 ? Hook::ingress : Hook::egress;
        const auto verdict = node_->run(packet, n % 5 == 0 ? "pod0" : "client0", hook).verdict;
        ASSERT_TRUE(verdict == passed || verdict == dropped || verdict == redirected) << verdict;
    }
    // The one that was open before, unless it was reset or a SYN was among it all.
    EXPECT_LE(node_->tables().flows.size(), 2U);
}

}  // namespace
}  // namespace hawser::splice::testing
