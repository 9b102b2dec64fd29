// SPDX-License-Identifier: Apache-2.0
#include "catalog/build_services.h"

#include "catalog/build_fixture_test.h"

namespace hawser::catalog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A Service "s" with one port 80 and the given spec and metadata, beside the pods p1 (node-a) and p2
// (node-b).
std::string service(const std::string& spec, const std::string& meta = "") {
    return "apiVersion: v1\nkind: Service\nmetadata: {name: s" + meta +
           "}\nspec: {selector: {app: a}, ports: [{port: 80, targetPort: ws}]" + spec + "}\n";
}
std::string two_pods() { return pod("p1", 1, "a", "node-a") + pod("p2", 2, "a", "node-b"); }

std::vector<std::string> frontend_ids(const Snapshot& snapshot) {
    std::vector<std::string> out;
    for (const Frontend& f : snapshot.frontends)
        if (f.kind != FrontendKind::cluster_ip) out.push_back(f.id);
    return out;
}

struct FrontendCase {
    const char* what;
    const char* spec;
    const char* meta;
    const char* status;  // of the load balancer
    std::vector<std::string> ids;
};

TEST(Frontends, stand_where_kube_proxy_would_serve) {
    const FrontendCase table[] = {
        {"S-05 NodePort", ", type: NodePort", "", "", {"default/s:80/TCP@nodePort:31000"}},
        {"S-08 external IPs on a ClusterIP",
         ", externalIPs: [203.0.113.1, 203.0.113.2]",
         "",
         "",
         {"default/s:80/TCP@externalIP:203.0.113.1", "default/s:80/TCP@externalIP:203.0.113.2"}},
        {"an address twice is one frontend",
         ", externalIPs: [203.0.113.1, 203.0.113.1]",
         "",
         "",
         {"default/s:80/TCP@externalIP:203.0.113.1"}},
        {"S-10 a VIP of a load balancer",
         ", type: LoadBalancer, allocateLoadBalancerNodePorts: false",
         "",
         "[{ip: 203.0.113.5}, {ip: 203.0.113.6, ipMode: VIP}]",
         {"default/s:80/TCP@loadBalancer:203.0.113.5", "default/s:80/TCP@loadBalancer:203.0.113.6"}},
        {"S-10 ipMode Proxy is not captured",
         ", type: LoadBalancer, allocateLoadBalancerNodePorts: false",
         "",
         "[{ip: 203.0.113.5, ipMode: Proxy}]",
         {}},
        {"S-13 a host name gives nothing",
         ", type: LoadBalancer, allocateLoadBalancerNodePorts: false",
         "",
         "[{hostname: a.example.com}]",
         {}},
        {"S-15 the address asked for",
         ", type: LoadBalancer, allocateLoadBalancerNodePorts: false, loadBalancerIP: 203.0.113.7",
         "",
         "",
         {"default/s:80/TCP@loadBalancer:203.0.113.7"}},
        {"S-14 not for another controller's class",
         ", type: LoadBalancer, allocateLoadBalancerNodePorts: false, loadBalancerIP: 203.0.113.7, "
         "loadBalancerClass: x.io/y",
         "",
         "",
         {}},
        {"kube-router skiplbips",
         ", type: LoadBalancer, allocateLoadBalancerNodePorts: false",
         ", annotations: {kube-router.io/service.skiplbips: 'true'}",
         "[{ip: 203.0.113.5}]",
         {}},
        {"S-01 another proxy's",
         ", type: NodePort",
         ", labels: {service.kubernetes.io/service-proxy-name: other}",
         "",
         {}},
        {"S-01 ours by name",
         ", type: NodePort",
         ", labels: {service.kubernetes.io/service-proxy-name: hawser}",
         "",
         {"default/s:80/TCP@nodePort:31000"}},
        {"S-01 headless label", ", type: NodePort", ", labels: {service.kubernetes.io/headless: ''}", "", {}},
        {"S-01 headless", ", clusterIP: None, externalIPs: [203.0.113.1]", "", "", {}},
        {"S-20 a family without ClusterIP is not served",
         ", externalIPs: [203.0.113.1, '2001:db8::1']",
         "",
         "",
         {"default/s:80/TCP@externalIP:203.0.113.1"}},
        {"S-20 both families",
         ", ipFamilyPolicy: RequireDualStack, externalIPs: [203.0.113.1, '2001:db8::1']",
         "",
         "",
         {"default/s:80/TCP/IPv6@externalIP:2001:db8::1", "default/s:80/TCP@externalIP:203.0.113.1"}},
    };
    for (const FrontendCase& row : table) {
        Site site;
        site.options.service_cidr_v6 = net::Cidr::parse("fd00:96::/112");
        site.allocations.node_ports["default/s:80/TCP"] = 31000;
        std::string yaml = service(row.spec, row.meta);
        if (*row.status != 0) yaml += std::string("status: {loadBalancer: {ingress: ") + row.status + "}}\n";
        site.build(yaml + two_pods());
        EXPECT_EQ(frontend_ids(*site.snapshot), row.ids) << row.what;
    }
}

TEST(Frontends, open_node_ports_on_the_chosen_addresses_S_06) {
    Site site;
    site.allocations.node_ports["default/s:80/TCP"] = 31000;
    site.options.node_addresses = {*net::IpAddress::parse("10.0.0.7"),
                                   *net::IpAddress::parse("192.168.0.100"),
                                   *net::IpAddress::parse("127.0.0.1")};
    site.options.node_port_addresses = {*net::Cidr::parse("192.168.0.0/24")};
    site.build(service(", type: NodePort") + two_pods());
    EXPECT_THAT(frontend_ids(*site.snapshot), ElementsAre("default/s:80/TCP@nodePort:192.168.0.100:31000"));
}

TEST(Frontends, join_ports_with_different_protocols_on_one_number_S_02) {
    Site site;
    site.build(R"(apiVersion: v1
kind: Service
metadata: {name: dns}
spec:
  selector: {app: a}
  externalIPs: [203.0.113.1]
  ports: [{name: t, port: 53, targetPort: 53}, {name: u, port: 53, targetPort: 54, protocol: UDP}, {name: s, port: 53, protocol: SCTP}]
)" + two_pods());
    const Frontend* tcp = site.frontend("default/dns:t/TCP@externalIP:203.0.113.1");
    const Frontend* udp = site.frontend("default/dns:u/UDP@externalIP:203.0.113.1");
    ASSERT_TRUE(tcp && udp);
    EXPECT_EQ(addresses(*tcp->group), "10.244.0.1:53 10.244.0.2:53");
    EXPECT_EQ(addresses(*udp->group), "10.244.0.1:54 10.244.0.2:54");
    EXPECT_EQ(udp->protocol, Protocol::udp);
    EXPECT_THAT(site.diagnostics.text(), HasSubstr("port 53/SCTP is not served"));
}

TEST(Frontends, keep_source_ranges_for_load_balancer_addresses_only_S_17) {
    Site site;
    site.options.node_port_min = site.options.node_port_max = 31000;
    const std::string status = "status: {loadBalancer: {ingress: [{ip: 203.0.113.5}]}}\n";
    site.build(service(", type: LoadBalancer, externalIPs: [203.0.113.1], loadBalancerSourceRanges: [' "
                       "10.0.0.0/8 ', 'fd00::/8']") +
               status + two_pods());
    EXPECT_THAT(site.frontend("default/s:80/TCP@loadBalancer:203.0.113.5")->source_ranges,
                ElementsAre(*net::Cidr::parse("10.0.0.0/8")));
    EXPECT_TRUE(site.frontend("default/s:80/TCP@externalIP:203.0.113.1")->source_ranges.empty());
    EXPECT_TRUE(site.frontend("default/s:80/TCP@nodePort:31000")->source_ranges.empty());
    site.build(service(", type: LoadBalancer",
                       ", annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: "
                       "'10.1.0.0/16, 10.2.0.0/16'}") +
               status + two_pods());
    EXPECT_EQ(site.frontend("default/s:80/TCP@loadBalancer:203.0.113.5")->source_ranges.size(), 2u);
    site.build(service(", type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8, 0.0.0.0/0]") + status +
               two_pods());
    EXPECT_TRUE(site.frontend("default/s:80/TCP@loadBalancer:203.0.113.5")->source_ranges.empty());
}

struct PolicyCase {
    const char* what;
    const char* spec;
    const char* meta;
    const char* node;
    const char* external;     // addresses of the external IP's group
    const char* from_inside;  // of its cluster_group
    bool drop;                // when the group is empty
};

TEST(TrafficPolicies, decide_which_endpoints_a_frontend_has) {
    const PolicyCase table[] = {
        {"P-02", "", "", "node-a", "10.244.0.1:9001 10.244.0.2:9002", "10.244.0.1:9001 10.244.0.2:9002",
         false},
        {"P-03, P-04", ", externalTrafficPolicy: Local", "", "node-a", "10.244.0.1:9001",
         "10.244.0.1:9001 10.244.0.2:9002", true},
        {"P-03 none here: drop", ", externalTrafficPolicy: Local", "", "node-c", "",
         "10.244.0.1:9001 10.244.0.2:9002", true},
        {"nobody knows who we are: nothing is local", ", externalTrafficPolicy: Local", "", "", "",
         "10.244.0.1:9001 10.244.0.2:9002", true},
        {"P-06 none anywhere: refuse, under Local too",
         ", externalTrafficPolicy: Local, selector: {app: none}", "", "node-a", "", "", false},
        {"kube-router service.local", "", ", annotations: {kube-router.io/service.local: 'true'}", "node-b",
         "10.244.0.2:9002", "10.244.0.1:9001 10.244.0.2:9002", true},
    };
    for (const PolicyCase& row : table) {
        Site site;
        site.options.node_name = row.node;
        std::string yaml = service(std::string(", externalIPs: [203.0.113.1]") + row.spec, row.meta);
        if (yaml.find("app: none") != std::string::npos)
            yaml.replace(yaml.find("selector: {app: a}, "), 20, "");
        site.build(yaml + two_pods());
        const Frontend* f = site.frontend("default/s:80/TCP@externalIP:203.0.113.1");
        ASSERT_NE(f, nullptr) << row.what;
        EXPECT_EQ(addresses(*f->group), row.external) << row.what;
        EXPECT_EQ(addresses(*f->cluster_group), row.from_inside) << row.what;
        EXPECT_EQ(f->when_empty == Frontend::WhenEmpty::drop, row.drop) << row.what;
        EXPECT_TRUE(f->group->endpoints.empty() || f->group == f->cluster_group ||
                    f->group->endpoints[0].state != nullptr);
    }
}

TEST(TrafficPolicies, share_live_states_between_the_local_and_the_cluster_group) {
    Site site;
    site.options.node_name = "node-b";
    site.build(service(", externalIPs: [203.0.113.1], externalTrafficPolicy: Local") + two_pods());
    const Frontend* f = site.frontend("default/s:80/TCP@externalIP:203.0.113.1");
    EXPECT_EQ(f->group->id, "default/s:80/TCP/local");
    EXPECT_EQ(f->group->endpoints[0].state, f->cluster_group->endpoints[1].state);
}

TEST(TrafficPolicies, keep_internal_policy_to_the_cluster_ip_P_01) {
    Site site;
    site.options.node_name = "node-a";
    site.build(service(", externalIPs: [203.0.113.1], internalTrafficPolicy: Local") + two_pods());
    const Frontend* inside = site.frontend("default/s:80/TCP@clusterIP");
    EXPECT_EQ(addresses(*inside->group), "10.244.0.1:9001");
    EXPECT_EQ(inside->when_empty, Frontend::WhenEmpty::drop);
    EXPECT_EQ(addresses(*site.frontend("default/s:80/TCP@externalIP:203.0.113.1")->group),
              "10.244.0.1:9001 10.244.0.2:9002");
}

TEST(TrafficPolicies, know_this_node_by_its_addresses_E_12) {
    Site site;
    site.options.node_addresses = {*net::IpAddress::parse("192.168.0.101")};
    site.build(service(", externalIPs: [203.0.113.1], externalTrafficPolicy: Local") + two_pods() + R"(---
apiVersion: v1
kind: Node
metadata: {name: node-b}
status: {addresses: [{type: InternalIP, address: 192.168.0.101}]}
)");
    EXPECT_EQ(addresses(*site.frontend("default/s:80/TCP@externalIP:203.0.113.1")->group), "10.244.0.2:9002");
}

struct BalancingCase {
    const char* spec;
    const char* annotation;
    Scheduler scheduler;
    int affinity;  // seconds; 0 = none
    bool warned;
};

TEST(Balancing, follows_the_kube_router_annotation_and_session_affinity) {
    const BalancingCase table[] = {
        {"", "", Scheduler::random, 0, false},
        {"", "rr", Scheduler::rr, 0, false},
        {"", "lc", Scheduler::least_connected, 0, false},
        {"", "sh", Scheduler::source_hash, 0, false},
        {"", "dh", Scheduler::destination_hash, 0, false},
        {"", "mh", Scheduler::maglev, 0, false},
        {"", "wlc", Scheduler::rr, 0, true},
        {"", "SH", Scheduler::rr, 0, true},
        {", sessionAffinity: ClientIP", "", Scheduler::source_hash, 10800, false},  // A-01
        {", sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 120}}", "lc",
         Scheduler::least_connected, 120, false},
    };
    for (const BalancingCase& row : table) {
        Site site;
        const std::string meta =
            *row.annotation == 0
                ? ""
                : std::string(", annotations: {kube-router.io/service.scheduler: ") + row.annotation + "}";
        site.build(service(row.spec, meta) + two_pods());
        const Balancing& b = site.frontend("default/s:80/TCP@clusterIP")->group->balancing;
        EXPECT_EQ(b.scheduler, row.scheduler) << row.spec << row.annotation;
        EXPECT_EQ(b.affinity_timeout.value_or(std::chrono::seconds(0)).count(), row.affinity)
            << row.annotation;
        EXPECT_EQ(site.diagnostics.text().find("is not one of rr, lc, sh, dh, mh") != std::string::npos,
                  row.warned)
            << site.diagnostics.text();
    }
}

TEST(Build, refuses_an_address_that_two_services_claim_and_changes_nothing) {
    Site site;
    site.build(service(", externalIPs: [203.0.113.1]") + two_pods());
    const auto before = site.snapshot;
    const Allocations allocations = site.allocations;
    EXPECT_FALSE(site.try_build(objects_from(service(", externalIPs: [203.0.113.1]") +
                                             "---\napiVersion: v1\nkind: Service\nmetadata: {name: t}\nspec: "
                                             "{externalIPs: [203.0.113.1], ports: [{port: 80}]}\n")));
    EXPECT_EQ(site.diagnostics.text(),
              "test.yaml:6:1: error: Service default/t: 203.0.113.1:80/TCP is taken by Service default/s at "
              "test.yaml:1:1\n");
    EXPECT_EQ(site.snapshot, before);
    EXPECT_EQ(site.allocations, allocations);
}

}  // namespace
}  // namespace hawser::catalog
