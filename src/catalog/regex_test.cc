// SPDX-License-Identifier: Apache-2.0
#include "catalog/regex.h"

#include <gtest/gtest.h>

namespace hawser::catalog {
namespace {

TEST(Regex, gives_the_offsets_of_its_groups_and_knows_their_names) {
    const auto regex = Regex::compile(R"(^/(?<room>\w+)/(x)?(\d+)$)", false);
    ASSERT_TRUE(regex) << regex.error().text();
    ASSERT_EQ((*regex)->names().size(), 1U);
    EXPECT_EQ((*regex)->names()[0], (std::pair<std::string, std::uint32_t>{"room", 1}));
    Regex::Captures captures;
    ASSERT_TRUE((*regex)->match("/tea/42", &captures));
    ASSERT_EQ(captures.size(), 4U);
    EXPECT_EQ(captures[1], (std::pair<std::size_t, std::size_t>{1, 4}));
    EXPECT_EQ(captures[2].first, std::string::npos);
    EXPECT_EQ(captures[3], (std::pair<std::size_t, std::size_t>{5, 7}));
    EXPECT_FALSE((*regex)->match("/TEA/", nullptr));
}

TEST(Regex, tells_where_a_pattern_is_wrong) {
    const auto regex = Regex::compile("a(b", false);
    ASSERT_FALSE(regex);
    EXPECT_NE(regex.error().message.find("at offset 3"), std::string::npos) << regex.error().message;
}

TEST(Regex, gives_up_on_a_catastrophic_match_instead_of_stalling) {
    const auto regex = Regex::compile("(a+)+(b+)+$", false);
    ASSERT_TRUE(regex);
    EXPECT_FALSE((*regex)->match(std::string(64, 'a') + std::string(64, 'b') + "!", nullptr));
}

}  // namespace
}  // namespace hawser::catalog
