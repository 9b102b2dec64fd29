// SPDX-License-Identifier: Apache-2.0
#include "sources/manifest/manifest.h"
#include "net/testing_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

namespace hawser::manifest {
namespace {

using catalog::Diagnostics;
using catalog::Objects;
using testing::HasSubstr;

struct Read {
    Objects objects;
    Diagnostics diagnostics;
};

Read read(const std::string& text, const std::string& file = "im.yaml") {
    Read out;
    const ValidationOptions options;
    ObjectReader reader(options, out.objects, out.diagnostics);
    reader.read_text(text, file, ParseLimits{});
    reader.finish();
    return out;
}

constexpr const char* im_service = R"(---
kind: Service
apiVersion: v1
metadata:
  name: im-service
  labels:
    k8s-app: im
spec:
  selector:
    k8s-app: im
  type: NodePort
  ports:
    - port: 9080
      targetPort: 9080
      nodePort: 30100
)";

TEST(Manifest, reads_a_service_with_its_place) {
    const Read r = read(im_service);
    EXPECT_EQ(r.diagnostics.text(), "");
    ASSERT_EQ(r.objects.services.size(), 1u);
    const catalog::Service& s = r.objects.services[0].object;
    EXPECT_EQ(s.metadata.key(), "default/im-service");
    EXPECT_EQ(s.spec.selector, (catalog::StringMap{{"k8s-app", "im"}}));
    EXPECT_EQ(s.spec.ports[0].nodePort, 30100);
    EXPECT_EQ(std::get<std::int32_t>(s.spec.ports[0].targetPort->value), 9080);
    EXPECT_EQ(r.objects.services[0].position.text(), "im.yaml:2:1");
}

TEST(Manifest, names_the_wrong_field_with_its_path_and_place) {
    std::string text = im_service;
    text.replace(text.find("30100"), 5, "90000");
    EXPECT_EQ(read(text).diagnostics.text(),
              "im.yaml:15:17: error: spec.ports[0].nodePort: 90000 is not in 30000-32767\n");
}

// A Service whose spec is `spec` (indented by two blanks here), and the diagnostics that it must give.
struct ServiceError {
    const char* spec;
    std::vector<const char*> errors;
};

TEST(Manifest, refuses_what_the_api_server_refuses_in_a_service) {
    const ServiceError table[] = {
        {"{}", {"spec.ports: is required"}},
        {"{ports: [{}]}", {"spec.ports[0].port: is required"}},
        {"{ports: [{port: 0}]}", {"spec.ports[0].port: 0 is not in 1-65535"}},
        {"{ports: [{port: 65536}]}", {"spec.ports[0].port: 65536 is not in 1-65535"}},
        {"{ports: [{port: 5000000000}]}", {"spec.ports[0].port: 5000000000 does not fit into 32 bits"}},
        {"{ports: [{port: '80'}]}", {"spec.ports[0].port: \"80\" is text, a whole number is needed"}},
        {"{ports: [{port: 80.5}]}", {"spec.ports[0].port: 80.5 is a number, a whole number is needed"}},
        {"{ports: {port: 80}}", {"spec.ports: a mapping stands where a list is needed"}},
        {"{ports: [80]}", {"spec.ports[0]: 80 is a number, a mapping is needed"}},
        {"{ports: [null]}", {"spec.ports[0]: null is not allowed in a list"}},
        {"{port: [{port: 80}]}", {"spec.port: unknown field, did you mean \"ports\"?"}},
        {"{ports: [{port: 80, nodeport: 30000}]}",
         {"spec.ports[0].nodeport: unknown field, did you mean \"nodePort\"?"}},
        {"{ports: [{port: 80}], xyzzy: 1}", {"spec.xyzzy: unknown field"}},
        {"{ports: [{port: 80}, {port: 81}]}",
         {"spec.ports[0].name: is required when there is more than one port",
          "spec.ports[1].name: is required when there is more than one port"}},
        {"{ports: [{name: a, port: 80}, {name: a, port: 81}]}", {"spec.ports[1].name: \"a\" is given twice"}},
        {"{ports: [{name: a, port: 80}, {name: b, port: 80}]}",
         {"spec.ports[1].port: 80/TCP is given twice"}},
        {"{ports: [{name: A, port: 80}]}", {"spec.ports[0].name: \"A\": must consist of lower case letters"}},
        {"{ports: [{port: 80, protocol: tcp}]}",
         {"spec.ports[0].protocol: \"tcp\" is not one of TCP, UDP, SCTP"}},
        {"{ports: [{port: 80, targetPort: '80'}]}",
         {"spec.ports[0].targetPort: \"80\": must have at least one letter"}},
        {"{ports: [{port: 80, targetPort: 0}]}", {"spec.ports[0].targetPort: 0 is not in 1-65535"}},
        {"{ports: [{port: 80, nodePort: 30000}]}",
         {"spec.ports[0].nodePort: may not be used when type is ClusterIP"}},
        {"{type: NodePort, ports: [{name: a, port: 80, nodePort: 30000}, {name: b, port: 81, nodePort: "
         "30000}]}",
         {"spec.ports[1].nodePort: 30000/TCP is given twice"}},
        {"{type: nodeport, ports: [{port: 80}]}",
         {"spec.type: \"nodeport\" is not one of ClusterIP, NodePort"}},
        {"{sessionAffinity: client, ports: [{port: 80}]}",
         {"spec.sessionAffinity: \"client\" is not one of None, ClientIP"}},
        // A-01
        {"{sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}, ports: "
         "[{port: 80}]}",
         {"spec.sessionAffinityConfig.clientIP.timeoutSeconds: 86401 is not in 1-86400"}},
        {"{sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}, ports: [{port: 80}]}",
         {"spec.sessionAffinityConfig: may not be set when sessionAffinity is None"}},
        // S-09
        {"{externalIPs: [127.0.0.1, 169.254.1.1, 0.0.0.0, 224.0.0.5, 192.168.0.300, 'fe80::1'], ports: "
         "[{port: 80}]}",
         {"spec.externalIPs[0]: \"127.0.0.1\" may not be in the loopback range",
          "spec.externalIPs[1]: \"169.254.1.1\" may not be in the link-local range",
          "spec.externalIPs[2]: \"0.0.0.0\" may not be the unspecified address",
          "spec.externalIPs[3]: \"224.0.0.5\" may not be in the link-local multicast range",
          "spec.externalIPs[4]: \"192.168.0.300\" is not an IP address",
          "spec.externalIPs[5]: \"fe80::1\" may not be in the link-local range"}},
        // S-17
        {"{loadBalancerSourceRanges: [10.0.0.0/8], ports: [{port: 80}]}",
         {"spec.loadBalancerSourceRanges: may only be used when type is LoadBalancer"}},
        {"{type: LoadBalancer, loadBalancerSourceRanges: [' 10.0.0.0/8 ', 10.0.0.1, foo], ports: [{port: "
         "80}]}",
         {"spec.loadBalancerSourceRanges[1]: \"10.0.0.1\" is not a range",
          "spec.loadBalancerSourceRanges[2]: \"foo\" is not a range"}},
        // P-10
        {"{externalTrafficPolicy: Local, ports: [{port: 80}]}",
         {"spec.externalTrafficPolicy: may only be set for externally-accessible services"}},
        {"{type: NodePort, externalTrafficPolicy: local, ports: [{port: 80}]}",
         {"spec.externalTrafficPolicy: \"local\" is not one of Cluster, Local"}},
        {"{internalTrafficPolicy: Near, ports: [{port: 80}]}",
         {"spec.internalTrafficPolicy: \"Near\" is not one of Cluster, Local"}},
        {"{type: NodePort, clusterIP: None, ports: [{port: 80}]}",
         {"spec.clusterIP: may not be None when type is NodePort"}},
        {"{clusterIP: 10.0.0, ports: [{port: 80}]}", {"spec.clusterIP: \"10.0.0\" is not an IP address"}},
        // S-20
        {"{clusterIPs: [10.0.0.1, 10.0.0.2], ports: [{port: 80}]}",
         {"spec.clusterIPs: two addresses must be of different families"}},
        {"{ipFamilies: [IPv4, IPv4], ports: [{port: 80}]}", {"spec.ipFamilies[1]: \"IPv4\" is given twice"}},
        {"{ipFamilies: [IPv6], clusterIP: 10.0.0.1, ports: [{port: 80}]}",
         {"spec.ipFamilies[0]: \"IPv6\" does not fit clusterIPs: 10.0.0.1"}},
        {"{ipFamilyPolicy: Dual, ports: [{port: 80}]}", {"spec.ipFamilyPolicy: \"Dual\" is not one of"}},
        {"{type: ExternalName}", {"spec.externalName: is required"}},
        {"{selector: {app: yes}, ports: [{port: 80}]}",
         {"spec.selector[app]: yes is a boolean, text is needed (put it in quotes)"}},
        {"{selector: {app: 'a b'}, ports: [{port: 80}]}",
         {"spec.selector[app]: \"a b\": must consist of letters"}},
        {"{selector: {'a/b/c': x}, ports: [{port: 80}]}", {"spec.selector[a/b/c]: \"a/b/c\": the name part"}},
        {"{type: LoadBalancer, ports: [{port: 10250}]}", {"spec.ports[0].port: 10250 may not be exposed"}},
        {"{loadBalancerClass: a/b, ports: [{port: 80}]}",
         {"spec.loadBalancerClass: may only be used when type is LoadBalancer"}},
        {"{allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}",
         {"spec.allocateLoadBalancerNodePorts: may only be used when type is LoadBalancer"}},
    };
    for (const ServiceError& row : table) {
        const Read r =
            read(std::string("apiVersion: v1\nkind: Service\nmetadata: {name: 1s}\nspec: ") + row.spec);
        EXPECT_EQ(r.diagnostics.all().size(), row.errors.size()) << row.spec << "\n" << r.diagnostics.text();
        for (std::size_t i = 0; i < row.errors.size() && i < r.diagnostics.all().size(); ++i) {
            EXPECT_THAT(r.diagnostics.all()[i].message, HasSubstr(row.errors[i])) << row.spec;
            EXPECT_EQ(r.diagnostics.all()[i].position.line, 4u) << row.spec;
        }
        EXPECT_TRUE(r.objects.services.empty()) << row.spec;
    }
}

// A whole document and the one message that it must give.
struct DocumentError {
    const char* text;
    const char* error;
};

TEST(Manifest, refuses_bad_documents_with_the_place_of_the_fault) {
    const DocumentError table[] = {
        {"kind: Service", "im.yaml:1:1: error: apiVersion: is required"},
        {"apiVersion: v1", "im.yaml:1:1: error: kind: is required"},
        {"- a", "im.yaml:1:1: error: a document must be a mapping with apiVersion and kind, not a list"},
        {"apiVersion: v2\nkind: Service",
         "im.yaml:1:13: error: apiVersion: \"v2\" is not served for Service; it is \"v1\""},
        {"apiVersion: extensions/v1beta1\nkind: Ingress", "\"extensions/v1beta1\" is not served for Ingress"},
        {"apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice", "it is \"discovery.k8s.io/v1\""},
        {"a: 1\na: 2\n", "im.yaml:2:1: error: the key \"a\" is given twice"},
        {"a: [1", "error: YAML: "},
        {"a: &x [*x]", "YAML: an alias inside its own anchor"},
        {"a: *nowhere", "YAML: "},
        {"a: !!python/object x", "is not read"},
        {"<<: 5\nkind: x", "YAML: << takes a mapping or a list of mappings"},
        {"? [a]\n: b", "a key must be text, not a list"},
        {"apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {ports: [{port: 1}]}",
         "metadata.name: is required"},
        {"apiVersion: v1\nkind: Service\nmetadata: {name: A}\nspec: {ports: [{port: 1}]}",
         "im.yaml:3:18: error: metadata.name: \"A\": must consist of"},
        {"apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b.c}\nspec: {ports: [{port: 1}]}",
         "metadata.namespace: \"b.c\": must"},
        {"apiVersion: v1\nkind: Node\nmetadata: {name: a, namespace: b}",
         "metadata.namespace: this kind is in no namespace"},
        {"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {x: '%%'}", "data[x]: is not base64"},
        {"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: kubernetes.io/tls\ndata: {tls.crt: QUJD}",
         "data[tls.key]: is required in a Secret of type kubernetes.io/tls"},
        {"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: 12345}",
         "stringData[password]: a number stands where text is needed"},
        {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: {podIP: 10.0.0.256}",
         "status.podIP: \"10.0.0.256\" is not an IP address"},
        {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, ports: [{name: WS, "
         "containerPort: 1}]}]}",
         "spec.containers[0].ports[0].name: \"WS\": must consist of"},
        {"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a, labels: "
         "{kubernetes.io/service-name: s}}\naddressType: IPv4\nendpoints: [{addresses: ['fd00::1']}]",
         "endpoints[0].addresses[0]: \"fd00::1\" is not of the slice's addressType IPv4"},
        {"apiVersion: v1\nkind: Endpoints\nmetadata: {name: a}\nsubsets: [{addresses: [{ip: 10.0.0.1}], "
         "ports: [{port: 0}]}]",
         "subsets[0].ports[0].port: 0 is not in 1-65535"},
        {"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {}",
         "spec: defaultBackend or rules is required"},
        {"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {rules: [{host: "
         "10.0.0.1, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: "
         "1}}}}]}}]}",
         "spec.rules[0].host: \"10.0.0.1\" must be a name, not an address"},
        {"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {rules: [{host: "
         "'a.*.com', http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: "
         "1}}}}]}}]}",
         "a wildcard host must be"},
        {"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {rules: [{http: "
         "{paths: [{path: /a//b, pathType: Prefix, backend: {service: {name: a, port: {number: 1}}}}]}}]}",
         "spec.rules[0].http.paths[0].path: \"/a//b\" must not contain \"//\""},
        {"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {rules: [{http: "
         "{paths: [{path: /a, backend: {service: {name: a, port: {number: 1}}}}]}}]}",
         "spec.rules[0].http.paths[0].pathType: is required"},
        {"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {defaultBackend: "
         "{service: {name: a, port: {name: x, number: 1}}}}",
         "spec.defaultBackend.service.port: name and number may not both be set"},
        {"apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: a}\nspec: {controller: "
         "nginx}",
         "spec.controller: \"nginx\" must be a domain and a path"},
        {"apiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {name: a}\nspec: {}",
         "im.yaml:4:7: error: spec.addresses: is required"},
        {"apiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {name: a}\nspec: {addresses: [192.168.0.1/33]}",
         "spec.addresses[0]: \"192.168.0.1/33\" must be an address such as 192.168.0.150/24"},
        {"apiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {name: a}\nspec: {addresses: [127.0.0.1/8]}",
         "cannot be an address of a node on its network"},
        {"apiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {name: a}\nspec: {addresses: [10.0.0.1, 'fd00::1']}",
         "spec.addresses[1]: \"fd00::1\" is not of the first address's family"},
        {"apiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {name: a}\nspec: {addresses: [10.0.0.1], priority: 255}",
         "spec.priority"},
        {"apiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {name: a}\nspec: {addresses: [10.0.0.1], "
         "advertIntervalMilliseconds: 15}",
         "spec.advertIntervalMilliseconds: 15 must be a multiple of 10"},
        {"apiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {name: a}\nspec: {addresses: [10.0.0.1], prioritty: 9}",
         "unknown field, did you mean \"priority\"?"},
    };
    for (const DocumentError& row : table) {
        const Read r = read(row.text);
        EXPECT_GE(r.diagnostics.errors(), 1u) << row.text;
        EXPECT_THAT(r.diagnostics.text(), HasSubstr(row.error)) << row.text;
    }
}

TEST(Manifest, reports_all_errors_of_all_documents_at_once) {
    const Read r = read(R"(apiVersion: v1
kind: Service
metadata: {name: a}
spec: {ports: [{port: 0}]}
---
apiVersion: v1
kind: Service
metadata: {name: b}
spec: {ports: [{port: 70000, protocol: X}]}
)");
    EXPECT_EQ(r.diagnostics.text(),
              "im.yaml:4:23: error: spec.ports[0].port: 0 is not in 1-65535\n"
              "im.yaml:9:23: error: spec.ports[0].port: 70000 is not in 1-65535\n"
              "im.yaml:9:40: error: spec.ports[0].protocol: \"X\" is not one of TCP, UDP, SCTP\n");
}

TEST(Manifest, accepts_a_service_name_that_starts_with_a_digit_S_22) {
    const Read r =
        read("apiVersion: v1\nkind: Service\nmetadata: {name: 1st}\nspec: {ports: [{port: 80}]}\n");
    EXPECT_EQ(r.diagnostics.text(), "");
    EXPECT_EQ(r.objects.services.size(), 1u);
}

TEST(Manifest, tolerates_the_fields_that_the_api_knows_and_hawser_does_not_use) {
    const Read r = read(R"(apiVersion: v1
kind: Pod
metadata:
  name: im-0
  uid: 6f1c
  ownerReferences: [{kind: ReplicaSet, name: x, apiVersion: apps/v1, uid: y}]
spec:
  restartPolicy: Always
  volumes: [{name: data, emptyDir: {}}]
  containers:
    - name: im
      image: im:1
      ports: [{containerPort: 9080, hostPort: 1}]
      resources: {limits: {cpu: 1}}
status:
  podIP: 10.244.0.5
  startTime: 2026-11-01T10:00:00Z
  conditions: [{type: Ready, status: "True", lastProbeTime: null}]
)");
    EXPECT_EQ(r.diagnostics.text(), "");
    ASSERT_EQ(r.objects.pods.size(), 1u);
    EXPECT_EQ(r.objects.pods[0].object.status.conditions[0].status, "True");
}

TEST(Manifest, reads_lists_nested_and_typed) {
    const Read r = read(R"(apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ServiceList
    items:
      - metadata: {name: a}
        spec: {ports: [{port: 80}]}
  - apiVersion: v1
    kind: List
    items:
      - apiVersion: v1
        kind: Pod
        metadata: {name: b}
)");
    EXPECT_EQ(r.diagnostics.text(), "");
    EXPECT_EQ(r.objects.services.size(), 1u);
    EXPECT_EQ(r.objects.pods.size(), 1u);
}

TEST(Manifest, names_a_kind_that_it_does_not_read_once) {
    const Read r = read(R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: b}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: c}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: d}
)");
    EXPECT_EQ(
        r.diagnostics.text(),
        "im.yaml:1:1: warning: hawser does not read apps/v1 Deployment (2 objects passed over)\n"
        "im.yaml:9:1: warning: hawser does not read serving.knative.dev/v1 Service (1 object passed over)\n");
}

TEST(Manifest, names_both_places_of_an_object_given_twice) {
    const Read r = read(std::string(im_service) + im_service);
    EXPECT_EQ(r.diagnostics.text(),
              "im.yaml:17:1: error: Service default/im-service is given twice: first at im.yaml:2:1\n");
}

TEST(Manifest, reads_json_scalars_plain_and_not) {
    const std::tuple<const char*, Value::Kind, std::int64_t, const char*> rows[] = {
        {"\"a b\"", Value::Kind::text, 0, "a b"},
        {"\"\"", Value::Kind::text, 0, ""},
        {"\"a\\u0062\\\"\"", Value::Kind::text, 0, "ab\""},
        {"\"\u00fc\"", Value::Kind::text, 0, "\u00fc"},
        {"0", Value::Kind::integer, 0, "0"},
        {"-17", Value::Kind::integer, -17, "-17"},
        {"999999999999999999", Value::Kind::integer, 999'999'999'999'999'999, "999999999999999999"},
        {"9223372036854775807", Value::Kind::integer, INT64_MAX, "9223372036854775807"},
        {"1e3", Value::Kind::number, 0, "1e3"},
        {"18446744073709551616", Value::Kind::number, 0, "18446744073709551616"},
        {"null", Value::Kind::null, 0, "null"},
        {"false", Value::Kind::boolean, 0, "false"},
    };
    for (const auto& [text, kind, integer, shown] : rows) {
        Diagnostics diagnostics;
        const auto values = parse_json(text, "a.json", {}, diagnostics);
        ASSERT_EQ(values.size(), 1U) << text << diagnostics.text();
        EXPECT_EQ(values[0]->kind, kind) << text;
        EXPECT_EQ(values[0]->integer, integer) << text;
        EXPECT_EQ(values[0]->text, shown) << text;
    }
    for (const char* text : {"01", "-", "-01", "+1", "nul", "\"a\x01\"", "\"\\x\""}) {
        Diagnostics diagnostics;
        parse_json(text, "a.json", {}, diagnostics);
        EXPECT_TRUE(diagnostics.has_errors()) << text;
    }
}

TEST(Manifest, a_key_given_twice_is_found_among_many) {
    for (const int count : {1, 15, 16, 17, 200}) {
        std::string text = "{";
        for (int i = 0; i < count; ++i) text += "\"k" + std::to_string(i) + "\":1,";
        Diagnostics diagnostics;
        EXPECT_EQ(parse_json(text + "\"other\":1}", "a.json", {}, diagnostics).size(), 1U);
        EXPECT_FALSE(diagnostics.has_errors()) << count;
        for (const int again : {0, count - 1}) {
            Diagnostics twice;
            parse_json(text + "\"k" + std::to_string(again) + "\":1}", "a.json", {}, twice);
            EXPECT_EQ(twice.errors(), 1U) << count;
        }
    }
}

TEST(Manifest, reads_json_with_places) {
    const Read good = read(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"a\u002db"},
  "spec":{"ports":[{"port":80}]}})",
                           "a.json");
    EXPECT_EQ(good.diagnostics.text(), "");
    EXPECT_EQ(good.objects.services[0].object.metadata.name, "a-b");
    const DocumentError table[] = {
        {"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"},\n "
         "\"spec\":{\"ports\":[{\"port\":0}]}}",
         "a.json:2:27: error: spec.ports[0].port: 0 is not in 1-65535"},
        {"{\"a\":1,\n\"a\":2}", "a.json:2:1: error: the key \"a\" is given twice"},
        {"{\"a\":1", "error: JSON: "},
        {"{\"a\" 1}", "a.json:1:6: error: JSON: \":\" is missing"},
        {"[1,]", "error: JSON: "},
        {"{\"a\":yes}", "a.json:1:6: error: JSON: "},
        {"\"\xff\"", "error: JSON: "},
        {"\"\\", "JSON: the string has no end"},
    };
    for (const DocumentError& row : table)
        EXPECT_THAT(read(row.text, "a.json").diagnostics.text(), HasSubstr(row.error)) << row.text;
}

TEST(Yaml, reads_scalars_as_yaml_1_1_does) {
    Diagnostics diagnostics;
    const auto docs = parse_yaml(
        "a: 010\nb: 0x10\nc: 30_000\nd: on\ne: 'on'\nf: ~\ng: 1e3\nh: 1.2.3.4\ni: 2026-11-22\nj: !!str "
        "5\nk:\nl: 0o17\nm: -5\nn: 09\n",
        "a.yaml", ParseLimits{}, diagnostics);
    ASSERT_EQ(docs.size(), 1u) << diagnostics.text();
    using Kind = Value::Kind;
    const auto at = [&](const char* key) { return docs[0]->find(key); };
    EXPECT_EQ(at("a")->integer, 8);
    EXPECT_EQ(at("b")->integer, 16);
    EXPECT_EQ(at("c")->integer, 30000);
    EXPECT_EQ(at("d")->kind, Kind::boolean);
    EXPECT_EQ(at("e")->kind, Kind::text);
    EXPECT_EQ(at("f")->kind, Kind::null);
    EXPECT_EQ(at("g")->kind, Kind::number);
    EXPECT_EQ(at("h")->kind, Kind::text);
    EXPECT_EQ(at("i")->kind, Kind::text);
    EXPECT_EQ(at("j")->kind, Kind::text);
    EXPECT_EQ(at("k")->kind, Kind::null);
    EXPECT_EQ(at("l")->integer, 15);
    EXPECT_EQ(at("m")->integer, -5);
    EXPECT_EQ(at("n")->kind, Kind::number);
}

TEST(Yaml, follows_anchors_and_merge_keys) {
    const Read r = read(R"(apiVersion: v1
kind: List
x-labels: &labels {app: im, tier: back}
items:
  - apiVersion: v1
    kind: Service
    metadata:
      name: a
      labels:
        <<: *labels
        tier: front
    spec: {ports: [{port: 80}], selector: *labels}
)");
    EXPECT_EQ(r.diagnostics.text(), "");
    ASSERT_EQ(r.objects.services.size(), 1u);
    EXPECT_EQ(r.objects.services[0].object.metadata.labels,
              (catalog::StringMap{{"app", "im"}, {"tier", "front"}}));
    EXPECT_EQ(r.objects.services[0].object.spec.selector,
              (catalog::StringMap{{"app", "im"}, {"tier", "back"}}));
}

TEST(Yaml, bounds_alias_bombs_and_deep_nesting_and_size) {
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
        const std::string n = std::to_string(i), p = "*a" + std::to_string(i - 1);
        bomb += "a" + n + ": &a" + n + " [" + p;
        for (int k = 0; k < 9; ++k) bomb += ", " + p;
        bomb += "]\n";
    }
    EXPECT_THAT(read(bomb).diagnostics.text(), HasSubstr("aliases expand to more than 4000000 values"));
    EXPECT_THAT(read(std::string(100'000, '[')).diagnostics.text(),
                HasSubstr("nested deeper than 64 levels"));
    EXPECT_THAT(read(std::string(100'000, '['), "a.json").diagnostics.text(),
                HasSubstr("nested deeper than 64 levels"));
    std::string blocks;
    for (int i = 0; i < 50'000; ++i) blocks += "- ";
    EXPECT_TRUE(read(blocks).diagnostics.has_errors());
    Diagnostics diagnostics;
    ParseLimits limits;
    limits.values = 10;
    parse_yaml("[1,2,3,4,5,6,7,8,9,10,11]", "a.yaml", limits, diagnostics);
    EXPECT_THAT(diagnostics.text(), HasSubstr("more than 10 values"));
}

class Files : public testing::Test {
  protected:
    void write(const std::string& name, const std::string& text) {
        std::filesystem::create_directories((directory_ / name).parent_path());
        std::ofstream(directory_ / name) << text;
    }
    Read load_all(std::vector<std::string> paths, const LoadOptions& options = {}) {
        for (std::string& p : paths) p = (directory_ / p).string();
        Read out;
        load(paths, options, out.objects, out.diagnostics);
        return out;
    }
    net::testing::TemporaryDirectory kept_{"manifest"};
    std::filesystem::path directory_ = kept_.path();
};

std::string named_service(const std::string& name) {
    return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {ports: [{port: 80}]}\n";
}

TEST_F(Files, reads_directories_recursively_in_order_and_no_file_twice) {
    write("d/b.yaml", named_service("b"));
    write("d/a.yml", named_service("a"));
    write("d/sub/c.json",
          R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"c"},"spec":{"ports":[{"port":1}]}})");
    write("d/notes.txt", "not: [read");
    write("d/.hidden/x.yaml", "not: [read");
    const Read r = load_all({"d", "d/b.yaml"});
    EXPECT_EQ(r.diagnostics.text(), "");
    ASSERT_EQ(r.objects.services.size(), 3u);
    EXPECT_EQ(r.objects.services[0].object.metadata.name, "a");
    EXPECT_EQ(r.objects.services[1].object.metadata.name, "b");
    EXPECT_EQ(r.objects.services[2].object.metadata.name, "c");
}

TEST_F(Files, names_both_files_of_an_object_given_twice) {
    write("a.yaml", named_service("x"));
    write("b.yaml", named_service("x"));
    const Read r = load_all({"a.yaml", "b.yaml"});
    EXPECT_THAT(r.diagnostics.text(),
                HasSubstr("b.yaml:1:1: error: Service default/x is given twice: first at "));
    EXPECT_THAT(r.diagnostics.text(), HasSubstr("a.yaml:1:1"));
}

TEST_F(Files, reports_a_missing_path_and_a_file_that_is_too_large) {
    write("big.yaml", std::string(1000, '#'));
    LoadOptions options;
    options.max_file_size = 999;
    const Read r = load_all({"nowhere.yaml", "big.yaml"}, options);
    EXPECT_EQ(r.diagnostics.errors(), 2u);
    EXPECT_THAT(r.diagnostics.text(), HasSubstr("nowhere.yaml: error: "));
    EXPECT_THAT(r.diagnostics.text(), HasSubstr("big.yaml: error: the file is larger than 999 bytes"));
}

TEST(Manifest, survives_random_mutations) {
    const std::string seeds[] = {
        im_service,
        R"({"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},
"status":{"podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]}}]})",
        R"(apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a, annotations: {x/y: "1"}}
spec: &s
  rules:
    - host: "*.example.com"
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}
---
<<: [*s]
kind: Secret
data: {a: |
  QUJD
  }
)"};
    const std::string alphabet = "{}[]:,-&*!|>'\"%@`#\\?~ \n\t0xyz<\xff\xc3";
    std::mt19937 random(1);
    for (int i = 0; i < 3000; ++i) {
        std::string text = seeds[static_cast<std::size_t>(i) % 3];
        for (int edits = 1 + static_cast<int>(random() % 6); edits > 0; --edits) {
            const std::size_t at = random() % (text.size() + 1);
            switch (random() % 4) {
                case 0:
                    text.insert(at, 1, alphabet[random() % alphabet.size()]);
                    break;
                case 1:
                    if (at < text.size()) text[at] = alphabet[random() % alphabet.size()];
                    break;
                case 2:
                    text.erase(at, random() % 20);
                    break;
                default:
                    text.insert(at, text.substr(random() % text.size(), random() % 40));
            }
            if (text.empty()) text = " ";
        }
        read(text, i % 2 == 0 ? "a.yaml" : "a.json");
    }
}

}  // namespace
}  // namespace hawser::manifest
