// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gateway/http/testing_site.h"

namespace hawser::gateway {
namespace {

using catalog::http::Proxy;
using catalog::http::Rewrite;
using catalog::http::UpgradePolicy;
using testing::joined;
using testing::Site;
using testing::verdict;

// Every row seen with nginx 1.22.1 (the request line that its endpoint got).
TEST(UpstreamTarget, is_what_nginx_sends) {
    Site site;
    site.add("/p/");
    site.add("= /");
    const auto replacing = [&](std::string_view name, catalog::http::Script script = {}) {
        site.add(name, std::move(script))->proxy->uri = "/v/";
    };
    replacing("/u/");
    replacing("/brk/", {site.rewrite("^/brk/(.*)", "/n/$1", Rewrite::Flag::break_)});
    site.add("/qv", {site.rewrite("^", "/q$arg_v/x?", Rewrite::Flag::break_)});
    replacing("/lst/", {site.rewrite("^/lst/(.*)", "/u/$1?a=$1", Rewrite::Flag::last)});
    struct Row {
        const char *sent, *expected;
    };
    const Row rows[] = {
        {"/p/a%20b%41?x=%20#f", "/p/a%20b%41?x=%20#f"},
        {"/u/a%20b%41%3f\"<>^`{|}~;&+?x=%20", "/v/a%20bA%3F%22%3C%3E%5E%60%7B%7C%7D~;&+?x=%20"},
        {"/u/a\"<>\\^`{|}~;&+\x80", "/v/a\"<>\\^`{|}~;&+\x80"},
        {"/brk/a%20b?q=1", "/n/a%20b?q=1"},
        {"/brk/a\"b?q=1", "/n/a%22b?q=1"},
        {"/lst/a%20b%26?q=1", "/v/a%20b&?a=a%20b%26&q=1"},
        {"/lst/a+b", "/v/a+b?a=a%2Bb"},
        {"/qv?v=a?b", "/qa%3Fb/x"},
        {"http://a.test/p/x?y", "/p/x?y"},
        {"/x/../p/a", "/x/../p/a"},
        {"http://a.test?x", "/?x"},
        {"http://a.test", "/"},
    };
    for (const Row& row : rows) {
        Exchange x = site.get(row.sent);
        ASSERT_EQ(verdict(site.run(x)), "proxy") << row.sent;
        EXPECT_EQ(make_upstream_request(x, *x.location->proxy).target, row.expected) << row.sent;
    }
}

// Seen with nginx 1.22.1, but for Content-Length, which is the caller's.
TEST(UpstreamFields, are_the_configured_ones_and_then_the_clients_own) {
    Site site;
    Proxy& proxy = *site.add("/h/")->proxy;
    proxy.host_header = "127.0.0.1:18802";
    proxy.default_port = 18802;
    proxy.set_headers = {{"Upgrade", site.text("$http_upgrade")},
                         {"Connection", site.text("upgrade")},
                         {"X-Empty", site.text("")},
                         {"X-Fwd", site.text("$proxy_add_x_forwarded_for")},
                         {"X-Host", site.text("$host|$http_host|$proxy_host|$proxy_port|$request_uri")},
                         {"Host", site.text("$proxy_host")}};
    Exchange x =
        site.get("/h/x",
                 "Upgrade: websocket\r\nTE: trailers\r\nKeep-Alive: 3\r\nProxy-Connection: k\r\n"
                 "X-Empty: e\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nUpgrade: other\r\n"
                 "sec-webSocket-Key: abc\r\nCookie: a=1\r\nCookie: b = 2; c=3\r\nContent-Length: 0\r\n"
                 "Trailer: q\r\nConnection: close\r\n");
    ASSERT_EQ(verdict(site.run(x)), "proxy");
    x.proxy_host = proxy.host_header;
    x.proxy_port = proxy.default_port;
    const UpstreamRequest made = make_upstream_request(x, *x.location->proxy);
    EXPECT_EQ(made.method, "GET");
    EXPECT_TRUE(made.asks_upgrade);
    EXPECT_EQ(made.upgrade, "websocket");
    EXPECT_EQ(joined(made.fields),
              "Upgrade: websocket\nConnection: upgrade\nX-Fwd: 1.1.1.1, 2.2.2.2, 127.0.0.1\n"
              "X-Host: a.test|A.test:18801|127.0.0.1:18802|18802|/h/x\nHost: 127.0.0.1:18802\n"
              "Proxy-Connection: k\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2\n"
              "sec-webSocket-Key: abc\nCookie: a=1\nCookie: b = 2; c=3\nTrailer: q\n");
}

// A path with %0d%0a in it is decoded in $uri and $1; nginx 1.22 would write it into the head.
TEST(UpstreamFields, nothing_that_was_decoded_can_end_a_line) {
    Site site;
    Proxy& proxy = *site.add("~ ^/d/(.*)$")->proxy;
    proxy.dynamic = site.text("http://10.0.0.1/c/$1");
    proxy.set_headers = {{"X-Path", site.text("$uri")}};
    site.settings->add_headers = {{"X-Added", site.text("$uri"), true}};
    site.add("~ ^/r/", {site.give(302, "http://h$uri")});
    Exchange x = site.get("/d/a%0d%0aEvil:%201");
    ASSERT_EQ(x.uri, "/d/a\r\nEvil: 1");
    x.location = site.server->locations.front();
    x.captured_subject = x.uri;
    x.captures = {{0, x.uri.size()}, {3, x.uri.size()}};
    const auto target = resolve_dynamic(x, proxy);
    ASSERT_TRUE(target);
    const UpstreamRequest made = make_upstream_request(x, proxy, &*target);
    EXPECT_EQ(made.target, "/c/a%0D%0AEvil: 1");
    EXPECT_EQ(joined(made.fields), "X-Path: /d/a%0D%0AEvil: 1\n");
    EXPECT_EQ(joined(make_added_fields(x, 200)), "X-Added: /d/a%0D%0AEvil: 1\n");
    Exchange redirected = site.get("/r/a%0d%0aEvil:%201");
    EXPECT_EQ(verdict(site.run(redirected)), "302 -> http://h/r/a%0D%0AEvil: 1");
}

TEST(UpstreamFields, the_websocket_recipe_asks_for_an_upgrade_only_if_the_client_did) {
    Site site;
    auto map = std::make_shared<catalog::http::Map>();
    map->source = site.text("$http_upgrade");
    map->exact[""] = site.text("close");
    map->default_value = site.text("upgrade");
    auto& variable = site.table->variables[site.variable("connection_upgrade")];
    variable.kind = catalog::http::VariableKind::map;
    variable.map = map;
    site.add("/")->proxy->set_headers = {{"Upgrade", site.text("$http_upgrade")},
                                         {"Connection", site.text("$connection_upgrade")},
                                         {"Host", site.text("$proxy_host")}};
    struct Row {
        const char *lines, *expected;
        bool asks;
    };
    const Row rows[] = {{"", "Connection: close\nHost: backend\n", false},
                        {"Upgrade: websocket\r\nConnection: Upgrade\r\n",
                         "Upgrade: websocket\nConnection: upgrade\nHost: backend\n", true}};
    for (const Row& row : rows) {
        Exchange x = site.get("/", row.lines);
        site.run(x);
        x.proxy_host = "backend";
        const UpstreamRequest made = make_upstream_request(x, *x.location->proxy);
        EXPECT_EQ(joined(made.fields), row.expected);
        EXPECT_EQ(made.asks_upgrade, row.asks);
    }
}

TEST(UpstreamFields, automatic_upgrades_are_consistent_or_none) {
    Site site;
    Proxy& proxy = *site.add("/")->proxy;
    proxy.upgrade = UpgradePolicy::automatic;
    proxy.set_headers = {{"Host", site.text("$http_host")}, {"Connection", site.text("close")}};
    struct Row {
        const char *what, *lines, *expected;
    };
    const Row rows[] = {
        {"both", "Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-webSocket-KEY: k==\r\n",
         "Connection: upgrade\nUpgrade: WebSocket\nSec-webSocket-KEY: k==\n"},
        {"Upgrade alone", "Upgrade: websocket\r\n", ""},
        {"Connection alone", "Connection: upgrade\r\nX: 1\r\n", "X: 1\n"},
        {"h2c", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAA\r\n", ""},
        {"h2c and websocket", "Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n",
         "Connection: upgrade\nUpgrade: websocket\n"},
        {"named by Connection", "Connection: close, X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n", "X-End: 2\n"},
        {"protected", "Connection: X-Forwarded-For, Cookie\r\nX-Forwarded-For: 1.1.1.1\r\nCookie: a=1\r\n",
         "X-Forwarded-For: 1.1.1.1\nCookie: a=1\n"},
    };
    for (const Row& row : rows) {
        Exchange x = site.get("/", row.lines);
        site.run(x);
        const UpstreamRequest made = make_upstream_request(x, *x.location->proxy);
        EXPECT_EQ(joined(made.fields), std::string("Host: A.test:18801\n") + row.expected) << row.what;
        EXPECT_EQ(made.asks_upgrade,
                  std::string_view(row.expected).find("Upgrade") != std::string_view::npos);
    }
}

TEST(DynamicTarget, takes_a_url_apart) {
    struct Row {
        const char *url, *expected;
    };
    const Row rows[] = {{"http://chat", "group chat, 80, chat, -"},
                        {"HTTP://Chat/x?y", "group Chat, 80, chat, /x?y"},
                        {"http://10.0.0.1:81/", "10.0.0.1:81 10.0.0.1:81, 81, -, /"},
                        {"http://10.0.0.1:80?q", "10.0.0.1:80 10.0.0.1, 80, -, /?q"},
                        {"http://[::1]:81", "[::1]:81 [::1]:81, 81, -, -"},
                        {"http://chat:81", "error"},
                        {"http://other", "error"},
                        {"http://:80", "error"},
                        {"http://a:0", "error"},
                        {"http://[::1", "error"},
                        {"https://chat", "error"},
                        {"chat", "error"},
                        {"", "error"}};
    Site site;
    auto group = std::make_shared<catalog::EndpointGroup>();
    group->service = "chat";
    auto groups = std::make_shared<std::map<std::string, std::shared_ptr<const catalog::EndpointGroup>>>();
    (*groups)["chat"] = group;
    site.server->groups = groups;
    for (const Row& row : rows) {
        Proxy proxy;
        proxy.dynamic = site.text(row.url);
        const Exchange x = site.get("/");
        const auto found = resolve_dynamic(x, proxy);
        std::string text = "error";
        if (found) {
            text = (found->group ? "group" : found->address->text()) + " " + found->host_header + ", " +
                   std::to_string(found->port) + ", " + (found->group ? found->group->service : "-") + ", " +
                   found->uri.value_or("-");
        }
        EXPECT_EQ(text, row.expected) << row.url;
    }
}

}  // namespace
}  // namespace hawser::gateway
