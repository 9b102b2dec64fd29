// SPDX-License-Identifier: Apache-2.0
#include "bench/wire/frame.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace hawser::bench {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Writes what it is told as text: "<opcode fin length|payload|>".
struct Recorder {
    std::string log;
    Bytes payload_bytes;
    unsigned ends = 0;
    bool begin(const FrameHeader& h) {
        log += "<" + std::to_string(h.opcode) + (h.fin ? "F" : "") + (h.masked ? "M" : "") + " " +
               std::to_string(h.length);
        return true;
    }
    bool payload(const FrameHeader& h, std::span<std::uint8_t> piece, std::uint64_t offset) {
        if (h.masked) apply_mask(piece, h.key, offset);
        payload_bytes.insert(payload_bytes.end(), piece.begin(), piece.end());
        return true;
    }
    bool end(const FrameHeader&) {
        log += ">";
        ++ends;
        return true;
    }
};

Bytes frame_of(const FrameHeader& header, const Bytes& payload) {
    Bytes out(largest_header + payload.size());
    const std::size_t size = encode(header, out.data());
    if (header.masked)
        copy_masked(payload, out.data() + size, header.key, 0);
    else
        std::copy(payload.begin(), payload.end(), out.begin() + static_cast<std::ptrdiff_t>(size));
    out.resize(size + payload.size());
    return out;
}

TEST(Frame, encodes_the_examples_of_rfc_6455_section_5_7) {
    const Bytes hello{'H', 'e', 'l', 'l', 'o'};
    EXPECT_EQ(frame_of({.length = 5, .opcode = text}, hello),
              (Bytes{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}));
    EXPECT_EQ(frame_of({.length = 5, .key = {0x37, 0xfa, 0x21, 0x3d}, .opcode = text, .masked = true}, hello),
              (Bytes{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));
    Bytes head(largest_header);
    head.resize(encode({.length = 256}, head.data()));
    EXPECT_EQ(head, (Bytes{0x82, 0x7e, 0x01, 0x00}));
    head.resize(largest_header);
    head.resize(encode({.length = 65536}, head.data()));
    EXPECT_EQ(head, (Bytes{0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0}));
}

TEST(Frame, survives_every_length_class_cut_at_every_place) {
    for (const std::uint64_t length : {0, 1, 7, 8, 125, 126, 127, 300}) {
        Bytes payload(length);
        std::iota(payload.begin(), payload.end(), std::uint8_t{3});
        const FrameHeader header{.length = length, .key = {1, 2, 3, 250}, .masked = true};
        Bytes stream = frame_of(header, payload);
        const Bytes second = frame_of(header, payload);
        stream.insert(stream.end(), second.begin(), second.end());
        Bytes twice = payload;
        twice.insert(twice.end(), payload.begin(), payload.end());
        for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
            Bytes copy = stream;
            FrameReader reader;
            Recorder seen;
            ASSERT_TRUE(reader.read(std::span(copy).first(cut), seen));
            ASSERT_TRUE(reader.read(std::span(copy).subspan(cut), seen));
            EXPECT_EQ(seen.ends, 2U) << length << " cut at " << cut;
            EXPECT_EQ(seen.payload_bytes, twice) << length << " cut at " << cut;
        }
    }
}

TEST(Frame, survives_a_64_bit_length_byte_by_byte) {
    Bytes payload(70'000, 0x5a);
    Bytes stream = frame_of({.length = payload.size(), .key = {9, 8, 7, 6}, .masked = true}, payload);
    FrameReader reader;
    Recorder seen;
    for (std::size_t i = 0; i < stream.size(); ++i)
        ASSERT_TRUE(reader.read(std::span(stream).subspan(i, 1), seen));
    EXPECT_EQ(seen.log, "<2FM 70000>");
    EXPECT_EQ(seen.payload_bytes, payload);
}

TEST(Frame, mask_is_the_bytewise_definition_at_every_offset_and_alignment) {
    Bytes data(100);
    std::iota(data.begin(), data.end(), std::uint8_t{0});
    const MaskKey key{0xde, 0xad, 0xbe, 0xef};
    for (std::uint64_t offset = 0; offset < 9; ++offset) {
        for (std::size_t start = 0; start < 9; ++start) {
            Bytes masked = data;
            apply_mask(std::span(masked).subspan(start), key, offset);
            Bytes copied = data;
            copy_masked(std::span<const std::uint8_t>(data).subspan(start), copied.data() + start, key,
                        offset);
            for (std::size_t i = 0; i < data.size(); ++i) {
                const std::uint8_t want = i < start ? data[i] : data[i] ^ key[(offset + i - start) % 4];
                ASSERT_EQ(masked[i], want);
                ASSERT_EQ(copied[i], want);
            }
        }
    }
}

TEST(Frame, refuses_what_rfc_6455_section_5_2_forbids) {
    const struct {
        const char* what;
        Bytes bytes;
    } table[] = {
        {"a reserved bit", {0xc2, 0x00}},
        {"a reserved data opcode", {0x83, 0x00}},
        {"a reserved control opcode", {0x8b, 0x00}},
        {"a fragmented ping", {0x09, 0x00}},
        {"a ping of 126 bytes", {0x89, 0x7e, 0x00, 0x7e}},
        {"16 bits for a length of 125", {0x82, 0x7e, 0x00, 0x7d}},
        {"64 bits for a length of 65535", {0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff}},
        {"a length of 2^63", {0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0}},
    };
    for (auto row : table) {
        FrameReader reader;
        Recorder seen;
        EXPECT_FALSE(reader.read(row.bytes, seen)) << row.what;
        EXPECT_FALSE(reader.error().empty()) << row.what;
    }
}

TEST(Frame, reader_stops_when_the_visitor_does) {
    struct Stopper : Recorder {
        bool end(const FrameHeader&) { return false; }
    } stopper;
    Bytes two{0x82, 0x00, 0x82, 0x00};
    FrameReader reader;
    EXPECT_FALSE(reader.read(two, stopper));
    EXPECT_TRUE(reader.error().empty());
    EXPECT_EQ(stopper.log, "<2F 0");
}

}  // namespace
}  // namespace hawser::bench
