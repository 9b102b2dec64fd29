// SPDX-License-Identifier: Apache-2.0
#include "net/loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <thread>

#include "net/listen.h"
#include "net/socket.h"
#include "net/task.h"

namespace hawser::net {
namespace {

using std::chrono::milliseconds;

// Turns the loop until `done` or five seconds have passed.
template <class Done>
bool run_until(Loop& loop, Done done) {
    const auto deadline = Clock::now() + std::chrono::seconds(5);
    while (!done() && Clock::now() < deadline) loop.turn(milliseconds(20));
    return done();
}

struct Pair {
    Fd a, b;
    Pair() {
        int fds[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        a = Fd(fds[0]);
        b = Fd(fds[1]);
    }
};

void fail_test(const std::exception_ptr&) { FAIL() << "the task threw"; }

TEST(Loop, runs_work_of_other_threads_in_order) {
    Loop loop;
    std::vector<int> seen;
    std::thread other([&] {
        for (int i = 0; i < 100; ++i) loop.post([&seen, i] { seen.push_back(i); });
    });
    EXPECT_TRUE(run_until(loop, [&] { return seen.size() == 100; }));
    other.join();
    for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
}

TEST(Loop, stops_when_another_thread_says_so) {
    Loop loop;
    std::thread other([&] { loop.stop(); });
    loop.run();
    other.join();
}

Task<void> read_one(Socket& socket, std::string& out, bool& done) {
    Wait::Interest interest{&socket, reading};
    if (co_await Wait(TimePoint::max(), interest)) {
        char buffer[64];
        const ssize_t n = socket.read(buffer, sizeof buffer);
        if (n > 0) out.assign(buffer, static_cast<std::size_t>(n));
    }
    done = true;
}

TEST(Wait, resumes_when_bytes_arrive) {
    Loop loop;
    Pair pair;
    Socket socket(loop, std::move(pair.a), true);
    ASSERT_TRUE(socket.open());
    std::string got;
    bool done = false;
    spawn(read_one(socket, got, done), fail_test);
    loop.turn(milliseconds(0));
    EXPECT_FALSE(done);
    ASSERT_EQ(send(pair.b.get(), "ahoy", 4, 0), 4);
    EXPECT_TRUE(run_until(loop, [&] { return done; }));
    EXPECT_EQ(got, "ahoy");
}

Task<void> wait_in_vain(Socket& socket, bool& timed_out) {
    Wait::Interest interest{&socket, reading};
    const bool ready = co_await Wait(socket.loop().now() + milliseconds(10), interest);
    timed_out = !ready;
}

TEST(Wait, ends_at_its_deadline) {
    Loop loop;
    Pair pair;
    Socket socket(loop, std::move(pair.a), true);
    ASSERT_TRUE(socket.open());
    bool timed_out = false;
    spawn(wait_in_vain(socket, timed_out), fail_test);
    EXPECT_TRUE(run_until(loop, [&] { return timed_out; }));
}

TEST(Loop, forgets_the_events_of_a_handler_that_unwatches_in_the_same_turn) {
    struct Closer : EventHandler {
        Loop* loop = nullptr;
        Closer* other = nullptr;
        int fd = -1;
        int events = 0;
        void on_events(std::uint32_t) override {
            ++events;
            loop->unwatch(other->fd, *other);
        }
    };
    Loop loop;
    Pair one;
    Pair two;
    Closer a;
    Closer b;
    a.loop = b.loop = &loop;
    a.other = &b;
    b.other = &a;
    a.fd = one.a.get();
    b.fd = two.a.get();
    ASSERT_TRUE(loop.watch(a.fd, a, EPOLLIN));
    ASSERT_TRUE(loop.watch(b.fd, b, EPOLLIN));
    ASSERT_EQ(send(one.b.get(), "x", 1, 0), 1);
    ASSERT_EQ(send(two.b.get(), "x", 1, 0), 1);
    loop.turn(milliseconds(100));
    loop.turn(milliseconds(0));
    EXPECT_EQ(a.events + b.events, 1);
}

TEST(Loop, tells_of_a_descriptor_that_stays_ready_once_or_in_every_turn) {
    for (const auto trigger : {Loop::Trigger::edge, Loop::Trigger::level}) {
        Loop loop;
        Pair pair;
        struct : EventHandler {
            int calls = 0;
            void on_events(std::uint32_t) override { ++calls; }
        } handler;
        ASSERT_TRUE(loop.watch(pair.a.get(), handler, EPOLLIN, trigger));
        ASSERT_EQ(::send(pair.b.get(), "x", 1, 0), 1);
        for (int i = 0; i < 3; ++i) loop.turn(milliseconds(0));
        EXPECT_EQ(handler.calls, trigger == Loop::Trigger::edge ? 1 : 3);
        loop.unwatch(pair.a.get(), handler);
    }
}

TEST(Loop, calls_a_handler_again_once_however_often_it_was_asked_to) {
    struct Counter : EventHandler {
        int calls = 0;
        void on_events(std::uint32_t) override { ++calls; }
    };
    Loop loop;
    Counter counter;
    for (int i = 0; i < 3; ++i) loop.again(counter);
    loop.turn(milliseconds(0));
    EXPECT_EQ(counter.calls, 1);
    loop.again(counter);
    loop.unwatch(-1, counter);
    loop.turn(milliseconds(0));
    EXPECT_EQ(counter.calls, 1);
    loop.again(counter);
    loop.turn(milliseconds(0));
    EXPECT_EQ(counter.calls, 2);
}

Task<void> count_turns(Loop& loop, int& turns) {
    for (int i = 0; i < 3; ++i) {
        Yield others(loop);
        co_await others;
        ++turns;
    }
}

TEST(Yield, goes_on_in_the_next_turn) {
    Loop loop;
    int turns = 0;
    spawn(count_turns(loop, turns), fail_test);
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(turns, i);
        if (i < 3) loop.turn(milliseconds(0));
    }
}

Task<int> give(int value) { co_return value; }
Task<int> add(int a, int b) {
    const int x = co_await give(a);
    const int y = co_await give(b);
    co_return x + y;
}
Task<void> sum_into(int& out) { out = co_await add(2, 3); }

TEST(Task, returns_values_through_nested_awaits) {
    int out = 0;
    spawn(sum_into(out), fail_test);
    EXPECT_EQ(out, 5);
}

Task<void> thrower() {
    throw std::runtime_error("bug");
    co_return;
}

TEST(Task, hands_an_exception_to_the_spawner) {
    bool caught = false;
    spawn(thrower(), [&](const std::exception_ptr&) { caught = true; });
    EXPECT_TRUE(caught);
}

int connect_blocking(const SocketAddress& to, int timeout_ms) {
    auto fd = start_connect(to);
    if (!fd) return fd.error().code;
    Loop loop;
    Socket socket(loop, std::move(*fd), false);
    if (!socket.open()) return -1;
    const auto deadline = Clock::now() + milliseconds(timeout_ms);
    while (!socket.writable() && Clock::now() < deadline) loop.turn(milliseconds(10));
    return socket.writable() ? socket.take_error() : ETIMEDOUT;
}

TEST(Listeners, of_one_address_share_the_port_between_workers) {
    auto first = open_listeners(*SocketAddress::parse("127.0.0.1:0"), 1, {});
    ASSERT_TRUE(first) << first.error().text();
    const SocketAddress bound = local_address((*first)[0].get());
    auto more = open_listeners(bound, 2, {});
    ASSERT_TRUE(more) << more.error().text();
    EXPECT_EQ(connect_blocking(bound, 1000), 0);
}

TEST(Listeners, can_refuse_a_port_that_another_has) {
    for (const bool udp : {false, true}) {
        ListenOptions options;
        options.udp = udp;
        auto first = open_listeners(*SocketAddress::parse("127.0.0.1:0"), 1, options);
        ASSERT_TRUE(first);
        const SocketAddress bound = local_address((*first)[0].get());
        options.must_be_free = true;
        const auto second = open_listeners(bound, 1, options);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, EADDRINUSE);
        first->clear();
        EXPECT_TRUE(open_listeners(bound, 1, options));
    }
}

TEST(Listeners, drop_a_source_outside_the_ranges_in_silence_S_17) {
    ListenOptions options;
    options.source_ranges = {*Cidr::parse("10.1.2.0/23"), *Cidr::parse("fd00::/8")};
    auto closed = open_listeners(*SocketAddress::parse("127.0.0.1:0"), 1, options);
    ASSERT_TRUE(closed) << closed.error().text();
    EXPECT_EQ(connect_blocking(local_address((*closed)[0].get()), 300), ETIMEDOUT);
    options.source_ranges.push_back(*Cidr::parse("127.0.0.0/9"));
    auto open = open_listeners(*SocketAddress::parse("127.0.0.1:0"), 1, options);
    ASSERT_TRUE(open) << open.error().text();
    EXPECT_EQ(connect_blocking(local_address((*open)[0].get()), 1000), 0);
}

TEST(Listeners, can_hold_a_port_and_stay_silent_P_03) {
    ListenOptions options;
    options.drop_everything = true;
    auto silent = open_listeners(*SocketAddress::parse("127.0.0.1:0"), 1, options);
    ASSERT_TRUE(silent) << silent.error().text();
    EXPECT_EQ(connect_blocking(local_address((*silent)[0].get()), 300), ETIMEDOUT);
}

TEST(Listeners, bind_an_address_that_is_not_here_yet_S_08) {
    const auto listeners = open_listeners(*SocketAddress::parse("203.0.113.250:9080"), 1, {});
    EXPECT_TRUE(listeners) << listeners.error().text();
}

}  // namespace
}  // namespace hawser::net
