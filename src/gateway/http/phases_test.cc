// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "gateway/http/testing_site.h"

namespace hawser::gateway {
namespace {

using net::Cidr;
using testing::Site;
using testing::verdict;

// The rows of the trusted peer seen with nginx 1.22.1.
TEST(RealIp, believes_trusted_peers_only_and_reads_lists_from_their_end) {
    struct Row {
        const char *what, *header, *lines;
        bool recursive;
        const char* expected;
    };
    const Row rows[] = {
        {"plain", "X-Real-IP", "X-Real-IP: 9.9.9.9\r\n", false, "9.9.9.9:0"},
        {"with a port", "X-Real-IP", "X-Real-IP: 9.9.9.9:81\r\n", false, "9.9.9.9:81"},
        {"IPv6", "X-Real-IP", "X-Real-IP: [fd00::1]:5\r\n", false, "[fd00::1]:5"},
        {"IPv6 bare", "X-Real-IP", "X-Real-IP: fd00::1\r\n", false, "[fd00::1]:0"},
        {"not an address", "X-Real-IP", "X-Real-IP: unknown\r\n", false, "127.0.0.1:40000"},
        {"missing", "X-Real-IP", "", false, "127.0.0.1:40000"},
        {"last of a list", "X-Forwarded-For", "X-Forwarded-For: 1.1.1.1, 10.0.0.2\r\n", false, "10.0.0.2:0"},
        {"recursive", "X-Forwarded-For", "X-Forwarded-For: 8.8.8.8, 1.1.1.1, 10.0.0.2\r\n", true,
         "1.1.1.1:0"},
        {"recursive over fields", "X-Forwarded-For",
         "X-Forwarded-For: 8.8.8.8,1.1.1.1\r\nX-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", true, "1.1.1.1:0"},
        {"all trusted", "X-Forwarded-For", "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n", true, "10.0.0.3:0"},
        {"rubbish stops it", "X-Forwarded-For", "X-Forwarded-For: 8.8.8.8, x, 10.0.0.2\r\n", true,
         "10.0.0.2:0"},
        {"port 0", "X-Real-IP", "X-Real-IP: 9.9.9.9:0\r\n", false, "127.0.0.1:40000"},
        {"no port", "X-Real-IP", "X-Real-IP: 9.9.9.9:\r\n", false, "127.0.0.1:40000"},
        {"two fields", "X-Real-IP", "X-Real-IP: 9.9.9.9\r\nX-Real-IP: 8.8.8.8\r\n", false, "9.9.9.9:0"},
        {"a list", "X-Real-IP", "X-Real-IP: 8.8.8.8, 9.9.9.9\r\n", false, "9.9.9.9:0"},
        {"comma behind", "X-Forwarded-For", "X-Forwarded-For: 10.0.0.9,,\r\n", true, "10.0.0.9:0"},
        {"comma and space before", "X-Forwarded-For", "X-Forwarded-For: , 10.0.0.9\r\n", true, "10.0.0.9:0"},
        {"comma before", "X-Forwarded-For", "X-Forwarded-For: 7.7.7.7\r\nX-Forwarded-For: ,10.0.0.9\r\n",
         true, "127.0.0.1:40000"},
        {"empty last field", "X-Forwarded-For", "X-Forwarded-For: 7.7.7.7\r\nX-Forwarded-For: \r\n", true,
         "127.0.0.1:40000"},
        {"empty", "X-Forwarded-For", "X-Forwarded-For: \r\n", true, "127.0.0.1:40000"},
    };
    for (const Row& row : rows) {
        Site site;
        site.add("/");
        site.settings->real_ip = {
            {*Cidr::parse("127.0.0.0/8"), *Cidr::parse("10.0.0.0/8")}, row.header, row.recursive};
        Exchange x = site.get("/", row.lines);
        site.run(x);
        EXPECT_EQ(x.client.text(), row.expected) << row.what;
        EXPECT_EQ(x.peer.text(), "127.0.0.1:40000");

        Exchange stranger = site.get("/", row.lines);
        stranger.peer = *net::SocketAddress::parse("7.7.7.7:1");
        site.run(stranger);
        EXPECT_EQ(stranger.client.text(), "7.7.7.7:1") << row.what;
    }
}

TEST(Access, the_first_rule_that_matches_decides) {
    Site site;
    site.add("/");
    site.settings->access = {{true, *Cidr::parse("10.1.0.0/16")},
                             {false, *Cidr::parse("10.0.0.0/8")},
                             {true, *Cidr::parse("fd00::/8")},
                             {true, *Cidr::parse("127.0.0.1")},
                             {false, std::nullopt}};
    for (const auto& [peer, expected] : {std::pair{"10.1.2.3:1", "proxy"},
                                         {"10.2.0.1:1", "403"},
                                         {"[fd00::1]:1", "proxy"},
                                         {"127.0.0.1:1", "proxy"},
                                         {"1.1.1.1:1", "403"}}) {
        Exchange x = site.get("/");
        x.peer = *net::SocketAddress::parse(peer);
        EXPECT_EQ(verdict(site.run(x)), expected) << peer;
    }
}

TEST(Access, a_return_is_not_asked_for_permission) {
    Site site;
    site.settings->access = {{false, std::nullopt}};
    site.add("/", {site.give(200, "ok")});
    Exchange x = site.get("/");
    EXPECT_EQ(verdict(site.run(x)), "200 ok");
}

TEST(Phases, refuse_what_nginx_refuses) {
    Site site;
    site.settings->client_max_body_size = 10;
    site.add("/a/");
    site.add("/r/", {site.give(200, "r")});
    site.add("/n/")->proxy.reset();
    struct Row {
        const char *head, *expected;
    };
    const Row rows[] = {
        {"POST /a/ HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n", "proxy"},
        {"POST /a/ HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", "413"},
        {"POST /r/ HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", "413"},
        {"POST /a/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "proxy"},
        {"TRACE /a/ HTTP/1.1\r\nHost: h\r\n\r\n", "405"},
        {"GET /n/ HTTP/1.1\r\nHost: h\r\n\r\n", "404"},
        {"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", "404"},
    };
    for (const Row& row : rows) {
        Exchange x;
        try {
            x = site.exchange(row.head);
        } catch (const std::runtime_error&) {
            continue;  // the parser refuses it first
        }
        EXPECT_EQ(verdict(site.run(x)), row.expected) << row.head;
    }
}

TEST(Pages, are_nginxs_with_our_name) {
    EXPECT_EQ(standard_page(404, true),
              "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not "
              "Found</h1></center>\r\n<hr><center>hawser</center>\r\n</body>\r\n</html>\r\n");
    struct Row {
        std::uint16_t status;
        std::size_t size;  // of nginx's page with "nginx/1.22.1"
    };
    // Seen with nginx 1.22.1; ours has "hawser", six bytes shorter than "nginx/1.22.1".
    for (const Row& row : {Row{301, 169}, Row{302, 145}, Row{404, 153}, Row{405, 157}, Row{500, 177}}) {
        EXPECT_EQ(standard_page(row.status, true).size() + 6, row.size) << row.status;
    }
    for (const std::uint16_t status : {200, 204, 304, 418, 426, 444, 499, 599}) {
        EXPECT_EQ(standard_page(status, true), "") << status;
    }
    EXPECT_NE(standard_page(494, true).find("<center>Request Header Or Cookie Too Large</center>"),
              std::string::npos);
    EXPECT_EQ(reason_phrase(302), "Moved Temporarily");
    EXPECT_EQ(reason_phrase(418), "");
}

TEST(Pages, are_padded_for_chrome) {
    Site site;
    const Exchange plain = site.get("/", "User-Agent: curl\r\n");
    const Exchange chrome = site.get("/", "User-Agent: Mozilla Chrome/1 Safari\r\n");
    const Exchange firefox = site.get("/", "User-Agent: Gecko/1 Chrome/1\r\n");
    EXPECT_EQ(standard_page(chrome, 404).size() + 6, 555U);  // seen with nginx 1.22.1
    EXPECT_EQ(standard_page(plain, 404), standard_page(404, true));
    EXPECT_EQ(standard_page(firefox, 404), standard_page(404, true));
    EXPECT_EQ(standard_page(chrome, 301), standard_page(301, true));
}

TEST(ContentType, follows_the_extension) {
    catalog::http::Settings settings;
    struct Row {
        const char *uri, *expected;
    };
    const Row rows[] = {{"/a.html", "text/html"},    {"/a.HTML", "text/html"}, {"/a", "text/plain"},
                        {"/a.html/b", "text/plain"}, {"/.html", "text/plain"}, {"/a.", "text/plain"},
                        {"/a.js", "text/plain"}};
    for (const Row& row : rows) EXPECT_EQ(content_type_for(settings, row.uri), row.expected) << row.uri;
    settings.types = std::make_shared<const std::map<std::string, std::string>>(
        std::map<std::string, std::string>{{"js", "application/javascript"}});
    EXPECT_EQ(content_type_for(settings, "/a.js"), "application/javascript");
    EXPECT_EQ(content_type_for(settings, "/a.html"), "text/plain");
}

}  // namespace
}  // namespace hawser::gateway
