// SPDX-License-Identifier: Apache-2.0
#include "catalog/allocation.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "catalog/build_fixture_test.h"
#include "net/testing_directory.h"

namespace hawser::catalog {
namespace {

using testing::HasSubstr;

std::string service(const std::string& name,
                    const std::string& spec = "type: NodePort, ports: [{port: 80}]") {
    return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {" + spec + "}\n";
}

const ServiceSpec& spec_of(const Site& site, const std::string& name) {
    for (const ServiceView& v : site.snapshot->services)
        if (v.object->metadata.name == name) return v.object->spec;
    throw std::out_of_range(name);
}

TEST(Allocation, gives_the_same_numbers_on_two_machines_without_a_state_file) {
    Site one, two;
    one.build(service("a") + service("b"));
    two.build(service("b") + service("a"));
    for (const char* name : {"a", "b"}) {
        EXPECT_EQ(spec_of(one, name).clusterIP, spec_of(two, name).clusterIP);
        EXPECT_EQ(spec_of(one, name).ports[0].nodePort, spec_of(two, name).ports[0].nodePort);
        EXPECT_TRUE(
            one.options.service_cidr_v4.contains(*net::IpAddress::parse(spec_of(one, name).clusterIP)));
        EXPECT_GE(spec_of(one, name).ports[0].nodePort, 30000);
        EXPECT_LE(spec_of(one, name).ports[0].nodePort, 32767);
    }
    EXPECT_NE(spec_of(one, "a").clusterIP, spec_of(one, "b").clusterIP);
}

TEST(Allocation, keeps_numbers_over_a_restart_even_when_another_came_first) {
    Site site;
    site.options.node_port_min = 30000;
    site.options.node_port_max = 30001;
    site.build(service("b"));
    const std::int32_t port = spec_of(site, "b").ports[0].nodePort;
    Site restarted;
    restarted.options = site.options;
    restarted.allocations = *Allocations::parse(site.allocations.text());
    EXPECT_EQ(restarted.allocations, site.allocations);
    restarted.build(service("a") + service("b"));
    EXPECT_EQ(spec_of(restarted, "b").ports[0].nodePort, port);
    EXPECT_EQ(spec_of(restarted, "b").clusterIP, spec_of(site, "b").clusterIP);
    EXPECT_NE(spec_of(restarted, "a").ports[0].nodePort, port);
}

TEST(Allocation, lets_an_explicit_number_win_over_a_remembered_one) {
    Site site;
    site.build(service("b"));
    const std::string taken = std::to_string(spec_of(site, "b").ports[0].nodePort);
    site.build(service("a", "type: NodePort, ports: [{port: 80, nodePort: " + taken + "}]") + service("b"));
    EXPECT_EQ(std::to_string(spec_of(site, "a").ports[0].nodePort), taken);
    EXPECT_NE(std::to_string(spec_of(site, "b").ports[0].nodePort), taken);
}

TEST(Allocation, forgets_services_that_are_gone) {
    Site site;
    site.build(service("a") + service("b"));
    site.build(service("a"));
    EXPECT_EQ(site.allocations.node_ports.size(), 1u);
    EXPECT_EQ(site.allocations.cluster_ips.size(), 1u);
}

TEST(Allocation, gives_tcp_and_udp_of_one_port_the_same_nodePort) {
    Site site;
    site.build(
        service("dns", "type: NodePort, ports: [{name: t, port: 53}, {name: u, port: 53, protocol: UDP}]"));
    EXPECT_EQ(spec_of(site, "dns").ports[0].nodePort, spec_of(site, "dns").ports[1].nodePort);
}

struct ErrorCase {
    std::string yaml;
    const char* error;
};

TEST(Allocation, reports_what_cannot_be_given_naming_both_places) {
    const ErrorCase table[] = {
        {service("a", "type: NodePort, ports: [{port: 80, nodePort: 30000}]") +
             service("b", "type: NodePort, ports: [{port: 81, nodePort: 30000}]"),
         "test.yaml:7:1: error: Service default/b: nodePort 30000/TCP is already given to Service default/a "
         "at test.yaml:2:1"},
        {service("a", "clusterIP: 10.96.0.9, ports: [{port: 80}]") +
             service("b", "clusterIP: 10.96.0.9, ports: [{port: 80}]"),
         "Service default/b: clusterIP 10.96.0.9 is already given to Service default/a"},
        {service("a") + service("b") + service("c"), "Service default/c: no nodePort is left in 30000-30001"},
        {service("a", "ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]"),
         "Service default/a: no IPv6 range for ClusterIPs is configured"},
    };
    for (const ErrorCase& row : table) {
        Site site;
        site.options.node_port_max = 30001;
        EXPECT_FALSE(site.try_build(objects_from(row.yaml)));
        EXPECT_THAT(site.diagnostics.text(), HasSubstr(row.error));
        EXPECT_EQ(site.diagnostics.errors(), 1u) << site.diagnostics.text();
    }
}

TEST(Allocation, needs_no_nodePort_where_none_is_wanted_S_16) {
    Site site;
    site.build(service("a", "type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]") +
               service("b", "type: LoadBalancer, ports: [{port: 80}]") + service("c", "ports: [{port: 80}]") +
               service("d", "clusterIP: None, ports: [{port: 80}]"));
    EXPECT_EQ(spec_of(site, "a").ports[0].nodePort, 0);
    EXPECT_NE(spec_of(site, "b").ports[0].nodePort, 0);
    EXPECT_EQ(spec_of(site, "c").ports[0].nodePort, 0);
    EXPECT_EQ(spec_of(site, "d").clusterIP, "None");
}

TEST(Allocation, gives_both_families_their_addresses_S_20) {
    Site site;
    site.options.service_cidr_v6 = net::Cidr::parse("fd00:96::/112");
    site.build(service("a", "ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]") +
               service("b", "ipFamilies: [IPv6], ports: [{port: 80}]"));
    ASSERT_EQ(spec_of(site, "a").clusterIPs.size(), 2u);
    EXPECT_TRUE(
        site.options.service_cidr_v6->contains(*net::IpAddress::parse(spec_of(site, "a").clusterIPs[1])));
    EXPECT_EQ(spec_of(site, "b").clusterIPs.size(), 1u);
    EXPECT_TRUE(site.options.service_cidr_v6->contains(*net::IpAddress::parse(spec_of(site, "b").clusterIP)));
}

TEST(Allocation, survives_in_a_file_and_reports_a_damaged_one) {
    const net::testing::TemporaryDirectory kept("allocation");
    const std::filesystem::path directory = kept.path();
    const std::string path = directory / "allocations.json";
    EXPECT_EQ(load_allocations(path)->text(), Allocations{}.text());
    Site site;
    site.build(service("a"));
    ASSERT_TRUE(save_allocations(path, site.allocations).has_value());
    EXPECT_EQ(*load_allocations(path), site.allocations);
    for (const char* text : {"{", "[]", "{\"clusterIPs\":{\"a\":1}}", "{\"nodePorts\":{\"a\":70000}}"}) {
        std::ofstream(path) << text;
        EXPECT_TRUE(load_allocations(path).has_error()) << text;
    }
    EXPECT_TRUE(save_allocations(directory / "no/such/dir", site.allocations).has_error());
}

}  // namespace
}  // namespace hawser::catalog
