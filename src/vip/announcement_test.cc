// SPDX-License-Identifier: Apache-2.0
#include "vip/announcement.h"

#include <gtest/gtest.h>

namespace hawser::vip {
namespace {

net::IpAddress ip(const char* text) { return *net::IpAddress::parse(text); }

constexpr Mac mac{2, 0, 0, 0, 0, 7};

TEST(Announcement, VirtualMacsAreThoseOfTheRfc) {
    EXPECT_EQ(virtual_mac(false, 51), (Mac{0x00, 0x00, 0x5e, 0x00, 0x01, 51}));
    EXPECT_EQ(virtual_mac(true, 255), (Mac{0x00, 0x00, 0x5e, 0x00, 0x02, 255}));
}

TEST(Announcement, V13_GratuitousArpOnTheWire) {
    const Bytes wanted{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 0x08, 0x06,  //
                       0, 1, 8, 0, 6, 4, 0, 1,                                           //
                       2, 0, 0, 0, 0, 7, 192, 168, 0, 150,                               //
                       2, 0, 0, 0, 0, 7, 192, 168, 0, 150};
    EXPECT_EQ(announcement(ip("192.168.0.150"), mac), wanted);
}

TEST(Announcement, ArpProbeHasNoSender) {
    const Bytes probe = duplicate_probe(ip("192.168.0.150"), mac);
    EXPECT_EQ(Bytes(probe.begin() + 28, probe.begin() + 42),
              (Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 192, 168, 0, 150}));
    EXPECT_FALSE(claim_of(probe)) << "it asks, and claims nothing";
}

TEST(Announcement, V13_NeighbourAdvertisementOnTheWire) {
    const Bytes frame = announcement(ip("fe80::150"), mac);
    ASSERT_EQ(frame.size(), 14U + 40 + 32);
    EXPECT_EQ(Bytes(frame.begin(), frame.begin() + 6), (Bytes{0x33, 0x33, 0, 0, 0, 1})) << "all nodes";
    EXPECT_EQ(frame[14 + 7], 255) << "RFC 4861: others are discarded";
    const auto icmp = frame.begin() + 54;
    EXPECT_EQ(Bytes(icmp, icmp + 2), (Bytes{136, 0}));
    EXPECT_EQ(icmp[4], 0xa0) << "R and O, not S";
    EXPECT_EQ(Bytes(icmp + 24, icmp + 32), (Bytes{2, 1, 2, 0, 0, 0, 0, 7}));
    std::uint32_t total = 58 + 32;  // the sum over pseudo-header and message is all ones
    for (std::size_t i = 14 + 8; i < frame.size(); i += 2) total += static_cast<std::uint32_t>(frame[i] << 8 | frame[i + 1]);
    while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
    EXPECT_EQ(total, 0xffffU);
}

TEST(Announcement, SolicitationForDuplicatesGoesToTheSolicitedNode) {
    const Bytes frame = duplicate_probe(ip("fd00:192::aa:1234"), mac);
    EXPECT_EQ(Bytes(frame.begin(), frame.begin() + 6), (Bytes{0x33, 0x33, 0xff, 0xaa, 0x12, 0x34}));
    EXPECT_EQ(Bytes(frame.begin() + 22, frame.begin() + 38), Bytes(16)) << "from ::";
    EXPECT_EQ(frame.size(), 14U + 40 + 24) << "without an option, which would need a source";
}

TEST(Claim, IsWhatAnAnnouncementSays) {
    for (const char* text : {"192.168.0.150", "fe80::150"}) {
        const auto claim = claim_of(announcement(ip(text), mac));
        ASSERT_TRUE(claim) << text;
        EXPECT_EQ(claim->ip, ip(text));
        EXPECT_EQ(claim->mac, mac);
    }
}

TEST(Claim, AnythingElseIsNone) {
    for (const char* text : {"192.168.0.150", "fe80::150"}) {
        const Bytes good = announcement(ip(text), mac);
        for (std::size_t size = 0; size + 8 < good.size(); ++size)
            EXPECT_FALSE(claim_of(std::span(good).first(size))) << text << ", " << size << " bytes";
        Bytes other = good;
        other[12] = 0x86;
        other[13] = 0x00;
        EXPECT_FALSE(claim_of(other));
    }
    Bytes far = announcement(ip("fe80::150"), mac);
    far[14 + 7] = 64;
    EXPECT_FALSE(claim_of(far)) << "it has come through a router";
}

}  // namespace
}  // namespace hawser::vip
