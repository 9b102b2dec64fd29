// SPDX-License-Identifier: Apache-2.0
#include "catalog/build_vips.h"

#include "catalog/build_fixture_test.h"

namespace hawser::catalog {
namespace {

using testing::HasSubstr;

std::string manifest(const std::string& spec, const std::string& name = "chat") {
    return "---\napiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {name: " + name + "}\nspec: {" + spec + "}\n";
}

struct Vips : ::testing::Test {
    Vips() {
        site.options.node_name = "a";
        site.options.interface_networks = {{"lo", *net::Cidr::parse("127.0.0.0/8")},
                                           {"eth0", *net::Cidr::parse("192.168.0.0/24")},
                                           {"eth1", *net::Cidr::parse("fd00:192::/64")}};
    }
    Site site;
};

TEST_F(Vips, OneLineHasSaneDefaults) {
    const auto& plan = *site.build(manifest("addresses: [192.168.0.150/24]")).vips;
    ASSERT_EQ(plan.routers.size(), 1U);
    const vip::VirtualRouter& router = plan.routers[0];
    EXPECT_EQ(router.name, "chat");
    EXPECT_EQ(router.interface, "eth0") << "the one in whose network it is";
    EXPECT_EQ(router.id, 150) << "the last byte, which is the same on all nodes";
    EXPECT_EQ(router.version, 3);
    EXPECT_EQ(router.priority, 100);
    EXPECT_EQ(router.advert_interval, vip::milliseconds(100));
    EXPECT_TRUE(router.preempt);
    ASSERT_EQ(router.addresses.size(), 1U);
    EXPECT_EQ(router.addresses[0].prefix_length, 24);
}

TEST_F(Vips, ANodeHasItsOwnPriority) {
    const std::string text =
        manifest("addresses: [192.168.0.150/24], priority: 50, nodes: [{name: a, priority: 150}, {name: b, priority: 120}]");
    EXPECT_EQ(site.build(text).vips->routers[0].priority, 150);
    site.options.node_name = "c";
    EXPECT_EQ(site.build(text).vips->routers[0].priority, 50);
}

TEST_F(Vips, V09_Ipv6BeginsWithALinkLocalAddress) {
    const auto& router = site.build(manifest("addresses: ['fd00:192::150/64'], virtualRouterID: 7")).vips->routers[0];
    EXPECT_TRUE(router.v6);
    EXPECT_EQ(router.interface, "eth1");
    ASSERT_EQ(router.addresses.size(), 2U);
    EXPECT_EQ(router.addresses[0].ip.text(), "fe80::7607");
    EXPECT_EQ(router.addresses[1].ip.text(), "fd00:192::150");
}

TEST_F(Vips, WhatCannotBeIsAnErrorWithItsPlace) {
    struct Case {
        std::string text;
        const char* error;
    };
    for (const Case& c : std::vector<Case>{
             {manifest("addresses: [10.9.9.9/24]"),
              "VIP chat: spec.interface: is required, because no interface of this node is in the network of 10.9.9.9"},
             {manifest("addresses: [192.168.0.0/32], interface: eth0"), "spec.virtualRouterID: is required"},
             {manifest("addresses: [192.168.0.150/24]") + manifest("addresses: [192.168.0.150/24], virtualRouterID: 9", "b"),
              "192.168.0.150 on eth0 is given twice: first at test.yaml:2:1"},
             {manifest("addresses: [192.168.0.150/24]") + manifest("addresses: [192.168.0.151/24], virtualRouterID: 150", "b"),
              "the virtual router id 150 (eth0, IPv4, multicast) is given twice"}}) {
        EXPECT_FALSE(site.try_build(objects_from(c.text))) << c.text;
        EXPECT_THAT(site.diagnostics.text(), HasSubstr(c.error));
    }
}

TEST(VipAddress, IsAnAddressAndALength) {
    EXPECT_EQ(parse_vip_address("192.168.0.150")->prefix_length, 32);
    EXPECT_EQ(parse_vip_address("fe80::1")->prefix_length, 128);
    EXPECT_EQ(parse_vip_address("192.168.0.150/24")->ip.text(), "192.168.0.150") << "the host's bits stay";
    for (const char* wrong : {"", "/24", "192.168.0.150/", "192.168.0.150/33", "192.168.0.150/0", "fe80::1/129", "a/24",
                              "192.168.0.150/24x", "192.168.0.150/-1"})
        EXPECT_FALSE(parse_vip_address(wrong)) << wrong;
}

}  // namespace
}  // namespace hawser::catalog
