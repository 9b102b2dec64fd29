// SPDX-License-Identifier: Apache-2.0
#include "control/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "control/console.h"
#include "control/fakes.h"

namespace hawser::control {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::HasSubstr;
using testing::StartsWith;

// The whole of it but the gateway: Sources, Api, AdminServer on a free loopback port.
class AdminTest : public testing::Test {
  protected:
    AdminTest()
        : sources_(
              io_,
              [this] {
                  ReadResult result;
                  if (bad_) result.diagnostics.error({"im.yaml", 1, 2}, "no");
                  return result;
              },
              [](const auto&, const auto&) {
                  catalog::BuildResult result;
                  result.snapshot = snapshot_of(site_service());
                  return result;
              },
              plane_, *Log::open({false, gateway::LogLevel::error, "/dev/null"})),
          api_(plane_, sources_) {}

    void listen(AdminServer::Options options = {}) {
        options.address = {net::IpAddress::v4(0x7f000001), 0};
        server_.emplace(io_, options, [this](const Request& request, Api::Answer answer) {
            api_.handle(request, std::move(answer));
        });
        const auto bound = server_->listen();
        ASSERT_TRUE(bound);
        port_ = bound->port;
    }

    // Sends the text and returns all until the server closes; with `keep` what came within the time.
    std::string exchange(const std::string& text) {
        std::string answer;
        bool done = false;
        std::thread client([&] {
            boost::system::error_code ended;
            asio::io_context io;
            tcp::socket socket(io);
            socket.connect({asio::ip::make_address_v4("127.0.0.1"), port_}, ended);
            asio::write(socket, asio::buffer(text), ended);
            asio::read(socket, asio::dynamic_buffer(answer), ended);
            done = true;
            asio::post(io_, [] {});
        });
        EXPECT_TRUE(run_until(io_, [&] { return done; }));
        client.join();
        return answer;
    }
    std::string get(const std::string& target, const std::string& headers = "") {
        return send("GET", target, headers);
    }
    std::string send(const std::string& method, const std::string& target, const std::string& headers = "") {
        return exchange(method + " " + target + " HTTP/1.1\r\nConnection: close\r\n" +
                        (headers.find("Host:") == std::string::npos ? "Host: 127.0.0.1\r\n" : "") + headers +
                        "\r\n");
    }

    asio::io_context io_;
    FakePlane plane_;
    bool bad_ = false;
    Sources sources_;
    Api api_;
    std::optional<AdminServer> server_;
    std::uint16_t port_ = 0;
};

TEST_F(AdminTest, is_healthy_at_once_and_ready_with_a_snapshot_until_it_drains) {
    listen();
    EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 200 OK\r\n"));
    auto answer = get("/readyz");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(answer, HasSubstr("no snapshot yet"));
    plane_.apply(snapshot_of(site_service()));
    EXPECT_THAT(get("/readyz"), StartsWith("HTTP/1.1 200 "));
    api_.set_draining();
    answer = get("/readyz");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(answer, HasSubstr("draining"));
    EXPECT_THAT(get("/healthz"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminTest, answers_lists_and_metrics_and_the_console) {
    listen();
    plane_.apply(snapshot_of(site_service()));
    for (const char* target : {"/api/v1/services", "/api/v1/endpoints", "/api/v1/routes", "/api/v1/frontends",
                               "/api/v1/tunnels", "/api/v1/snapshot", "/api/v1/services?name=im-service"}) {
        const auto answer = get(target);
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 ")) << target;
        EXPECT_THAT(answer, HasSubstr("\"kind\":")) << target;
    }
    EXPECT_THAT(get("/metrics"), HasSubstr("hawser_config_generation 1\n"));
    for (const auto& [name, content] : console_files()) {
        const auto answer = get("/" + name);
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 ")) << name;
        EXPECT_THAT(answer, HasSubstr("Content-Security-Policy: default-src 'none'")) << name;
        EXPECT_TRUE(answer.ends_with(content)) << name;
    }
    EXPECT_TRUE(get("/").ends_with(console_files().at("index.html")));
    EXPECT_THAT(get("/nothing"), StartsWith("HTTP/1.1 404 "));
    EXPECT_THAT(get("/api/v1/nothing"), StartsWith("HTTP/1.1 404 "));
}

TEST_F(AdminTest, head_has_no_body) {
    listen();
    EXPECT_TRUE(send("HEAD", "/healthz").ends_with("Content-Length: 3\r\n\r\n"));
}

TEST_F(AdminTest, closes_a_tunnel_once) {
    listen();
    plane_.live = {some_tunnel(3)};
    EXPECT_THAT(get("/api/v1/tunnels/3"), HasSubstr("\"client\":\"192.168.0.7:40000\""));
    EXPECT_THAT(send("DELETE", "/api/v1/tunnels/3"), StartsWith("HTTP/1.1 200 "));
    EXPECT_TRUE(plane_.live.empty());
    EXPECT_THAT(send("DELETE", "/api/v1/tunnels/3"), StartsWith("HTTP/1.1 404 "));
    EXPECT_THAT(send("DELETE", "/api/v1/tunnels/x"), StartsWith("HTTP/1.1 404 "));
    EXPECT_THAT(send("POST", "/api/v1/tunnels/3"), HasSubstr("Allow: GET, HEAD, DELETE\r\n"));
}

TEST_F(AdminTest, refuses_pages_that_make_no_sense) {
    listen();
    for (const char* query : {"limit=0", "limit=10001", "limit=x", "continue=x", "limit=-1"})
        EXPECT_THAT(get(std::string("/api/v1/tunnels?") + query), StartsWith("HTTP/1.1 400 ")) << query;
}

TEST_F(AdminTest, reload_answers_when_it_is_through_with_every_error) {
    listen();
    EXPECT_THAT(send("POST", "/api/v1/reload"), StartsWith("HTTP/1.1 200 "));
    bad_ = true;
    const auto answer = send("POST", "/api/v1/reload");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 422 "));
    EXPECT_THAT(answer, HasSubstr("im.yaml:1:2: error: no"));
    EXPECT_THAT(get("/api/v1/reload"), StartsWith("HTTP/1.1 405 "));
}

TEST_F(AdminTest, refuses_names_that_are_not_its_own_and_pages_of_others) {
    AdminServer::Options options;
    options.host_names = {"console.example.com"};
    listen(options);
    EXPECT_THAT(get("/healthz", "Host: attacker.example\r\n"), StartsWith("HTTP/1.1 421 "));
    EXPECT_THAT(get("/healthz", "Host: console.example.com:7070\r\n"), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(get("/healthz", "Host: a\r\nHost: 127.0.0.1\r\n"), StartsWith("HTTP/1.1 421 "));
    EXPECT_THAT(send("POST", "/api/v1/reload", "Origin: http://attacker.example\r\n"),
                StartsWith("HTTP/1.1 403 "));
    EXPECT_THAT(send("POST", "/api/v1/reload", "Sec-Fetch-Site: cross-site\r\n"),
                StartsWith("HTTP/1.1 403 "));
    EXPECT_THAT(send("POST", "/api/v1/reload", "Host: localhost:1\r\nOrigin: http://localhost:1\r\n"),
                StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(get("/healthz", "Origin: http://attacker.example\r\n"),
                testing::Not(HasSubstr("Access-Control-Allow-Origin")));
}

TEST(AdminHost, addresses_and_localhost_are_accepted_and_no_other_name) {
    for (const char* host :
         {"", "127.0.0.1", "127.0.0.1:7070", "10.1.2.3:7070", "[::1]:7070", "[::1]", "LocalHost:1"})
        EXPECT_TRUE(accepts_host(host, {})) << host;
    for (const char* host :
         {"example.com", "localhost.example.com", "[::1", "[example.com]", "127.0.0.1.example.com", "::1"})
        EXPECT_FALSE(accepts_host(host, {})) << host;
}

TEST_F(AdminTest, bounds_the_request_and_the_time_for_it) {
    AdminServer::Options options;
    options.timeout = std::chrono::milliseconds(200);
    listen(options);
    EXPECT_THAT(get("/healthz", "X: " + std::string(10'000, 'x') + "\r\n"), StartsWith("HTTP/1.1 431 "));
    EXPECT_THAT(send("POST", "/api/v1/reload", "Content-Length: 100000\r\n"), StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(exchange("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(get("http://127.0.0.1/healthz"), StartsWith("HTTP/1.1 400 "));
    EXPECT_EQ(exchange("GET / HT"), "") << "a slow request is cut";
}

TEST_F(AdminTest, serves_a_bounded_number_of_connections) {
    AdminServer::Options options;
    options.max_connections = 1;
    listen(options);
    tcp::socket first(io_);
    first.connect({asio::ip::make_address_v4("127.0.0.1"), port_});
    EXPECT_EQ(get("/healthz"), "");
    first.close();
    EXPECT_TRUE(run_until(io_, [&] { return get("/healthz").starts_with("HTTP/1.1 200 "); }));
}

}  // namespace
}  // namespace hawser::control
