// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <sstream>

#include "gateway/testing_gateway.h"
#include "net/testing_directory.h"

namespace hawser::gateway::testing {
namespace {

const std::string ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

std::string says(const std::string& text, const std::string& address = "127.0.0.1") {
    return "server { listen " + address + ":1; location / { return 200 " + text + "; } }\n";
}

std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::ostringstream out;
    out << file.rdbuf();
    return out.str();
}

TEST(Gateway, serves_the_next_request_of_a_live_connection_by_the_new_rules) {
    Site site(2);
    site.use(says("old"));
    Peer client = site.client();
    client.send(ask);
    EXPECT_TRUE(client.read_until("old").ends_with("old"));
    site.use(says("new"));
    client.send(ask);
    EXPECT_TRUE(client.read_until("new").ends_with("new"));
}

TEST(Gateway, closes_idle_connections_of_a_listener_that_is_gone) {
    Site site;
    site.use(says("one") + says("two", "127.0.0.2"));
    ASSERT_EQ(site.gateway->listening().size(), 2U);
    std::vector<Peer> clients;
    for (const auto& each : site.gateway->listening()) {
        clients.push_back(Peer::connect(each.address));
        clients.back().send(ask);
    }
    EXPECT_TRUE(clients[0].read_until("one").ends_with("one"));
    EXPECT_TRUE(clients[1].read_until("two").ends_with("two"));
    const auto kept = site.address();
    site.use(says("one"));
    EXPECT_EQ(site.address(), kept);
    EXPECT_TRUE(clients[1].sees_end());
    clients[0].send(ask);
    EXPECT_TRUE(clients[0].read_until("one").ends_with("one"));
}

TEST(Gateway, refuses_a_snapshot_whole_when_a_port_is_taken) {
    Site site;
    site.use(says("one"));
    Backend taken;  // without SO_REUSEPORT
    auto listeners = Site::listeners(says("two") + says("three", "127.0.0.3"));
    auto other = Site::listeners(says("four"));
    other[0].address = taken.address();
    listeners.push_back(other[0]);
    const auto diagnostics = site.apply(listeners);
    EXPECT_TRUE(diagnostics.has_errors());
    EXPECT_NE(diagnostics.text().find("bind " + taken.text()), std::string::npos) << diagnostics.text();
    EXPECT_EQ(site.gateway->current()->number, 1U);
    EXPECT_EQ(site.gateway->listening().size(), 1U);
    Peer client = site.client();
    client.send(ask);
    EXPECT_TRUE(client.read_until("one").ends_with("one"));
}

TEST(Gateway, refuses_a_snapshot_whole_when_a_log_cannot_be_opened) {
    Site site;
    site.use(says("one"));
    const auto diagnostics = site.apply(Site::listeners(
        "server { listen 127.0.0.1:1; access_log /dev/null/no; location / { return 200 two; } }"));
    EXPECT_TRUE(diagnostics.has_errors());
    EXPECT_NE(diagnostics.text().find("/dev/null/no"), std::string::npos);
    Peer client = site.client();
    client.send(ask);
    EXPECT_TRUE(client.read_until("one").ends_with("one"));
}

TEST(Gateway, drains_idle_connections_at_once_and_listens_no_more) {
    Site site(2);
    site.use(says("one"));
    Peer client = site.client();
    client.send(ask);
    client.read_until("one");
    const auto address = site.address();
    site.gateway->drain(std::chrono::milliseconds(0), std::chrono::seconds(5));
    EXPECT_TRUE(client.sees_end());
    EXPECT_TRUE(eventually([&] { return site.gateway->drained(); }));
    EXPECT_THROW(Peer::connect(address), std::runtime_error);
}

TEST(Gateway, lets_a_request_end_in_a_drain) {
    Backend backend;
    Site site;
    site.use(passes_to(backend));
    Peer client = site.client();
    client.send(ask);
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    site.gateway->drain(std::chrono::milliseconds(0), std::chrono::seconds(5));
    EXPECT_FALSE(site.gateway->drained());
    endpoint.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_NE(client.read_until("\r\n\r\n").find("Connection: close\r\n"), std::string::npos);
    EXPECT_EQ(client.read_to_end(), "ok");
    EXPECT_TRUE(eventually([&] { return site.gateway->drained(); }));
}

TEST(Gateway, answers_429_to_a_client_that_takes_too_many_connections) {
    Limits limits;
    limits.max_connections_per_client = 1;
    Site site(1, limits);
    site.use(says("one"));
    Peer first = site.client();
    first.send(ask);
    first.read_until("one");
    Peer second = site.client();
    EXPECT_TRUE(second.read_until("\r\n\r\n").starts_with("HTTP/1.1 429 "));
    EXPECT_EQ(site.stats().refused["per_client"], 1U);
    first.close();
    EXPECT_TRUE(eventually([&] {
        Peer third = site.client();
        third.send(ask);
        return third.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 ");
    }));
}

TEST(Gateway, answers_503_when_all_places_are_taken) {
    Limits limits;
    limits.max_connections = 2;
    Site site(1, limits);
    site.use(says("one"));
    Peer first = site.client();
    Peer second = site.client();
    for (Peer* peer : {&first, &second}) {
        peer->send(ask);
        peer->read_until("one");
    }
    Peer third = site.client();
    EXPECT_TRUE(third.read_until("\r\n\r\n").starts_with("HTTP/1.1 503 "));
}

TEST(Gateway, resets_those_whom_it_cannot_even_refuse) {
    Limits limits;
    limits.max_connections = 1;
    Site site(1, limits);
    site.use(says("one"));
    Peer first = site.client();
    first.send(ask);
    first.read_until("one");
    std::vector<Peer> others;
    for (int i = 0; i < 300; ++i) others.push_back(site.client());
    EXPECT_TRUE(eventually([&] { return site.stats().refused["max_connections"] == 300; }));
    EXPECT_TRUE(others.front().read_until("\r\n\r\n").starts_with("HTTP/1.1 503 "));
    EXPECT_TRUE(others.back().sees_reset());
}

TEST(Gateway, can_be_asked_before_start_and_after_stop) {
    const auto log = std::make_shared<Lines>();
    Options options;
    options.workers = 2;
    Gateway gateway(options, log);
    EXPECT_TRUE(gateway.tunnels().empty());
    EXPECT_EQ(gateway.stats().accepted, 0U);
    EXPECT_FALSE(gateway.drained());
    gateway.start();
    gateway.stop();
    EXPECT_TRUE(gateway.tunnels().empty());
    EXPECT_FALSE(gateway.kill_tunnel(1));
}

TEST(Gateway, ends_with_every_kind_of_connection_open) {
    Backend backend;
    Site site(2);
    site.use(passes_to(backend, "proxy_request_buffering off;"));
    Peer idle = site.client();
    Peer in_head = site.client();
    in_head.send("GET / HT");
    Peer in_body = site.client();
    in_body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    Peer waits = site.client();
    waits.send(ask);
    Peer one = backend.accept();
    Peer two = backend.accept();
    EXPECT_TRUE(eventually([&] { return site.stats().connections == 4; }));
    site.gateway.reset();
    EXPECT_TRUE(idle.sees_end());
}

TEST(Gateway, logs_no_line_breaks_of_a_client) {
    Site site;
    site.use("server { listen 127.0.0.1:1; location /a { return 200; } }");
    Peer client = site.client();
    client.send("GET /%0aevil HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 404 "));
    EXPECT_TRUE(eventually([&] { return site.log->has("/\\x0Aevil"); }));
    EXPECT_FALSE(site.log->has("\n"));
}

TEST(AccessLogs, write_a_line_for_each_request_and_for_the_end_of_a_tunnel) {
    const net::testing::TemporaryDirectory directory("gateway");
    Backend backend;
    Site site(2);
    const std::string log = (directory.path() / "sub" / "access.log").string();
    site.use(
        "log_format f '$request_method $status $body_bytes_sent $http_x \"$upstream_addr\" $request_time';\n"
        "server { listen 127.0.0.1:1; access_log " +
        log +
        " f; location /say { return 200 four; }\n"
        "location / { proxy_pass http://" +
        backend.text() +
        "; proxy_http_version 1.1;"
        "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; } }");
    Peer client = site.client();
    client.send("GET /say HTTP/1.1\r\nHost: a\r\nX: q\"\r\n\r\n");
    client.read_until("four");
    EXPECT_TRUE(eventually([&] { return text_of(log).starts_with("GET 200 4 q\\x22 \"-\" 0.0"); }))
        << text_of(log);
    client.send("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: upgrade\r\nX: t\r\n\r\n");
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    endpoint.send("HTTP/1.1 101 S\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n12345");
    client.read_until("12345");
    EXPECT_EQ(text_of(log).find("101"), std::string::npos);
    client.close();
    endpoint.close();
    EXPECT_TRUE(eventually([&] {
        return text_of(log).find("GET 101 5 t \"" + backend.text() + "\" 0.") != std::string::npos;
    })) << text_of(log);
}

TEST(AccessLogs, go_into_the_new_file_after_reopening) {
    const net::testing::TemporaryDirectory directory("gateway");
    const auto log = directory.path() / "access.log";
    Site site;
    site.use("log_format f $status; server { listen 127.0.0.1:1; access_log " + log.string() +
             " f; location / { return 204; } }");
    Peer client = site.client();
    client.send(ask);
    client.read_until("\r\n\r\n");
    EXPECT_TRUE(eventually([&] { return text_of(log) == "204\n"; }));
    std::filesystem::rename(log, directory.path() / "old");
    site.gateway->reopen_logs();
    client.send(ask + ask);
    EXPECT_TRUE(eventually([&] { return text_of(log) == "204\n204\n"; }));
    EXPECT_EQ(text_of(directory.path() / "old"), "204\n");
}

}  // namespace
}  // namespace hawser::gateway::testing
