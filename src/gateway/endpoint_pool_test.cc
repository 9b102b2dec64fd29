// SPDX-License-Identifier: Apache-2.0
#include "gateway/endpoint_pool.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace hawser::gateway {
namespace {

using std::chrono::milliseconds;

class EndpointPoolTest : public ::testing::Test {
  protected:
    EndpointPoolTest() {
        group.id = "g";
        group.keepalive = 2;
    }
    // A connection whose other end is the last of `peers`.
    std::unique_ptr<EndpointConnection> connection() {
        int fds[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        peers.emplace_back(fds[1]);
        auto out = std::make_unique<EndpointConnection>();
        out->socket = std::make_unique<net::Socket>(loop, net::Fd(fds[0]), true);
        EXPECT_TRUE(out->socket->open());
        out->requests = 1;
        out->opened = loop.now();
        return out;
    }
    net::Loop loop;
    std::vector<net::Fd> peers;
    EndpointPool pool{loop};
    catalog::EndpointGroup group;
    net::SocketAddress one = *net::SocketAddress::parse("10.0.0.1:80");
    net::SocketAddress two = *net::SocketAddress::parse("10.0.0.2:80");
};

TEST_F(EndpointPoolTest, gives_the_most_recently_used_of_an_address) {
    auto a = connection();
    auto b = connection();
    const auto* const last = b.get();
    pool.put(group, one, std::move(a));
    pool.put(group, one, std::move(b));
    EXPECT_EQ(pool.take("g", two), nullptr);
    EXPECT_EQ(pool.take("other", one), nullptr);
    const auto got = pool.take("g", one);
    EXPECT_EQ(got.get(), last);
    EXPECT_TRUE(got->reused);
    EXPECT_EQ(pool.size(), 1U);
}

TEST_F(EndpointPoolTest, lets_the_least_recently_used_make_room) {
    pool.put(group, one, connection());
    pool.put(group, two, connection());
    pool.put(group, two, connection());
    EXPECT_EQ(pool.size(), 2U);
    EXPECT_EQ(pool.take("g", one), nullptr);
}

TEST_F(EndpointPoolTest, keeps_none_that_is_used_up_old_or_has_said_too_much) {
    auto used = connection();
    used->requests = group.keepalive_requests;
    pool.put(group, one, std::move(used));
    auto talkative = connection();
    talkative->input = "x";
    pool.put(group, one, std::move(talkative));
    auto old = connection();
    old->opened = loop.now() - group.keepalive_time;
    pool.put(group, one, std::move(old));
    group.keepalive = 0;
    pool.put(group, one, connection());
    EXPECT_EQ(pool.size(), 0U);
}

TEST_F(EndpointPoolTest, drops_one_that_speaks_or_closes_or_is_idle_for_too_long) {
    pool.put(group, one, connection());
    pool.put(group, one, connection());
    ASSERT_EQ(send(peers[0].get(), "x", 1, 0), 1);
    peers[1].reset();
    for (int i = 0; i < 100 && pool.size() != 0; ++i) loop.turn(milliseconds(10));
    EXPECT_EQ(pool.size(), 0U);
    group.keepalive_timeout = milliseconds(10);
    pool.put(group, one, connection());
    for (int i = 0; i < 100 && pool.size() != 0; ++i) loop.turn(milliseconds(10));
    EXPECT_EQ(pool.size(), 0U);
}

}  // namespace
}  // namespace hawser::gateway
