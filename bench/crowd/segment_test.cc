// SPDX-License-Identifier: Apache-2.0
#include "bench/crowd/segment.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace hawser::bench {
namespace {

std::vector<std::uint8_t> written(const Segment& segment) {
    std::vector<std::uint8_t> out(largest_segment_head + segment.payload.size());
    out.resize(write_segment(segment, out.data()));
    return out;
}

// Over a header with its checksum in place, the sum is all ones.
std::uint32_t folded_sum(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

const std::array<std::uint8_t, 5> odd{'h', 'e', 'l', 'l', 'o'};

Segment example() {
    Segment out;
    out.source = 0x0acb0001;
    out.destination = 0x0ac90101;
    out.source_port = 12345;
    out.destination_port = 80;
    out.sequence = 0xfffffffe;
    out.acknowledgment = 7;
    out.tsval = 0x01020304;
    out.tsecr = 0x05060708;
    out.window = 512;
    out.flags = tcp_ack | tcp_psh;
    out.payload = odd;
    return out;
}

TEST(Segment, what_is_written_is_read_again) {
    for (const bool syn : {false, true}) {
        Segment in = example();
        if (syn) in.flags = tcp_syn;
        const auto packet = written(in);
        const auto out = parse_segment(packet);
        ASSERT_TRUE(out);
        EXPECT_EQ(out->source, in.source);
        EXPECT_EQ(out->destination, in.destination);
        EXPECT_EQ(out->source_port, in.source_port);
        EXPECT_EQ(out->destination_port, in.destination_port);
        EXPECT_EQ(out->sequence, in.sequence);
        EXPECT_EQ(out->acknowledgment, in.acknowledgment);
        EXPECT_EQ(out->tsval, in.tsval);
        EXPECT_EQ(out->tsecr, in.tsecr);
        EXPECT_EQ(out->window, in.window);
        EXPECT_EQ(out->flags, in.flags);
        EXPECT_EQ(std::string(out->payload.begin(), out->payload.end()), "hello");
        EXPECT_EQ(packet.size(), 20 + 20 + (syn ? 20 : 12) + 5U);
    }
}

TEST(Segment, both_checksums_are_right) {
    const auto packet = written(example());
    EXPECT_EQ(folded_sum({packet.data(), 20}), 0xffffU);
    const auto size = static_cast<std::uint32_t>(packet.size() - 20);
    const std::uint32_t pseudo = folded_sum({packet.data() + 12, 8}) + 6 + size;
    EXPECT_EQ(folded_sum({packet.data() + 20, size}, pseudo), 0xffffU);
}

TEST(Segment, what_is_not_a_whole_tcp_segment_is_nothing) {
    const auto good = written(example());
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(parse_segment(std::span(good).first(size))) << size;
    const struct {
        std::size_t at;
        std::uint8_t value;
        const char* what;
    } table[] = {
        {0, 0x65, "IPv6"}, {0, 0x44, "an IPv4 header of 16 bytes"}, {6, 0x20, "a fragment"},
        {9, 17, "UDP"},    {32, 0x40, "a TCP header of 16 bytes"},  {32, 0xf0, "a TCP header past the end"},
    };
    for (const auto& row : table) {
        auto bad = good;
        bad[row.at] = row.value;
        EXPECT_FALSE(parse_segment(bad)) << row.what;
    }
}

TEST(Segment, bytes_behind_the_packet_are_not_its_payload) {
    auto padded = written(example());
    padded.resize(padded.size() + 9);
    EXPECT_EQ(parse_segment(padded)->payload.size(), odd.size());
}

}  // namespace
}  // namespace hawser::bench
