// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/variables.h"

#include <gtest/gtest.h>

#include "gateway/http/testing_site.h"

namespace hawser::gateway {
namespace {

using catalog::http::LogFormat;
using catalog::http::Map;
using catalog::http::VariableKind;
using testing::Site;

std::string log_of(Site& site, const Exchange& x, std::string_view format,
                   LogFormat::Escape escape = LogFormat::Escape::standard) {
    LogFormat log;
    log.format = site.text(format);
    log.escape = escape;
    return render_log_line(log, x);
}

// Every row seen with nginx 1.22.1 (values as an access log shows them).
TEST(Variables, show_requests_as_nginx_does) {
    const char* lines =
        "Empty:\r\nMulti: 1\r\nMulti: 2\r\nX-Forwarded-For: 1.1.1.1\r\n"
        "X-Forwarded-For: 2.2.2.2\r\nCookie: a=1\r\nCookie: B = 2; c=3\r\nAuthorization: Basic "
        "dXNlcjpwdw==\r\n";
    struct Row {
        const char *variable, *expected;
    };
    const Row rows[] = {{"$remote_addr", "127.0.0.1"},
                        {"$http_referer", "-"},
                        {"$http_empty", ""},
                        {"$arg_q", ""},
                        {"$arg_zz", "-"},
                        {"$arg_Q", ""},
                        {"$args", "q=&Q=1"},
                        {"$is_args", "?"},
                        {"$upstream_addr", "-"},
                        {"$http_multi", "1"},
                        {"$http_x_forwarded_for", "1.1.1.1, 2.2.2.2"},
                        {"$http_cookie", "a=1; B = 2; c=3"},
                        {"$cookie_b", "2"},
                        {"$cookie_none", "-"},
                        {"$remote_user", "user"},
                        {"$https", ""},
                        {"$scheme", "http"},
                        {"$host|$http_host", "a.test|A.test:18801"},
                        {"$proxy_add_x_forwarded_for", "1.1.1.1, 2.2.2.2, 127.0.0.1"},
                        {"$request", "GET /x%20y?q=&Q=1 HTTP/1.1"},
                        {"$request_uri|$uri", "/x%20y?q=&Q=1|/x y"},
                        {"$server_protocol $request_method", "HTTP/1.1 GET"},
                        {"$server_addr:$server_port $server_name", "127.0.0.1:18801 a.test"},
                        {"$status", "000"},
                        {"$limit_conn_status", "-"},
                        {"$request_completion", ""},
                        {"$pipe", "."},
                        {"$unset", ""},
                        {"$dirty", "a\\x22b\\x5Cc\\x09q\\x01\\x7F\\xC3"}};
    Site site;
    site.variable("unset");
    const auto dirty = site.variable("dirty");
    const Exchange x = site.get("/x%20y?q=&Q=1", lines);
    assign(x, dirty, "a\"b\\c\tq\x01\x7f\xc3");
    for (const Row& row : rows) EXPECT_EQ(log_of(site, x, row.variable), row.expected) << row.variable;
    EXPECT_EQ(log_of(site, x, "$dirty|$http_referer", LogFormat::Escape::json),
              "a\\\"b\\\\c\\tq\\u0001\x7f\xc3|");
    EXPECT_EQ(log_of(site, x, "$dirty|$http_referer", LogFormat::Escape::none), "a\"b\\c\tq\x01\x7f\xc3|");
}

// Seen with nginx 1.22.1.
TEST(Variables, arguments_and_cookies_are_found_by_their_whole_name) {
    struct Row {
        const char *target, *cookies, *expected;
    };
    const Row rows[] = {{"/?aq=1&q=2", "b=1", "2 1"},
                        {"/?q&q=3", "xb=1; b ; b=5 ;c\r\nCookie: b=9", "3 9"},
                        {"/?q=a=b&x", "bc=1; b=2", "a=b 2"},
                        {"/?Q=1", "B=1, b=2", "1 1, b=2"},
                        {"/?q", "b", "- -"}};
    for (const Row& row : rows) {
        Site site;
        const Exchange x = site.get(row.target, "Cookie: " + std::string(row.cookies) + "\r\n");
        EXPECT_EQ(log_of(site, x, "$arg_q $cookie_b"), row.expected) << row.target << ' ' << row.cookies;
    }
}

TEST(Variables, a_question_mark_alone_is_no_arguments) {
    Site site;
    const Exchange x = site.get("/p?");
    EXPECT_EQ(log_of(site, x, "$args|$is_args|$request_uri"), "-||/p?");
}

TEST(Variables, a_name_that_only_captures_assign_is_not_found_until_they_do) {
    Site site;
    site.table->variables[site.variable("cap")].only_captured = true;
    site.add("~ ^/c/(?<cap>.*)$");
    Exchange x = site.get("/c/");
    EXPECT_EQ(log_of(site, x, "$cap"), "-");
    site.run(x);
    EXPECT_EQ(log_of(site, x, "$cap"), "");
}

TEST(Variables, upstream_lists_name_every_attempt) {
    Site site;
    Exchange x = site.get("/");
    UpstreamAttempt failed;
    failed.endpoint = "10.0.0.1:80";
    failed.response_time = std::chrono::milliseconds(3);
    UpstreamAttempt good;
    good.endpoint = "10.0.0.2:80";
    good.status = 200;
    good.connect_time = std::chrono::milliseconds(0);
    good.header_time = std::chrono::milliseconds(1012);
    good.response_time = std::chrono::milliseconds(61'001);
    good.response_length = 5;
    good.bytes_received = 100;
    good.bytes_sent = 50;
    UpstreamAttempt redirected = good;
    redirected.other_group = true;
    x.attempts = {failed, good, redirected};
    EXPECT_EQ(log_of(site, x, "$upstream_addr"), "10.0.0.1:80, 10.0.0.2:80 : 10.0.0.2:80");
    EXPECT_EQ(log_of(site, x, "$upstream_status"), "-, 200 : 200");
    x.attempts.pop_back();
    EXPECT_EQ(log_of(site, x, "$upstream_connect_time $upstream_header_time"), "-, 0.000 -, 1.012");
    EXPECT_EQ(log_of(site, x, "$upstream_response_time"), "0.003, 61.001");
    EXPECT_EQ(log_of(site, x, "$upstream_response_length $upstream_bytes_received $upstream_bytes_sent"),
              "0, 5 0, 100 0, 50");
}

TEST(Variables, times_have_nginxs_forms) {
    setenv("TZ", "UTC", 1);
    tzset();
    Site site;
    Exchange x = site.get("/");
    x.now = SystemTime{} + std::chrono::milliseconds(784111777'042);
    x.now_steady = x.started_steady + std::chrono::milliseconds(1234);
    EXPECT_EQ(log_of(site, x, "$time_local|$time_iso8601|$msec|$request_time"),
              "06/Nov/1994:08:49:37 +0000|1994-11-06T08:49:37+00:00|784111777.042|1.234");
    x.now_steady = x.started_steady - std::chrono::milliseconds(1);
    EXPECT_EQ(log_of(site, x, "$request_time"), "0.000");
}

TEST(Variables, a_request_id_stays_the_same_for_its_request) {
    Site site;
    const Exchange x = site.get("/");
    const std::string id = log_of(site, x, "$request_id");
    EXPECT_EQ(id.size(), 32U);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_EQ(log_of(site, x, "$request_id"), id);
    EXPECT_NE(log_of(site, site.get("/"), "$request_id"), id);
}

TEST(Variables, what_went_to_the_client_is_seen_but_for_our_own_server_and_date) {
    Site site;
    Exchange x = site.get("/");
    x.sent_fields = {{"Server", "hawser"}, {"Date", "now"},        {"Connection", "close"}, {"X-A", "1"},
                     {"X-A", "2"},         {"Cache-Control", "a"}, {"Cache-Control", "b"}};
    // Seen with nginx 1.22.1.
    EXPECT_EQ(log_of(site, x,
                     "$sent_http_server|$sent_http_date|$sent_http_connection|$sent_http_x_a|"
                     "$sent_http_cache_control"),
              "-|-|close|1|a, b");
}

struct Mapped {
    Site site;
    std::shared_ptr<Map> map = std::make_shared<Map>();
    Mapped() {
        map->source = site.text("$arg_m");
        auto& variable = site.table->variables[site.variable("mapped")];
        variable.kind = VariableKind::map;
        variable.map = map;
    }
    std::string of(std::string_view source) {
        const Exchange x = site.get("/?m=" + std::string(source));
        return expand(site.text("$mapped"), x);
    }
};

TEST(Maps, exact_wildcards_patterns_default) {
    Mapped m;
    m.map->hostnames = true;
    m.map->exact["www.example.com"] = m.site.text("exact");
    m.map->exact[""] = m.site.text("empty");
    m.map->suffix[".example.com"] = m.site.text("suffix");
    m.map->suffix[".deep.example.com"] = m.site.text("deep");
    m.map->prefix["mail."] = m.site.text("prefix");
    m.map->regexes.push_back({Site::regex("^(a+)(b*)$"), {}, m.site.text("[$2$1]")});
    m.map->default_value = m.site.text("default $arg_m");
    struct Row {
        const char *source, *expected;
    };
    const Row rows[] = {{"WWW.example.com", "exact"},
                        {"www.example.com.", "exact"},
                        {"", "empty"},
                        {"x.y.example.com", "suffix"},
                        {"x.deep.example.com", "deep"},
                        {"mail.org", "prefix"},
                        {"aab", "[baa]"},
                        {"zz", "default zz"}};
    for (const Row& row : rows) EXPECT_EQ(m.of(row.source), row.expected) << row.source;
}

TEST(Maps, keep_their_first_value_unless_volatile) {
    for (const bool is_volatile : {false, true}) {
        Mapped m;
        m.map->is_volatile = is_volatile;
        m.map->default_value = m.site.text("$args");
        Exchange x = m.site.get("/?m=1");
        EXPECT_EQ(expand(m.site.text("$mapped"), x), "m=1");
        x.args = "m=2";
        EXPECT_EQ(expand(m.site.text("$mapped"), x), is_volatile ? "m=2" : "m=1");
    }
}

TEST(Maps, leave_the_requests_captures_alone) {
    Mapped m;
    m.map->regexes.push_back({Site::regex("^(a)(.*)$"), {}, m.site.text("[$2]")});
    m.site.add("~ ^/c/(.*)$", {m.site.give(200, "$mapped-$1")});
    Exchange x = m.site.get("/c/q?m=abc");
    EXPECT_EQ(testing::verdict(m.site.run(x)), "200 [bc]-q");
}

TEST(AccessLog, conditions_take_empty_and_zero_for_no) {
    Site site;
    catalog::http::AccessLog log;
    EXPECT_TRUE(wants_log(log, site.get("/")));
    log.condition = site.text("$arg_l");
    EXPECT_FALSE(wants_log(log, site.get("/")));
    EXPECT_FALSE(wants_log(log, site.get("/?l=0")));
    EXPECT_TRUE(wants_log(log, site.get("/?l=00")));
}

}  // namespace
}  // namespace hawser::gateway
