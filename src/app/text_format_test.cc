// SPDX-License-Identifier: Apache-2.0
#include "app/text_format.h"

#include <gtest/gtest.h>

namespace hawser::app {
namespace {

namespace json = boost::json;

TEST(Yaml, is_laid_out_as_kubectl_does) {
    const auto value = json::parse(R"({"kind": "Service", "metadata": {"labels": {}, "name": "im"},
        "spec": {"ports": [{"port": 9080, "protocol": "TCP"}, {"port": 1}], "externalIPs": ["192.168.0.150"], "list": []}})");
    EXPECT_EQ(to_yaml(value),
              "kind: Service\n"
              "metadata:\n"
              "  labels: {}\n"
              "  name: im\n"
              "spec:\n"
              "  ports:\n"
              "  - port: 9080\n"
              "    protocol: TCP\n"
              "  - port: 1\n"
              "  externalIPs:\n"
              "  - \"192.168.0.150\"\n"
              "  list: []\n");
}

TEST(Yaml, quotes_every_text_that_would_be_read_as_something_else) {
    for (const char* text :
         {"",     "true", "No", "~",  "null",       "1",    "1e3", "0x1f", "-", "- a",
          "a: b", "a #b", "*a", "&a", "2026-11-22", ".inf", "y",   "a\nb", "{", "\xc3\xa9"})
        EXPECT_EQ(to_yaml(json::string(text)).front(), '"') << text;
    for (const char* text : {"im-service", "k8s-app", "kubernetes.io/service-name", "TCP", "/ws"})
        EXPECT_EQ(to_yaml(json::string(text)), std::string(text) + "\n");
}

TEST(PrettyJson, is_indented_by_four) {
    EXPECT_EQ(pretty_json(json::parse(R"({"a":[1,{"b":"c"}],"d":{}})")),
              "{\n    \"a\": [\n        1,\n        {\n            \"b\": \"c\"\n        }\n    ],\n    "
              "\"d\": {}\n}\n");
}

}  // namespace
}  // namespace hawser::app
