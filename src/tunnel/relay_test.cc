// SPDX-License-Identifier: Apache-2.0
#include "tunnel/relay.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <random>

#include "net/listen.h"

namespace hawser::tunnel {
namespace {

using std::chrono::milliseconds;

// A TCP connection over loopback: ours (non-blocking) and the peer's end.
struct Connection {
    net::Fd ours, peer;
    explicit Connection(int receive_buffer = 0) {
        auto listener = net::open_listeners(*net::SocketAddress::parse("127.0.0.1:0"), 1, {});
        const auto at = net::local_address((*listener)[0].get());
        peer = net::Fd(socket(AF_INET, SOCK_STREAM, 0));
        if (receive_buffer != 0)
            setsockopt(peer.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        sockaddr_storage storage;
        const socklen_t size = at.to_sockaddr(storage);
        EXPECT_EQ(connect(peer.get(), reinterpret_cast<sockaddr*>(&storage), size), 0);
        while (!ours.valid()) ours = net::Fd(accept4((*listener)[0].get(), nullptr, nullptr, SOCK_NONBLOCK));
    }
};

class RelayTest : public ::testing::Test {
  protected:
    struct Told : Epilogue {
        explicit Told(std::optional<Tunnel>& to) : told(to) {}
        void ended(const Tunnel& tunnel) override { told = tunnel; }
        std::optional<Tunnel>& told;
    };
    void open(const char* protocol, Relay::Ends early = {}, milliseconds idle = milliseconds(60'000)) {
        Relay::Ends ends = std::move(early);
        ends.client = std::make_unique<net::Socket>(loop_, std::move(client_.ours), true);
        ends.endpoint = std::make_unique<net::Socket>(loop_, std::move(endpoint_.ours), true);
        ASSERT_TRUE(ends.client->open());
        ASSERT_TRUE(ends.endpoint->open());
        Tunnel tunnel;
        tunnel.protocol = protocol;
        tunnel.idle_timeout = idle;
        relay_ = &registry_.add(std::move(tunnel), std::move(ends), std::make_unique<Told>(closed_));
    }
    template <class Done>
    bool run_until(Done done) {
        const auto deadline = net::Clock::now() + std::chrono::seconds(10);
        while (!done() && net::Clock::now() < deadline) loop_.turn(milliseconds(5));
        return done();
    }
    // Everything the peer can read now.
    static std::string drain(int fd, bool* ended = nullptr) {
        std::string out;
        char buffer[65536];
        for (;;) {
            const ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (n > 0) {
                out.append(buffer, static_cast<std::size_t>(n));
                continue;
            }
            if (ended != nullptr) *ended = n == 0 || errno != EAGAIN;
            return out;
        }
    }
    std::string collect(int fd, std::size_t size) {
        std::string out;
        run_until([&] {
            out += drain(fd);
            return out.size() >= size;
        });
        return out;
    }
    static void put(int fd, std::string_view text) {
        ASSERT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    }

    net::Loop loop_;
    Registry registry_{loop_, 0, 1};
    Connection client_, endpoint_;
    Relay* relay_ = nullptr;
    std::optional<Tunnel> closed_;
};

std::string pattern(std::size_t size, unsigned seed) {
    std::mt19937 random(seed);
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(random());
    return out;
}

TEST_F(RelayTest, carries_every_byte_both_ways_at_once_past_slow_readers) {
    open("tcp");
    const std::string up = pattern(8'000'000, 1);
    const std::string down = pattern(5'000'000, 2);
    std::string got_up;
    std::string got_down;
    std::size_t sent_up = 0;
    std::size_t sent_down = 0;
    std::mt19937 random(3);
    const auto feed = [&random](int fd, const std::string& data, std::size_t& at) {
        const std::size_t n = std::min<std::size_t>(data.size() - at, random() % 200'000);
        const ssize_t sent = send(fd, data.data() + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) at += static_cast<std::size_t>(sent);
    };
    const auto sip = [&random](int fd, std::string& out) {
        std::string buffer(random() % 150'000 + 1, '\0');
        const ssize_t n = recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n > 0) out.append(buffer.data(), static_cast<std::size_t>(n));
    };
    EXPECT_TRUE(run_until([&] {
        feed(client_.peer.get(), up, sent_up);
        feed(endpoint_.peer.get(), down, sent_down);
        sip(endpoint_.peer.get(), got_up);
        sip(client_.peer.get(), got_down);
        return got_up.size() == up.size() && got_down.size() == down.size();
    }));
    EXPECT_TRUE(got_up == up);
    EXPECT_TRUE(got_down == down);
    EXPECT_EQ(relay_->snapshot().from_client.bytes, up.size());
    EXPECT_EQ(relay_->snapshot().from_endpoint.bytes, down.size());
}

TEST_F(RelayTest, passes_on_a_half_close_and_goes_on_in_the_other_direction) {
    open("tcp");
    put(client_.peer.get(), "last words");
    shutdown(client_.peer.get(), SHUT_WR);
    bool ended = false;
    std::string got;
    EXPECT_TRUE(run_until([&] {
        got += drain(endpoint_.peer.get(), &ended);
        return ended;
    }));
    EXPECT_EQ(got, "last words");
    EXPECT_FALSE(closed_);
    put(endpoint_.peer.get(), "an answer");
    EXPECT_EQ(collect(client_.peer.get(), 9), "an answer");
    endpoint_.peer.reset();
    ASSERT_TRUE(run_until([&] { return closed_.has_value(); }));
    EXPECT_EQ(closed_->reason, CloseReason::finished);
    EXPECT_EQ(closed_->closed_by, Side::client);
    EXPECT_EQ(registry_.size(), 0U);
}

TEST_F(RelayTest, passes_on_a_reset) {
    open("tcp");
    put(client_.peer.get(), "x");
    EXPECT_EQ(collect(endpoint_.peer.get(), 1), "x");
    net::set_reset_on_close(endpoint_.peer.get());
    endpoint_.peer.reset();
    ASSERT_TRUE(run_until([&] { return closed_.has_value(); }));
    EXPECT_EQ(closed_->reason, CloseReason::reset);
    EXPECT_EQ(closed_->closed_by, Side::endpoint);
    char c = 0;
    EXPECT_EQ(recv(client_.peer.get(), &c, 1, 0), -1);
    EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(RelayTest, delivers_bytes_that_came_before_it_began_first) {
    Relay::Ends early;
    early.early_from_client = "early ";
    early.early_from_endpoint = "hello ";
    put(client_.peer.get(), "bird");
    put(endpoint_.peer.get(), "there");
    open("tcp", std::move(early));
    EXPECT_EQ(collect(endpoint_.peer.get(), 10), "early bird");
    EXPECT_EQ(collect(client_.peer.get(), 11), "hello there");
}

TEST_F(RelayTest, stops_reading_for_a_reader_that_does_not_read) {
    open("tcp");
    const std::string piece(1'000'000, 'z');
    std::size_t sent = 0;
    // The kernel's buffers on both connections and 64 KiB of ours fill up; then the sender blocks.
    for (int quiet = 0; quiet < 50;) {
        const ssize_t n = send(client_.peer.get(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += static_cast<std::size_t>(n);
        quiet = n > 0 ? 0 : quiet + 1;
        loop_.turn(milliseconds(1));
    }
    const std::size_t taken = relay_->snapshot().from_client.bytes;
    EXPECT_LT(taken, sent);
    EXPECT_EQ(collect(endpoint_.peer.get(), sent).size(), sent);
}

TEST_F(RelayTest, ends_an_idle_tunnel_at_its_limit_and_not_an_active_one) {
    open("tcp", {}, milliseconds(80));
    for (int i = 0; i < 6; ++i) {
        put(client_.peer.get(), "x");
        collect(endpoint_.peer.get(), 1);
        const auto until = net::Clock::now() + milliseconds(30);
        run_until([&] { return net::Clock::now() > until; });
        ASSERT_FALSE(closed_);
    }
    ASSERT_TRUE(run_until([&] { return closed_.has_value(); }));
    EXPECT_EQ(closed_->reason, CloseReason::idle);
    EXPECT_FALSE(closed_->closed_by);
}

TEST_F(RelayTest, drains_a_websocket_at_the_next_frame_boundary) {
    open("websocket");
    const std::string whole(
        "\x82\x03"
        "abc",
        5);
    put(endpoint_.peer.get(), whole + whole.substr(0, 3));
    EXPECT_EQ(collect(client_.peer.get(), 8).size(), 8U);
    relay_->drain(1012, "restart", milliseconds(5'000));
    EXPECT_EQ(collect(endpoint_.peer.get(), 15), make_close_frame(1012, "restart", true));
    put(endpoint_.peer.get(), whole.substr(3) + whole.substr(0, 4));
    EXPECT_EQ(collect(client_.peer.get(), 13), "bc" + make_close_frame(1012, "restart", false));
    client_.peer.reset();
    endpoint_.peer.reset();
    ASSERT_TRUE(run_until([&] { return closed_.has_value(); }));
    EXPECT_EQ(closed_->reason, CloseReason::drained);
    EXPECT_FALSE(closed_->closed_by);
}

TEST_F(RelayTest, is_found_and_killed_by_its_id) {
    open("tcp");
    EXPECT_FALSE(registry_.kill(relay_->id() + 1));
    EXPECT_TRUE(registry_.kill(relay_->id()));
    ASSERT_TRUE(closed_);
    EXPECT_EQ(closed_->reason, CloseReason::killed);
    loop_.turn(milliseconds(0));
    EXPECT_EQ(registry_.totals().closed, 1U);
}

TEST_F(RelayTest, passes_a_reset_on_that_comes_behind_a_FIN) {
    open("tcp");
    shutdown(client_.peer.get(), SHUT_WR);
    bool ended = false;
    ASSERT_TRUE(run_until([&] {
        drain(endpoint_.peer.get(), &ended);
        return ended;
    }));
    net::set_reset_on_close(client_.peer.get());
    client_.peer.reset();
    ASSERT_TRUE(run_until([&] { return closed_.has_value(); }));
    EXPECT_EQ(closed_->reason, CloseReason::reset);
    EXPECT_EQ(closed_->closed_by, Side::client);
}

}  // namespace
}  // namespace hawser::tunnel
