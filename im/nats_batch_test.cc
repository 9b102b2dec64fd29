// SPDX-License-Identifier: Apache-2.0
#include "im/nats_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace hawser::im {
namespace {

TEST(NatsBatch, a_room_is_one_subject_token_and_comes_back) {
    for (const std::string room : {"general", "a.b.c", "dm:ann.lee:bob"}) {
        const auto subject = subject_of(room);
        EXPECT_EQ(std::count(subject.begin(), subject.end(), '.'), 3) << subject;
        EXPECT_EQ(room_of(subject), room);
    }
    EXPECT_EQ(room_of("hawser.im.room.a b"), std::nullopt);
    EXPECT_EQ(room_of("elsewhere"), std::nullopt);
}

TEST(NatsBatch, an_entry_comes_back_as_numbered_messages) {
    const std::array drafts{Draft{"a", "ann", "1", "x\n\"y\""}, Draft{"a", "bob", "2", "z"}};
    const auto entry = decode_entry("a", 40, encode_entry(drafts, 7, 1000, "w.3"));
    EXPECT_EQ(entry.writer, "w.3");
    EXPECT_EQ(entry.batch.position, 40U);
    EXPECT_EQ(entry.batch.messages, (std::vector<Message>{{"a", 7, 1000, "ann", "1", "x\n\"y\""},
                                                          {"a", 8, 1000, "bob", "2", "z"}}));
}

TEST(NatsBatch, what_is_not_ours_is_an_entry_without_messages) {
    for (const std::string_view payload :
         {"", "hello", "[]", R"({"first":0,"messages":[]})", R"({"first":1})",
          R"({"first":1,"messages":[{"from":"ann","id":"1","text":"x"},{"from":7}]})"}) {
        const auto entry = decode_entry("a", 40, payload);
        EXPECT_TRUE(entry.batch.messages.empty()) << payload;
        EXPECT_EQ(entry.batch.position, 40U);
    }
}

}  // namespace
}  // namespace hawser::im
