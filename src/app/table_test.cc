// SPDX-License-Identifier: Apache-2.0
#include "app/table.h"

#include <gtest/gtest.h>

namespace hawser::app {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

TEST(HumanDuration, prints_what_kubectl_prints) {
    constexpr std::int64_t minute = 60, hour = 3600, day = 86400, year = 365 * day;
    const std::vector<std::pair<std::int64_t, std::string>> table{
        {-5, "<invalid>"},
        {-1, "0s"},
        {0, "0s"},
        {119, "119s"},
        {2 * minute, "2m"},
        {2 * minute + 5, "2m5s"},
        {9 * minute + 59, "9m59s"},
        {10 * minute + 30, "10m"},
        {179 * minute, "179m"},
        {3 * hour, "3h"},
        {4 * hour, "4h"},
        {3 * hour + 12 * minute, "3h12m"},
        {8 * hour + 59 * minute, "8h"},
        {47 * hour, "47h"},
        {48 * hour, "2d"},
        {49 * hour, "2d1h"},
        {8 * day, "8d"},
        {16 * day + 5 * hour, "16d"},
        {2 * year - 1, "729d"},
        {2 * year, "2y"},
        {2 * year + 3 * day, "2y3d"},
        {9 * year + 3 * day, "9y"},
    };
    for (const auto& [given, expected] : table) EXPECT_EQ(human_duration(seconds(given)), expected) << given;
}

TEST(HumanBytes, keeps_four_digits_at_most) {
    EXPECT_EQ(human_bytes(0), "0");
    EXPECT_EQ(human_bytes(999), "999");
    EXPECT_EQ(human_bytes(1000), "1.0k");
    EXPECT_EQ(human_bytes(1'234'567), "1.2M");
    EXPECT_EQ(human_bytes(999'960), "1.0M");
    EXPECT_EQ(human_bytes(UINT64_MAX), "18.4E");
}

constexpr const char* two_services = R"([
 {"kind": "Service", "metadata": {"name": "im-service", "namespace": "default", "creationTimestamp": "2026-11-01T00:00:00Z"},
  "spec": {"type": "NodePort", "clusterIP": "10.104.253.46", "clusterIPs": ["10.104.253.46"],
           "ports": [{"protocol": "TCP", "port": 9080, "targetPort": 9080, "nodePort": 30100}],
           "selector": {"k8s-app": "im"}}},
 {"kind": "Service", "metadata": {"name": "testim-service", "namespace": "default", "creationTimestamp": "2026-11-16T20:00:00Z"},
  "spec": {"type": "ClusterIP", "clusterIP": "10.102.64.27", "clusterIPs": ["10.102.64.27"], "externalIPs": ["192.168.0.150"],
           "ports": [{"protocol": "TCP", "port": 9080, "targetPort": 9080}],
           "selector": {"k8s-app": "testim"}}}])";

std::chrono::system_clock::time_point noon() {  // 2026-11-17T00:00:00Z
    return std::chrono::system_clock::from_time_t(1'794'873'600);
}

std::string services(const char* items, bool wide, bool namespaces = false) {
    TableOptions options;
    options.wide = wide;
    options.namespaces = namespaces;
    options.now = noon();
    return print_table(table_rows(Resource::services, json::parse(items).as_array(), options));
}

TEST(Table, svc_wide_is_what_kubectl_printed_for_the_site) {
    EXPECT_EQ(
        services(two_services, true),
        "NAME             TYPE        CLUSTER-IP      EXTERNAL-IP     PORT(S)          AGE   SELECTOR\n"
        "im-service       NodePort    10.104.253.46   <none>          9080:30100/TCP   16d   k8s-app=im\n"
        "testim-service   ClusterIP   10.102.64.27    192.168.0.150   9080/TCP         4h    "
        "k8s-app=testim\n");
}

TEST(Table, svc_has_no_selector_unless_wide_and_a_namespace_when_asked) {
    EXPECT_TRUE(
        services(two_services, false, true)
            .starts_with(
                "NAMESPACE   NAME             TYPE        CLUSTER-IP      EXTERNAL-IP     PORT(S)      "
                "    AGE\ndefault     im-service "));
}

std::string external_ip_of(const char* spec_and_status, bool wide) {
    const std::string item = std::string("[{\"metadata\": {\"name\": \"x\"}, ") + spec_and_status + "}]";
    TableOptions options;
    options.wide = wide;
    return table_rows(Resource::services, json::parse(item).as_array(), options)[1][3];
}

TEST(Table, external_ip_follows_kubectls_rules_per_type) {
    struct Case {
        const char* service;
        const char* wide;
        const char* narrow;
    };
    const std::vector<Case> table{
        {R"("spec": {"type": "ClusterIP"})", "<none>", "<none>"},
        {R"("spec": {"type": "NodePort", "externalIPs": ["1.1.1.1", "2.2.2.2"]})", "1.1.1.1,2.2.2.2",
         "1.1.1.1,2.2.2.2"},
        {R"("spec": {"type": "LoadBalancer"})", "<pending>", "<pending>"},
        {R"("spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"ip": "8.8.8.8"}, {"hostname": "lb.example.com"}]}})",
         "8.8.8.8,9.9.9.9,lb.example.com", "8.8.8.8,9.9.9..."},
        {R"("spec": {"type": "LoadBalancer", "externalIPs": ["1.1.1.1"]}, "status": {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}]}})",
         "9.9.9.9,1.1.1.1", "9.9.9.9,1.1.1.1"},
        {R"("spec": {"type": "ExternalName", "externalName": "chat.example.com"})", "chat.example.com",
         "chat.example.com"},
    };
    for (const auto& one : table) {
        EXPECT_EQ(external_ip_of(one.service, true), one.wide) << one.service;
        EXPECT_EQ(external_ip_of(one.service, false), one.narrow) << one.service;
    }
}

TEST(Table, endpoints_show_three_addresses_and_count_the_rest) {
    const auto items = json::parse(R"([{"metadata": {"name": "im-0", "namespace": "default",
        "labels": {"kubernetes.io/service-name": "im"}}, "ports": [{"name": "", "protocol": "TCP", "port": 9080}],
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}},
                      {"addresses": ["10.0.0.2"], "conditions": {"ready": true}},
                      {"addresses": ["fd00::3"], "conditions": {"ready": true}},
                      {"addresses": ["10.0.0.4"], "conditions": {"ready": false}},
                      {"addresses": ["10.0.0.5"], "conditions": {"ready": true}}]}])");
    const auto rows = table_rows(Resource::endpoints, items.as_array(), {});
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[1], (Row{"im", "10.0.0.1:9080,10.0.0.2:9080,[fd00::3]:9080 + 1 more...", "<unknown>"}));
    TableOptions wide;
    wide.wide = true;
    const auto wide_rows = table_rows(Resource::endpoints, items.as_array(), wide);
    ASSERT_EQ(wide_rows.size(), 6U);
    EXPECT_EQ(wide_rows[4],
              (Row{"im", "9080/TCP", "10.0.0.4:9080", "<none>", "<none>", "false", "false", "false"}));
}

}  // namespace
}  // namespace hawser::app
