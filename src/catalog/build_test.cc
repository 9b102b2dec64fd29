// SPDX-License-Identifier: Apache-2.0
#include "catalog/build.h"

#include "catalog/build_fixture_test.h"

namespace hawser::catalog {
namespace {

using testing::HasSubstr;

constexpr const char* im_service = R"(---
kind: Service
apiVersion: v1
metadata:
  name: im-service
  labels: {k8s-app: im}
spec:
  selector: {app: im}
  type: NodePort
  ports:
    - port: 9080
      targetPort: 9080
      nodePort: 30100
)";
constexpr const char* testim_service = R"(---
kind: Service
apiVersion: v1
metadata:
  name: testim-service
  annotations: {kube-router.io/service.scheduler: sh}
spec:
  externalIPs: [192.168.0.150]
  selector: {app: testim}
  ports:
    - {port: 9080, targetPort: 9080, protocol: TCP}
  sessionAffinity: ClientIP
)";

TEST(Build, serves_the_two_services_of_the_site) {
    Site site;
    site.build(std::string(im_service) + testim_service + pod("im-0", 10, "im") + pod("im-1", 11, "im") +
               pod("testim-0", 20, "testim"));
    const Frontend* node_port = site.frontend("default/im-service:9080/TCP@nodePort:30100");
    ASSERT_NE(node_port, nullptr);
    EXPECT_EQ(node_port->kind, FrontendKind::node_port);
    EXPECT_EQ(node_port->address.text(), "0.0.0.0:30100");
    EXPECT_EQ(node_port->service_port, "9080");
    EXPECT_EQ(addresses(*node_port->group), "10.244.0.10:9080 10.244.0.11:9080");
    EXPECT_EQ(node_port->group->balancing.scheduler, Scheduler::random);
    EXPECT_EQ(node_port->group->endpoints[0].name, "default/im-0");
    EXPECT_NE(node_port->group->endpoints[0].state, nullptr);

    const Frontend* external = site.frontend("default/testim-service:9080/TCP@externalIP:192.168.0.150");
    ASSERT_NE(external, nullptr);
    EXPECT_EQ(external->address.text(), "192.168.0.150:9080");
    EXPECT_EQ(external->group->balancing.scheduler, Scheduler::source_hash);
    EXPECT_EQ(external->group->balancing.affinity_timeout, std::chrono::seconds(10800));
    EXPECT_EQ(addresses(*external->group), "10.244.0.20:9080");
    EXPECT_EQ(site.snapshot->number, 1u);
    EXPECT_EQ(site.snapshot->services[0].object->metadata.name, "im-service");
    EXPECT_FALSE(site.snapshot->services[0].object->spec.clusterIP.empty());
}

TEST(Build, keeps_groups_and_live_states_that_did_not_change) {
    Site site;
    const std::string services = std::string(im_service) + testim_service + pod("testim-0", 20, "testim");
    site.build(services + pod("im-0", 10, "im") + pod("im-1", 11, "im"));
    const auto first = site.snapshot;
    const Frontend im = *site.frontend("default/im-service:9080/TCP@nodePort:30100");
    const Frontend testim = *site.frontend("default/testim-service:9080/TCP@externalIP:192.168.0.150");
    site.build(services + pod("im-1", 11, "im") + pod("im-2", 12, "im"));
    const Frontend* im_after = site.frontend("default/im-service:9080/TCP@nodePort:30100");
    const Frontend* testim_after = site.frontend("default/testim-service:9080/TCP@externalIP:192.168.0.150");
    EXPECT_EQ(site.snapshot->number, 2u);
    EXPECT_EQ(testim_after->group, testim.group);
    EXPECT_NE(im_after->group, im.group);
    EXPECT_EQ(im_after->group->endpoints[0].state, im.group->endpoints[1].state);
    EXPECT_EQ(diff(*first, *site.snapshot),
              (std::vector<std::string>{"- endpoint 10.244.0.10:9080/TCP default/im-service",
                                        "+ endpoint 10.244.0.12:9080/TCP default/im-service"}));
}

}  // namespace
}  // namespace hawser::catalog
