// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "sources/nginx/model_text.h"

namespace hawser::nginx {
namespace {

namespace http = catalog::http;
using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Result {
    Loaded loaded;
    catalog::Diagnostics diagnostics;

    [[nodiscard]] std::vector<std::string> texts(catalog::Severity severity) const {
        std::vector<std::string> out;
        for (const auto& d : diagnostics.all())
            if (d.severity == severity) out.push_back(d.text());
        return out;
    }
    [[nodiscard]] std::vector<std::string> errors() const { return texts(catalog::Severity::error); }
    [[nodiscard]] std::vector<std::string> warnings() const { return texts(catalog::Severity::warning); }
    [[nodiscard]] const http::VirtualServer& server(std::size_t i = 0) const {
        return *loaded.listeners.at(0).servers.at(i);
    }
    [[nodiscard]] const http::Location& location(std::size_t i = 0) const {
        return *server().locations.at(i);
    }
    [[nodiscard]] const http::Settings& settings(std::size_t i = 0) const { return *location(i).settings; }
    [[nodiscard]] const http::Proxy& proxy(std::size_t i = 0) const { return *location(i).proxy; }
    [[nodiscard]] std::string model() const { return model_text(loaded.listeners); }
};

net::Result<std::vector<net::IpAddress>> fake_dns(const std::string& host) {
    if (host == "two.test")
        return std::vector{*net::IpAddress::parse("10.0.0.1"), *net::IpAddress::parse("fd00::1")};
    net::Error error;
    error.message = "no such host";
    return error;
}

Result read(const std::string& text) {
    Result out;
    LoadOptions options;
    options.hostname = "ThisHost";
    options.resolve = fake_dns;
    out.loaded = load_text(text, "f", options, out.diagnostics);
    return out;
}

Result read_good(const std::string& text) {
    Result out = read(text);
    EXPECT_THAT(out.errors(), ElementsAre());
    return out;
}

constexpr const char* site = R"(map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      close;
}
upstream websocket {
    server 192.168.0.100:30100;
    server 192.168.0.101:30100;
}
server {
    listen 80;
    server_name websocket.bbotte.com;
    access_log /var/log/nginx/websocket.log access;
    location / {
        proxy_pass http://websocket;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
)";

TEST(Load, the_websocket_recipe_compiles_whole) {
    const Result r = read_good(site);
    EXPECT_EQ(r.model(), R"(listen 0.0.0.0:80
  server "websocket.bbotte.com" (default)
    access_log /var/log/nginx/websocket.log combined
    location / auto_redirect [nginx:websocket.bbotte.com:80/]
      access_log /var/log/nginx/websocket.log combined
      proxy nginx:websocket
        balance rr
        endpoint 192.168.0.100:30100 weight 1
        endpoint 192.168.0.101:30100 weight 1
        http 1.1
        set Upgrade: "${http_upgrade}"
        set Connection: "${connection_upgrade}"
        set Host: "${proxy_host}"
        redirect "http://websocket/" -> "/"
        read_timeout 60000ms tunnel 3600000ms
)");
    EXPECT_THAT(
        r.warnings(),
        ElementsAre("f:12:45: warning: log_format \"access\" is not defined here; \"combined\" is used"));
    EXPECT_TRUE(r.loaded.is_fragment);
}

TEST(Load, a_map_of_the_recipe_has_its_default_and_its_empty_case) {
    const Result r = read_good(site);
    const auto& variables = r.server().variables->variables;
    const auto map = std::find_if(variables.begin(), variables.end(),
                                  [](const http::Variable& v) { return v.name == "connection_upgrade"; });
    ASSERT_NE(map, variables.end());
    ASSERT_EQ(map->kind, http::VariableKind::map);
    EXPECT_EQ(map->map->default_value.literal(), "upgrade");
    EXPECT_EQ(map->map->exact.at("").literal(), "close");
    EXPECT_EQ(variables[map->map->source.parts.at(0).variable].kind, http::VariableKind::request_header);
    EXPECT_EQ(variables[map->map->source.parts.at(0).variable].argument, "upgrade");
}

TEST(Load, in_a_whole_file_an_unknown_log_format_is_an_error) {
    const Result r = read(std::string("events { }\nhttp {\n") + site + "}\n");
    EXPECT_THAT(r.errors(), ElementsAre("f:14:45: error: unknown log format \"access\""));
    EXPECT_TRUE(r.loaded.listeners.empty());
}

TEST(Load, a_whole_file_without_access_log_has_the_log_of_nginx) {
    const Result r = read_good("user www-data; events { }\nhttp { server { return 204; } }");
    ASSERT_EQ(r.server().settings->access_logs.size(), 1U);
    EXPECT_EQ(r.server().settings->access_logs[0].path, "/var/log/nginx/access.log");
    EXPECT_FALSE(r.loaded.is_fragment);
    EXPECT_EQ(r.loaded.process.at(0).name, "user");
    EXPECT_THAT(read_good("server { return 204; }").server().settings->access_logs, ElementsAre());
}

TEST(Load, reports_every_error_and_not_the_first) {
    const Result r = read(
        "server {\n listen 80 nope;\n serverr_name a;\n location / {\n  proxy_pass x;\n  return 200 $y;\n }\n"
        "location ~ ( { }\n}\n");
    EXPECT_THAT(
        r.errors(),
        ElementsAre("f:2:12: error: invalid parameter \"nope\"",
                    "f:3:2: error: unknown directive \"serverr_name\"", "f:5:14: error: invalid URL prefix",
                    "f:8:12: error: pcre2_compile() failed: missing closing parenthesis in \"(\"",
                    "f:6:14: error: unknown \"y\" variable"));
}

TEST(Load, lists_are_inherited_only_where_a_level_has_none) {
    const Result r = read_good(R"(
        add_header A 1; proxy_set_header X 1; deny 1.1.1.1; proxy_hide_header P;
        limit_conn_zone $host zone=z:1m; limit_conn z 1; limit_req_zone $host zone=q:1m rate=1r/s; limit_req zone=q;
        set_real_ip_from 10.0.0.0/8;
        server {
            location /a { proxy_pass http://10.0.0.1; }
            location /b { proxy_pass http://10.0.0.1; add_header B 2; proxy_set_header Y 2; allow all; limit_conn z 7;
                          limit_req zone=q burst=3; set_real_ip_from 11.0.0.0/8; proxy_hide_header Q; }
        })");
    EXPECT_EQ(r.settings(0).add_headers.at(0).name, "A");
    EXPECT_EQ(r.settings(1).add_headers.size(), 1U);
    EXPECT_EQ(r.settings(1).add_headers.at(0).name, "B");
    EXPECT_EQ(r.proxy(0).set_headers.at(0).name, "X");
    EXPECT_EQ(r.proxy(1).set_headers.size(), 3U);  // Y and nginx's Host and Connection
    EXPECT_EQ(r.proxy(1).set_headers.at(0).name, "Y");
    EXPECT_FALSE(r.settings(0).access.at(0).allow);
    EXPECT_EQ(r.settings(1).access.size(), 1U);
    EXPECT_EQ(r.settings(0).limit_connections.at(0).limit, 1U);
    EXPECT_EQ(r.settings(1).limit_connections.at(0).limit, 7U);
    EXPECT_EQ(r.settings(0).limit_requests.at(0).burst, 0U);
    EXPECT_EQ(r.settings(1).limit_requests.at(0).burst, 3U);
    EXPECT_EQ(r.settings(1).real_ip.trusted.at(0).text(), "11.0.0.0/8");
    EXPECT_THAT(r.proxy(0).hide_headers, Contains("p"));
    EXPECT_THAT(r.proxy(1).hide_headers, Not(Contains("p")));
}

TEST(Load, values_are_inherited_one_by_one) {
    const Result r = read_good(R"(
        client_max_body_size 5k; keepalive_timeout 10s 20s; proxy_read_timeout 7s; server_tokens off;
        server { keepalive_timeout 30s; location / { proxy_pass http://10.0.0.1; client_max_body_size 0;
                 location /x { proxy_pass http://10.0.0.1; proxy_read_timeout 2m; } } })");
    EXPECT_EQ(r.settings().client_max_body_size, 0U);
    EXPECT_EQ(r.settings().keepalive_timeout, milliseconds(30'000));
    EXPECT_EQ(r.settings().keepalive_header, std::chrono::seconds(20));
    EXPECT_FALSE(r.settings().server_tokens);
    EXPECT_EQ(r.proxy().tunnel_idle_timeout, milliseconds(7'000));
    const auto& nested = *r.location().nested.at(0);
    EXPECT_EQ(nested.settings->client_max_body_size, 0U);
    EXPECT_EQ(nested.proxy->read_timeout, milliseconds(120'000));
    EXPECT_EQ(nested.proxy->tunnel_idle_timeout, milliseconds(120'000));
}

TEST(Load, the_defaults_are_those_of_nginx_1_22) {
    const Result r = read_good("server { location / { proxy_pass http://10.0.0.1:8080; } }");
    const http::Proxy& p = r.proxy();
    EXPECT_FALSE(p.http_1_1);
    ASSERT_EQ(p.set_headers.size(), 2U);
    EXPECT_EQ(p.set_headers[0].value.source, "$proxy_host");
    EXPECT_EQ(p.set_headers[1].value.literal(), "close");
    EXPECT_EQ(p.host_header, "10.0.0.1:8080");
    EXPECT_EQ(p.default_port, 8080);
    EXPECT_FALSE(p.uri);
    EXPECT_EQ(p.group->id, "nginx:http://10.0.0.1:8080");
    EXPECT_EQ(p.group->keepalive, 0U);
    EXPECT_NE(p.group->endpoints.at(0).state, nullptr);
    EXPECT_EQ(p.read_timeout, milliseconds(60'000));
    EXPECT_EQ(p.tunnel_idle_timeout, milliseconds(3'600'000));
    EXPECT_THAT(p.hide_headers, ElementsAre("date", "server", "x-pad", "x-accel-expires", "x-accel-redirect",
                                            "x-accel-limit-rate", "x-accel-buffering", "x-accel-charset"));
    EXPECT_EQ(r.settings().types->at("html"), "text/html");
    EXPECT_EQ(r.settings().default_type, "text/plain");
}

TEST(Load, proxy_redirect_default_follows_the_uri_part) {
    const Result r = read_good(R"(server {
        location /a/ { proxy_pass http://10.0.0.1/b/; } location /c { proxy_pass http://10.0.0.1; proxy_redirect off; }
        location ~ /d { proxy_pass http://10.0.0.1; } location /e { proxy_pass http://$host; } })");
    EXPECT_EQ(std::get<http::Template>(r.proxy(0).redirects.at(0).from).literal(), "http://10.0.0.1/b/");
    EXPECT_EQ(r.proxy(0).redirects.at(0).to.literal(), "/a/");
    EXPECT_EQ(r.proxy(0).uri, "/b/");
    EXPECT_TRUE(r.proxy(1).redirects.empty());
    EXPECT_EQ(r.proxy(2).redirects.at(0).to.literal(), "/");
    EXPECT_TRUE(r.proxy(3).redirects.empty());
    EXPECT_TRUE(r.proxy(3).dynamic);
}

TEST(Load, an_upstream_keeps_every_parameter) {
    const Result r = read_good(
        R"(upstream U { hash $uri$1 consistent; keepalive 3; keepalive_requests 4; keepalive_timeout 5s;
            keepalive_time 6s; server 10.0.0.1 weight=2 max_fails=3 fail_timeout=4s max_conns=5;
            server two.test:81 down; }
        server { location / { proxy_pass http://u; } })");
    const catalog::EndpointGroup& g = *r.proxy().group;
    EXPECT_EQ(g.id, "nginx:U");
    EXPECT_EQ(g.service, "U");
    EXPECT_EQ(g.balancing.scheduler, catalog::Scheduler::hash_consistent);
    EXPECT_EQ(g.balancing.hash_key.parts.size(), 2U);
    EXPECT_EQ(g.keepalive, 3U);
    EXPECT_EQ(g.keepalive_requests, 4U);
    EXPECT_EQ(g.keepalive_timeout, milliseconds(5'000));
    EXPECT_EQ(g.keepalive_time, milliseconds(6'000));
    ASSERT_EQ(g.endpoints.size(), 3U);
    EXPECT_EQ(g.endpoints[0].address.text(), "10.0.0.1:80");
    EXPECT_EQ(g.endpoints[0].weight, 2U);
    EXPECT_EQ(g.endpoints[0].max_fails, 3U);
    EXPECT_EQ(g.endpoints[0].fail_timeout, milliseconds(4'000));
    EXPECT_EQ(g.endpoints[0].max_conns, 5U);
    EXPECT_EQ(g.endpoints[2].address.text(), "[fd00::1]:81");
    EXPECT_TRUE(g.endpoints[2].down);
    EXPECT_EQ(r.server().groups->at("u"), r.proxy().group);
}

TEST(Load, balancing_methods_are_told_apart) {
    using catalog::Scheduler;
    const std::pair<const char*, Scheduler> rows[] = {{"", Scheduler::rr},
                                                      {"least_conn;", Scheduler::least_connected},
                                                      {"ip_hash;", Scheduler::ip_hash},
                                                      {"hash $host;", Scheduler::hash},
                                                      {"random;", Scheduler::random},
                                                      {"random two;", Scheduler::random_two}};
    for (const auto& [text, scheduler] : rows) {
        const Result r = read_good(std::string("upstream u { ") + text +
                                   " server 10.0.0.1; } server { location / { proxy_pass http://u; } }");
        EXPECT_EQ(r.proxy().group->balancing.scheduler, scheduler) << text;
    }
}

TEST(Load, server_names_are_sorted_into_kinds) {
    const Result r =
        read_good("server { server_name A.b *.C.d .e.f mail.* ~^(?<user>x+)$ $hostname \"\"; return 204; }");
    using Kind = http::ServerName::Kind;
    const auto& n = r.server().names;
    ASSERT_EQ(n.size(), 7U);
    EXPECT_EQ(n[0].text, "a.b");
    EXPECT_EQ(n[1].kind, Kind::leading_wildcard);
    EXPECT_EQ(n[1].text, ".c.d");
    EXPECT_FALSE(n[1].also_bare);
    EXPECT_EQ(n[2].text, ".e.f");
    EXPECT_TRUE(n[2].also_bare);
    EXPECT_EQ(n[3].kind, Kind::trailing_wildcard);
    EXPECT_EQ(n[3].text, "mail.");
    EXPECT_EQ(n[4].kind, Kind::regex);
    ASSERT_EQ(n[4].named.size(), 1U);
    EXPECT_EQ(r.server().variables->variables[n[4].named[0].second].name, "user");
    EXPECT_FALSE(n[4].regex->ignores_case());
    EXPECT_EQ(n[5].text, "thishost");
    EXPECT_EQ(n[6].text, "");
    EXPECT_EQ(r.server().name, "a.b");
}

TEST(Load, listeners_join_servers_by_address_and_know_the_default) {
    const Result r = read_good(R"(
        server { listen 8080; listen [::]:8080 ipv6only=off backlog=9; server_name a; return 204; }
        server { listen *:8080 default_server; listen 127.0.0.1:8081-8082; server_name b; return 204; }
        server { server_name c; return 204; })");
    std::vector<std::string> addresses;
    for (const auto& l : r.loaded.listeners) addresses.push_back(l.address.text());
    EXPECT_THAT(addresses, testing::UnorderedElementsAre("0.0.0.0:80", "0.0.0.0:8080", "[::]:8080",
                                                         "127.0.0.1:8081", "127.0.0.1:8082"));
    for (const auto& l : r.loaded.listeners) {
        if (l.address.text() == "0.0.0.0:8080") {
            EXPECT_EQ(l.servers.size(), 2U);
            EXPECT_EQ(l.default_server, 1U);
        }
        if (l.address.text() == "[::]:8080") {
            EXPECT_EQ(l.backlog, 9);
            EXPECT_FALSE(l.ipv6_only);
        }
    }
}

TEST(Load, a_second_server_of_one_name_is_a_warning) {
    const Result r =
        read_good("server { server_name a; return 204; }\nserver { server_name a .b; return 204; }\n");
    EXPECT_THAT(r.warnings(),
                ElementsAre("f:2:1: warning: conflicting server name \"a\" on 0.0.0.0:80, ignored"));
}

TEST(Load, the_script_keeps_its_order_and_its_conditions) {
    const Result r = read_good(R"(server {
        set $a "x$host";
        if ($request_method !~* "^(get|head)$") { set $a $1; return 405; }
        if ($a = "") { break; }
        rewrite ^/(?<rest>.*)$ /new/$rest? last;
        rewrite ^/y http://z/ ;
        return 302 $scheme://$host/;
        location / { if ($arg_x) { return 403 "no\n"; } proxy_pass http://10.0.0.1; } })");
    EXPECT_THAT(r.model(), HasSubstr(R"(    set $a "x${host}"
    if $request_method !~ "^(get|head)$"
      set $a "$1"
      return 405 ""
    if $a = ""
      break
    rewrite "^/(?<rest>.*)$" "/new/${rest}" last (no arguments)
    rewrite "^/y" "http://z/" redirect
    return 302 "${scheme}://${host}/"
)"));
    const auto& nested = std::get<http::If>(r.location().script.at(0).what);
    EXPECT_EQ(std::get<http::Return>(nested.then->at(0).what).text.literal(), "no\n");
}

TEST(Load, locations_have_stable_distinct_ids) {
    const Result r =
        read_good(R"(server { server_name n; listen 81; location / { return 1; } location = / { return 1; }
        location ~ / { return 1; } location ~* / { return 1; } location ^~ /x { return 1; } })");
    std::vector<std::string> ids;
    for (const auto& l : r.server().locations) ids.push_back(l->route_id);
    EXPECT_THAT(
        ids, ElementsAre("nginx:n:81/", "nginx:n:81= /", "nginx:n:81~ /", "nginx:n:81~* /", "nginx:n:81/x"));
}

TEST(Load, a_location_that_nobody_answers_is_a_warning_and_one_with_files_an_error) {
    EXPECT_THAT(read_good("server { location /a { } }").warnings(),
                ElementsAre(HasSubstr("neither proxy_pass nor return: it answers 404")));
    EXPECT_THAT(read("server { location /a { root /srv; } }").errors(),
                ElementsAre(HasSubstr("\"root\" is not supported")));
    EXPECT_THAT(
        read("root /srv; server { location / { proxy_pass http://10.0.0.1; } location /b { } }").errors(),
        ElementsAre(HasSubstr("the location \"/b\" has neither proxy_pass nor return")));
    EXPECT_THAT(read_good("root /srv; server { location / { proxy_pass http://10.0.0.1; } }").warnings(),
                ElementsAre());
}

TEST(Load, what_many_locations_inherit_is_wrong_once) {
    const Result r =
        read("limit_req zone=nope;\nserver { location /a { return 1; } location /b { return 1; } }");
    EXPECT_THAT(r.errors(), ElementsAre("f:1:1: error: zero size shared memory zone \"nope\""));
}

TEST(Load, an_internal_location_with_files_is_an_error) {
    EXPECT_THAT(read("server { location /a { internal; root /srv; } }").errors(),
                ElementsAre(HasSubstr("\"root\" is not supported")));
}

TEST(Load, log_formats_and_conditions_are_kept) {
    const Result r = read_good(R"(log_format j escape=json '{"a":"$remote_addr",' '"s":$status}';
        server { access_log logs/x.log j if=$arg_log; access_log /dev/stdout; location / { access_log off; return 204; } })");
    const auto& logs = r.server().settings->access_logs;
    ASSERT_EQ(logs.size(), 2U);
    EXPECT_EQ(logs[0].path, "/usr/share/nginx/logs/x.log");
    EXPECT_EQ(logs[0].format->escape, http::LogFormat::Escape::json);
    EXPECT_EQ(logs[0].format->format.parts.size(), 5U);
    EXPECT_TRUE(logs[0].condition);
    EXPECT_EQ(logs[1].format->name, "combined");
    EXPECT_TRUE(r.settings().access_logs.empty());
}

TEST(Load, rates_are_kept_in_thousandths_as_nginx_does) {
    const Result r = read_good(
        "limit_req_zone $uri zone=a:1m rate=1r/m; server { limit_req zone=a burst=2 delay=1; return 204; }");
    const auto& limit = r.server().settings->limit_requests.at(0);
    EXPECT_DOUBLE_EQ(limit.zone->rate_per_second, 0.016);
    EXPECT_EQ(limit.no_delay_after, 1U);
    EXPECT_EQ(limit.zone->size, 1U << 20);
}

TEST(Load, a_map_knows_wildcards_regexes_and_escapes) {
    const Result r =
        read_good(R"(map $host $m { hostnames; *.A.b 1; .c.d 2; e.* 3; ~*^x(?<y>.)$ $y; \default 4; F 5; }
        server { return 200 $m; })");
    const auto& variables = r.server().variables->variables;
    const auto at =
        std::find_if(variables.begin(), variables.end(), [](const auto& v) { return v.name == "m"; });
    const http::Map& m = *at->map;
    EXPECT_EQ(m.suffix.at(".a.b").literal(), "1");
    EXPECT_EQ(m.suffix.at(".c.d").literal(), "2");
    EXPECT_EQ(m.exact.at("c.d").literal(), "2");
    EXPECT_EQ(m.prefix.at("e.").literal(), "3");
    EXPECT_EQ(m.exact.at("default").literal(), "4");
    EXPECT_EQ(m.exact.at("f").literal(), "5");
    EXPECT_TRUE(m.regexes.at(0).regex->ignores_case());
    EXPECT_EQ(m.regexes.at(0).named.size(), 1U);
}

class Files : public testing::Test {
  protected:
    void SetUp() override { std::filesystem::create_directories(dir_ / "conf.d"); }
    void TearDown() override { std::filesystem::remove_all(dir_); }
    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(dir_ / name) << text;
        return (dir_ / name).string();
    }
    std::filesystem::path dir_ =
        std::filesystem::path(testing::TempDir()) / ("nginx" + std::to_string(::getpid()));
};

TEST_F(Files, includes_are_read_in_order_and_listed_for_watching) {
    write("conf.d/b.conf", "server { server_name b; return 204; }");
    write("conf.d/a.conf", "server { server_name a; include more.inc; }");
    write("more.inc", "return 205;\n");
    const std::string main = write("nginx.conf", "events { }\nhttp {\n include conf.d/*.conf;\n}\n");
    catalog::Diagnostics diagnostics;
    const Loaded loaded = load({main}, {}, diagnostics);
    EXPECT_EQ(diagnostics.text(), "");
    ASSERT_EQ(loaded.listeners.size(), 1U);
    EXPECT_EQ(loaded.listeners[0].servers.at(0)->name, "a");
    EXPECT_EQ(loaded.listeners[0].servers.at(1)->name, "b");
    EXPECT_THAT(loaded.files, ElementsAre(main, (dir_ / "conf.d/a.conf").string(),
                                          (dir_ / "more.inc").string(), (dir_ / "conf.d/b.conf").string()));
    EXPECT_THAT(loaded.patterns, ElementsAre((dir_ / "conf.d/*.conf").string()));
}

TEST_F(Files, an_error_in_an_included_file_names_that_file) {
    const std::string included = write("x.inc", "\nbogus;\n");
    const std::string main = write("a.conf", "include x.inc;\ninclude missing.inc;\n");
    catalog::Diagnostics diagnostics;
    load({main}, {}, diagnostics);
    EXPECT_THAT(diagnostics.text(), HasSubstr(included + ":2:1: error: unknown directive \"bogus\""));
    EXPECT_THAT(diagnostics.text(), HasSubstr(main + ":2:9: error: open() \""));
}

TEST_F(Files, an_include_of_itself_ends) {
    const std::string main = write("a.conf", "include a.conf;\n");
    catalog::Diagnostics diagnostics;
    load({main}, {}, diagnostics);
    EXPECT_THAT(diagnostics.text(), HasSubstr("includes are nested too deeply"));
}

TEST_F(Files, fragments_share_upstreams_and_a_whole_file_comes_first) {
    const std::string one =
        write("1.conf", "server { location / { proxy_pass http://u; add_header A $m; } }");
    const std::string two = write("2.conf", "upstream u { server 10.0.0.1; } map $uri $m { }");
    const std::string whole = write("nginx.conf", "events { } http { client_max_body_size 3k; }");
    catalog::Diagnostics diagnostics;
    const Loaded loaded = load({one, two, whole}, {}, diagnostics);
    EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.text();
    EXPECT_EQ(loaded.listeners.at(0).servers.at(0)->settings->client_max_body_size, 3U << 10);
    load({whole, whole}, {}, diagnostics);
    EXPECT_THAT(diagnostics.text(), HasSubstr("a second whole nginx.conf"));
}

TEST_F(Files, a_file_past_the_bound_is_refused) {
    const std::string main = write("a.conf", std::string(2000, ' '));
    LoadOptions options;
    options.bounds.file_bytes = 1000;
    catalog::Diagnostics diagnostics;
    load({main}, options, diagnostics);
    EXPECT_THAT(diagnostics.text(), HasSubstr("is too large"));
}

TEST(Load, blocks_and_errors_are_bounded) {
    std::string deep;
    for (int i = 0; i < 100'000; ++i) deep += "a {";
    EXPECT_THAT(read(deep).diagnostics.text(), HasSubstr("blocks are nested too deeply"));
    std::string many;
    for (int i = 0; i < 10'000; ++i) many += "bogus;\n";
    EXPECT_LT(read(many).diagnostics.errors(), 1000U);
}

}  // namespace
}  // namespace hawser::nginx
