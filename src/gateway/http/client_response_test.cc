// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gateway/http/testing_site.h"

namespace hawser::gateway {
namespace {

using catalog::http::Proxy;
using testing::joined;
using testing::Site;

const std::vector<std::string> nginx_hides = {"date",
                                              "server",
                                              "x-pad",
                                              "x-accel-expires",
                                              "x-accel-redirect",
                                              "x-accel-limit-rate",
                                              "x-accel-buffering",
                                              "x-accel-charset"};

http1::ResponseHead answer(const std::string& head) {
    http1::ResponseParser parser(4096, false);
    return std::get<http1::ResponseHead>(parser.parse(head));
}

const std::string rich =
    "Location: http://127.0.0.1:18802/back/x?y\r\nRefresh: 5; URL=http://127.0.0.1:18802/r\r\nUpgrade: "
    "h2c\r\n"
    "Keep-Alive: timeout=3\r\nProxy-Connection: x\r\nTE: y\r\nTrailer: z\r\nX-A: 1\r\nX-A: 2\r\n"
    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: be\r\nETag: \"x\"\r\n"
    "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Accel-Buffering: no\r\nX-Pad: p\r\n"
    "Set-Cookie: sid = 5; Path=/\r\nContent-Type: text/html;charset=utf-8\r\nCache-Control: a\r\n"
    "Cache-Control: b\r\nContent-Length: 67\r\nConnection: close\r\n\r\n";

struct Answered {
    Site site;
    Exchange x;
    Proxy* proxy;
    explicit Answered(const std::string& head) : x(site.get("/")) {
        auto location = site.add("/");
        proxy = &*location->proxy;
        proxy->hide_headers = nginx_hides;
        proxy->redirects = {{site.text("http://127.0.0.1:18802/"), {}, site.text("/")}};
        x.location = location;
        x.upstream_response = answer(head);
        x.now = SystemTime{} + std::chrono::seconds(784111777);
    }
    std::string fields() { return joined(make_client_fields(x, *proxy)); }
};

// Seen with nginx 1.22.1.
TEST(ClientFields, come_in_nginxs_order_with_add_header_behind) {
    Answered a("HTTP/1.1 200 OK\r\n" + rich);
    std::erase(a.proxy->hide_headers, "server");
    a.site.settings->add_headers = {{"X-B", a.site.text("1"), false},
                                    {"ETag", a.site.text("\"mine\""), false},
                                    {"Last-Modified", a.site.text(""), false},
                                    {"Cache-Control", a.site.text("c"), false},
                                    {"X-E", a.site.text(""), true},
                                    {"X-Al", a.site.text("1"), true}};
    EXPECT_EQ(
        a.fields(),
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Type: text/html;charset=utf-8\nContent-Length: 67\n"
        "Location: http://a.test:18801/back/x?y\nRefresh: 5; URL=/r\nUpgrade: h2c\nProxy-Connection: x\n"
        "TE: y\nTrailer: z\nX-A: 1\nX-A: 2\nServer: be\nETag: \"mine\"\nSet-Cookie: sid = 5; Path=/\n"
        "Cache-Control: a\nCache-Control: b\nX-B: 1\nCache-Control: c\nX-Al: 1\n");
}

TEST(ClientFields, an_unusual_status_gets_only_the_headers_that_are_always_added) {
    Answered a("HTTP/1.1 404 Foo\r\nContent-Length: 0\r\n\r\n");
    a.site.settings->add_headers = {{"X-B", a.site.text("1"), false}, {"X-Al", a.site.text("$status"), true}};
    a.x.status = 404;
    EXPECT_EQ(a.fields(),
              "Server: hawser\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Length: 0\nX-Al: 404\n");
    EXPECT_EQ(joined(make_added_fields(a.x, 404)), "X-Al: 404\n");
    EXPECT_EQ(joined(make_added_fields(a.x, 301)), "X-B: 1\nX-Al: 404\n");
}

TEST(ClientFields, a_101_keeps_upgrade_and_nothing_else_of_the_hop) {
    Answered a(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Hop\r\n"
        "X-Hop: 1\r\nKeep-Alive: 5\r\nTE: t\r\nTrailer: z\r\nContent-Length: 5\r\n"
        "Sec-WebSocket-accept: k=\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
    EXPECT_EQ(a.fields(),
              "Server: hawser\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nConnection: upgrade\nUpgrade: websocket\n"
              "Sec-WebSocket-accept: k=\nSec-WebSocket-Protocol: chat\n");
}

TEST(ClientFields, routes_that_upgrade_by_themselves_pass_nothing_of_the_hop) {
    Answered a(
        "HTTP/1.1 426 Upgrade Required\r\nConnection: X-Hop, Upgrade\r\nUpgrade: websocket\r\nX-Hop: 1\r\n"
        "TE: t\r\nProxy-Connection: x\r\nTrailer: X-Sum\r\nContent-Length: 0\r\n\r\n");
    a.proxy->upgrade = catalog::http::UpgradePolicy::automatic;
    EXPECT_EQ(a.fields(),
              "Server: hawser\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Length: 0\nUpgrade: websocket\n"
              "Trailer: X-Sum\n");
    a.x.upstream_response = answer("HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(a.fields(), "Server: hawser\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nContent-Length: 0\n");
}

TEST(ClientFields, a_chunked_answer_has_no_framing_fields) {
    Answered a("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n");
    EXPECT_EQ(a.fields(), "Server: hawser\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nX: 1\n");
}

TEST(ClientFields, redirects_are_rewritten_by_the_first_rule_that_matches) {
    struct Row {
        const char *location, *expected;
    };
    const Row rows[] = {{"http://one/a", "http://front/a"},
                        {"http://two-7/b/c", "https://seven-7/b/c"},
                        {"http://three/x", "http://three/x"},
                        {"/relative", "/relative"}};
    for (const Row& row : rows) {
        Answered a("HTTP/1.1 302 Found\r\nLocation: " + std::string(row.location) +
                   "\r\nContent-Length: 0\r\n\r\n");
        a.proxy->redirects = {
            {a.site.text("http://one/"), {}, a.site.text("http://front/")},
            {Site::regex("^http://two-(\\d)/(.*)$"), {}, a.site.text("https://seven-$1/$2")}};
        const std::string fields = a.fields();
        EXPECT_NE(fields.find("\nLocation: " + std::string(row.expected) + "\n"), std::string::npos)
            << fields;
    }
}

TEST(ClientFields, x_accel_redirect_leads_to_a_uri_of_our_own) {
    Answered a("HTTP/1.1 200 OK\r\nX-Accel-Redirect: /private/a?b=1\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(internal_redirect_of(a.x, *a.proxy), "/private/a?b=1");
    a.site.add("/private/")->internal = true;
    LimitHold hold;
    EXPECT_EQ(testing::verdict(redirect_internally(a.x, "/private/a?b=1", *a.site.zones, hold, SteadyTime{})),
              "proxy");
    EXPECT_EQ(a.x.uri, "/private/a");
    EXPECT_EQ(a.x.args, "b=1");
    a.proxy->ignored_headers = {"x-accel-redirect"};
    EXPECT_EQ(internal_redirect_of(a.x, *a.proxy), std::nullopt);
}

}  // namespace
}  // namespace hawser::gateway
