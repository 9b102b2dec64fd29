// SPDX-License-Identifier: Apache-2.0
#include "app/endpoint_check.h"

#include <gtest/gtest.h>

namespace hawser::app {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;

class EndpointCheckTest : public ::testing::Test {
  protected:
    // A port of loopback at which somebody listens, or did.
    tcp::acceptor listen(std::uint16_t port = 0) {
        return {io_, tcp::endpoint(asio::ip::address_v4::loopback(), port), true};
    }
    static catalog::Snapshot snapshot(const std::vector<std::uint16_t>& ports,
                                      catalog::Protocol protocol = catalog::Protocol::tcp) {
        catalog::Snapshot out;
        catalog::Frontend frontend;
        frontend.protocol = protocol;
        auto group = std::make_shared<catalog::EndpointGroup>();
        for (const auto port : ports) {
            catalog::Endpoint endpoint;
            endpoint.address = {*net::IpAddress::parse("127.0.0.1"), port};
            group->endpoints.push_back(endpoint);
        }
        frontend.group = group;
        out.frontends.push_back(frontend);
        return out;
    }
    void run_until(const std::function<bool()>& done, milliseconds at_most = milliseconds(5'000)) {
        const auto until = std::chrono::steady_clock::now() + at_most;
        while (!done() && std::chrono::steady_clock::now() < until) io_.run_one_for(milliseconds(20));
    }
    asio::io_context io_;
    std::vector<std::string> said_;
    EndpointCheck check_{io_, {milliseconds(30), milliseconds(5), milliseconds(300)},
                         [this](const std::string& why_not) { said_.push_back(why_not); }};
};

TEST_F(EndpointCheckTest, OneThatCanBeReachedIsEnough) {
    auto there = listen();
    auto closed = listen();
    const auto port = closed.local_endpoint().port();
    closed.close();
    check_.watch(snapshot({port, there.local_endpoint().port(), port}));
    run_until([] { return false; }, milliseconds(600));
    EXPECT_TRUE(said_.empty());
}

TEST_F(EndpointCheckTest, NoneIsSaidOnceAndItsEndToo) {
    auto there = listen();
    const auto port = there.local_endpoint().port();
    check_.watch(snapshot({port}));
    run_until([] { return false; }, milliseconds(100));
    EXPECT_TRUE(said_.empty());
    there.close();
    run_until([&] { return !said_.empty(); });
    ASSERT_EQ(said_.size(), 1U);
    EXPECT_EQ(said_[0], "none of 1 endpoints can be reached");
    run_until([] { return false; }, milliseconds(200));
    EXPECT_EQ(said_.size(), 1U);
    there = listen(port);
    run_until([&] { return said_.size() > 1; });
    ASSERT_EQ(said_.size(), 2U);
    EXPECT_EQ(said_[1], "");
}

TEST_F(EndpointCheckTest, WhatHasNoTcpEndpointIsNoTrouble) {
    auto closed = listen();
    const auto port = closed.local_endpoint().port();
    closed.close();
    check_.watch(snapshot({port}, catalog::Protocol::udp));
    run_until([] { return false; }, milliseconds(200));
    check_.watch(snapshot({}));
    run_until([] { return false; }, milliseconds(100));
    EXPECT_TRUE(said_.empty());
}

TEST_F(EndpointCheckTest, EndpointsThatGoAwayAreNoTroubleAnyMore) {
    auto closed = listen();
    const auto port = closed.local_endpoint().port();
    closed.close();
    check_.watch(snapshot({port}));
    run_until([&] { return !said_.empty(); });
    check_.watch(snapshot({}));
    run_until([&] { return said_.size() > 1; });
    ASSERT_EQ(said_.size(), 2U);
    EXPECT_EQ(said_[1], "");
}

TEST_F(EndpointCheckTest, AStoppedOneSaysNothing) {
    auto closed = listen();
    const auto port = closed.local_endpoint().port();
    closed.close();
    check_.watch(snapshot({port}));
    io_.run_one_for(milliseconds(10));
    check_.stop();
    run_until([] { return false; }, milliseconds(200));
    EXPECT_TRUE(said_.empty());
}

}  // namespace
}  // namespace hawser::app
