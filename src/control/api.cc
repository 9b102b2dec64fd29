// SPDX-License-Identifier: Apache-2.0
#include "control/api.h"

#include <limits>
#include <charconv>
#include <optional>

#include "control/console.h"
#include "control/metrics.h"

namespace hawser::control {

namespace json = boost::json;

namespace {

constexpr std::string_view api_prefix = "/api/v1/";
constexpr std::string_view tunnels_prefix = "/api/v1/tunnels/";
constexpr std::size_t default_page = 500;
constexpr std::size_t largest_page = 10'000;

Response json_response(const json::object& body, unsigned status = 200) {
    return {status, "application/json", json::serialize(body) + "\n", {}};
}

Response text_response(unsigned status, std::string text) {
    return {status, "text/plain; charset=utf-8", std::move(text) + "\n", {}};
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<std::string> parameter(const Request& request, const std::string& name) {
    const auto found = request.query.find(name);
    if (found == request.query.end() || found->second.empty()) return std::nullopt;
    return found->second;
}

Filter filter_of(const Request& request) {
    return {parameter(request, "namespace"), parameter(request, "name"), parameter(request, "service")};
}

std::string_view type_of(std::string_view name) {
    if (name.ends_with(".html")) return "text/html; charset=utf-8";
    if (name.ends_with(".css")) return "text/css; charset=utf-8";
    if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
    return "image/svg+xml";
}

std::optional<Response> console_page(const std::string& path) {
    const std::string name = path == "/" ? "index.html" : path.substr(1);
    const auto found = console_files().find(name);
    if (found == console_files().end()) return std::nullopt;
    return Response{
        200,
        std::string(type_of(name)),
        std::string(found->second),
        {{"Content-Security-Policy",
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
          "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}}};
}

Response not_found(const std::string& path) { return failure(404, "NotFound", "there is no " + path); }

Response not_allowed(std::string allowed) {
    auto response = failure(405, "MethodNotAllowed", "the method is not allowed here");
    response.headers.emplace_back("Allow", std::move(allowed));
    return response;
}

}  // namespace

Response failure(unsigned status, std::string_view reason, std::string_view message) {
    return json_response({{"kind", "Status"},
                          {"apiVersion", "v1"},
                          {"status", "Failure"},
                          {"message", message},
                          {"reason", reason},
                          {"code", status}},
                         status);
}

void Api::handle(const Request& request, Answer answer) {
    if (request.path == "/api/v1/reload") {
        if (request.method != "POST") return answer(not_allowed("POST"));
        return reload(answer);
    }
    if (request.path.starts_with(tunnels_prefix) && request.method == "DELETE")
        return answer(kill_tunnel(request.path.substr(tunnels_prefix.size())));
    if (request.method != "GET" && request.method != "HEAD")
        return answer(
            not_allowed(request.path.starts_with(tunnels_prefix) ? "GET, HEAD, DELETE" : "GET, HEAD"));
    answer(get(request));
}

std::string Api::why_not_ready() const {
    if (draining_) return "draining: this process is going down";
    if (plane_.current()) return "";
    const auto& status = sources_.status();
    if (status.failed == 0) return "no snapshot yet: the sources are being read";
    return "no snapshot: the last attempt (" + status.cause + ") had " +
           std::to_string(status.diagnostics.errors()) + " error(s)";
}

Response Api::get(const Request& request) const {
    const auto& path = request.path;
    if (path == "/healthz") return text_response(200, "ok");
    if (path == "/readyz") {
        const auto why = why_not_ready();
        return why.empty() ? text_response(200, "ok") : text_response(503, "not ready: " + why);
    }
    if (path == "/metrics") {
        const auto snapshot = plane_.current();
        return {200,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics_text({plane_.stats(), sources_.status(), snapshot ? snapshot->number : 0,
                              why_not_ready().empty(), plane_.splice_stats(), plane_.vips(),
                              plane_.replication()}),
                {}};
    }
    if (path.starts_with(tunnels_prefix)) {
        const auto id = path.substr(tunnels_prefix.size());
        if (!parse_number(id)) return not_found(path);
        const auto found = plane_.tunnel(*parse_number(id));
        if (!found) return failure(404, "NotFound", "tunnel \"" + id + "\" not found");
        return json_response(tunnel_view(*found));
    }
    if (path.starts_with(api_prefix)) return get_list(path.substr(api_prefix.size()), request);
    if (auto page = console_page(path)) return std::move(*page);
    return not_found(path);
}

Response Api::get_list(const std::string& what, const Request& request) const {
    if (what == "tunnels") return get_tunnels(request);
    if (what == "peers")
        return json_response(peer_list(plane_.replication().value_or(replication::Status{}), filter_of(request)));
    if (what == "vips") return json_response(vip_list(plane_.vips(), filter_of(request)));
    const auto current = plane_.current();
    if (what == "snapshot") return json_response(snapshot_view(current.get(), sources_.status()));
    static const catalog::Snapshot nothing;
    const auto& snapshot = current ? *current : nothing;
    const auto filter = filter_of(request);
    if (what == "services") return json_response(service_list(snapshot, sources_.first_seen(), filter));
    if (what == "endpoints") return json_response(endpoint_list(snapshot, sources_.first_seen(), filter));
    if (what == "routes") return json_response(route_list(snapshot, filter));
    if (what == "frontends") return json_response(frontend_list(snapshot, filter));
    return not_found(request.path);
}

Response Api::get_tunnels(const Request& request) const {
    const auto limit = parse_number(parameter(request, "limit").value_or(std::to_string(default_page)));
    const auto after = parse_number(parameter(request, "continue").value_or("0"));
    if (!limit || *limit == 0 || *limit > largest_page)
        return failure(400, "BadRequest", "limit is a number from 1 to " + std::to_string(largest_page));
    if (!after) return failure(400, "BadRequest", "continue is what the last page's metadata.continue said");
    const Filter filter = filter_of(request);
    // One more than the page, so that it is known whether there is another.
    const bool all = filter.service || filter.name;
    const std::size_t needed = all ? std::numeric_limits<std::size_t>::max() : *limit + 1;
    return json_response(tunnel_list(plane_.tunnels(*after, needed), filter, *limit, *after));
}

Response Api::kill_tunnel(const std::string& id_text) {
    const auto id = parse_number(id_text);
    if (!id || !plane_.kill_tunnel(*id))
        return failure(404, "NotFound", "tunnel \"" + id_text + "\" not found");
    return json_response({{"kind", "Status"},
                          {"apiVersion", "v1"},
                          {"status", "Success"},
                          {"details", {{"name", id_text}, {"kind", "tunnels"}}}});
}

void Api::reload(const Answer& answer) {
    if (draining_) return answer(failure(503, "ServiceUnavailable", "draining"));
    sources_.reload("API", [this, answer](const ReloadStatus& status) {
        const auto current = plane_.current();
        answer(json_response(snapshot_view(current.get(), status), status.last_success ? 200 : 422));
    });
}

}  // namespace hawser::control
