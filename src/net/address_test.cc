// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <gtest/gtest.h>

namespace hawser::net {
namespace {

TEST(IpAddress, reads_what_inet_pton_reads_and_prints_it_in_canonical_form) {
    const std::pair<const char*, const char*> rows[] = {{"192.168.0.150", "192.168.0.150"},
                                                        {"::", "::"},
                                                        {"2001:DB8:0:0::1", "2001:db8::1"},
                                                        {"::ffff:10.0.0.1", "10.0.0.1"},
                                                        {"fe80::1", "fe80::1"}};
    for (const auto& [in, out] : rows) {
        const auto ip = IpAddress::parse(in);
        ASSERT_TRUE(ip) << in;
        EXPECT_EQ(ip->text(), out);
    }
}

TEST(IpAddress, refuses_what_is_not_an_address) {
    for (const char* in :
         {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4/8", "::g", "[::1]", "localhost"})
        EXPECT_FALSE(IpAddress::parse(in)) << in;
    EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0", 8)));
}

TEST(IpAddress, knows_its_kind) {
    EXPECT_TRUE(IpAddress::parse("127.1.2.3")->is_loopback());
    EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
    EXPECT_FALSE(IpAddress::parse("::2")->is_loopback());
    EXPECT_TRUE(IpAddress::parse("169.254.1.1")->is_link_local());
    EXPECT_TRUE(IpAddress::parse("febf::1")->is_link_local());
    EXPECT_TRUE(IpAddress::parse("239.1.1.1")->is_multicast());
    EXPECT_TRUE(IpAddress::parse("ff02::12")->is_multicast());
    EXPECT_TRUE(IpAddress::parse("0.0.0.0")->is_unspecified());
    EXPECT_TRUE(IpAddress::any_v6().is_unspecified());
}

TEST(SocketAddress, needs_brackets_around_ipv6_and_only_there) {
    EXPECT_EQ(SocketAddress::parse("10.0.0.1:80")->text(), "10.0.0.1:80");
    EXPECT_EQ(SocketAddress::parse("[::1]:80")->text(), "[::1]:80");
    for (const char* in :
         {"::1:80", "[10.0.0.1]:80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", ":80", "10.0.0.1:-1"})
        EXPECT_FALSE(SocketAddress::parse(in)) << in;
}

TEST(SocketAddress, survives_the_way_through_sockaddr) {
    for (const char* in : {"10.0.0.1:80", "[2001:db8::1]:65535"}) {
        sockaddr_storage storage;
        const auto address = *SocketAddress::parse(in);
        address.to_sockaddr(storage);
        EXPECT_EQ(SocketAddress::from_sockaddr(storage), address);
    }
}

TEST(Cidr, contains_by_prefix_and_family) {
    const auto c = *Cidr::parse("192.168.5.77/22");
    EXPECT_EQ(c.text(), "192.168.4.0/22");
    EXPECT_TRUE(c.contains(*IpAddress::parse("192.168.7.255")));
    EXPECT_FALSE(c.contains(*IpAddress::parse("192.168.8.0")));
    EXPECT_FALSE(c.contains(*IpAddress::parse("::1")));
    EXPECT_TRUE(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("8.8.8.8")));
    EXPECT_FALSE(Cidr::parse("::/0")->contains(*IpAddress::parse("8.8.8.8")));
    EXPECT_TRUE(Cidr::parse("fd00::/9")->contains(*IpAddress::parse("fd7f::1")));
    EXPECT_FALSE(Cidr::parse("fd00::/9")->contains(*IpAddress::parse("fd80::1")));
    EXPECT_FALSE(Cidr::parse("10.0.0.0/33"));
    EXPECT_FALSE(Cidr::parse("10.0.0.0/"));
    EXPECT_EQ(Cidr::parse("10.1.2.3")->bits, 32);
}

}  // namespace
}  // namespace hawser::net
