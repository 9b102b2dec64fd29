// SPDX-License-Identifier: Apache-2.0
#include "bench/wire/message.h"

#include <gtest/gtest.h>

namespace hawser::bench {
namespace {

TEST(MessageTape, recognises_its_own_messages_piece_by_piece) {
    const MessageTape tape(1024);
    for (const std::uint64_t number : {0, 1, 255, 256, 70'000}) {
        const auto message = tape.message(number, 1024);
        EXPECT_TRUE(tape.matches(number, 0, message));
        EXPECT_TRUE(tape.matches(number, 100, message.subspan(100, 50)));
    }
}

TEST(MessageTape, notices_a_shifted_a_foreign_and_an_overlong_piece) {
    const MessageTape tape(1024);
    const auto message = tape.message(7, 1024);
    EXPECT_FALSE(tape.matches(7, 1, message.first(64)));
    EXPECT_FALSE(tape.matches(8, 0, message.first(64)));
    EXPECT_FALSE(tape.matches(7, 2000, message.first(1)));
    EXPECT_FALSE(tape.matches(7, ~std::uint64_t{0} - 100, message.first(1)));
}

}  // namespace
}  // namespace hawser::bench
