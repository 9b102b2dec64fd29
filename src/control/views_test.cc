// SPDX-License-Identifier: Apache-2.0
#include "control/views.h"

#include <gtest/gtest.h>

#include "control/fakes.h"

namespace hawser::control {
namespace {

namespace json = boost::json;

TEST(Views, a_service_is_written_as_the_api_server_would) {
    const auto snapshot = snapshot_of(site_service(), 7);
    const FirstSeen seen{{"default/im-service", std::chrono::system_clock::from_time_t(1'794'873'600)}};
    EXPECT_EQ(json::value(service_list(*snapshot, seen, {})), json::parse(R"({
        "kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"},
        "items": [{"kind": "Service", "apiVersion": "v1",
            "metadata": {"name": "im-service", "namespace": "default", "labels": {"k8s-app": "im"},
                         "creationTimestamp": "2026-11-17T00:00:00Z"},
            "spec": {"type": "NodePort", "clusterIP": "10.104.253.46", "clusterIPs": ["10.104.253.46"],
                     "sessionAffinity": "None", "selector": {"k8s-app": "im"},
                     "ports": [{"protocol": "TCP", "port": 9080, "targetPort": 9080, "nodePort": 30100}]},
            "status": {"loadBalancer": {}}}]})"));
}

TEST(Views, the_manifests_own_timestamp_wins_over_first_seen) {
    auto service = site_service();
    service.metadata.creationTimestamp = "2020-01-01T00:00:00Z";
    const auto list = service_list(*snapshot_of(service), {}, {});
    EXPECT_EQ(list.at("items").at(0).at("metadata").at("creationTimestamp"), "2020-01-01T00:00:00Z");
}

TEST(Views, filters_by_namespace_name_and_service) {
    const auto snapshot = snapshot_of(site_service());
    const auto count = [&](const Filter& filter) {
        return service_list(*snapshot, {}, filter).at("items").as_array().size();
    };
    EXPECT_EQ(count({"default", std::nullopt, std::nullopt}), 1U);
    EXPECT_EQ(count({"other", std::nullopt, std::nullopt}), 0U);
    EXPECT_EQ(count({std::nullopt, "im-service", std::nullopt}), 1U);
    EXPECT_EQ(count({std::nullopt, "im", std::nullopt}), 0U);
    EXPECT_EQ(count({std::nullopt, std::nullopt, "default/im-service"}), 1U);
    EXPECT_EQ(count({std::nullopt, std::nullopt, "im-service"}), 1U);
    EXPECT_EQ(count({std::nullopt, std::nullopt, "other/im-service"}), 0U);
}

TEST(Views, endpoints_with_the_same_ports_share_a_slice) {
    auto snapshot = snapshot_of(site_service());
    const auto add = [&](const char* address, const char* port, bool ready) {
        catalog::ServiceView::EndpointView e;
        e.address = *net::SocketAddress::parse(address);
        e.port_name = port;
        e.pod = "default/im-" + std::to_string(e.address.ip.v4_host_order() & 0xffU);
        e.node = "node-a";
        e.ready = e.serving = ready;
        snapshot->services[0].endpoints.push_back(e);
    };
    for (const char* address : {"10.0.0.1", "10.0.0.2"}) {
        add((std::string(address) + ":9080").c_str(), "ws", true);
        add((std::string(address) + ":9090").c_str(), "metrics", true);
    }
    add("10.0.0.3:9080", "ws", false);
    const auto list = endpoint_list(*snapshot, {}, {});
    const auto& items = list.at("items").as_array();
    ASSERT_EQ(items.size(), 2U);
    EXPECT_EQ(items[0].at("ports").as_array().size(), 2U);
    EXPECT_EQ(items[0].at("endpoints").as_array().size(), 2U);
    EXPECT_EQ(items[1].at("endpoints").at(0), json::parse(R"({"addresses": ["10.0.0.3"], "nodeName": "node-a",
                              "conditions": {"ready": false, "serving": false, "terminating": false},
                              "targetRef": {"kind": "Pod", "name": "im-3", "namespace": "default"}})"));
}

TEST(Views, tunnels_come_in_pages_by_id) {
    std::vector<tunnel::Tunnel> live;
    for (const std::uint64_t id : {5, 1, 4, 2, 3}) live.push_back(some_tunnel(id));
    const auto first = tunnel_list(live, {}, 2, 0);
    EXPECT_EQ(first.at("items").at(0).at("id"), "1");
    EXPECT_EQ(first.at("items").at(1).at("id"), "2");
    EXPECT_EQ(first.at("metadata").at("continue"), "2");
    EXPECT_EQ(first.at("metadata").at("remainingItemCount"), 3U);
    const auto last = tunnel_list(live, {}, 3, 2);
    EXPECT_EQ(last.at("items").as_array().size(), 3U);
    EXPECT_FALSE(last.at("metadata").as_object().contains("continue"));
}

TEST(Views, snapshot_shows_every_diagnostic_of_a_failed_attempt) {
    ReloadStatus status;
    status.failed = 1;
    status.cause = "SIGHUP";
    status.diagnostics.error({"im.yaml", 14, 11}, "spec.ports[0].nodePort: 90000 is not in 30000-32767");
    status.diagnostics.error({"x.conf", 3, 0}, "unknown directive \"lisen\"");
    const auto view = snapshot_view(nullptr, status);
    EXPECT_TRUE(view.at("number").is_null());
    EXPECT_EQ(view.at("last_error").at("errors"), 2U);
    EXPECT_EQ(view.at("last_error").at("diagnostics").at(0).at("text"),
              "im.yaml:14:11: error: spec.ports[0].nodePort: 90000 is not in 30000-32767");
    EXPECT_EQ(view.at("last_error").at("diagnostics").at(1).at("line"), 3U);
    status.last_success = true;
    EXPECT_TRUE(snapshot_view(nullptr, status).at("last_error").is_null());
}

}  // namespace
}  // namespace hawser::control
