// SPDX-License-Identifier: Apache-2.0
#include "replication/message.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>

namespace hawser::replication {
namespace {

net::SocketAddress at(const char* text) { return *net::SocketAddress::parse(text); }
net::IpAddress ip(const char* text) { return *net::IpAddress::parse(text); }

Hello a_hello() {
    Hello out;
    out.node = 0x0102030405060708;
    out.part = 1;
    out.parts = 2;
    out.name = "a";
    return out;
}

splice::Carried a_carried() {
    splice::Carried c;
    c.identity = {77, 0xfedcba9876543210};
    c.protocol = IPPROTO_TCP;
    c.timestamps = true;
    c.client = at("192.168.0.10:40000");
    c.frontend = at("192.168.0.150:443");
    c.towards_endpoint = at("192.168.0.150:51000");
    c.endpoint = at("10.244.2.2:9080");
    c.from_client = {1, 2, 3, 4, 7, -3, 1'460, 0x1'0000'0001, 5, 6, 7, 8};
    c.from_endpoint = {0xffffffff, 0xfffffffe, 0xfffffffd, 0xfffffffc, 14, 14, 0, 9, 10, 11, 12, 13};
    c.started = std::chrono::system_clock::time_point(std::chrono::nanoseconds(1'795'000'000'123'456'789));
    c.idle = std::chrono::seconds(3'600);
    c.told_client = at("203.0.113.9:0");
    c.bytes_in = 0xffffffffffffffff;
    c.bytes_out = 1;
    c.frames_in = 0xffffffff;
    c.frames_out = 2;
    c.route = "/chat";
    c.service = "default/chat:80";
    c.endpoint_name = "chat-0";
    c.kind = "websocket";
    return c;
}

splice::Carried a_carried6() {
    splice::Carried c = a_carried();
    c.protocol = IPPROTO_UDP;
    c.l4 = true;
    c.timestamps = false;
    c.client = at("[2001:db8::10]:40000");
    c.frontend = at("[2001:db8::150]:53");
    c.towards_endpoint = at("[2001:db8::150]:51000");
    c.endpoint = at("[fd00::2]:53");
    c.told_client = {};
    return c;
}

splice::Gone a_gone() { return {{77, 5}, IPPROTO_UDP, at("192.168.0.10:40000"), at("192.168.0.150:53")}; }

std::vector<Message> one_of_each() {
    return {a_hello(),     Owns{{ip("192.168.0.150"), ip("2001:db8::150")}},
            Owns{},        SnapshotBegin{},
            SnapshotEnd{}, Applied{0x0102030405060708},
            a_carried(),   a_carried6(),
            a_gone()};
}

Bytes wire(const Message& message) {
    Bytes out;
    encode(message, out);
    return out;
}

struct Taken {
    std::vector<Message> messages;
    std::string failure;
    bool operator==(const Taken&) const = default;
};

// In pieces of `most` bytes.
Taken take(std::span<const std::uint8_t> bytes, std::size_t most) {
    Taken out;
    Decoder decoder;
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(most, bytes.size()));
        bytes = bytes.subspan(piece.size());
        decoder.feed(piece);
        for (;;) {
            auto message = decoder.next();
            if (!message) {
                out.failure = message.error().text();
                return out;
            }
            if (!*message) break;
            out.messages.push_back(std::move(**message));
        }
    }
    return out;
}
Taken take(const Bytes& bytes) { return take(bytes, bytes.size()); }

std::string why(const Bytes& bytes) {
    const Taken taken = take(bytes);
    if (!taken.failure.empty()) return taken.failure;
    return taken.messages.empty() ? "waits for more" : "taken";
}

// A body of any kind with a length before it.
Bytes framed(std::uint8_t kind, const Bytes& body) {
    const auto size = static_cast<std::uint32_t>(body.size() + 1);
    Bytes out{static_cast<std::uint8_t>(size >> 24), static_cast<std::uint8_t>(size >> 16),
              static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size), kind};
    out.insert(out.end(), body.begin(), body.end());
    return out;
}

// Written by hand from message.h.
TEST(Message, on_the_wire) {
    EXPECT_EQ(wire(a_hello()), (Bytes{0, 0, 0, 16, 1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 0, 1, 'a'}));
    Bytes owns{0, 0, 0, 19, 2, 0, 1};
    owns.resize(owns.size() + 10);  // an IPv4 address is ::ffff:a.b.c.d
    for (const std::uint8_t byte : {0xff, 0xff, 192, 168, 0, 150}) owns.push_back(byte);
    EXPECT_EQ(wire(Owns{{ip("192.168.0.150")}}), owns);
    EXPECT_EQ(wire(SnapshotBegin{}), (Bytes{0, 0, 0, 1, 3}));
    EXPECT_EQ(wire(SnapshotEnd{}), (Bytes{0, 0, 0, 1, 4}));
    EXPECT_EQ(wire(Applied{258}), (Bytes{0, 0, 0, 9, 5, 0, 0, 0, 0, 0, 0, 1, 2}));
    const Bytes gone = wire(a_gone());
    EXPECT_EQ(gone.size(), 4u + 1 + 16 + 1 + 2 * 18);
    EXPECT_EQ(gone[4], 7);
    EXPECT_EQ(gone[21], 17);
    EXPECT_EQ(gone[38] << 8 | gone[39], 40'000) << "ports are in network order";
    const Bytes carried = wire(a_carried());
    EXPECT_EQ(carried[4], 6);
    EXPECT_EQ(carried[22], 2) << "timestamps";
    EXPECT_LT(carried.size(), 320u) << "docs/replication.md says about 300 bytes";
}

TEST(Message, comes_back_as_it_was) {
    for (const auto& message : one_of_each()) {
        const Taken taken = take(wire(message));
        EXPECT_EQ(taken.failure, "");
        EXPECT_EQ(taken.messages, std::vector{message}) << "kind " << message.index();
    }
    splice::Carried c = a_carried();
    for (const bool l4 : {false, true})
        for (const bool timestamps : {false, true})
            for (const bool blank_sack : {false, true}) {
                c.l4 = l4, c.timestamps = timestamps, c.blank_sack = blank_sack;
                EXPECT_EQ(take(wire(c)).messages, std::vector<Message>{c});
            }
    c.started = std::chrono::system_clock::time_point(std::chrono::nanoseconds(-1));
    EXPECT_EQ(take(wire(c)).messages, std::vector<Message>{c}) << "a clock that was never set";
}

TEST(Message, a_stream_is_taken_apart_at_every_split) {
    Bytes stream;
    for (const auto& message : one_of_each()) encode(message, stream);
    for (std::size_t most = 1; most <= stream.size(); most = most < 70 ? most + 1 : most * 2) {
        const Taken taken = take(stream, most);
        EXPECT_EQ(taken.failure, "");
        EXPECT_EQ(taken.messages, one_of_each()) << "in pieces of " << most;
    }
    EXPECT_EQ(take(stream).messages, one_of_each());
}

TEST(Message, a_part_of_one_waits) {
    for (const auto& message : one_of_each()) {
        const Bytes whole = wire(message);
        for (std::size_t size = 1; size < whole.size(); ++size)
            EXPECT_EQ(why({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}),
                      "waits for more");
    }
}

TEST(Message, what_is_too_long_is_cut) {
    splice::Carried c = a_carried();
    for (auto* text : {&c.route, &c.service, &c.endpoint_name, &c.kind}) *text = std::string(70'000, 'x');
    c.route = std::string(247, 'r');
    const auto carried = take(wire(c));
    ASSERT_EQ(carried.messages.size(), 1u) << carried.failure;
    const auto& back = std::get<splice::Carried>(carried.messages.front());
    EXPECT_EQ(back.route, c.route) << "247 bytes fit";
    EXPECT_EQ(back.service, std::string(247, 'x'));
    EXPECT_EQ(back.kind, std::string(247, 'x'));

    Hello hello = a_hello();
    hello.name = std::string(256, 'n');
    EXPECT_EQ(std::get<Hello>(take(wire(hello)).messages.at(0)).name, std::string(255, 'n'));

    Owns owns;
    owns.vips.assign(1'001, ip("192.168.0.150"));
    const Bytes bytes = wire(owns);
    EXPECT_LE(bytes.size(), 4 + largest_message);
    EXPECT_EQ(std::get<Owns>(take(bytes).messages.at(0)).vips.size(), 1'000u);

    c.idle = std::chrono::hours(24 * 366 * 1'000);
    EXPECT_EQ(why(wire(c)), "taken") << "a timeout of a thousand years is one of ten";
    c.idle = std::chrono::seconds(-1);
    EXPECT_EQ(std::get<splice::Carried>(take(wire(c)).messages.at(0)).idle.count(), 0);
}

TEST(Message, another_version_is_said_in_words) {
    Hello other = a_hello();
    other.version = 2;
    Hello wanted;
    wanted.version = 2;
    EXPECT_EQ(take(wire(other)).messages, std::vector<Message>{wanted});
    EXPECT_EQ(take(framed(1, {0, 2})).messages, std::vector<Message>{wanted}) << "whatever follows";
    EXPECT_EQ(take(framed(1, Bytes{0, 2, 9, 9, 9})).messages, std::vector<Message>{wanted});
    EXPECT_EQ(why(framed(1, {2})), "a Hello that ends too early");
    EXPECT_EQ(why(framed(1, {})), "a Hello that ends too early");
}

TEST(Message, lengths_are_refused_before_the_bytes_are_there) {
    EXPECT_EQ(why({0, 0, 0, 0}), "a message of 0 bytes");
    EXPECT_EQ(why({0, 0, 0x40, 1}), "a message of 16385 bytes");
    EXPECT_EQ(why({0xff, 0xff, 0xff, 0xff}), "a message of 4294967295 bytes");
    EXPECT_EQ(why({0, 0, 0x40, 0}), "waits for more");
    EXPECT_EQ(why({0, 0, 0}), "waits for more");
}

TEST(Message, unknown_kinds_are_refused) {
    EXPECT_EQ(why(framed(0, {})), "a message of the unknown kind 0");
    EXPECT_EQ(why(framed(8, {1, 2, 3})), "a message of the unknown kind 8");
    EXPECT_EQ(why(framed(255, Bytes(largest_message - 1))), "a message of the unknown kind 255");
}

TEST(Message, an_error_stays) {
    Bytes stream = framed(8, {});
    encode(SnapshotBegin{}, stream);
    Decoder decoder;
    decoder.feed(stream);
    EXPECT_FALSE(decoder.next());
    EXPECT_FALSE(decoder.next()) << "what follows is not believed";
    decoder.feed(wire(SnapshotBegin{}));
    EXPECT_FALSE(decoder.next());
}

// Every message, shorter and longer than its fields.
TEST(Message, lengths_must_be_those_of_the_fields) {
    for (const auto& message : one_of_each()) {
        const Bytes whole = wire(message);
        Bytes body(whole.begin() + 5, whole.end());
        for (std::size_t size = 0; size < body.size(); ++size) {
            const auto sentence =
                why(framed(whole[4], {body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size)}));
            EXPECT_TRUE(sentence.ends_with("that ends too early")) << sentence;
        }
        body.push_back(0);
        EXPECT_TRUE(why(framed(whole[4], body)).ends_with("that goes on for 1 bytes after its end"));
    }
}

TEST(Message, wrong_hellos_and_owns_are_refused) {
    struct Case {
        std::uint64_t node;
        std::uint8_t part, parts;
        const char* why;
    };
    for (const auto& c :
         {Case{0, 0, 1, "a Hello whose node is 0"},
          Case{1, 2, 2, "a Hello whose part of the ports is 2 of 2"},
          Case{1, 0, 0, "a Hello whose part of the ports is 0 of 0"},
          Case{1, 0, 17, "a Hello whose part of the ports is 0 of 17"}, Case{1, 15, 16, "taken"}}) {
        Hello hello = a_hello();
        hello.node = c.node;
        hello.part = c.part;
        hello.parts = c.parts;
        EXPECT_EQ(why(wire(hello)), c.why);
    }
    Bytes name{0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0};  // 256 bytes
    name.insert(name.end(), 256, 'n');
    EXPECT_EQ(why(framed(1, name)), "a Hello whose name is 256 bytes long");

    EXPECT_EQ(why(wire(Owns{{ip("0.0.0.0")}})), "an Owns whose VIP is 0.0.0.0");
    EXPECT_EQ(why(wire(Owns{{ip("192.168.0.150"), ip("::")}})), "an Owns whose VIP is ::");
    EXPECT_EQ(why(wire(Owns{{ip("224.0.0.18")}})), "an Owns whose VIP is 224.0.0.18");
    EXPECT_EQ(why(wire(Owns{{ip("::1")}})), "an Owns whose VIP is ::1");
    Bytes many{0x03, 0xe9};
    many.resize(2 + 16 * 1'001, 0x20);
    EXPECT_EQ(why(framed(2, many)), "an Owns whose number of VIPs is 1001");
}

TEST(Message, a_carried_with_a_wrong_field_is_refused) {
    using C = splice::Carried;
    struct Case {
        std::function<void(C&)> spoil;
        const char* why;
    };
    const std::vector<Case> cases{
        {[](C&) {}, "taken"},
        {[](C& c) { c.identity.origin = 0; }, "a Carried whose origin is 0"},
        {[](C& c) { c.identity.id = 0; }, "taken"},
        {[](C& c) { c.protocol = 1; }, "a Carried whose protocol is 1"},
        {[](C& c) { c.protocol = 0; }, "a Carried whose protocol is 0"},
        {[](C& c) { c.protocol = IPPROTO_UDP; }, "a Carried of UDP that is not the kernel's"},
        {[](C& c) { c.client.ip = ip("0.0.0.0"); }, "a Carried whose client is 0.0.0.0"},
        {[](C& c) { c.client.ip = ip("127.0.0.1"); }, "a Carried whose client is 127.0.0.1"},
        {[](C& c) { c.client.ip = ip("ff02::1"); }, "a Carried whose client is ff02::1"},
        {[](C& c) { c.client.port = 0; }, "a Carried whose client is 192.168.0.10:0"},
        {[](C& c) { c.frontend.ip = c.towards_endpoint.ip = ip("239.1.2.3"); },
         "a Carried whose frontend is 239.1.2.3"},
        {[](C& c) { c.frontend.port = 0; }, "a Carried whose frontend is 192.168.0.150:0"},
        {[](C& c) { c.towards_endpoint.ip = ip("127.0.0.2"); },
         "a Carried whose address towards the endpoint is 127.0.0.2"},
        {[](C& c) { c.towards_endpoint.port = 0; },
         "a Carried whose address towards the endpoint is 192.168.0.150:0"},
        {[](C& c) { c.endpoint.ip = ip("::"); }, "a Carried whose endpoint is ::"},
        {[](C& c) { c.endpoint.port = 0; }, "a Carried whose endpoint is 10.244.2.2:0"},
        {[](C& c) { c.client.ip = ip("2001:db8::1"); }, "a Carried whose addresses are of both families"},
        {[](C& c) { c.endpoint.ip = ip("2001:db8::1"); }, "a Carried whose addresses are of both families"},
        {[](C& c) { c.frontend.ip = c.towards_endpoint.ip = ip("2001:db8::1"); },
         "a Carried whose addresses are of both families"},
        {[](C& c) { c.towards_endpoint.ip = c.endpoint.ip = ip("2001:db8::1"); },
         "a Carried whose addresses are of both families"},
        {[](C& c) { c.towards_endpoint.ip = ip("192.168.0.151"); },
         "a Carried whose address towards the endpoint is not the VIP"},
        {[](C& c) { c.from_client.window_scale = 15; }, "a Carried whose window scale is 15"},
        {[](C& c) { c.from_endpoint.window_scale = 255; }, "a Carried whose window scale is 255"},
        {[](C& c) { c.from_client.window_shift = 15; }, "a Carried whose window shift is 15"},
        {[](C& c) { c.from_endpoint.window_shift = -15; }, "a Carried whose window shift is -15"},
        {[](C& c) { c.from_endpoint.window_shift = -128; }, "a Carried whose window shift is -128"},
        {[](C& c) { c.from_client.window_shift = -14; }, "taken"},
        {[](C& c) { c.told_client = at("127.0.0.1:0"); }, "taken"},  // a header says what it likes
    };
    for (const auto& c : cases) {
        C carried = a_carried();
        c.spoil(carried);
        EXPECT_EQ(why(wire(carried)), c.why);
    }
    // What the encoder would not write. The places come from message.h.
    const auto spoiled = [](std::size_t offset, Bytes with) {
        Bytes bytes = wire(a_carried());
        std::copy(with.begin(), with.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
        return why(bytes);
    };
    EXPECT_EQ(spoiled(22, {8}), "a Carried whose byte of flags is 8");
    EXPECT_EQ(spoiled(22, {0x81}), "a Carried whose byte of flags is 129");
    EXPECT_EQ(spoiled(203, {0x12, 0xda, 0x56, 0x81}), "a Carried whose idle timeout is 316298881 seconds");
    EXPECT_EQ(spoiled(203, {0x12, 0xcc, 0x03, 0x00}), "taken") << "ten years of 365 days";
    EXPECT_EQ(spoiled(249, {0, 248}), "a Carried whose route is 248 bytes long");
    EXPECT_EQ(spoiled(256, {0xff, 0xff}), "a Carried whose service is 65535 bytes long");
    EXPECT_EQ(spoiled(273, {1, 0}), "a Carried whose endpoint's name is 256 bytes long");
    EXPECT_EQ(spoiled(281, {1, 0}), "a Carried whose kind is 256 bytes long");
}

TEST(Message, a_gone_with_a_wrong_field_is_refused) {
    using G = splice::Gone;
    struct Case {
        std::function<void(G&)> spoil;
        const char* why;
    };
    const std::vector<Case> cases{
        {[](G& g) { g.protocol = IPPROTO_TCP; }, "taken"},
        {[](G& g) { g.identity.origin = 0; }, "a Gone whose origin is 0"},
        {[](G& g) { g.protocol = 58; }, "a Gone whose protocol is 58"},
        {[](G& g) { g.client.ip = ip("127.1.2.3"); }, "a Gone whose client is 127.1.2.3"},
        {[](G& g) { g.client.port = 0; }, "a Gone whose client is 192.168.0.10:0"},
        {[](G& g) { g.frontend.ip = ip("::"); }, "a Gone whose frontend is ::"},
        {[](G& g) { g.frontend.port = 0; }, "a Gone whose frontend is 192.168.0.150:0"},
        {[](G& g) { g.frontend.ip = ip("2001:db8::1"); }, "a Gone whose addresses are of both families"},
    };
    for (const auto& c : cases) {
        G gone = a_gone();
        c.spoil(gone);
        EXPECT_EQ(why(wire(gone)), c.why);
    }
}

// Whatever is taken says the same when it is said again, and no split of the stream changes what is taken.
TEST(Message, random_bytes_do_no_harm) {
    std::mt19937 random(20261128);
    const auto below = [&random](std::size_t n) { return random() % n; };
    const auto messages = one_of_each();
    std::size_t taken_whole = 0, refused = 0;
    for (int round = 0; round < 20'000; ++round) {
        Bytes stream;
        for (std::size_t i = 0, count = 1 + below(3); i < count; ++i)
            encode(messages[below(messages.size())], stream);
        for (std::size_t i = 0, count = below(4); i < count; ++i)
            stream[below(stream.size())] = static_cast<std::uint8_t>(random());
        if (below(3) == 0) stream.resize(below(stream.size() + 1));
        const Taken taken = take(stream);
        EXPECT_EQ(take(stream, 1 + below(40)), taken);
        for (const auto& message : taken.messages)
            EXPECT_EQ(take(wire(message)).messages, std::vector{message});
        ++(taken.failure.empty() ? taken_whole : refused);
    }
    EXPECT_GT(taken_whole, 1'000u);
    EXPECT_GT(refused, 1'000u);
}

}  // namespace
}  // namespace hawser::replication
