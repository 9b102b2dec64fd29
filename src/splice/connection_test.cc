// SPDX-License-Identifier: Apache-2.0
// What sockets tell of themselves, on real connections over the namespace's loopback.
#include "splice/connection.h"

#include <fcntl.h>
#include <netinet/tcp.h>

#include <thread>

#include "splice/testing_packets.h"

namespace hawser::splice::testing {
namespace {

using namespace std::chrono_literals;

template <class Condition>
bool eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

void put_sysctl(const std::string& name, int value) {
    ASSERT_EQ(std::system(("sysctl -qw net.ipv4." + name + "=" + std::to_string(value)).c_str()), 0);
}

// Two ends of one connection, non-blocking.
struct Pair {
    net::Fd a, b;
    std::uint16_t port = 0;  // that b listened on

    static Pair make(bool v4, int mss_of_a = 0, int mss_of_b = 0) {
        Pair out;
        const int family = v4 ? AF_INET : AF_INET6;
        sockaddr_storage address{};
        socklen_t size =
            net::SocketAddress{*net::IpAddress::parse(v4 ? "127.0.0.1" : "::1"), 0}.to_sockaddr(address);
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        const net::Fd listener(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int yes = 1;
        ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (mss_of_b != 0) ::setsockopt(listener.get(), IPPROTO_TCP, TCP_MAXSEG, &mss_of_b, sizeof mss_of_b);
        EXPECT_EQ(::bind(listener.get(), generic, size), 0);
        EXPECT_EQ(::listen(listener.get(), 1), 0);
        ::getsockname(listener.get(), generic, &size);
        out.port = net::SocketAddress::from_sockaddr(address).port;
        out.a = net::Fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (mss_of_a != 0) ::setsockopt(out.a.get(), IPPROTO_TCP, TCP_MAXSEG, &mss_of_a, sizeof mss_of_a);
        EXPECT_EQ(::connect(out.a.get(), generic, size), 0);
        out.b = net::Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        ::fcntl(out.a.get(), F_SETFL, O_NONBLOCK);
        ::setsockopt(out.a.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        return out;
    }
    static ssize_t write(int fd, std::size_t size) {
        const Bytes bytes(size, 'x');
        return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    // Until the window is full. Returns how much.
    static std::size_t fill(int fd) {
        std::size_t sum = 0;
        for (ssize_t n = 0; (n = write(fd, 4096)) > 0;) sum += static_cast<std::size_t>(n);
        return sum;
    }
    static std::size_t drain(int fd) {
        Bytes buffer(1 << 16);
        std::size_t sum = 0;
        for (ssize_t n = 0; (n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;)
            sum += static_cast<std::size_t>(n);
        return sum;
    }
};

class ConnectionTest : public PacketTest, public ::testing::WithParamInterface<bool> {
  protected:
    void TearDown() override {
        if (node_ == nullptr) return;
        for (const char* name : {"tcp_timestamps", "tcp_sack", "tcp_window_scaling"}) put_sysctl(name, 1);
    }
    static Pair make(int mss_of_a = 0, int mss_of_b = 0) {
        return Pair::make(GetParam(), mss_of_a, mss_of_b);
    }
};
INSTANTIATE_TEST_SUITE_P(Families, ConnectionTest, ::testing::Values(true, false),
                         [](const auto& each) { return each.param ? "IPv4" : "IPv6"; });

TEST_P(ConnectionTest, FactsOfBothEndsAgree) {
    const Pair pair = make();
    const auto a = facts_of(pair.a.get()), b = facts_of(pair.b.get());
    ASSERT_TRUE(a && b);
    for (const auto& facts : {*a, *b}) {
        EXPECT_TRUE(facts.established);
        EXPECT_TRUE(facts.timestamps);
        EXPECT_TRUE(facts.sack);
        EXPECT_TRUE(facts.window_scaling);
    }
    EXPECT_EQ(a->peer_window_scale, b->our_window_scale);
    EXPECT_EQ(b->peer_window_scale, a->our_window_scale);
    EXPECT_GT(a->our_window_scale, 0);
    EXPECT_LE(a->send_mss, b->advertised_mss);
    EXPECT_LE(b->send_mss, a->advertised_mss);
}

TEST_P(ConnectionTest, FactsAreWithoutWhatWasNotAgreedUpon) {
    for (const char* off : {"tcp_timestamps", "tcp_sack", "tcp_window_scaling"}) {
        SCOPED_TRACE(off);
        put_sysctl(off, 0);
        const Pair pair = make();
        put_sysctl(off, 1);
        const std::string name(off);
        const auto facts = facts_of(pair.a.get());
        ASSERT_TRUE(facts);
        EXPECT_EQ(facts->timestamps, name != "tcp_timestamps");
        EXPECT_EQ(facts->sack, name != "tcp_sack");
        EXPECT_EQ(facts->window_scaling, name != "tcp_window_scaling");
        if (!facts->window_scaling) {
            EXPECT_EQ(facts->our_window_scale, 0);
            EXPECT_EQ(facts->peer_window_scale, 0);
        }
        EXPECT_TRUE(numbers_of(pair.a.get())) << "their numbers are told all the same";
    }
}

TEST_P(ConnectionTest, SegmentsAreMeasuredWithTheirTimestamps) {
    for (const int timestamps_on : {1, 0}) {
        SCOPED_TRACE(timestamps_on);
        put_sysctl("tcp_timestamps", timestamps_on);
        for (const bool by_listener : {false, true}) {
            // One end tells the other 1,000 bytes in its SYN or in its answer.
            const Pair pair = make(by_listener ? 0 : 1'000, by_listener ? 1'000 : 0);
            const auto told = facts_of((by_listener ? pair.b : pair.a).get());
            const auto hears = facts_of((by_listener ? pair.a : pair.b).get());
            EXPECT_EQ(told->advertised_mss, 1'000U) << by_listener;
            EXPECT_EQ(hears->send_mss, 1'000U) << by_listener;
        }
    }
}

TEST_P(ConnectionTest, AnEndThatHearsOfAFinIsNotEstablishedAnyMore) {
    Pair pair = make();
    ::shutdown(pair.b.get(), SHUT_WR);
    EXPECT_TRUE(eventually([&] { return !facts_of(pair.a.get())->established; }));
    EXPECT_FALSE(facts_of(pair.b.get())->established);
    EXPECT_TRUE(facts_of(pair.a.get())->peer_finished);
    EXPECT_FALSE(facts_of(pair.b.get())->peer_finished) << "its own FIN says nothing of the peer's";
    ::shutdown(pair.a.get(), SHUT_WR);
    EXPECT_TRUE(eventually([&] { return facts_of(pair.b.get())->peer_finished; }));
}

TEST_P(ConnectionTest, NumbersAreThoseOfTheOtherEndAndAdvanceWithEveryByte) {
    const Pair pair = make();
    const auto before_a = numbers_of(pair.a.get()), before_b = numbers_of(pair.b.get());
    ASSERT_TRUE(before_a && before_b);
    EXPECT_EQ(before_a->send_next, before_b->receive_next);
    EXPECT_EQ(before_b->send_next, before_a->receive_next);
    std::uint32_t sent = 0;
    for (const std::size_t size : {1U, 999U, 40'000U}) {
        ASSERT_EQ(Pair::write(pair.a.get(), size), static_cast<ssize_t>(size));
        sent += static_cast<std::uint32_t>(size);
        EXPECT_EQ(numbers_of(pair.a.get())->send_next, before_a->send_next + sent);
        EXPECT_TRUE(eventually([&] {
            return numbers_of(pair.b.get())->receive_next == before_b->receive_next + sent;
        })) << "unread or not";
    }
    EXPECT_EQ(numbers_of(pair.b.get())->send_next, before_b->send_next);
    EXPECT_EQ(unread(pair.b.get()), static_cast<int>(sent));
    EXPECT_EQ(Pair::drain(pair.b.get()), sent) << "and the connection goes on";
    EXPECT_EQ(numbers_of(pair.b.get())->receive_next, before_b->receive_next + sent);
}

TEST_P(ConnectionTest, OurTimestampIsAClockOfMilliseconds) {
    const Pair pair = make();
    const std::uint32_t before = numbers_of(pair.a.get())->timestamp;
    const auto began = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() - began < 30ms) std::this_thread::yield();
    const std::uint32_t passed_by = numbers_of(pair.a.get())->timestamp - before;
    EXPECT_GE(passed_by, 29U);
    EXPECT_LE(passed_by, 10'000U);
}

TEST_P(ConnectionTest, AskingForNumbersSendsNothingAndAProbeIsAnswered) {
    const Pair pair = make();
    ASSERT_GT(Pair::write(pair.a.get(), 10), 0);
    ASSERT_TRUE(eventually([&] { return unacknowledged(pair.a.get()) == 0; }));
    Wire wire("lo");
    for (int n = 0; n < 100; ++n) numbers_of(pair.a.get());
    EXPECT_EQ(wire.take(pair.port).size(), 0U);
    probe(pair.a.get());
    std::vector<Bytes> frames = wire.take(pair.port, 1'000);
    ASSERT_GT(frames.size(), 0U);
    std::string wrong;
    const Packet asked = packet_of(frames[0], wrong);
    EXPECT_EQ(asked.destination.port, pair.port);
    EXPECT_EQ(asked.payload.size(), 0U);
    EXPECT_EQ(asked.sequence, numbers_of(pair.a.get())->send_next - 1) << "one that the peer has already";
}

TEST_P(ConnectionTest, SocketsThatWereAskedKeepTheirReuseOfAddresses) {
    const Pair pair = make();
    numbers_of(pair.a.get());
    int reuse = 0;
    socklen_t size = sizeof reuse;
    ASSERT_EQ(::getsockopt(pair.a.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, &size), 0);
    EXPECT_NE(reuse, 0);
}

TEST_P(ConnectionTest, ASilentCloseSendsNothingWhateverIsUnread) {
    for (const bool with_data : {false, true}) {
        SCOPED_TRACE(with_data);
        Pair pair = make();
        if (with_data) {
            ASSERT_GT(Pair::write(pair.a.get(), 100), 0);
            ASSERT_GT(Pair::write(pair.b.get(), 100), 0);
            ASSERT_TRUE(eventually([&] {
                return unacknowledged(pair.a.get()) == 0 && unacknowledged(pair.b.get()) == 0 &&
                       unread(pair.a.get()) == 100;
            }));
        }
        Wire wire("lo");
        close_silently(pair.a.get());
        EXPECT_EQ(wire.take(pair.port).size(), 0U);
        EXPECT_LT(Pair::write(pair.a.get(), 1), 0) << "it is dead";
        EXPECT_FALSE(facts_of(pair.a.get())->established);
        pair.a = net::Fd();
        EXPECT_EQ(wire.take(pair.port, 100).size(), 0U);
        EXPECT_TRUE(facts_of(pair.b.get())->established) << "the peer has not noticed";
        close_silently(pair.b.get());
    }
}

TEST_P(ConnectionTest, ASilentlyClosedConnectionsPortIsFreeAtOnce) {
    Pair pair = make();
    sockaddr_storage local{};
    socklen_t size = sizeof local;
    ::getsockname(pair.a.get(), reinterpret_cast<sockaddr*>(&local), &size);
    close_silently(pair.a.get());
    pair.a = net::Fd();
    const net::Fd next(::socket(local.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(next.get(), reinterpret_cast<sockaddr*>(&local), size), 0) << std::strerror(errno);
    close_silently(pair.b.get());
}

TEST_P(ConnectionTest, QueuesAreCountedWhileTheReaderIsSlow) {
    const Pair pair = make();
    EXPECT_EQ(unread(pair.a.get()), 0);
    EXPECT_EQ(unsent(pair.a.get()), 0);
    EXPECT_EQ(unacknowledged(pair.a.get()), 0);
    const auto written = static_cast<int>(Pair::fill(pair.a.get()));
    // The reader's window ends it: what is left over is unsent.
    EXPECT_TRUE(eventually([&] {
        return unread(pair.b.get()) + unsent(pair.a.get()) == written &&
               unacknowledged(pair.a.get()) == unsent(pair.a.get());
    }));
    EXPECT_GT(unsent(pair.a.get()), 0);
    EXPECT_EQ(numbers_of(pair.a.get())->send_next,
              numbers_of(pair.b.get())->receive_next + static_cast<std::uint32_t>(unsent(pair.a.get())))
        << "send_next counts what the socket was given";
}

TEST(Connection, WhatIsNoConnectionTellsNothing) {
    EXPECT_FALSE(facts_of(-1));
    EXPECT_FALSE(numbers_of(-1));
    EXPECT_EQ(unread(-1), -1);
    EXPECT_EQ(unsent(-1), -1);
    EXPECT_EQ(unacknowledged(-1), -1);
    const net::Fd datagram(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    EXPECT_FALSE(facts_of(datagram.get()));
    EXPECT_FALSE(numbers_of(datagram.get()));
    close_silently(-1);
    close_silently(datagram.get());
    probe(datagram.get());
    const net::Fd fresh(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(facts_of(fresh.get()));
    EXPECT_FALSE(facts_of(fresh.get())->established);
}

}  // namespace
}  // namespace hawser::splice::testing
