// SPDX-License-Identifier: Apache-2.0
#include "catalog/ingress.h"

#include "catalog/build_fixture_test.h"
#include "catalog/ingress_settings.h"

namespace hawser::catalog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* services = R"(---
apiVersion: v1
kind: Service
metadata: {name: chat}
spec: {selector: {app: chat}, ports: [{name: ws, port: 80, targetPort: ws}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080}]}
)";

std::string backend(const std::string& name, const std::string& port) {
    return "backend: {service: {name: " + name + ", port: {" + port + "}}}";
}

std::string ingress(const std::string& name, const std::string& spec, const std::string& meta = "") {
    return "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: " + name + meta +
           "}\nspec: {" + spec + "}\n";
}
std::string rule(const std::string& host, const std::string& path, const std::string& type = "Prefix",
                 const std::string& to = backend("chat", "name: ws")) {
    return "rules: [{" + (host.empty() ? "" : "host: '" + host + "', ") + "http: {paths: [{path: '" + path +
           "', pathType: " + type + ", " + to + "}]}}]";
}

class IngressTest : public testing::Test {
  protected:
    IngressTest() { site.options.ingress_listen = {*net::SocketAddress::parse("0.0.0.0:80")}; }

    const http::Listener& build(const std::string& yaml) {
        site.build(services + pod("chat-0", 10, "chat") + pod("web-0", 20, "web") + yaml);
        EXPECT_EQ(site.snapshot->listeners.size(), 1u);
        return site.snapshot->listeners.at(0);
    }
    const http::VirtualServer& server(const std::string& name) {
        for (const auto& s : site.snapshot->listeners.at(0).servers)
            if (s->name == name) return *s;
        throw std::out_of_range(name);
    }
    // "=/foo -> default/chat:ws/TCP", one per location; "503" where the answer is one.
    std::vector<std::string> locations(const std::string& host) {
        static constexpr const char* marks[] = {"", "^~", "=", "~"};
        std::vector<std::string> out;
        for (const auto& l : server(host).locations) {
            std::string line = marks[static_cast<int>(l->match.kind)] + l->match.text + " ->";
            for (const auto& i : l->script)
                if (const auto* r = std::get_if<http::Return>(&i.what))
                    line += " " + std::to_string(r->status);
            if (l->proxy) line += " " + l->proxy->group->id;
            out.push_back(line);
        }
        return out;
    }
    Site site;
};

TEST_F(IngressTest, splits_a_prefix_at_its_elements) {
    build(ingress("i", rule("chat.example.com", "/foo/")));
    EXPECT_THAT(locations("chat.example.com"),
                ElementsAre("=/foo -> default/chat:ws/TCP", "/foo/ -> default/chat:ws/TCP"));
    EXPECT_EQ(server("chat.example.com").locations[0]->route_id, "ingress:default/i:chat.example.com/foo");
}

TEST_F(IngressTest, lets_an_exact_path_beat_a_prefix) {
    build(ingress("a", rule("h", "/foo")) +
          ingress("b", rule("h", "/foo", "Exact", backend("web", "number: 8080"))) +
          ingress("c", rule("h", "/foo/bar.", "ImplementationSpecific")) + ingress("d", rule("h", "/")));
    EXPECT_THAT(locations("h"), ElementsAre("=/foo -> default/web:8080/TCP", "/foo/ -> default/chat:ws/TCP",
                                            "/foo/bar. -> default/chat:ws/TCP", "/ -> default/chat:ws/TCP"));
}

TEST_F(IngressTest, sends_what_no_rule_names_to_the_default_server) {
    const http::Listener& listener = build(ingress("i", rule("h", "/foo")));
    EXPECT_EQ(listener.servers[listener.default_server]->name, "");
    EXPECT_TRUE(listener.servers[listener.default_server]->locations.empty());
    build(ingress("i", rule("h", "/foo")) +
          ingress("all", "defaultBackend: {service: {name: web, port: {number: 8080}}}"));
    EXPECT_THAT(locations(""), ElementsAre("/ -> default/web:8080/TCP"));
    EXPECT_THAT(locations("h"), ElementsAre("=/foo -> default/chat:ws/TCP", "/foo/ -> default/chat:ws/TCP",
                                            "/ -> default/web:8080/TCP"));
}

TEST_F(IngressTest, takes_an_ingress_own_default_backend_first) {
    build(ingress("i", rule("h", "/foo", "Exact") +
                           ", defaultBackend: {service: {name: chat, port: {number: 80}}}") +
          ingress("all", "defaultBackend: {service: {name: web, port: {number: 8080}}}"));
    EXPECT_THAT(locations("h"), ElementsAre("=/foo -> default/chat:ws/TCP", "/ -> default/chat:ws/TCP"));
}

TEST_F(IngressTest, lets_a_wildcard_stand_for_exactly_one_label) {
    build(ingress("i", rule("*.example.com", "/")));
    const http::ServerName& name = server("*.example.com").names.at(0);
    ASSERT_NE(name.regex, nullptr);
    EXPECT_TRUE(name.regex->match("a.example.com", nullptr));
    EXPECT_FALSE(name.regex->match("a.b.example.com", nullptr));
    EXPECT_FALSE(name.regex->match("example.com", nullptr));
    EXPECT_FALSE(name.regex->match("axexample.com", nullptr));
}

TEST_F(IngressTest, answers_503_for_a_backend_that_is_not_there) {
    build(ingress("a", rule("h", "/a", "Exact", backend("nobody", "number: 80"))) +
          ingress("b", rule("h", "/b", "Exact", backend("chat", "number: 81"))));
    EXPECT_THAT(locations("h"), ElementsAre("=/a -> 503", "=/b -> 503"));
    EXPECT_THAT(site.diagnostics.text(),
                HasSubstr("Ingress default/a: the path /a: Service default/nobody does not exist: 503"));
    EXPECT_THAT(site.diagnostics.text(), HasSubstr("Service default/chat has no TCP port 81: 503"));
    site.build(std::string(services) + ingress("a", rule("h", "/a", "Exact")));
    EXPECT_THAT(locations("h"), ElementsAre("=/a -> 503 default/chat:ws/TCP"));
}

TEST_F(IngressTest, upgrades_and_waits_as_designed_with_no_configuration) {
    build(ingress("i", rule("h", "/")));
    const http::Proxy& proxy = *server("h").locations[0]->proxy;
    EXPECT_EQ(proxy.upgrade, http::UpgradePolicy::automatic);
    EXPECT_TRUE(proxy.http_1_1);
    EXPECT_EQ(proxy.read_timeout, std::chrono::seconds(60));
    EXPECT_EQ(proxy.tunnel_idle_timeout, std::chrono::hours(1));
    EXPECT_EQ(proxy.group->keepalive, 64u);
    EXPECT_EQ(proxy.host_header, "default-chat-ws");
    std::vector<std::string> names;
    for (const auto& h : proxy.set_headers) names.push_back(h.name);
    for (const char* name : {"Host", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port",
                             "X-Forwarded-Proto", "X-Forwarded-Scheme"})
        EXPECT_THAT(names, testing::Contains(name));
    for (const auto& h : proxy.set_headers)
        for (const auto& part : h.value.parts)
            if (part.kind == http::Template::Part::Kind::variable) {
                EXPECT_LT(part.variable, server("h").variables->variables.size());
            }
}

struct ClassCase {
    const char* what;
    std::string yaml;
    bool ours;
};

TEST_F(IngressTest, serves_its_own_class_only) {
    const auto klass = [](const std::string& name, const std::string& controller,
                          const std::string& meta = "") {
        return "---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: " + name + meta +
               "}\nspec: {controller: " + controller + "}\n";
    };
    const std::string standard = ", annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}";
    const std::string r = rule("h", "/");
    const ClassCase table[] = {
        {"no class at all", ingress("i", r), true},
        {"our name", ingress("i", "ingressClassName: hawser, " + r), true},
        {"another name", ingress("i", "ingressClassName: nginx, " + r), false},
        {"a class of our controller",
         klass("x", ingress_controller) + ingress("i", "ingressClassName: x, " + r), true},
        {"legacy annotation", ingress("i", r, ", annotations: {kubernetes.io/ingress.class: hawser}"), true},
        {"legacy annotation of another",
         ingress("i", r, ", annotations: {kubernetes.io/ingress.class: nginx}"), false},
        {"classes, none default", klass("x", ingress_controller) + ingress("i", r), false},
        {"our default", klass("x", ingress_controller, standard) + ingress("i", r), true},
        {"another's default", klass("x", "k8s.io/ingress-nginx", standard) + ingress("i", r), false},
        {"two defaults: the newest",
         klass("a", "k8s.io/ingress-nginx", standard + ", creationTimestamp: '2026-01-01T00:00:00Z'") +
             klass("b", ingress_controller, standard + ", creationTimestamp: '2026-02-01T00:00:00Z'") +
             ingress("i", r),
         true},
    };
    for (const ClassCase& row : table) {
        site.build(services + row.yaml);
        EXPECT_EQ(!site.snapshot->listeners.empty(), row.ours) << row.what;
    }
}

TEST_F(IngressTest, reads_the_annotations_of_ingress_nginx) {
    build(ingress("i", rule("h", "/"), R"(, annotations: {
      nginx.ingress.kubernetes.io/proxy-read-timeout: "3600", nginx.ingress.kubernetes.io/proxy-send-timeout: "30",
      nginx.ingress.kubernetes.io/proxy-connect-timeout: "7", nginx.ingress.kubernetes.io/proxy-body-size: 8m,
      nginx.ingress.kubernetes.io/whitelist-source-range: "10.0.0.0/8, 192.168.0.1",
      nginx.ingress.kubernetes.io/upstream-hash-by: "$arg_user$remote_addr", nginx.ingress.kubernetes.io/limit-rps: "10",
      nginx.ingress.kubernetes.io/server-alias: "b.example.com", nginx.ingress.kubernetes.io/upstream-vhost: inner,
      nginx.ingress.kubernetes.io/ssl-redirect: "false"})"));
    EXPECT_EQ(site.diagnostics.text(), "");
    const http::Location& location = *server("h").locations[0];
    EXPECT_EQ(location.proxy->read_timeout, std::chrono::seconds(3600));
    EXPECT_EQ(location.proxy->tunnel_idle_timeout, std::chrono::seconds(3600));
    EXPECT_EQ(location.proxy->send_timeout, std::chrono::seconds(30));
    EXPECT_EQ(location.proxy->connect_timeout, std::chrono::seconds(7));
    EXPECT_EQ(location.settings->client_max_body_size, 8u << 20);
    ASSERT_EQ(location.settings->access.size(), 3u);
    EXPECT_FALSE(location.settings->access[2].allow);
    EXPECT_EQ(location.settings->limit_requests.size(), 1u);
    EXPECT_EQ(location.proxy->group->balancing.scheduler, Scheduler::hash_consistent);
    EXPECT_EQ(location.proxy->group->id, "default/chat:ws/TCP@ingress:default/i");
    EXPECT_EQ(location.proxy->group->endpoints[0].state,
              site.frontend("default/chat:ws/TCP@clusterIP")->group->endpoints[0].state);
    EXPECT_EQ(location.proxy->set_headers[0].value.literal(), "inner");
    EXPECT_EQ(server("h").names.size(), 2u);
}

TEST_F(IngressTest, names_the_annotations_that_it_does_not_have_and_values_that_make_no_sense) {
    build(ingress("i", rule("h", "/"), R"(, annotations: {
      nginx.ingress.kubernetes.io/auth-url: "http://x", nginx.ingress.kubernetes.io/proxy-read-timeout: "1h",
      nginx.ingress.kubernetes.io/upstream-hash-by: "$nonsense", nginx.ingress.kubernetes.io/whitelist-source-range: "oops",
      other.io/x: z})"));
    const std::string text = site.diagnostics.text();
    EXPECT_THAT(text, HasSubstr("nginx.ingress.kubernetes.io/auth-url: is not supported; it has no effect"));
    EXPECT_THAT(text, HasSubstr("proxy-read-timeout: \"1h\" makes no sense; the default stays"));
    EXPECT_THAT(text, HasSubstr("upstream-hash-by: the variable $nonsense is not known"));
    EXPECT_THAT(text, HasSubstr("\"oops\" is not a range of addresses; everybody is refused"));
    EXPECT_EQ(text.find("other.io"), std::string::npos);
    ASSERT_EQ(server("h").locations[0]->settings->access.size(), 1u);
    EXPECT_FALSE(server("h").locations[0]->settings->access[0].allow);
}

TEST_F(IngressTest, rewrites_with_captures_and_turns_the_host_into_regexes) {
    build(ingress("a", rule("h", "/api(/|$)(.*)", "ImplementationSpecific"),
                  ", annotations: {nginx.ingress.kubernetes.io/rewrite-target: /$2}") +
          ingress("b", rule("h", "/a.b")));
    EXPECT_THAT(locations("h"), ElementsAre("~^/api(/|$)(.*) -> default/chat:ws/TCP",
                                            "~^/a\\.b(?:/|$) -> default/chat:ws/TCP"));
    const auto& script = server("h").locations[0]->script;
    ASSERT_EQ(script.size(), 1u);
    const auto& rewrite = std::get<http::Rewrite>(script[0].what);
    EXPECT_EQ(rewrite.flag, http::Rewrite::Flag::break_);
    EXPECT_EQ(rewrite.replacement.source, "/$2");
}

TEST_F(IngressTest, gives_a_path_that_two_want_to_the_older_one) {
    build(ingress("new", rule("h", "/x", "Prefix", backend("web", "number: 8080")),
                  ", creationTimestamp: '2026-02-01T00:00:00Z'") +
          ingress("old", rule("h", "/x"), ", creationTimestamp: '2026-01-01T00:00:00Z'"));
    EXPECT_THAT(locations("h"), ElementsAre("=/x -> default/chat:ws/TCP", "/x/ -> default/chat:ws/TCP"));
    EXPECT_THAT(site.diagnostics.text(),
                HasSubstr("Ingress default/new: the path h/x is taken by Ingress default/old"));
}

TEST_F(IngressTest, warns_that_tls_is_not_served_yet) {
    build(ingress("i", rule("h", "/") + ", tls: [{hosts: [h], secretName: x}]"));
    EXPECT_THAT(site.diagnostics.text(), HasSubstr("spec.tls: TLS is not served yet"));
}

// ---- together with listeners of nginx.conf
http::Listener nginx_listener(const std::string& address, const std::string& name) {
    auto group = std::make_shared<EndpointGroup>();
    group->id = "nginx:backend";
    group->service = "backend";
    Endpoint endpoint;
    endpoint.address = *net::SocketAddress::parse("10.0.0.1:80");
    group->endpoints.push_back(endpoint);
    auto location = std::make_shared<http::Location>();
    location->route_id = "nginx:" + name + "/";
    location->proxy.emplace();
    location->proxy->group = group;
    auto server = std::make_shared<http::VirtualServer>();
    server->name = name;
    server->names.resize(1);
    server->names[0].text = name;
    server->position = {"nginx.conf", 7, 1};
    server->locations.push_back(location);
    http::Listener out;
    out.address = *net::SocketAddress::parse(address);
    out.source = "nginx";
    out.position = {"nginx.conf", 8, 5};
    out.servers.push_back(server);
    return out;
}

TEST_F(IngressTest, joins_the_listener_of_nginx_at_the_same_address) {
    Objects objects = objects_from(services + ingress("i", rule("h", "/")));
    objects.listeners.push_back(nginx_listener("0.0.0.0:80", "n"));
    site.build(objects);
    ASSERT_EQ(site.snapshot->listeners.size(), 1u);
    const http::Listener& listener = site.snapshot->listeners[0];
    ASSERT_EQ(listener.servers.size(), 2u);
    EXPECT_EQ(listener.servers[listener.default_server]->name, "n");
    EXPECT_EQ(listener.servers[1]->name, "h");
    // Live states are filled in, and kept by the next snapshot.
    const auto state = listener.servers[0]->locations[0]->proxy->group->endpoints[0].state;
    ASSERT_NE(state, nullptr);
    objects.listeners[0] = nginx_listener("0.0.0.0:80", "n");
    site.build(objects);
    EXPECT_EQ(site.snapshot->listeners[0].servers[0]->locations[0]->proxy->group->endpoints[0].state, state);
}

TEST_F(IngressTest, refuses_a_host_that_nginx_serves_too_naming_both_places) {
    Objects objects = objects_from(services + ingress("i", rule("h", "/")));
    objects.listeners.push_back(nginx_listener("0.0.0.0:80", "h"));
    EXPECT_FALSE(site.try_build(objects));
    EXPECT_THAT(
        site.diagnostics.text(),
        HasSubstr("test.yaml:12:1: error: the host h is served at 0.0.0.0:80 by nginx.conf:7:1 already"));
}

TEST_F(IngressTest, refuses_a_listener_at_a_services_address) {
    Objects objects = objects_from(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {type: NodePort, ports: [{port: 80, "
        "nodePort: 30080}]}\n");
    objects.listeners.push_back(nginx_listener("0.0.0.0:30080", "n"));
    EXPECT_FALSE(site.try_build(objects));
    EXPECT_EQ(site.diagnostics.text(),
              "nginx.conf:8:5: error: the HTTP listener: 0.0.0.0:30080/TCP is taken by Service default/s "
              "(NodePort) at "
              "test.yaml:1:1\n");
}

TEST_F(IngressTest, shows_routes_in_the_diff) {
    build(ingress("i", rule("h", "/a", "Exact")));
    const auto before = site.snapshot;
    build(ingress("i", rule("h", "/b", "Exact")));
    EXPECT_THAT(diff(*before, *site.snapshot),
                ElementsAre("- route ingress:default/i:h/a", "+ route ingress:default/i:h/b"));
}

}  // namespace
}  // namespace hawser::catalog
