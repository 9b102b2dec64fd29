// SPDX-License-Identifier: Apache-2.0
#include "app/check.h"

#include <ostream>

#include "app/build_plan.h"
#include "control/views.h"

namespace hawser::app {

namespace json = boost::json;

namespace {

std::string text(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : "";
}

std::string addresses(const json::object& object) {
    const auto* endpoints = object.if_contains("endpoints");
    if (endpoints == nullptr || endpoints->get_array().empty()) return "no endpoints";
    std::string out;
    for (const auto& endpoint : endpoints->get_array()) {
        out += (out.empty() ? "" : ", ") + text(endpoint.get_object(), "address");
        for (const char* mark : {"backup", "down"})
            if (endpoint.get_object().contains(mark)) out += std::string(" (") + mark + ")";
    }
    return out;
}

std::string whither(const json::object& route) {
    const auto service = text(route, "service");
    if (text(route, "action") != "proxy") return text(route, "action");
    if (service.empty()) return text(route, "url");
    return service + " [" + text(route, "scheduler") + "]: " + addresses(route);
}

std::string how(const std::string& match) {
    if (match == "Exact") return "= ";
    if (match == "PrefixFinal") return "^~ ";
    return match == "Regex" ? "~ " : "";
}

std::string host_line(const json::object& route) {
    std::string out;
    for (const auto& host : route.at("hosts").get_array())
        out += (out.empty() ? "" : " ") + std::string(host.get_string());
    if (out.empty()) out = "any host";
    return out + (route.at("defaultServer").get_bool() ? " (default)" : "");
}

void print_routes(const json::array& routes, std::ostream& out) {
    std::string listen, host;
    for (const auto& item : routes) {
        const auto& route = item.get_object();
        if (const auto here = text(route, "listen"); here != listen) {
            out << "http " << here << " (" << text(route, "source") << ")\n";
            listen = here;
            host.clear();
        }
        if (const auto here = host_line(route); here != host) {
            out << "  " << here << "\n";
            host = here;
        }
        out << "    " << how(text(route, "match")) << text(route, "path") << " -> " << whither(route) << "\n";
    }
}

void print_frontends(const json::array& frontends, std::ostream& out) {
    for (const auto& item : frontends) {
        const auto& frontend = item.get_object();
        // The user-space gateway opens no socket for these.
        if (text(frontend, "type") == "ClusterIP") continue;
        const bool drops = text(frontend, "whenEmpty") == "drop";
        auto to = addresses(frontend);
        if (to == "no endpoints") to += drops ? " (dropped)" : " (refused)";
        out << text(frontend, "type") << " " << text(frontend, "address") << "/" << text(frontend, "protocol")
            << " -> " << text(frontend, "service") << ":" << text(frontend, "servicePort") << " ["
            << text(frontend, "scheduler") << "]: " << to << "\n";
    }
}

void print_vips(const catalog::vip::Plan& plan, std::ostream& out) {
    for (const auto& router : plan.routers) {
        out << "VIP " << router.name << ":";
        for (const auto* list : {&router.addresses, &router.excluded})
            for (const auto& address : *list)
                out << " " << address.ip.text() << "/" << static_cast<unsigned>(address.prefix_length)
                    << (address.interface.empty() ? "" : " dev " + address.interface);
        out << " on " << (router.interface.empty() ? "no interface" : router.interface) << ", VRRPv"
            << static_cast<unsigned>(router.version) << " id " << static_cast<unsigned>(router.id) << ", priority "
            << static_cast<unsigned>(router.priority) << ", every " << router.advert_interval.count() << " ms, "
            << (router.unicast_peers.empty() ? "multicast"
                                             : std::to_string(router.unicast_peers.size()) + " unicast peer(s)")
            << "\n";
    }
}

}  // namespace

void print_summary(const catalog::Snapshot& snapshot, std::ostream& out) {
    const control::Filter all;
    print_routes(control::route_list(snapshot, all).at("items").get_array(), out);
    print_frontends(control::frontend_list(snapshot, all).at("items").get_array(), out);
    print_vips(*snapshot.vips, out);
}

int check(const CheckCommand& command, std::ostream& out, std::ostream& err) {
    const auto& configuration = command.configuration;
    auto read = control::read(inputs_of(configuration));
    auto diagnostics = read.diagnostics;
    catalog::BuildResult built;
    if (!diagnostics.has_errors()) {
        // Numbers that a running daemon gave out are shown as it has them; nothing is written.
        catalog::Allocations allocations;
        if (const auto file = allocations_file(configuration); !file.empty()) {
            if (auto kept = catalog::load_allocations(file))
                allocations = std::move(*kept);
            else
                diagnostics.error({file}, kept.error().text());
        }
        built =
            catalog::build(read.objects, build_options(configuration, read.objects), nullptr, allocations);
        diagnostics.append(built.diagnostics);
    }
    err << diagnostics.text();
    if (diagnostics.has_errors() || !built.snapshot) {
        err << "hawser: the configuration has " << diagnostics.errors() << " error(s)\n";
        return exit_code::bad_input;
    }
    print_summary(*built.snapshot, out);
    out << "hawser: the configuration is good: " << built.snapshot->services.size() << " service(s), "
        << built.snapshot->listeners.size() << " HTTP listener(s)"
        << (built.snapshot->vips->empty() ? ""
                                          : ", " + std::to_string(built.snapshot->vips->routers.size()) + " VIP(s)")
        << "\n";
    return exit_code::good;
}

}  // namespace hawser::app
