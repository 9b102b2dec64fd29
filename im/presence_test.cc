// SPDX-License-Identifier: Apache-2.0
#include "im/presence.h"

#include <gtest/gtest.h>

namespace hawser::im {
namespace {

using std::chrono::milliseconds;

class Clocked : public testing::Test {
  protected:
    Presence::TimePoint at(long ms) { return Presence::TimePoint(milliseconds(1'000'000 + ms)); }
    static std::vector<std::string> names(const std::vector<User>& users) {
        std::vector<std::string> out;
        for (const auto& user : users) out.push_back(user.name + "@" + user.pod);
        return out;
    }
    Presence here{"pod-a", "1"};
    Presence there{"pod-b", "2"};
};

using Names = std::vector<std::string>;

TEST_F(Clocked, a_user_is_online_while_one_of_his_sessions_is) {
    here.arrived("ann", at(0));
    here.arrived("ann", at(0));
    EXPECT_EQ(names(here.changes(at(1000))->online), Names{"ann@pod-a"});
    here.left("ann", at(2000));
    EXPECT_FALSE(here.changes(at(9000)));
    here.left("ann", at(10'000));
    EXPECT_FALSE(here.changes(at(11'000)));
    EXPECT_EQ(here.changes(at(11'500))->offline, Names{"ann"});
    EXPECT_EQ(here.count(), 0U);
}

TEST_F(Clocked, a_reconnect_does_not_flicker) {
    here.arrived("ann", at(0));
    ASSERT_TRUE(here.changes(at(1000)));
    here.left("ann", at(2000));
    here.arrived("ann", at(3000));
    EXPECT_FALSE(here.changes(at(10'000)));
}

TEST_F(Clocked, changes_come_gathered) {
    here.arrived("ann", at(0));
    ASSERT_TRUE(here.changes(at(0)));
    here.arrived("bob", at(10));
    here.arrived("cyr", at(20));
    EXPECT_FALSE(here.changes(at(100)));
    EXPECT_EQ(names(here.changes(at(200))->online), (Names{"bob@pod-a", "cyr@pod-a"}));
}

TEST_F(Clocked, replicas_tell_each_other_and_a_silent_one_is_dead) {
    there.arrived("bob", at(0));
    here.heard(there.tell(at(0))->text, at(0));
    EXPECT_EQ(names(here.changes(at(300))->online), Names{"bob@pod-b"});
    EXPECT_FALSE(there.tell(at(1000)));
    here.heard(there.tell(at(2000))->text, at(2000));
    EXPECT_FALSE(here.changes(at(7900)));
    EXPECT_EQ(here.changes(at(8000))->offline, Names{"bob"});
}

TEST_F(Clocked, a_replica_that_says_farewell_is_gone_at_once) {
    there.arrived("bob", at(0));
    here.heard(there.tell(at(0))->text, at(0));
    ASSERT_TRUE(here.changes(at(300)));
    here.heard(there.farewell().text, at(400));
    EXPECT_EQ(here.changes(at(600))->offline, Names{"bob"});
}

TEST_F(Clocked, a_new_replica_asks_and_is_answered_at_once) {
    here.arrived("ann", at(0));
    ASSERT_TRUE(here.tell(at(0)));
    EXPECT_FALSE(here.tell(at(500)));
    here.heard(there.tell(at(500))->text, at(500));
    const auto answer = here.tell(at(501));
    ASSERT_TRUE(answer);
    there.heard(answer->text, at(501));
    EXPECT_EQ(names(there.changes(at(800))->online), Names{"ann@pod-a"});
}

TEST_F(Clocked, what_it_said_itself_and_what_is_malformed_is_ignored) {
    here.arrived("ann", at(0));
    here.heard(here.tell(at(0))->text, at(0));
    for (const auto* text :
         {"", "{}", "[]", R"({"instance":"9","users":7})", R"({"instance":"9","users":["a b",7]})"})
        here.heard(text, at(0));
    EXPECT_EQ(names(here.changes(at(1000))->online), Names{"ann@pod-a"});
}

}  // namespace
}  // namespace hawser::im
