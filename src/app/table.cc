// SPDX-License-Identifier: Apache-2.0
#include "app/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <map>
#include <set>

namespace hawser::app {

namespace json = boost::json;

namespace {

constexpr const char* none = "<none>";

// The value at a path of names, or null.
const json::value* find(const json::value& from, std::initializer_list<std::string_view> path) {
    const json::value* at = &from;
    for (const auto name : path) {
        const auto* object = at->if_object();
        at = object == nullptr ? nullptr : object->if_contains(name);
        if (at == nullptr) return nullptr;
    }
    return at;
}

std::string text(const json::value& from, std::initializer_list<std::string_view> path,
                 std::string otherwise = "") {
    const auto* value = find(from, path);
    if (value == nullptr || value->is_null()) return otherwise;
    if (const auto* string = value->if_string()) return std::string(*string);
    return json::serialize(*value);
}

double number(const json::value& from, std::initializer_list<std::string_view> path) {
    const auto* value = find(from, path);
    return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

bool flag(const json::value& from, std::initializer_list<std::string_view> path) {
    const auto* value = find(from, path);
    return value != nullptr && value->is_bool() && value->get_bool();
}

const json::array& list(const json::value& from, std::initializer_list<std::string_view> path) {
    static const json::array empty;
    const auto* value = find(from, path);
    return value != nullptr && value->is_array() ? value->get_array() : empty;
}

std::string join(const std::vector<std::string>& parts) {
    std::string out;
    for (const auto& part : parts) out += (out.empty() ? "" : ",") + part;
    return out;
}

std::vector<std::string> texts(const json::array& values) {
    std::vector<std::string> out;
    for (const auto& value : values) out.push_back(text(value, {}));
    return out;
}

std::string age(const json::value& object, std::chrono::system_clock::time_point now) {
    const auto created = text(object, {"metadata", "creationTimestamp"});
    std::tm parts{};
    const char* end = created.empty() ? nullptr : ::strptime(created.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (end == nullptr) return "<unknown>";
    long offset = 0;  // RFC 3339: Z, or +hh:mm
    if (*end == '.') end += 1 + std::strspn(end + 1, "0123456789");
    if (int hours = 0, minutes = 0; std::sscanf(end, "%3d:%2d", &hours, &minutes) == 2)
        offset = hours * 3600L + (*end == '-' ? -minutes : minutes) * 60L;
    const auto then = std::chrono::system_clock::from_time_t(::timegm(&parts) - offset);
    return human_duration(std::chrono::floor<std::chrono::seconds>(now - then));
}

// ---- kubectl's columns of a Service (k8s.io/kubernetes pkg/printers/internalversion printService)

std::string load_balancer_addresses(const json::value& service, bool wide) {
    constexpr std::size_t width = 16;
    std::set<std::string> found;
    for (const auto& ingress : list(service, {"status", "loadBalancer", "ingress"})) {
        const auto ip = text(ingress, {"ip"});
        if (const auto shown = ip.empty() ? text(ingress, {"hostname"}) : ip; !shown.empty())
            found.insert(shown);
    }
    const auto out = join({found.begin(), found.end()});
    return !wide && out.size() > width ? out.substr(0, width - 3) + "..." : out;
}

std::string external_ip(const json::value& service, bool wide) {
    const auto type = text(service, {"spec", "type"});
    const auto external = join(texts(list(service, {"spec", "externalIPs"})));
    if (type == "ExternalName") return text(service, {"spec", "externalName"});
    if (type != "LoadBalancer") return external.empty() ? none : external;
    const auto balancer = load_balancer_addresses(service, wide);
    if (balancer.empty() && external.empty()) return "<pending>";
    return balancer + (balancer.empty() || external.empty() ? "" : ",") + external;
}

std::string ports(const json::value& service) {
    std::vector<std::string> out;
    for (const auto& port : list(service, {"spec", "ports"})) {
        std::string one = text(port, {"port"});
        if (const auto node_port = text(port, {"nodePort"}); !node_port.empty()) one += ":" + node_port;
        out.push_back(one + "/" + text(port, {"protocol"}, "TCP"));
    }
    return out.empty() ? none : join(out);
}

std::string selector(const json::value& service) {
    const auto* labels = find(service, {"spec", "selector"});
    if (labels == nullptr || !labels->is_object() || labels->get_object().empty()) return none;
    std::map<std::string, std::string> sorted;
    for (const auto& label : labels->get_object()) sorted[std::string(label.key())] = text(label.value(), {});
    std::vector<std::string> out;
    for (const auto& [key, value] : sorted) out.push_back(key + "=" + value);
    return join(out);
}

std::vector<Row> services(const json::array& items, const TableOptions& options) {
    std::vector<Row> rows{{"NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"}};
    if (options.wide) rows.front().emplace_back("SELECTOR");
    for (const auto& item : items) {
        const auto ips = texts(list(item, {"spec", "clusterIPs"}));
        auto cluster_ip = ips.empty() ? text(item, {"spec", "clusterIP"}, none) : ips.front();
        rows.push_back({text(item, {"metadata", "namespace"}), text(item, {"metadata", "name"}),
                        text(item, {"spec", "type"}), std::move(cluster_ip), external_ip(item, options.wide),
                        ports(item), age(item, options.now)});
        if (options.wide) rows.back().push_back(selector(item));
    }
    return rows;
}

// ---- endpoints: a line per service as `kubectl get endpoints` has it; wide: a line per address and port

std::string service_of(const json::value& slice) {
    return text(slice, {"metadata", "labels", "kubernetes.io/service-name"});
}

std::string with_port(const std::string& address, const std::string& port) {
    return (address.find(':') == std::string::npos ? address : "[" + address + "]") + ":" + port;
}

std::string port_name(const json::value& port) {
    const auto name = text(port, {"name"});
    return name.empty() ? text(port, {"port"}) : name;
}

std::vector<Row> wide_endpoints(const json::array& items) {
    std::vector<Row> rows{
        {"NAMESPACE", "NAME", "PORT", "ADDRESS", "POD", "NODE", "READY", "SERVING", "TERMINATING"}};
    const auto word = [](const json::value& endpoint, std::string_view condition) {
        return std::string(flag(endpoint, {"conditions", condition}) ? "true" : "false");
    };
    for (const auto& slice : items)
        for (const auto& port : list(slice, {"ports"}))
            for (const auto& endpoint : list(slice, {"endpoints"}))
                for (const auto& address : texts(list(endpoint, {"addresses"})))
                    rows.push_back({text(slice, {"metadata", "namespace"}), service_of(slice),
                                    port_name(port) + "/" + text(port, {"protocol"}),
                                    with_port(address, text(port, {"port"})),
                                    text(endpoint, {"targetRef", "name"}, none),
                                    text(endpoint, {"nodeName"}, none), word(endpoint, "ready"),
                                    word(endpoint, "serving"), word(endpoint, "terminating")});
    return rows;
}

std::vector<Row> endpoints(const json::array& items, const TableOptions& options) {
    constexpr std::size_t most_shown = 3;
    std::vector<Row> rows{{"NAMESPACE", "NAME", "ENDPOINTS", "AGE"}};
    for (std::size_t i = 0; i < items.size();) {
        const auto service = service_of(items[i]);
        const auto namespace_name = text(items[i], {"metadata", "namespace"});
        const auto created = age(items[i], options.now);
        std::vector<std::string> addresses;
        for (; i < items.size() && service_of(items[i]) == service &&
               text(items[i], {"metadata", "namespace"}) == namespace_name;
             ++i)
            for (const auto& port : list(items[i], {"ports"}))
                for (const auto& endpoint : list(items[i], {"endpoints"}))
                    for (const auto& address : texts(list(endpoint, {"addresses"})))
                        if (flag(endpoint, {"conditions", "ready"}))
                            addresses.push_back(with_port(address, text(port, {"port"})));
        const auto more = addresses.size() > most_shown ? addresses.size() - most_shown : 0;
        addresses.resize(addresses.size() - more);
        auto shown = addresses.empty() ? none : join(addresses);
        if (more > 0) shown += fmt::format(" + {} more...", more);
        rows.push_back({namespace_name, service, std::move(shown), created});
    }
    return rows;
}

std::vector<Row> routes(const json::array& items, const TableOptions& options) {
    std::vector<Row> rows{{"LISTEN", "HOSTS", "MATCH", "PATH", "BACKEND", "ENDPOINTS"}};
    if (options.wide) rows.front().insert(rows.front().end(), {"ID", "POSITION"});
    for (const auto& item : items) {
        auto hosts = join(texts(list(item, {"hosts"})));
        if (flag(item, {"defaultServer"})) hosts += hosts.empty() ? "*" : " *";
        auto backend = text(item, {"service"}, text(item, {"url"}, text(item, {"action"})));
        std::vector<std::string> addresses;
        for (const auto& endpoint : list(item, {"endpoints"}))
            addresses.push_back(text(endpoint, {"address"}));
        rows.push_back({text(item, {"listen"}), hosts.empty() ? none : hosts, text(item, {"match"}),
                        text(item, {"path"}), std::move(backend),
                        addresses.empty() ? none : join(addresses)});
        if (options.wide)
            rows.back().insert(rows.back().end(), {text(item, {"id"}), text(item, {"position"})});
    }
    return rows;
}

std::vector<Row> frontends(const json::array& items, const TableOptions& options) {
    std::vector<Row> rows{{"TYPE", "ADDRESS", "PROTOCOL", "SERVICE", "PORT", "ENDPOINTS"}};
    if (options.wide) rows.front().insert(rows.front().end(), {"SCHEDULER", "ID"});
    for (const auto& item : items) {
        std::vector<std::string> addresses;
        for (const auto& endpoint : list(item, {"endpoints"}))
            addresses.push_back(text(endpoint, {"address"}));
        rows.push_back({text(item, {"type"}), text(item, {"address"}), text(item, {"protocol"}),
                        text(item, {"service"}), text(item, {"servicePort"}),
                        addresses.empty() ? none : join(addresses)});
        if (options.wide)
            rows.back().insert(rows.back().end(), {text(item, {"scheduler"}, none), text(item, {"id"})});
    }
    return rows;
}

std::vector<Row> tunnels(const json::array& items, const TableOptions& options) {
    const auto seconds = [](const json::value& item, std::string_view name) {
        return human_duration(std::chrono::seconds(static_cast<std::int64_t>(number(item, {name}))));
    };
    const auto bytes = [](const json::value& item, std::string_view side) {
        return human_bytes(static_cast<std::uint64_t>(number(item, {side, "bytes"})));
    };
    std::vector<Row> rows{
        {"ID", "PROTOCOL", "CLIENT", "SERVICE", "ENDPOINT", "AGE", "IDLE", "BYTES-IN", "BYTES-OUT", "SPLICE"}};
    if (options.wide)
        rows.front().insert(rows.front().end(), {"FRAMES-IN", "FRAMES-OUT", "FRONTEND", "POD", "ROUTE"});
    for (const auto& item : items) {
        rows.push_back({text(item, {"id"}), text(item, {"protocol"}), text(item, {"client"}),
                        text(item, {"service"}), text(item, {"endpoint"}), seconds(item, "ageSeconds"),
                        seconds(item, "idleSeconds"), bytes(item, "fromClient"),
                        bytes(item, "fromEndpoint"), text(item, {"splice"}, none)});
        if (options.wide)
            rows.back().insert(
                rows.back().end(),
                {text(item, {"fromClient", "frames"}), text(item, {"fromEndpoint", "frames"}),
                 text(item, {"frontend"}), text(item, {"endpointName"}, none), text(item, {"route"})});
    }
    return rows;
}

std::vector<Row> vips(const json::array& items, const TableOptions& options) {
    std::vector<Row> rows{{"NAME", "ADDRESSES", "INTERFACE", "VRID", "STATE", "PRIORITY", "ACTIVE", "SINCE"}};
    if (options.wide) rows.front().insert(rows.front().end(), {"VERSION", "INTERVAL", "CONFLICTS", "WHY"});
    for (const auto& item : items) {
        const json::value since{{"metadata", {{"creationTimestamp", text(item, {"since"})}}}};
        rows.push_back({text(item, {"name"}), join(texts(list(item, {"addresses"}))), text(item, {"interface"}),
                        text(item, {"virtualRouterId"}), text(item, {"state"}), text(item, {"priority"}),
                        text(item, {"active"}, "<unknown>"), age(since, options.now)});
        if (options.wide)
            rows.back().insert(rows.back().end(),
                               {text(item, {"version"}), text(item, {"advertIntervalMilliseconds"}) + "ms",
                                text(item, {"conflicts"}), join(texts(list(item, {"faults"})))});
    }
    return rows;
}

std::vector<Row> peers(const json::array& items, const TableOptions& options) {
    std::vector<Row> rows{{"NAME", "ADDRESS", "STATE", "VIPS", "LAG", "SINCE"}};
    if (options.wide) rows.front().insert(rows.front().end(), {"SENT", "RECEIVED", "LOST", "NOT-CARRIED", "WHY"});
    for (const auto& item : items) {
        const json::value since{{"metadata", {{"creationTimestamp", text(item, {"since"})}}}};
        const bool connected = text(item, {"connected"}) == "true";
        const bool in_step = text(item, {"inStep"}) == "true";
        rows.push_back({text(item, {"name"}), text(item, {"address"}),
                        !connected ? "away" : in_step ? "in step" : "catching up", join(texts(list(item, {"vips"}))),
                        text(item, {"lagMessages"}), age(since, options.now)});
        if (options.wide)
            rows.back().insert(rows.back().end(), {text(item, {"sent"}), text(item, {"received"}), text(item, {"lost"}),
                                                   text(item, {"notCarried"}), text(item, {"whyNot"})});
    }
    return rows;
}

std::vector<Row> snapshot(const json::array& items) {
    std::vector<Row> rows{
        {"NUMBER", "CREATED", "SERVICES", "FRONTENDS", "LISTENERS", "RELOADS", "FAILED", "LAST"}};
    for (const auto& item : items)
        rows.push_back({text(item, {"number"}, none), text(item, {"created"}, none),
                        text(item, {"services"}, "0"), text(item, {"frontends"}, "0"),
                        text(item, {"listeners"}, "0"), text(item, {"reloads", "succeeded"}),
                        text(item, {"reloads", "failed"}),
                        flag(item, {"reloads", "lastSuccess"}) ? "applied" : "refused"});
    return rows;
}

}  // namespace

std::string print_table(const std::vector<Row>& rows) {
    constexpr std::size_t padding = 3, narrowest = 6;
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()), narrowest);
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size() + padding);
    }
    std::string out;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            out += row[i];
            if (i + 1 < row.size()) out.append(widths[i] - row[i].size(), ' ');
        }
        out += "\n";
    }
    return out;
}

std::string human_duration(std::chrono::seconds duration) {
    const auto seconds = duration.count();
    if (seconds < -1) return "<invalid>";
    if (seconds < 0) return "0s";
    // Two units, the second one only when it is not zero.
    const auto two = [](std::int64_t big, char big_unit, std::int64_t small, char small_unit) {
        return small == 0 ? fmt::format("{}{}", big, big_unit)
                          : fmt::format("{}{}{}{}", big, big_unit, small, small_unit);
    };
    const auto minutes = seconds / 60, hours = seconds / 3600, days = hours / 24, years = days / 365;
    if (seconds < 120) return fmt::format("{}s", seconds);
    if (minutes < 10) return two(minutes, 'm', seconds % 60, 's');
    if (minutes < 180) return fmt::format("{}m", minutes);
    if (hours < 8) return two(hours, 'h', minutes % 60, 'm');
    if (hours < 48) return fmt::format("{}h", hours);
    if (hours < 24 * 8) return two(days, 'd', hours % 24, 'h');
    if (hours < 24 * 365 * 2) return fmt::format("{}d", days);
    if (hours < 24 * 365 * 8) return two(years, 'y', days % 365, 'd');
    return fmt::format("{}y", years);
}

std::string human_bytes(std::uint64_t bytes) {
    if (bytes < 1000) return std::to_string(bytes);
    auto value = static_cast<double>(bytes);
    std::string_view units = "kMGTPE";
    for (value /= 1000; value >= 999.95 && units.size() > 1; value /= 1000) units.remove_prefix(1);
    return fmt::format("{:.1f}{}", value, units.front());
}

std::vector<Row> table_rows(Resource resource, const json::array& items, const TableOptions& options) {
    std::vector<Row> rows;
    switch (resource) {
        case Resource::services:
            rows = services(items, options);
            break;
        case Resource::endpoints:
            rows = options.wide ? wide_endpoints(items) : endpoints(items, options);
            break;
        case Resource::routes:
            rows = routes(items, options);
            break;
        case Resource::frontends:
            rows = frontends(items, options);
            break;
        case Resource::tunnels:
            rows = tunnels(items, options);
            break;
        case Resource::vips:
            rows = vips(items, options);
            break;
        case Resource::peers:
            rows = peers(items, options);
            break;
        case Resource::snapshot:
            rows = snapshot(items);
            break;
    }
    const bool namespaced = resource == Resource::services || resource == Resource::endpoints;
    if (namespaced && !options.namespaces)
        for (auto& row : rows) row.erase(row.begin());
    if (!options.headers) rows.erase(rows.begin());
    return rows;
}

}  // namespace hawser::app
