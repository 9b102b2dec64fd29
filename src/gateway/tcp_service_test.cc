// SPDX-License-Identifier: Apache-2.0
#include "gateway/testing_gateway.h"

namespace hawser::gateway::testing {
namespace {

std::int64_t active(const catalog::EndpointGroup& group) {
    std::int64_t sum = 0;
    for (const auto& endpoint : group.endpoints) sum += endpoint.state->active;
    return sum;
}

TEST(TcpService, carries_bytes_and_half_closes_both_ways) {
    for (const unsigned workers : {1U, 2U}) {
        Backend backend;
        Site site(workers);
        const auto group = group_of({backend.address()});
        site.use({frontend_of(group)});
        Peer client = Peer::connect(site.address("im"));
        client.send("question");
        client.finish();
        Peer endpoint = backend.accept();
        EXPECT_EQ(endpoint.read_to_end(), "question");
        EXPECT_EQ(active(*group), 1);
        endpoint.send("answer");
        endpoint.finish();
        EXPECT_EQ(client.read_to_end(), "answer");
        EXPECT_TRUE(eventually([&] { return active(*group) == 0; }));
        EXPECT_TRUE(eventually([&] { return site.log->has("tunnel open"); }));
        EXPECT_TRUE(eventually([&] { return site.log->has("closed_by=client reason=finished"); }));
        EXPECT_EQ(site.stats().services["default/im"].bytes_in, 8U);
    }
}

TEST(TcpService, goes_to_the_next_endpoint_when_one_does_not_answer) {
    Backend backend;
    Site site;
    site.use({frontend_of(group_of({dead_address(), backend.address()}))});
    for (int i = 0; i < 4; ++i) {
        Peer client = Peer::connect(site.address("im"));
        Peer endpoint = backend.accept();
        endpoint.send("hi");
        EXPECT_EQ(client.read(2), "hi");
    }
}

TEST(TcpService, resets_a_client_that_no_endpoint_takes) {
    Site site;
    site.use({frontend_of(group_of({dead_address(), dead_address()}))});
    Peer client = Peer::connect(site.address("im"));
    EXPECT_TRUE(client.sees_reset());
    EXPECT_EQ(site.stats().refused["no_endpoint"], 1U);
    EXPECT_EQ(site.stats().connections, 0U);
}

TEST(TcpService, does_not_listen_without_endpoints_P_06) {
    Backend backend;
    Site site;
    site.use({frontend_of(group_of({backend.address()}))});
    const auto address = site.address("im");
    site.use({frontend_of(group_of({}))});
    EXPECT_THROW(Peer::connect(address), std::runtime_error);
    EXPECT_TRUE(site.gateway->listening().empty());
}

// A connect that is not decided within `limit`.
bool is_silent(const net::SocketAddress& to, int limit_ms) {
    auto fd = net::start_connect(to);
    if (!fd) return false;
    pollfd one{fd->get(), POLLOUT, 0};
    return ::poll(&one, 1, limit_ms) == 0;
}

TEST(TcpService, stays_silent_where_the_policy_says_drop_P_03) {
    Site site;
    auto frontend = frontend_of(group_of({}));
    frontend.when_empty = catalog::Frontend::WhenEmpty::drop;
    site.use({frontend});
    EXPECT_TRUE(is_silent(site.address("im"), 200));
}

TEST(TcpService, is_silent_to_clients_outside_of_the_source_ranges_S_17) {
    Backend backend;
    Site site;
    auto frontend = frontend_of(group_of({backend.address()}));
    frontend.source_ranges = {*net::Cidr::parse("10.0.0.0/8")};
    site.use({frontend});
    EXPECT_TRUE(is_silent(site.address("im"), 200));
    frontend.source_ranges.push_back(*net::Cidr::parse("127.0.0.0/8"));
    site.use({frontend});
    Peer client = Peer::connect(site.address("im"));
    backend.accept().send("hi");
    EXPECT_EQ(client.read(2), "hi");
}

TEST(TcpService, keeps_tunnels_of_a_frontend_that_is_gone) {
    Backend backend;
    Site site;
    site.use({frontend_of(group_of({backend.address()}))});
    Peer client = Peer::connect(site.address("im"));
    Peer endpoint = backend.accept();
    site.use(std::vector<catalog::Frontend>{});
    client.send("still here");
    EXPECT_EQ(endpoint.read(10), "still here");
}

TEST(TcpService, resets_a_client_past_the_limit) {
    Backend backend;
    Limits limits;
    limits.max_connections_per_client = 1;
    Site site(1, limits);
    site.use({frontend_of(group_of({backend.address()}))});
    Peer first = Peer::connect(site.address("im"));
    Peer endpoint = backend.accept();
    EXPECT_TRUE(eventually([&] { return site.gateway->tunnels().size() == 1; }));
    Peer second = Peer::connect(site.address("im"));
    EXPECT_TRUE(second.sees_reset());
}

TEST(TcpService, keeps_a_client_at_its_endpoint_A_02) {
    Backend one, two;
    Site site(2);
    auto group = group_of({one.address(), two.address()});
    group->balancing.affinity_timeout = std::chrono::seconds(60);
    site.use({frontend_of(group)});
    for (int i = 0; i < 6; ++i) {
        Peer client = Peer::connect(site.address("im"));
        EXPECT_TRUE(eventually([&] { return one.is_wanted() || two.is_wanted(); }));
        Backend& chosen = one.is_wanted() ? one : two;
        chosen.accept().send("x");
        EXPECT_EQ(client.read(1), "x");
    }
    EXPECT_TRUE(group->endpoints[0].state->opened == 6 || group->endpoints[1].state->opened == 6);
}

}  // namespace
}  // namespace hawser::gateway::testing
