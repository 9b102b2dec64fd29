// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gateway/http/testing_site.h"

namespace hawser::gateway {
namespace {

using testing::Site;
using testing::verdict;

TEST(Location, exact_then_longest_prefix_then_patterns_in_order) {
    Site site;
    for (const char* name :
         {"/", "= /", "/images/", "^~ /final/", "~ \\.jpg$", "~ ^/im", "/images/big/", "/a"}) {
        site.add(name);
    }
    struct Row {
        const char *target, *location;
    };
    const Row rows[] = {{"/", "= /"},
                        {"/x", "/"},
                        {"/images/a.jpg", "~ \\.jpg$"},
                        {"/images/a.png", "~ ^/im"},
                        {"/final/a.jpg", "^~ /final/"},
                        {"/ab", "/a"},
                        {"/A", "/"}};
    for (const Row& row : rows) {
        Exchange x = site.get(row.target);
        EXPECT_EQ(verdict(site.run(x)), "proxy");
        EXPECT_EQ(x.location->route_id, row.location) << row.target;
    }
}

TEST(Location, nested_ones_are_searched_inside_the_longest_prefix_and_before_outer_patterns) {
    Site site;
    auto outer = site.add("/a/");
    outer->nested = {site.location("/a/b/"), site.location("~ \\.php$")};
    site.add("~ \\.php$")->route_id = "outer php";
    site.add("~ ^/a/b/pattern")->route_id = "outer pattern";
    site.add("/");
    struct Row {
        const char *target, *location;
    };
    const Row rows[] = {{"/a/x", "/a/"},
                        {"/a/b/x", "/a/b/"},
                        {"/a/b/x.php", "~ \\.php$"},
                        {"/x.php", "outer php"},
                        {"/a/b/pattern", "outer pattern"}};
    for (const Row& row : rows) {
        Exchange x = site.get(row.target);
        site.run(x);
        ASSERT_TRUE(x.location);
        EXPECT_EQ(x.location->route_id, row.location) << row.target;
    }
}

TEST(Location, a_missing_slash_is_redirected_with_the_name_escaped_and_the_arguments) {
    Site site;
    site.add("/");
    site.add("/x y/")->auto_redirect = true;
    site.add("/both/")->auto_redirect = true;
    site.add("/both");
    site.add("= /only")->route_id = "exact";
    site.add("/only/")->auto_redirect = true;
    struct Row {
        const char *target, *expected;
    };
    const Row rows[] = {{"/x%20y?a=b", "301 -> http://a.test:18801/x%20y/?a=b"},
                        {"/x%20y/", "proxy"},
                        {"/both", "proxy"},
                        {"/only", "proxy"}};
    for (const Row& row : rows) {
        Exchange x = site.get(row.target);
        EXPECT_EQ(verdict(site.run(x)), row.expected) << row.target;
    }
}

TEST(Location, a_pattern_leaves_its_captures_and_named_groups) {
    Site site;
    site.add("~ ^/u/(?<id>\\d+)/(.*)$", {site.give(200, "$id|$1|$2|$3")});
    Exchange x = site.get("/u/42/a%2fb");
    EXPECT_EQ(verdict(site.run(x)), "200 42|42|a/b|");
}

TEST(Location, internal_ones_are_found_by_rewrites_only) {
    Site site;
    site.add("/in/")->internal = true;
    site.add("/", {site.rewrite("^/go/(.*)", "/in/$1", catalog::http::Rewrite::Flag::last)});
    Exchange direct = site.get("/in/a");
    EXPECT_EQ(verdict(site.run(direct)), "404");
    Exchange rewritten = site.get("/go/a");
    EXPECT_EQ(verdict(site.run(rewritten)), "proxy");
}

}  // namespace
}  // namespace hawser::gateway
