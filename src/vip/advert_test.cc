// SPDX-License-Identifier: Apache-2.0
#include "vip/advert.h"

#include <gtest/gtest.h>

namespace hawser::vip {
namespace {

net::IpAddress ip(const char* text) { return *net::IpAddress::parse(text); }

Advert an_advert() {
    Advert out;
    out.id = 51;
    out.priority = 150;
    out.interval = std::chrono::milliseconds(100);
    out.addresses = {ip("192.168.0.150")};
    return out;
}

const net::IpAddress source = ip("192.168.0.100"), group = ip("224.0.0.18");
const net::IpAddress source6 = ip("fe80::1"), group6 = ip("ff02::12");

std::variant<Received, Discarded> from_wire(const Bytes& bytes, int ttl = 255) {
    return decode(bytes, {source, group, ttl});
}

std::string why(const std::variant<Received, Discarded>& result) {
    const auto* discarded = std::get_if<Discarded>(&result);
    return discarded == nullptr ? "taken" : std::string(to_string(*discarded));
}

// Written by hand from RFC 9568 §5.1; the checksum too.
TEST(Advert, Version3OnTheWire) {
    const Bytes wanted{0x31, 51, 150, 1, 0, 10, 0x00, 0x00, 192, 168, 0, 150};
    Bytes bytes = encode(an_advert(), source, group, Coverage::message);
    ASSERT_EQ(bytes.size(), wanted.size());
    // 3133 + 9601 + 000a + c0a8 + 0096 = 1887c -> 887d -> 7782
    EXPECT_EQ(bytes[6], 0x77);
    EXPECT_EQ(bytes[7], 0x82);
    bytes[6] = bytes[7] = 0;
    EXPECT_EQ(bytes, wanted);
}

TEST(Advert, Version2OnTheWire) {
    Advert advert = an_advert();
    advert.version = 2;
    advert.interval = std::chrono::seconds(1);
    advert.has_password = true;
    advert.password = password_of("1111");
    Bytes bytes = encode(advert, source, group, Coverage::pseudo_header_too);
    const Bytes wanted{0x21, 51, 150, 1, 1, 1, 0, 0, 192, 168, 0, 150, '1', '1', '1', '1', 0, 0, 0, 0};
    ASSERT_EQ(bytes.size(), wanted.size());
    const auto decoded = from_wire(bytes);
    ASSERT_EQ(why(decoded), "taken");
    EXPECT_EQ(std::get<Received>(decoded).advert, advert);
    bytes[6] = bytes[7] = 0;
    EXPECT_EQ(bytes, wanted);
}

TEST(Advert, ComesBackAsItWas) {
    for (const auto coverage : {Coverage::message, Coverage::pseudo_header_too}) {
        const auto decoded = from_wire(encode(an_advert(), source, group, coverage));
        ASSERT_EQ(why(decoded), "taken");
        EXPECT_EQ(std::get<Received>(decoded).advert, an_advert());
        EXPECT_EQ(std::get<Received>(decoded).coverage, coverage) << "both checksums are taken, and told apart";
    }
    Advert v6 = an_advert();
    v6.addresses = {ip("fe80::150"), ip("2001:db8::150")};
    const auto decoded = decode(encode(v6, source6, group6, Coverage::message), {source6, group6, 255});
    ASSERT_EQ(why(decoded), "taken");
    EXPECT_EQ(std::get<Received>(decoded).advert, v6);
}

TEST(Advert, WrongOnesAreDiscarded) {
    struct Case {
        const char* sentence;
        void (*spoil)(Bytes&);
        const char* why;
    };
    const auto fix = [](Bytes& bytes) {  // the checksum, after a change that is not about it
        std::uint32_t total = 0;
        bytes[6] = bytes[7] = 0;
        for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) total += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
        while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
        bytes[6] = static_cast<std::uint8_t>(~total >> 8);
        bytes[7] = static_cast<std::uint8_t>(~total);
    };
    for (const Case& c : std::initializer_list<Case>{
             {"V-04: version 4", [](Bytes& b) { b[0] = 0x41; }, "version"},
             {"V-04: version 1", [](Bytes& b) { b[0] = 0x11; }, "version"},
             {"V-04: type 2", [](Bytes& b) { b[0] = 0x32; }, "type"},
             {"V-06: no addresses", [](Bytes& b) { b[3] = 0; b.resize(8); }, "no_addresses"},
             {"V-23: an address is missing", [](Bytes& b) { b[3] = 2; }, "length"},
             {"V-23: an address too many", [](Bytes& b) { b.insert(b.end(), {1, 2, 3, 4}); }, "length"},
             {"V-23: Max Advertise Interval 0", [](Bytes& b) { b[4] = b[5] = 0; }, "interval"},
             {"V-07: what stands in Reserve is ignored", [](Bytes& b) { b[4] |= 0xf0; }, "taken"},
             {"version 2 with type 2, which is no password", [](Bytes& b) { b[0] = 0x21; b[4] = 2; b.resize(20); }, "authentication"},
             {"version 2 with a password that is missing", [](Bytes& b) { b[0] = 0x21; b[4] = 1; }, "length"},
             {"version 2 without authentication data", [](Bytes& b) { b[0] = 0x21; b[4] = 0; b[5] = 1; }, "taken"}}) {
        Bytes bytes = encode(an_advert(), source, group, Coverage::message);
        c.spoil(bytes);
        fix(bytes);
        EXPECT_EQ(why(from_wire(bytes)), c.why) << c.sentence;
    }
}

// V-08.
TEST(Advert, OneWrongBitAnywhereIsAWrongChecksum) {
    const Bytes good = encode(an_advert(), source, group, Coverage::message);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        Bytes bytes = good;
        bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        EXPECT_NE(why(from_wire(bytes)), "taken") << "bit " << bit;
    }
}

TEST(Advert, OverIpv6TheChecksumCoversThePseudoHeader) {
    Advert v6 = an_advert();
    v6.addresses = {ip("fe80::150")};
    const Bytes bytes = encode(v6, source6, group6, Coverage::message);
    EXPECT_EQ(why(decode(bytes, {ip("fe80::2"), group6, 255})), "checksum") << "another sender than it was made for";
}

// V-03; a router on the way would have made it 254.
TEST(Advert, OfAnotherLinkIsDiscarded) {
    const Bytes bytes = encode(an_advert(), source, group, Coverage::message);
    EXPECT_EQ(why(from_wire(bytes, 254)), "ttl");
    EXPECT_EQ(why(decode(bytes, {source, group, 62, 60, 64})), "taken") << "a unicast peer that is known to be farther";
    EXPECT_EQ(why(decode(bytes, {source, group, 59, 60, 64})), "ttl");
}

TEST(Advert, ShortOnesAreDiscarded) {
    const Bytes good = encode(an_advert(), source, group, Coverage::message);
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_EQ(why(from_wire(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)))), "length");
}

}  // namespace
}  // namespace hawser::vip
