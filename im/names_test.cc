// SPDX-License-Identifier: Apache-2.0
#include "im/names.h"

#include <gtest/gtest.h>

namespace hawser::im {
namespace {

TEST(Names, accept_what_is_safe_in_urls_logs_and_subjects) {
    const struct {
        std::string text;
        bool name, room;
    } cases[] = {
        {"ann", true, true},
        {"Ann.Lee_2-x", true, true},
        {std::string(32, 'a'), true, true},
        {std::string(33, 'a'), false, false},
        {"", false, false},
        {"a b", false, false},
        {"a/b", false, false},
        {"a>b", false, false},
        {"a*", false, false},
        {"a=b", false, false},
        {"\xc3\xa4", false, false},
        {"dm:ann:bob", false, true},
        {"dm:bob:ann", false, false},
        {"dm:ann:ann", false, false},
        {"dm:ann:", false, false},
        {"dm:ann", false, false},
        {"dm:a:b:c", false, false},
    };
    for (const auto& one : cases) {
        EXPECT_EQ(valid_name(one.text), one.name) << one.text;
        EXPECT_EQ(valid_room(one.text), one.room) << one.text;
    }
}

TEST(Names, a_direct_room_is_the_same_from_both_sides_and_open_to_no_third) {
    EXPECT_EQ(direct_room("bob", "ann"), "dm:ann:bob");
    EXPECT_EQ(direct_room("ann", "bob"), "dm:ann:bob");
    EXPECT_TRUE(may_enter("ann", "dm:ann:bob"));
    EXPECT_TRUE(may_enter("bob", "dm:ann:bob"));
    EXPECT_FALSE(may_enter("eve", "dm:ann:bob"));
    EXPECT_TRUE(may_enter("eve", "general"));
    EXPECT_FALSE(may_enter("eve", ""));
}

TEST(Names, a_message_id_is_short_printable_ascii) {
    EXPECT_TRUE(valid_message_id("7f3c-1/x"));
    EXPECT_FALSE(valid_message_id(""));
    EXPECT_FALSE(valid_message_id("a b"));
    EXPECT_FALSE(valid_message_id("a\n"));
    EXPECT_FALSE(valid_message_id(std::string(65, 'x')));
}

}  // namespace
}  // namespace hawser::im
