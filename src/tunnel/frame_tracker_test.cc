// SPDX-License-Identifier: Apache-2.0
#include "tunnel/frame_tracker.h"

#include <gtest/gtest.h>

#include <random>

namespace hawser::tunnel {
namespace {

std::string frame(std::uint8_t opcode, std::size_t size, bool masked, bool fin = true, char fill = 'x') {
    std::string out(1, static_cast<char>((fin ? 0x80 : 0) | opcode));
    const char mask = masked ? '\x80' : '\0';
    if (size < 126) {
        out += static_cast<char>(mask | static_cast<char>(size));
    } else if (size < 65536) {
        out += static_cast<char>(mask | 126);
        out += static_cast<char>(size >> 8);
        out += static_cast<char>(size);
    } else {
        out += static_cast<char>(mask | 127);
        for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift);
    }
    if (masked) out += "\x01\x02\x03\x04";
    return out + std::string(size, fill);
}

TEST(FrameTracker, counts_frames_of_every_length_form_whatever_the_pieces) {
    std::string stream;
    const std::size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
    for (const std::size_t size : sizes) stream += frame(1, size, true) + frame(2, size, false);
    std::mt19937 random(1);
    for (int round = 0; round < 50; ++round) {
        FrameTracker tracker;
        std::size_t at = 0;
        while (at < stream.size()) {
            const std::size_t n =
                std::min<std::size_t>(stream.size() - at, random() % (round < 5 ? 3 : 5000) + 1);
            tracker.feed(stream.data() + at, n);
            at += n;
        }
        EXPECT_EQ(tracker.frames(), 2 * std::size(sizes));
        EXPECT_TRUE(tracker.at_boundary());
    }
}

TEST(FrameTracker, is_at_a_boundary_only_between_frames) {
    const std::string f = frame(2, 300, true);
    FrameTracker tracker;
    EXPECT_TRUE(tracker.at_boundary());
    for (std::size_t i = 0; i + 1 < f.size(); ++i) {
        tracker.feed(f.data() + i, 1);
        ASSERT_FALSE(tracker.at_boundary()) << i;
    }
    tracker.feed(&f.back(), 1);
    EXPECT_TRUE(tracker.at_boundary());
}

TEST(FrameTracker, reads_the_close_code_masked_or_not_and_then_offers_no_boundary) {
    for (const bool masked : {false, true}) {
        const std::string f = [&] {
            std::string raw = make_close_frame(1001, "going away", masked);
            if (masked) {  // a real key instead of zeros
                const char key[] = {0x11, 0x22, 0x33, 0x44};
                for (std::size_t i = 0; i < 4; ++i) raw[2 + i] = key[i];
                for (std::size_t i = 6; i < raw.size(); ++i)
                    raw[i] = static_cast<char>(raw[i] ^ key[(i - 6) % 4]);
            }
            return raw;
        }();
        FrameTracker tracker;
        for (const char c : f) tracker.feed(&c, 1);
        EXPECT_EQ(tracker.close_code(), 1001);
        EXPECT_FALSE(tracker.at_boundary());
    }
    FrameTracker empty;
    const std::string f = frame(8, 0, true);
    empty.feed(f.data(), f.size());
    EXPECT_EQ(empty.close_code(), 1005);
}

TEST(FrameTracker, turns_itself_off_on_what_cannot_be_a_frame) {
    const std::string bad[] = {std::string("\x83\x00", 2), std::string("\x8b\x00", 2),
                               std::string("\x89\x7e\x00\x80", 4), std::string("\x09\x00", 2),
                               std::string("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10)};
    for (const std::string& bytes : bad) {
        FrameTracker tracker;
        tracker.feed(bytes.data(), bytes.size());
        EXPECT_TRUE(tracker.broken());
        EXPECT_FALSE(tracker.at_boundary());
        EXPECT_EQ(tracker.frames(), 0U);
    }
}

TEST(FrameTracker, tells_where_the_last_frame_of_a_piece_ends) {
    const std::string one = frame(1, 10, true);
    const std::string two = frame(2, 200, false);
    const std::string piece = one + two + two.substr(0, 7);
    FrameTracker tracker;
    EXPECT_EQ(tracker.feed(piece.data(), piece.size()), one.size() + two.size());
    EXPECT_EQ(tracker.feed(two.data() + 7, 20), 0U);
    EXPECT_EQ(tracker.feed(two.data() + 27, two.size() - 27), two.size() - 27);
}

TEST(FrameTracker, survives_random_bytes) {
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        FrameTracker tracker;
        std::string bytes(random() % 64, '\0');
        for (char& c : bytes) c = static_cast<char>(random());
        tracker.feed(bytes.data(), bytes.size());
    }
}

}  // namespace
}  // namespace hawser::tunnel
