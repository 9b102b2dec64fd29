// SPDX-License-Identifier: Apache-2.0
#include "gateway/handshake.h"
#include "gateway/testing_gateway.h"

namespace hawser::gateway::testing {
namespace {

const std::string key = "dGhlIHNhbXBsZSBub25jZQ==";
const std::string handshake =
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
    key + "\r\n\r\n";
const std::string switching =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Accept: " +
    websocket_accept(key) + "\r\n\r\n";
const std::string upgrades = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";

std::string masked_text(const std::string& text) {
    return std::string("\x81") + static_cast<char>(0x80 | text.size()) + std::string(4, '\0') + text;
}

std::string site_of(const Backend& backend, const std::string& more = upgrades) {
    return "server { listen 127.0.0.1:1; location / { proxy_pass http://" + backend.text() +
           "; proxy_http_version 1.1; " + more + " } }";
}

// What an Ingress route does: Upgrade is passed on by itself, and the 101 is checked.
std::vector<catalog::http::Listener> automatic(const Backend& backend) {
    auto listeners = Site::listeners(site_of(backend, ""));
    auto& location = const_cast<catalog::http::Location&>(*listeners[0].servers[0]->locations[0]);
    location.proxy->upgrade = catalog::http::UpgradePolicy::automatic;
    return listeners;
}

struct Open {
    Peer client, endpoint;
};
Open open(const Site& site, Backend& backend) {
    Peer client = site.client();
    client.send(handshake);
    Peer endpoint = backend.accept();
    EXPECT_TRUE(endpoint.read_until("\r\n\r\n").starts_with("GET /ws "));
    endpoint.send(switching);
    EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 101 "));
    return {std::move(client), std::move(endpoint)};
}

TEST(Upgrade, keeps_bytes_that_come_early_from_either_side) {
    for (const unsigned workers : {1U, 2U}) {
        Backend backend;
        Site site(workers);
        site.use(site_of(backend));
        Peer client = site.client();
        client.send(handshake + masked_text("early"));
        Peer endpoint = backend.accept();
        const auto head = endpoint.read_until("\r\n\r\n");
        EXPECT_NE(head.find("Sec-WebSocket-Key: " + key), std::string::npos);
        endpoint.send(switching + "\x81\x02hi");
        EXPECT_EQ(endpoint.read(11), masked_text("early"));
        const auto answer = client.read_until("\r\n\r\n");
        EXPECT_NE(answer.find("Sec-WebSocket-Accept: " + websocket_accept(key)), std::string::npos) << answer;
        EXPECT_EQ(client.read(4), "\x81\x02hi");
        client.send(masked_text("later"));
        EXPECT_EQ(endpoint.read(11), masked_text("later"));

        const auto tunnels = site.gateway->tunnels();
        ASSERT_EQ(tunnels.size(), 1U);
        EXPECT_EQ(tunnels[0].protocol, "websocket");
        EXPECT_EQ(tunnels[0].from_client.frames, 2U);
        EXPECT_EQ(tunnels[0].from_endpoint.frames, 1U);
        client.finish();
        EXPECT_TRUE(endpoint.sees_end());
        endpoint.close();
        EXPECT_TRUE(client.sees_end());
        EXPECT_TRUE(eventually([&] { return site.gateway->tunnels().empty(); }));
        EXPECT_EQ(site.stats().handshakes[Handshake::accepted], 1U);
    }
}

TEST(Upgrade, passes_a_reset_on) {
    Backend backend;
    Site site;
    site.use(site_of(backend));
    Open tunnel = open(site, backend);
    tunnel.client.reset();
    EXPECT_TRUE(tunnel.endpoint.sees_reset());
    Open other = open(site, backend);
    other.endpoint.reset();
    EXPECT_TRUE(other.client.sees_reset());
    EXPECT_TRUE(eventually([&] { return site.log->has("closed_by=endpoint reason=reset"); }));
}

TEST(Upgrade, passes_a_refusal_through_and_says_why) {
    Backend backend;
    Site site;
    site.use(site_of(backend));
    Peer client = site.client();
    client.send(handshake);
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    endpoint.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 6\r\n\r\nno key");
    EXPECT_TRUE(client.read_until("no key").starts_with("HTTP/1.1 400 Bad Request\r\n"));
    EXPECT_TRUE(eventually([&] { return site.log->has("the endpoint answered 400 with \"no key\""); }));
    EXPECT_EQ(site.stats().handshakes[Handshake::endpoint_refused], 1U);
}

TEST(Upgrade, says_that_the_configuration_did_not_pass_it_on) {
    Backend backend;
    Site site;
    site.use(site_of(backend, ""));
    Peer client = site.client();
    client.send(handshake);
    Peer endpoint = backend.accept();
    EXPECT_EQ(endpoint.read_until("\r\n\r\n").find("Upgrade:"), std::string::npos);
    endpoint.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    client.read_until("\r\n\r\n");
    EXPECT_TRUE(eventually([&] { return site.log->has("the endpoint saw no Upgrade header"); }));
}

TEST(Upgrade, refuses_a_101_that_nobody_asked_for) {
    Backend backend;
    Site site;
    site.use(site_of(backend, ""));
    Peer client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    endpoint.send(switching);
    EXPECT_TRUE(client.read_until("</html>").starts_with("HTTP/1.1 502"));
}

TEST(Upgrade, needs_no_configuration_on_automatic_routes_and_checks_the_101) {
    struct Case {
        std::string answer, status;
    };
    const Case cases[] = {
        {switching, "101"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
         "502"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "502"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n", "502"},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "502"}};
    for (const Case& each : cases) {
        Backend backend;
        Site site;
        ASSERT_FALSE(site.apply(automatic(backend)).has_errors());
        Peer client = site.client();
        client.send(handshake);
        Peer endpoint = backend.accept();
        const auto head = endpoint.read_until("\r\n\r\n");
        EXPECT_NE(head.find("Upgrade: websocket\r\n"), std::string::npos);
        endpoint.send(each.answer);
        EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 " + each.status)) << each.answer;
    }
}

TEST(Upgrade, ends_an_idle_tunnel) {
    Backend backend;
    Site site;
    site.use(site_of(backend, upgrades + "proxy_read_timeout 150ms;"));
    Open tunnel = open(site, backend);
    EXPECT_TRUE(tunnel.client.sees_end());
    EXPECT_TRUE(tunnel.endpoint.sees_end());
    EXPECT_TRUE(eventually([&] { return site.log->has("closed_by=hawser reason=idle"); }));
}

TEST(Upgrade, kills_one_tunnel_by_its_number) {
    Backend backend;
    Site site(2);
    site.use(site_of(backend));
    Open one = open(site, backend);
    Open two = open(site, backend);
    const auto tunnels = site.gateway->tunnels();
    ASSERT_EQ(tunnels.size(), 2U);
    EXPECT_NE(tunnels[0].id, tunnels[1].id);
    const bool first_is_one = tunnels[0].client == one.client.address();
    EXPECT_TRUE(site.gateway->kill_tunnel(tunnels[0].id));
    EXPECT_FALSE(site.gateway->kill_tunnel(tunnels[0].id));
    EXPECT_FALSE(site.gateway->kill_tunnel(999));
    Open& killed = first_is_one ? one : two;
    Open& alive = first_is_one ? two : one;
    EXPECT_TRUE(killed.client.sees_reset());
    alive.client.send(masked_text("x"));
    EXPECT_EQ(alive.endpoint.read(7), masked_text("x"));
    EXPECT_EQ(site.stats().services.begin()->second.tunnels_active, 1U);
}

TEST(Upgrade, lets_live_tunnels_alone_when_the_snapshot_changes) {
    Backend backend;
    Site site;
    site.use(site_of(backend));
    Open tunnel = open(site, backend);
    for (int i = 0; i < 20; ++i) {
        site.use(i % 2 == 0 ? "server { listen 127.0.0.1:1; location / { return 404; } }" : site_of(backend));
        tunnel.client.send(masked_text("ping"));
        EXPECT_EQ(tunnel.endpoint.read(10), masked_text("ping"));
    }
    ASSERT_FALSE(site.apply({}).has_errors());  // nothing listens any more
    tunnel.endpoint.send("\x81\x04pong");
    EXPECT_EQ(tunnel.client.read(6), "\x81\x04pong");
}

TEST(Upgrade, says_1001_to_both_ends_in_a_drain) {
    Backend backend;
    Site site(2);
    site.use(site_of(backend));
    Open tunnel = open(site, backend);
    EXPECT_FALSE(site.gateway->drained());
    site.gateway->drain(std::chrono::milliseconds(50), std::chrono::seconds(5));
    const std::string close = tunnel.client.read_until("going away");
    EXPECT_EQ(close, "\x88\x0c\x03\xe9going away");
    EXPECT_EQ(tunnel.endpoint.read_until("going away"),
              std::string("\x88\x8c\0\0\0\0\x03\xe9going away", 18));
    tunnel.client.close();
    tunnel.endpoint.close();
    EXPECT_TRUE(eventually([&] { return site.gateway->drained(); }));
}

TEST(Upgrade, cuts_what_a_drain_left_when_its_time_is_over) {
    Backend backend;
    Site site;
    site.use(site_of(backend));
    Open tunnel = open(site, backend);
    Peer client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    Peer endpoint = backend.accept();
    endpoint.read_until("\r\n\r\n");
    site.gateway->drain(std::chrono::milliseconds(0), std::chrono::milliseconds(150));
    EXPECT_TRUE(eventually([&] { return site.gateway->drained(); }));
    EXPECT_TRUE(client.sees_end());
}

}  // namespace
}  // namespace hawser::gateway::testing
