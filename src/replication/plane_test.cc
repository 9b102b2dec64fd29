// SPDX-License-Identifier: Apache-2.0
#include "replication/plane.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"
#include "replication/testing_tunnels.h"

namespace hawser::replication::testing {
namespace {

using std::chrono::milliseconds;
constexpr const char* vip = "192.168.0.150";

// A port that nobody has, for a moment at least.
std::uint16_t free_port() {
    const net::Fd fd(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return net::local_address(fd.get()).port;
}

struct Node {
    // Nodes of one port have each an address of 127.0.0.0/8.
    Node(std::uint64_t origin, const char* at, std::uint16_t port, std::string secret = std::string(32, 's'),
         std::uint64_t unapplied = 65'536)
        : address{ip(at), port}, tunnels(origin), key(std::move(secret)), most_unapplied(unapplied) {}
    void start(std::vector<net::SocketAddress> peers = {}, unsigned parts = 2) {
        Plane::Options options;
        options.listen = {address};
        options.peers = std::move(peers);
        options.parts = parts;
        options.name = "node-" + std::to_string(tunnels.origin());
        options.most_unapplied = most_unapplied;
        options.heartbeat = milliseconds(20);
        options.first_retry = milliseconds(10);
        options.last_retry = milliseconds(50);
        Plane::Callbacks callbacks;
        callbacks.log = [this](bool, const std::string& line) {
            const std::lock_guard guard(mutex);
            lines.push_back(line);
        };
        auto opened = Plane::open(std::move(options), Key::from_text(key), tunnels, std::move(callbacks));
        ASSERT_TRUE(opened) << opened.error().text();
        plane = std::move(*opened);
    }
    [[nodiscard]] PeerStatus peer() {
        const auto status = plane->status();
        for (const auto& p : status.peers)
            if (p.connected) return p;
        return status.peers.empty() ? PeerStatus{} : status.peers.front();
    }
    [[nodiscard]] std::size_t connected() {
        const auto status = plane->status();
        return static_cast<std::size_t>(
            std::count_if(status.peers.begin(), status.peers.end(), [](const auto& p) { return p.connected; }));
    }
    [[nodiscard]] std::string said() {
        const std::lock_guard guard(mutex);
        std::string out;
        for (const auto& line : lines) out += line + "\n";
        return out;
    }
    net::SocketAddress address;
    Tunnels tunnels;
    std::string key;
    std::uint64_t most_unapplied;
    std::mutex mutex;
    std::vector<std::string> lines;
    std::unique_ptr<Plane> plane;
};

template <class Condition>
::testing::AssertionResult soon(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) return ::testing::AssertionFailure() << "it never came";
        std::this_thread::sleep_for(milliseconds(2));
    }
    return ::testing::AssertionSuccess();
}

using Identities = std::set<splice::Identity>;

class PlaneTest : public ::testing::Test {
  protected:
    std::uint16_t port_ = free_port();
    Node a_{1, "127.0.0.1", port_}, b_{2, "127.0.0.2", port_};

    void connect() {
        a_.start();
        b_.start({a_.address});
        ASSERT_TRUE(soon([&] { return a_.peer().in_step && b_.peer().in_step; })) << a_.said() << b_.said();
    }
};

TEST_F(PlaneTest, NewsGoOnceAndLeaveNoLag) {
    a_.tunnels.hold(vip, true);
    connect();
    const auto one = tunnel(1, 1), two = tunnel(1, 2);
    a_.tunnels.begin(one);
    a_.tunnels.begin(two);
    EXPECT_TRUE(soon([&] { return b_.tunnels.known() == Identities{one.identity, two.identity}; }));
    a_.tunnels.end(one);
    EXPECT_TRUE(soon([&] { return b_.tunnels.known() == Identities{two.identity}; }));
    EXPECT_TRUE(soon([&] { return a_.peer().lag == 0; }));
    EXPECT_EQ(a_.peer().name, "node-2");
    EXPECT_EQ(b_.peer().vips, std::vector<net::IpAddress>{ip(vip)});
    EXPECT_EQ(a_.peer().lost, 0U);
    EXPECT_EQ(a_.peer().snapshots, 1U);
}

TEST_F(PlaneTest, WhoJoinsGetsEverythingAndForgetsWhatIsNoMore) {
    a_.tunnels.hold(vip, true);
    for (std::uint64_t i = 1; i <= 1'000; ++i) a_.tunnels.put(tunnel(1, i));
    b_.tunnels.put(tunnel(1, 5'000));  // has ended meanwhile
    b_.tunnels.put(tunnel(2, 1, "192.168.0.151"));
    connect();
    EXPECT_TRUE(soon([&] { return b_.plane->has_all_of(a_.address.ip); }));
    EXPECT_EQ(b_.tunnels.known().size(), 1'001U);
    EXPECT_FALSE(b_.plane->has_all_of(ip("127.0.0.77")));
    EXPECT_TRUE(b_.plane->has_all_of(ip("fe80::1"))) << "of all that there are";
    EXPECT_FALSE(b_.tunnels.known().contains({1, 5'000}));
    EXPECT_TRUE(b_.tunnels.known().contains({2, 1})) << "of a VIP that the other has not";
}

TEST_F(PlaneTest, WhatANodeCarriedAloneIsToldToWhoeverHasTheVipNow) {
    // Both had it for a while.
    a_.tunnels.hold(vip, true);
    b_.tunnels.hold(vip, true);
    b_.tunnels.put(tunnel(2, 7));
    b_.tunnels.hold(vip, false);
    a_.tunnels.put(tunnel(1, 1));
    const auto ended = tunnel(2, 8);
    b_.tunnels.put(ended);
    a_.tunnels.end(ended);
    connect();
    EXPECT_TRUE(soon([&] { return a_.tunnels.known() == Identities{{1, 1}, {2, 7}}; }));
    EXPECT_TRUE(soon([&] { return b_.tunnels.known() == Identities{{1, 1}, {2, 7}}; })) << "of its end, b is told";
    EXPECT_TRUE(soon([&] { return b_.tunnels.vips_untold().empty(); }));
}

TEST_F(PlaneTest, AConnectionThatBreaksIsMadeAgain) {
    a_.tunnels.hold(vip, true);
    connect();
    a_.plane->stop();
    EXPECT_TRUE(soon([&] { return b_.connected() == 0; }));
    a_.tunnels.put(tunnel(1, 3));
    a_.start();
    EXPECT_TRUE(soon([&] { return b_.tunnels.known() == Identities{{1, 3}}; })) << b_.said();
    EXPECT_NE(b_.said().find("lost node-1"), std::string::npos);
}

TEST_F(PlaneTest, TwoThatDialEachOtherKeepOneConnection) {
    for (int round = 0; round < 5; ++round) {
        a_.start({b_.address});
        b_.start({a_.address});
        ASSERT_TRUE(soon([&] { return a_.peer().in_step && b_.peer().in_step; })) << a_.said() << b_.said();
        std::this_thread::sleep_for(milliseconds(60));
        EXPECT_EQ(a_.connected(), 1U);
        EXPECT_EQ(b_.connected(), 1U);
        a_.plane->stop();
        b_.plane->stop();
    }
}

TEST_F(PlaneTest, AThirdNodeHearsOfEverythingToo) {
    Node c(3, "127.0.0.3", port_);
    a_.tunnels.hold(vip, true);
    connect();
    c.start({a_.address, b_.address, c.address});
    ASSERT_TRUE(soon([&] { return c.connected() == 2; })) << c.said();
    a_.tunnels.begin(tunnel(1, 1));
    EXPECT_TRUE(soon([&] { return c.tunnels.known().size() == 1 && b_.tunnels.known().size() == 1; }));
    EXPECT_EQ(c.plane->status().peers.size(), 2U) << "it does not know itself as another";
}

TEST_F(PlaneTest, ANodeThatIsMetIsDialed) {
    a_.start();
    b_.start();
    b_.plane->meet(a_.address.ip);
    b_.plane->meet(a_.address.ip);
    EXPECT_TRUE(soon([&] { return a_.connected() == 1; }));
}

TEST_F(PlaneTest, WhoeverIsTooSlowGetsASnapshotLater) {
    Node a(1, "127.0.0.1", free_port(), std::string(32, 's'), 2'000);
    a.tunnels.hold(vip, true);
    a.start();
    b_.start({a.address});
    ASSERT_TRUE(soon([&] { return a.peer().in_step; }));
    b_.tunnels.pause(true);
    Identities all;
    for (std::uint64_t id = 1; id <= 5'000; ++id) {
        all.insert({1, id});
        a.tunnels.begin(tunnel(1, id));
    }
    EXPECT_TRUE(soon([&] { return a.peer().lost > 2'900; }));
    EXPECT_LE(a.peer().lag, 2'001U);
    EXPECT_TRUE(soon([&] { return a.peer().lag_time.count() > 0; }));
    b_.tunnels.pause(false);
    EXPECT_TRUE(soon([&] { return b_.tunnels.known() == all; }));
    EXPECT_TRUE(soon([&] { return a.peer().lag == 0; }));
    EXPECT_GT(a.peer().snapshots, 1U);
    // And it goes on as before.
    a.tunnels.begin(tunnel(1, 6'000));
    EXPECT_TRUE(soon([&] { return b_.tunnels.known().contains({1, 6'000}); }));
}

TEST_F(PlaneTest, MissedEventsAreMadeUpFor) {
    a_.tunnels.hold(vip, true);
    connect();
    a_.tunnels.put(tunnel(1, 4));
    a_.tunnels.miss();
    EXPECT_TRUE(soon([&] { return b_.tunnels.known() == Identities{{1, 4}}; }));
}

TEST_F(PlaneTest, WhoeverHasAnotherKeyHearsNothing) {
    Node c(3, "127.0.0.3", port_, std::string(32, 'x'));
    a_.tunnels.hold(vip, true);
    a_.tunnels.put(tunnel(1, 1));
    a_.start();
    c.start({a_.address});
    EXPECT_TRUE(soon([&] { return a_.plane->status().refused > 0; }));
    EXPECT_EQ(a_.connected(), 0U);
    EXPECT_TRUE(c.tunnels.known().empty());
    EXPECT_NE(a_.said().find("refused 127.0.0."), std::string::npos) << a_.said();
}

TEST_F(PlaneTest, StrangersAreBounded) {
    a_.start();
    std::vector<net::Fd> strangers;
    for (int i = 0; i < 40; ++i) {
        auto fd = net::start_connect(a_.address);
        ASSERT_TRUE(fd);
        strangers.push_back(std::move(*fd));
    }
    EXPECT_TRUE(soon([&] { return a_.plane->status().refused >= 20; }));
    strangers.clear();
    b_.start({a_.address});
    EXPECT_TRUE(soon([&] { return a_.connected() == 1; }));
}

TEST_F(PlaneTest, NodesTakeDifferentPartsOfThePorts) {
    // Both would take part 1.
    Node c(3, "127.0.0.3", port_);
    a_.start();
    c.start({a_.address});
    EXPECT_TRUE(soon([&] { return a_.connected() == 1 && a_.tunnels.part() != c.tunnels.part(); }));
    EXPECT_EQ(a_.tunnels.part(), 1U) << "the lower number keeps its part";
    EXPECT_EQ(c.plane->status().part, 0U);
    // There are three nodes and two parts: it stays as it is.
    b_.start({a_.address, c.address});
    EXPECT_TRUE(soon([&] { return b_.connected() == 2; }));
}

TEST_F(PlaneTest, WhatWasSaidBeforeItStopsArrives) {
    a_.tunnels.hold(vip, true);
    connect();
    for (std::uint64_t i = 1; i <= 2'000; ++i) a_.tunnels.begin(tunnel(1, i));
    a_.plane->stop();
    EXPECT_TRUE(soon([&] { return b_.tunnels.known().size() == 2'000; }));
}

}  // namespace
}  // namespace hawser::replication::testing
