// SPDX-License-Identifier: Apache-2.0
#include "im/database.h"

#include <gtest/gtest.h>

#include <array>

namespace hawser::im {
namespace {

Database temporary() { return std::move(Database::open("", Database::Durability::none).value()); }

Draft draft(std::string room, std::string from, std::string id) {
    return Draft{std::move(room), std::move(from), std::move(id), "text"};
}

std::vector<std::uint64_t> seqs(const HistoryPage& page) {
    std::vector<std::uint64_t> out;
    for (const auto& message : page.messages) out.push_back(message.seq);
    return out;
}

TEST(Database, numbers_each_room_from_1_without_holes) {
    auto database = temporary();
    const std::array drafts{draft("a", "ann", "1"), draft("b", "ann", "1"), draft("a", "bob", "1"),
                            draft("a", "ann", "2")};
    const auto appended = database.append(drafts, 5).value();
    EXPECT_EQ(appended, (std::vector<Appended>{{1, 5, false}, {1, 5, false}, {2, 5, false}, {3, 5, false}}));
    EXPECT_EQ(database.rooms().value(), (std::vector<RoomInfo>{{"a", 3}, {"b", 1}}));
}

TEST(Database, knows_a_message_again_also_within_one_commit_and_leaves_no_hole) {
    auto database = temporary();
    const std::array first{draft("a", "ann", "1"), draft("a", "ann", "1"), draft("a", "ann", "2")};
    EXPECT_EQ(database.append(first, 5).value(),
              (std::vector<Appended>{{1, 5, false}, {1, 5, true}, {2, 5, false}}));
    const std::array later{draft("a", "ann", "2"), draft("a", "ann", "3")};
    EXPECT_EQ(database.append(later, 9).value(), (std::vector<Appended>{{2, 5, true}, {3, 9, false}}));
    EXPECT_EQ(database.find("a", "ann", "2").value(), (Appended{2, 5, true}));
    EXPECT_EQ(database.find("a", "bob", "2").value(), std::nullopt);
    EXPECT_EQ(database.find("nowhere", "bob", "2").value(), std::nullopt);
}

TEST(Database, pages_through_history_in_both_directions) {
    auto database = temporary();
    std::vector<Draft> drafts;
    for (int i = 0; i < 10; ++i) drafts.push_back(draft("a", "ann", std::to_string(i)));
    ASSERT_TRUE(database.append(drafts, 5));
    const struct {
        HistoryQuery query;
        std::vector<std::uint64_t> seqs;
        bool more;
    } cases[] = {
        {{.room = "a", .limit = 3}, {8, 9, 10}, true},
        {{.room = "a", .before = 8, .limit = 3}, {5, 6, 7}, true},
        {{.room = "a", .before = 4, .limit = 3}, {1, 2, 3}, false},
        {{.room = "a", .before = 1, .limit = 3}, {}, false},
        {{.room = "a", .after = 0, .forward = true, .limit = 3}, {1, 2, 3}, true},
        {{.room = "a", .after = 7, .forward = true, .limit = 3}, {8, 9, 10}, false},
        {{.room = "a", .after = 10, .forward = true, .limit = 3}, {}, false},
        {{.room = "nowhere", .limit = 3}, {}, false},
    };
    for (const auto& one : cases) {
        const auto page = database.read(one.query).value();
        EXPECT_EQ(seqs(page), one.seqs);
        EXPECT_EQ(page.more, one.more);
    }
}

TEST(Database, applies_each_entry_of_a_stream_once_in_its_place) {
    auto database = temporary();
    const Batch one{"a", 4, {{"a", 1, 5, "ann", "1", "x"}, {"a", 2, 5, "bob", "1", "y"}}};
    const Batch foreign{"a", 6, {}};
    const Batch two{"a", 9, {{"a", 3, 6, "ann", "2", "z"}}};
    ASSERT_TRUE(database.apply(std::array{one, foreign}));
    ASSERT_TRUE(database.apply(std::array{one, two}));
    const auto end = database.end_of("a").value();
    EXPECT_EQ(end.last, 3U);
    EXPECT_EQ(end.position, 9U);
    EXPECT_EQ(database.applied().value(), 9U);
    EXPECT_EQ(seqs(database.read({.room = "a"}).value()), (std::vector<std::uint64_t>{1, 2, 3}));
    ASSERT_TRUE(database.erase_everything());
    EXPECT_EQ(database.applied().value(), 0U);
    EXPECT_EQ(database.end_of("a").value().last, 0U);
}

TEST(Database, keeps_the_first_value_of_a_key) {
    auto database = temporary();
    EXPECT_EQ(database.keep("epoch", "one").value(), "one");
    EXPECT_EQ(database.keep("epoch", "two").value(), "one");
    EXPECT_TRUE(database.probe());
}

TEST(Database, says_why_a_file_cannot_be_opened) {
    const auto database = Database::open("/nowhere/at/all.db", Database::Durability::full);
    ASSERT_FALSE(database);
    EXPECT_EQ(database.error().text(),
              "open the message store /nowhere/at/all.db: unable to open database file");
}

}  // namespace
}  // namespace hawser::im
