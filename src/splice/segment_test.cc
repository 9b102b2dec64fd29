// SPDX-License-Identifier: Apache-2.0
#include "splice/segment.h"

#include <gtest/gtest.h>

#include "splice/testing_tunnel.h"

namespace hawser::splice::testing {
namespace {

// Bytes and numbers alone: no kernel is needed.
class Segments : public ::testing::TestWithParam<bool> {
  protected:
    static Segment segment() {
        const auto at = [](const char* v4, const char* v6) {
            return *net::SocketAddress::parse(GetParam() ? v4 : v6);
        };
        Segment out;
        out.source = at("10.1.0.1:80", "[fd01::1]:80");
        out.destination = at("10.1.0.2:40000", "[fd01::2]:40000");
        out.sequence = 0xfffffffe;
        out.acknowledgment = 0x01020304;
        out.flags = ack;
        out.window = 0xabcd;
        return out;
    }
    static Bytes frame_of(const Segment& segment) {
        Bytes frame(14);
        detail::put16(frame, 12, GetParam() ? 0x0800 : 0x86dd);
        const auto ip = splice::bytes_of(segment);
        frame.insert(frame.end(), ip.begin(), ip.end());
        return frame;
    }
    static Packet read(const Segment& segment) {
        std::string wrong;
        Packet out = packet_of(frame_of(segment), wrong);
        EXPECT_EQ(wrong, "");
        return out;
    }
    Tunnel tunnel_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Families, Segments, ::testing::Values(true, false), family_name);

TEST_P(Segments, AreTheBytesThatTheRfcsSay) {
    for (const bool with_timestamps : {false, true}) {
        for (const std::uint8_t flags : {std::uint8_t{ack}, std::uint8_t{rst}, std::uint8_t{rst | ack}}) {
            Segment s = segment();
            s.flags = flags;
            if (with_timestamps) s.timestamps = Segment::Timestamps{0xdeadbeef, 0x00010002};
            Packet expected;
            expected.source = s.source;
            expected.destination = s.destination;
            expected.sequence = s.sequence;
            expected.acknowledgment = s.acknowledgment;
            expected.flags = flags;
            expected.window = s.window;
            if (with_timestamps) expected.options = timestamps(0xdeadbeef, 0x00010002);
            expected.macs = {};
            EXPECT_EQ(read(s), expected);
            EXPECT_EQ(frame_of(s), bytes_of(expected));
        }
    }
}

TEST_P(Segments, HaveRightChecksumsWhateverTheirNumbers) {
    Segment s = segment();
    for (std::uint32_t n = 0; n < 70'000; n += 7) {
        s.sequence = n * 0x9e3779b9;
        s.acknowledgment = n << 16 | n;
        s.window = static_cast<std::uint16_t>(n);
        read(s);
    }
}

TEST_P(Segments, ThatResetAreInTheNameOfTheOtherEndAndOfTheNumberItExpects) {
    const auto at_client = resets_for(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    ASSERT_EQ(at_client.size(), 1U) << "everything is acknowledged: one number fits";
    EXPECT_EQ(at_client[0].source, tunnel_.frontend);
    EXPECT_EQ(at_client[0].destination, tunnel_.client);
    EXPECT_EQ(at_client[0].sequence, 9'000U);
    EXPECT_EQ(at_client[0].acknowledgment, 5'000U);
    EXPECT_EQ(at_client[0].flags, rst | ack);
    EXPECT_FALSE(at_client[0].timestamps) << "PAWS is not asked of a reset (RFC 7323 section 5.2)";

    const auto at_endpoint = resets_for(tunnel_.down_key(), tunnel_.down, tunnel_.up);
    ASSERT_EQ(at_endpoint.size(), 1U);
    EXPECT_EQ(at_endpoint[0].source, tunnel_.upstream);
    EXPECT_EQ(at_endpoint[0].destination, tunnel_.endpoint);
    EXPECT_EQ(at_endpoint[0].sequence, 1'005'000U);
    EXPECT_EQ(at_endpoint[0].acknowledgment, 2'009'000U);
}

TEST_P(Segments, ThatResetAreTwoWhenSomethingIsOnItsWay) {
    tunnel_.down.sequence_end += 50;  // sent to the client, not acknowledged yet
    const auto resets = resets_for(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    ASSERT_EQ(resets.size(), 2U);
    EXPECT_EQ(resets[0].sequence, 9'000U) << "if it has not come";
    EXPECT_EQ(resets[1].sequence, 9'050U) << "if it has";
    // Over the wrap.
    tunnel_.down.sequence_end = (3ULL << 32) + 2'000'000 + 10;
    tunnel_.up.acknowledged = 0U - 20;
    const auto wrapped = resets_for(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    ASSERT_EQ(wrapped.size(), 2U);
    EXPECT_EQ(wrapped[0].sequence, 0U - 20);
    EXPECT_EQ(wrapped[1].sequence, 10U);
}

TEST_P(Segments, ThatProbeAreOfTheByteBeforeTheLastAndSayNothingNew) {
    tunnel_.up.tsval = 70'000;
    tunnel_.down.tsval = 90'000;
    tunnel_.down.window = 1'000U << 7;
    const Segment probe = probe_for(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    EXPECT_EQ(probe.source, tunnel_.frontend);
    EXPECT_EQ(probe.destination, tunnel_.client);
    EXPECT_EQ(probe.flags, ack);
    EXPECT_EQ(probe.sequence, 8'999U);
    EXPECT_EQ(probe.acknowledgment, 5'000U);
    EXPECT_EQ(probe.window, 8'000U) << "the field that the endpoint wrote, shifted as the program does";
    ASSERT_TRUE(probe.timestamps);
    EXPECT_EQ(probe.timestamps->value, 94'000U);
    EXPECT_EQ(probe.timestamps->echo, 70'000U);

    const Segment back = probe_for(tunnel_.down_key(), tunnel_.down, tunnel_.up);
    EXPECT_EQ(back.sequence, 1'004'999U);
    EXPECT_EQ(back.acknowledgment, 2'009'000U);
    EXPECT_EQ(back.window, 65'535U >> 3 >> 2);
    EXPECT_EQ(back.timestamps->value, 73'000U);
    EXPECT_EQ(back.timestamps->echo, 90'000U);
}

TEST_P(Segments, ThatProbeWithoutTimestampsHaveNoneAndTheirWindowIsCutWhereTheFieldEnds) {
    tunnel_.up.flags &= ~static_cast<std::uint32_t>(layout::flow_timestamps);
    tunnel_.up.acknowledged = 0;
    tunnel_.down.window = 9'000U << 7;
    const Segment probe = probe_for(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    EXPECT_FALSE(probe.timestamps);
    EXPECT_EQ(probe.sequence, 0xffffffffU);
    EXPECT_EQ(probe.window, 65'535U);
}

// What was sent is on the wire: needs the namespace.
class SegmentsSent : public TunnelTest {};
INSTANTIATE_TEST_SUITE_P(Families, SegmentsSent, ::testing::Values(true, false), family_name);

TEST_P(SegmentsSent, ByARawSocketArriveAsTheyWereMade) {
    Wire wire("client0x");
    send_reset(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    send_probe(tunnel_.up_key(), tunnel_.up, tunnel_.down);
    std::vector<Bytes> frames;
    for (int tries = 0; tries < 20 && frames.size() < 2; ++tries)
        for (Bytes& frame : wire.take(tunnel_.client.port)) frames.push_back(std::move(frame));
    ASSERT_EQ(frames.size(), 2U);
    const Packet reset = parsed({0, frames[0]}), probe = parsed({0, frames[1]});
    EXPECT_EQ(reset.flags, rst | ack);
    EXPECT_EQ(reset.source, tunnel_.frontend);
    EXPECT_EQ(reset.destination, tunnel_.client);
    EXPECT_EQ(reset.sequence, 9'000U);
    EXPECT_EQ(probe.flags, ack);
    EXPECT_EQ(probe.sequence, 8'999U);
    EXPECT_EQ(probe.macs, Node::towards("client0", 2));
}

}  // namespace
}  // namespace hawser::splice::testing
