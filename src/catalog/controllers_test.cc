// SPDX-License-Identifier: Apache-2.0
#include "catalog/controllers.h"

#include "catalog/build_fixture_test.h"
#include "catalog/topology.h"

namespace hawser::catalog {
namespace {

using testing::HasSubstr;

// The endpoints of the first service, one a line: "10.244.0.1:9001 name ready|serving|terminating".
std::string endpoints_of(const std::string& yaml) {
    const Objects objects = objects_from(yaml);
    std::string out;
    for (const ServiceEndpoint& e : EndpointIndex(objects).endpoints_of(objects.services[0].object)) {
        out += e.address.text() + " [" + e.port_name + "]";
        if (e.ready) out += " ready";
        if (e.serving) out += " serving";
        if (e.terminating) out += " terminating";
        out += "\n";
    }
    return out;
}

std::string service(const std::string& more = "") {
    return "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {app: a}, ports: [{port: "
           "80, targetPort: ws}]" +
           more + "}\n";
}

std::string slice(const std::string& name, const std::string& endpoints, const std::string& labels = "",
                  const std::string& port = "{name: '', port: 9000}", const std::string& type = "IPv4") {
    return "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name +
           ", labels: {kubernetes.io/service-name: s" + labels + "}}\naddressType: " + type + "\nports: [" +
           port + "]\nendpoints: " + endpoints + "\n";
}

struct Case {
    const char* what;
    std::string yaml;
    const char* endpoints;
};

TEST(Endpoints, come_from_pods_as_the_controller_makes_them) {
    const std::string deleted = ", deletionTimestamp: '2026-11-01T00:00:00Z'";
    const Case table[] = {
        {"S-03 a named port is another number in each pod", service() + pod("p1", 1, "a") + pod("p2", 2, "a"),
         "10.244.0.1:9001 [] ready serving\n10.244.0.2:9002 [] ready serving\n"},
        {"the selector decides", service() + pod("p1", 1, "a") + pod("p2", 2, "b"),
         "10.244.0.1:9001 [] ready serving\n"},
        {"E-06 not ready", service() + pod("p1", 1, "a", "node", "False"), "10.244.0.1:9001 []\n"},
        {"E-06 terminating", service() + pod("p1", 1, "a", "node", "True", deleted),
         "10.244.0.1:9001 [] serving terminating\n"},
        {"E-08", service(", publishNotReadyAddresses: true") + pod("p1", 1, "a", "node", "False", deleted),
         "10.244.0.1:9001 [] ready terminating\n"},
        {"finished pods have none",
         service() + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {app: a}}\nstatus: {phase: "
                     "Succeeded, podIP: 10.0.0.1}\n",
         ""},
        {"pods without an address have none",
         service() + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {app: a}}\n", ""},
        {"a pod without the named port has none",
         service() + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {app: a}}\nstatus: {podIP: "
                     "10.0.0.1}\n",
         ""},
        {"another namespace's pods are not ours",
         service() +
             "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: other, labels: {app: a}}\nspec: "
             "{containers: [{name: c, ports: [{name: ws, containerPort: 1}]}]}\nstatus: {podIP: 10.0.0.1}\n",
         ""},
        {"without a targetPort it is the port",
         "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {app: a}, ports: [{port: "
         "80}]}\n" +
             pod("p1", 1, "a"),
         "10.244.0.1:80 [] ready serving\n"},
    };
    for (const Case& row : table) EXPECT_EQ(endpoints_of(row.yaml), row.endpoints) << row.what;
}

TEST(Endpoints, come_from_slices_as_kube_proxy_reads_them) {
    const Case table[] = {
        {"E-04 nil conditions", service() + slice("a", "[{addresses: [10.0.0.1]}]"),
         "10.0.0.1:9000 [] ready serving\n"},
        {"E-04 ready false, serving nil",
         service() + slice("a", "[{addresses: [10.0.0.1], conditions: {ready: false}}]"),
         "10.0.0.1:9000 [] serving\n"},
        {"E-03 only the first address", service() + slice("a", "[{addresses: [10.0.0.1, 10.0.0.2]}]"),
         "10.0.0.1:9000 [] ready serving\n"},
        {"E-02 FQDN is ignored",
         service() + slice("a", "[{addresses: [a.example.com]}]", "", "{name: '', port: 1}", "FQDN"), ""},
        {"E-01 headless slices are ignored",
         service() + slice("a", "[{addresses: [10.0.0.1]}]", ", service.kubernetes.io/headless: ''"), ""},
        {"S-04 a port without name or number is ignored",
         service() + slice("a", "[{addresses: [10.0.0.1]}]", "", "{port: 9000}"), ""},
        {"S-04 a port without number is ignored",
         service() + slice("a", "[{addresses: [10.0.0.1]}]", "", "{name: ''}"), ""},
        {"E-05 the copy that stays is preferred",
         service() +
             slice(
                 "a",
                 "[{addresses: [10.0.0.1], conditions: {ready: false, serving: true, terminating: true}}]") +
             slice("b", "[{addresses: [10.0.0.1]}]"),
         "10.0.0.1:9000 [] ready serving\n"},
        {"E-14 anybody's slices count, beside the pods",
         service() + slice("a", "[{addresses: [10.0.0.1]}]", ", endpointslice.kubernetes.io/managed-by: me") +
             pod("p1", 1, "a"),
         "10.0.0.1:9000 [] ready serving\n10.244.0.1:9001 [] ready serving\n"},
        {"a slice is believed before the pod",
         service() +
             slice("a", "[{addresses: [10.244.0.1], conditions: {ready: false, serving: false}}]", "",
                   "{name: '', port: 9001}") +
             pod("p1", 1, "a"),
         "10.244.0.1:9001 []\n"},
        {"Endpoints of the service's name",
         service() + "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: s}\nsubsets: [{addresses: [{ip: "
                     "10.0.0.1}], notReadyAddresses: [{ip: 10.0.0.2}], ports: [{port: 9000}]}]\n",
         "10.0.0.1:9000 [] ready serving\n10.0.0.2:9000 []\n"},
        {"Endpoints that are not to be mirrored",
         service() + "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: s, labels: "
                     "{endpointslice.kubernetes.io/skip-mirror: 'true'}}\nsubsets: [{addresses: [{ip: "
                     "10.0.0.1}], ports: [{port: 9000}]}]\n",
         ""},
    };
    for (const Case& row : table) EXPECT_EQ(endpoints_of(row.yaml), row.endpoints) << row.what;
}

TEST(Endpoints, warn_of_a_pod_that_never_says_it_is_ready) {
    Site site;
    site.build(
        service() +
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {app: a}}\nstatus: {podIP: 10.0.0.1}\n");
    EXPECT_THAT(site.diagnostics.text(), HasSubstr("Pod default/x has no condition of type Ready"));
}

// ---- topology: an endpoint is written as its flags: r ready, s serving, t terminating; node; hints.
struct Spec {
    const char* flags;
    const char* node;
    std::vector<std::string> zones, nodes;
};
struct TopologyCase {
    const char* what;
    std::vector<Spec> endpoints;
    NodeIdentity node;
    const char* cluster;  // indices
    const char* local;
    bool any;
};

TEST(Topology, selects_as_kube_proxy_does) {
    const NodeIdentity here{"n1", "z1"};
    const TopologyCase table[] = {
        {"nothing", {}, here, "", "", false},
        {"not ready", {{"", "n1", {}, {}}}, here, "", "", false},
        {"ready ones",
         {{"rs", "n1", {}, {}}, {"rs", "n2", {}, {}}, {"", "n1", {}, {}}},
         here,
         "01",
         "0",
         true},
        {"E-07 falls back to terminating", {{"st", "n1", {}, {}}, {"t", "n1", {}, {}}}, here, "0", "0", true},
        {"E-07 each set by itself", {{"st", "n1", {}, {}}, {"rs", "n2", {}, {}}}, here, "1", "0", true},
        {"E-07 ready first", {{"st", "n1", {}, {}}, {"rs", "n1", {}, {}}}, here, "1", "1", true},
        {"E-08 a ready one that terminates", {{"rst", "n1", {}, {}}}, here, "0", "0", true},
        {"E-12 no name, nothing local", {{"rs", "n1", {}, {}}}, {"", ""}, "0", "", true},
        {"E-11 zone", {{"rs", "n1", {"z1"}, {}}, {"rs", "n2", {"z2"}, {}}}, here, "0", "0", true},
        {"E-11 one without hints turns it off",
         {{"rs", "n1", {"z1"}, {}}, {"rs", "n2", {}, {}}},
         here,
         "01",
         "0",
         true},
        {"E-11 no endpoint for the zone",
         {{"rs", "n1", {"z2"}, {}}, {"rs", "n2", {"z2"}, {}}},
         here,
         "01",
         "0",
         true},
        {"E-11 this node's zone is not known",
         {{"rs", "n1", {"z1"}, {}}, {"rs", "n2", {"z2"}, {}}},
         {"n1", ""},
         "01",
         "0",
         true},
        {"E-11 node before zone",
         {{"rs", "n1", {"z1"}, {"n1"}}, {"rs", "n2", {"z1"}, {"n2"}}},
         here,
         "0",
         "0",
         true},
        {"E-11 no endpoint on the node: zone",
         {{"rs", "n3", {"z1"}, {"n3"}}, {"rs", "n2", {"z2"}, {"n2"}}},
         here,
         "0",
         "",
         true},
        {"E-11 unready ones do not turn it off",
         {{"rs", "n1", {"z1"}, {}}, {"", "n2", {}, {}}},
         here,
         "0",
         "0",
         true},
    };
    for (const TopologyCase& row : table) {
        std::vector<ServiceEndpoint> endpoints(row.endpoints.size());
        std::vector<const ServiceEndpoint*> pointers;
        for (std::size_t i = 0; i < endpoints.size(); ++i) {
            const std::string flags = row.endpoints[i].flags;
            endpoints[i].ready = flags.find('r') != std::string::npos;
            endpoints[i].serving = flags.find('s') != std::string::npos;
            endpoints[i].terminating = flags.find('t') != std::string::npos;
            endpoints[i].node = row.endpoints[i].node;
            endpoints[i].for_zones = row.endpoints[i].zones;
            endpoints[i].for_nodes = row.endpoints[i].nodes;
            pointers.push_back(&endpoints[i]);
        }
        const UsableEndpoints usable = select_usable(pointers, row.node);
        const auto indices = [&](const std::vector<const ServiceEndpoint*>& list) {
            std::string out;
            for (const auto* e : list) out += std::to_string(e - endpoints.data());
            return out;
        };
        EXPECT_EQ(indices(usable.cluster), row.cluster) << row.what;
        EXPECT_EQ(indices(usable.local), row.local) << row.what;
        EXPECT_EQ(usable.any, row.any) << row.what;
    }
}

TEST(Topology, gets_hints_from_trafficDistribution_without_a_controller) {
    Site site;
    site.options.node_name = "node-a";
    const std::string nodes =
        "---\napiVersion: v1\nkind: Node\nmetadata: {name: node-a, labels: {topology.kubernetes.io/zone: "
        "z1}}\n"
        "---\napiVersion: v1\nkind: Node\nmetadata: {name: node-b, labels: {topology.kubernetes.io/zone: "
        "z2}}\n";
    site.build(service(", externalIPs: [203.0.113.1], trafficDistribution: PreferSameZone") +
               pod("p1", 1, "a", "node-a") + pod("p2", 2, "a", "node-b") + nodes);
    EXPECT_EQ(addresses(*site.frontend("default/s:80/TCP@externalIP:203.0.113.1")->group), "10.244.0.1:9001");
}

}  // namespace
}  // namespace hawser::catalog
