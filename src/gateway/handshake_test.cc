// SPDX-License-Identifier: Apache-2.0
#include "gateway/handshake.h"

#include <gtest/gtest.h>

namespace hawser::gateway {
namespace {

TEST(Handshake, computes_the_accept_of_RFC_6455_section_1_3) {
    EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(Handshake, takes_only_a_protocol_that_was_asked_for) {
    EXPECT_TRUE(upgrade_was_asked("WebSocket", "websocket"));
    EXPECT_TRUE(upgrade_was_asked("foo/2, websocket", "websocket"));
    EXPECT_FALSE(upgrade_was_asked("foo", "websocket"));
    EXPECT_FALSE(upgrade_was_asked("websocket", ""));
}

}  // namespace
}  // namespace hawser::gateway
