// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gateway/http/testing_site.h"

namespace hawser::gateway {
namespace {

using catalog::http::Break;
using catalog::http::Condition;
using catalog::http::Instruction;
using catalog::http::Rewrite;
using testing::Site;
using testing::verdict;
using Flag = Rewrite::Flag;

// Every row seen with nginx 1.22.1.
TEST(Script, answers_as_nginx_does) {
    Site site;
    site.add("/red/", {site.rewrite("^/red/(.*)", "/to/$1?c=$1", Flag::redirect)});
    site.add("/redn/", {site.rewrite("^/redn/(.*)", "/to/$1?", Flag::permanent)});
    site.add("/redh/", {site.rewrite("^/redh/(.*)", "http://h/$1", Flag::last)});
    site.add("/rawred/", {site.rewrite("^/rawred/(.*)", "/to/%41%20%2f%25%3fq/$1", Flag::redirect)});
    site.add("~ ^/setq/(?<cap>.*)$", {site.set("x", "$1"), site.give(200, "[$x][$1][$cap][$uri]")});
    site.add("~ ^/setr/(.*)$", {site.rewrite("^/setr/(.*)$", "/setr/$1"), site.set("x", "$1"),
                                site.when("x", Condition::Test::equals, "a b", {site.give(200, "eq[$x]")}),
                                site.give(200, "[$x]")});
    site.add("~ ^/ifq/(.*)$",
             {site.set("y", "a b"), site.when("y", Condition::Test::equals, "$1", {site.give(200, "eq")}),
              site.give(200, "ne")});
    site.add("~ ^/forget/(.*)$",
             {site.when("arg_z", Condition::Test::matches, "nomatch", {site.give(200, "no")}),
              site.set("x", "$1"), site.give(200, "[$x][$1]")});
    site.add("~ ^/forget2/(.*)$",
             {site.when("arg_z", Condition::Test::matches, "^n", {site.give(200, "[$1]")}),
              site.give(200, "{$1}")});
    site.add("/loop", {site.rewrite("^(.*)$", "$1x", Flag::last)});
    site.add("/ret/444", {site.give(444)});
    site.add("/ret/200", {site.give(200)});
    site.add("/ret/t404", {site.give(404, "nope")});
    site.add("/ret/e404", {site.give(404)});
    site.add("/ret/v404", {site.give(404, "$arg_none")});
    site.add("/ret/302", {site.give(302, "/x/y?$args")});
    site.add("/ret/url", {site.give(302, "http://e/x")});
    site.add("/args", {site.set("args", "k=$arg_q"), site.give(200, "[$args][$query_string][$is_args]")});

    struct Row {
        const char* target;
        const char* expected;
    };
    const Row rows[] = {
        {"/red/a%20b%26%3f%2541?q=1", "302 -> http://a.test:18801/to/a%20b&?%2541?c=a%20b%26%3F%2541&q=1"},
        {"/red/ab?q=1", "302 -> http://a.test:18801/to/ab?c=ab&q=1"},
        {"/redn/ab?q=1", "301 -> http://a.test:18801/to/ab"},
        {"/redh/a%20b?q=1", "302 -> http://h/a%20b?q=1"},
        {"/rawred/z", "302 -> http://a.test:18801/to/A%20/%25?q/z"},
        {"/setq/a%20b%26+;", "200 [a%20b%26%2B%3B][a b&+;][a b&+;][/setq/a b&+;]"},
        {"/setq/ab;\"", "200 [ab;\"][ab;\"][ab;\"][/setq/ab;\"]"},
        {"/setr/a%20b", "200 eq[a b]"},
        {"/ifq/a%20b", "200 ne"},
        {"/forget/q", "200 [][]"},
        {"/forget2/q", "200 {}"},
        {"/forget2/q?z=nn", "200 []"},
        {"/loop", "500"},
        {"/ret/444", "444"},
        {"/ret/200", "200 "},
        {"/ret/t404", "404 nope"},
        {"/ret/e404", "404"},
        {"/ret/v404", "404 "},
        {"/ret/302?a", "302 -> http://a.test:18801/x/y?a"},
        {"/ret/url", "302 -> http://e/x"},
        {"/args?q=2&z", "200 [k=2][k=2][?]"},
    };
    for (const Row& row : rows) {
        Exchange x = site.get(row.target);
        EXPECT_EQ(verdict(site.run(x)), row.expected) << row.target;
    }
}

TEST(Script, a_rewrite_escapes_captures_only_where_they_become_arguments) {
    Site site;
    site.add("/lst/", {site.rewrite("^/lst/(.*)", "/u/$1?a=$1", Flag::last)});
    site.add("/u/");
    struct Row {
        const char *target, *uri, *args;
    };
    // Seen with nginx 1.22.1.
    const Row rows[] = {{"/lst/a%20b%26?q=1", "/u/a b&", "a=a%20b%26&q=1"},
                        {"/lst/a+b", "/u/a+b", "a=a%2Bb"},
                        {"/lst/ab?q=1", "/u/ab", "a=ab&q=1"}};
    for (const Row& row : rows) {
        Exchange x = site.get(row.target);
        EXPECT_EQ(verdict(site.run(x)), "proxy") << row.target;
        EXPECT_EQ(x.uri, row.uri);
        EXPECT_EQ(x.args, row.args);
        EXPECT_EQ(x.location->route_id, "/u/");
    }
}

TEST(Script, ten_changes_of_the_uri_pass_and_the_eleventh_is_a_cycle) {
    for (const auto& [changes, expected] : {std::pair{10, "proxy"}, std::pair{11, "500"}}) {
        Site site;
        const std::string pattern = "^(/a{0," + std::to_string(changes - 1) + "})$";
        site.add("/", {site.rewrite(pattern, "$1a", Flag::last)});
        Exchange x = site.get("/");
        EXPECT_EQ(verdict(site.run(x)), expected) << changes;
    }
}

TEST(Script, tests_know_true_equal_and_patterns_and_their_negations) {
    struct Row {
        Condition::Test test;
        const char *operand, *query;
        bool holds;
    };
    using Kind = Condition::Test;
    const Row rows[] = {{Kind::is_true, "", "v=1", true},       {Kind::is_true, "", "v=0", false},
                        {Kind::is_true, "", "v=", false},       {Kind::is_true, "", "v=00", true},
                        {Kind::equals, "ab", "v=ab", true},     {Kind::equals, "ab", "v=aB", false},
                        {Kind::not_equals, "ab", "v=x", true},  {Kind::matches, "^a+$", "v=aaa", true},
                        {Kind::matches, "^a+$", "v=b", false},  {Kind::not_matches, "^a+$", "v=b", true},
                        {Kind::not_matches, "^a", "v=a", false}};
    for (const Row& row : rows) {
        Site site;
        site.add("/",
                 {site.when("arg_v", row.test, row.operand, {site.give(200, "yes")}), site.give(200, "no")});
        Exchange x = site.get(std::string("/?") + row.query);
        EXPECT_EQ(verdict(site.run(x)), row.holds ? "200 yes" : "200 no") << row.operand << " " << row.query;
    }
}

TEST(Script, break_inside_an_if_ends_the_whole_script_and_stays_in_the_location) {
    Site site;
    site.add("/a/", {site.rewrite("^/a/(.*)", "/b/$1"),
                     site.when("arg_v", Condition::Test::is_true, "", {Instruction{{}, Break{}}}),
                     site.give(200, "after")});
    Exchange x = site.get("/a/x?v=1");
    EXPECT_EQ(verdict(site.run(x)), "proxy");
    EXPECT_EQ(x.uri, "/b/x");
    EXPECT_EQ(x.location->route_id, "/a/");
}

TEST(Script, a_server_rewrite_with_last_goes_on_to_the_locations) {
    Site site;
    site.server->script = {site.rewrite("^/old/(.*)", "/new/$1", Flag::last), site.give(200, "not reached")};
    site.add("/new/", {site.give(200, "new $uri")});
    Exchange x = site.get("/old/1");
    EXPECT_EQ(verdict(site.run(x)), "200 new /new/1");
}

TEST(Script, an_empty_rewritten_uri_is_an_error) {
    Site site;
    site.add("/", {site.rewrite("^", "$arg_none", Flag::last)});
    Exchange x = site.get("/");
    const auto outcome = site.run(x);
    EXPECT_EQ(verdict(outcome), "500");
    EXPECT_EQ(std::get<Answer>(outcome).reason, "the rewritten URI has a zero length");
}

TEST(Script, redirects_name_host_and_port_as_the_settings_say) {
    struct Row {
        bool absolute, port, server_name;
        const char* lines;
        const char* expected;
    };
    const Row rows[] = {{true, true, false, "Host: X.test:1\r\n", "301 -> http://x.test:18801/to"},
                        {true, false, false, "Host: X.test:1\r\n", "301 -> http://x.test/to"},
                        {true, true, true, "Host: X.test:1\r\n", "301 -> http://a.test:18801/to"},
                        {false, true, false, "Host: X.test:1\r\n", "301 -> /to"},
                        {true, true, false, "", "301 -> http://127.0.0.1:18801/to"}};
    for (const Row& row : rows) {
        Site site;
        site.settings->absolute_redirect = row.absolute;
        site.settings->port_in_redirect = row.port;
        site.settings->server_name_in_redirect = row.server_name;
        site.add("/", {site.give(301, "/to")});
        Exchange x = site.exchange(std::string("GET / HTTP/1.0\r\n") + row.lines + "\r\n");
        EXPECT_EQ(verdict(site.run(x)), row.expected);
    }
}

}  // namespace
}  // namespace hawser::gateway
