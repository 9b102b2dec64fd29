// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/settings.h"

#include <algorithm>

namespace hawser::nginx {

namespace http = catalog::http;

namespace {

std::uint32_t clamp32(std::uint64_t value) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX));
}

std::shared_ptr<const http::LimitZone> find_zone(Reading& reading, const LimitUse& use,
                                                 http::LimitZone::Kind kind) {
    const auto zone = reading.http.zones.find(use.zone);
    if (zone == reading.http.zones.end()) {
        error_once(reading, use.position, "zero size shared memory zone \"" + use.zone + "\"");
        return nullptr;
    }
    if (zone->second.zone->kind != kind) {
        error_once(reading, use.position,
                   "the shared memory zone \"" + use.zone + "\" is already declared for a different use");
        return nullptr;
    }
    return zone->second.zone;
}

void set_limits(Reading& reading, const LocationConf& merged, http::Settings& out) {
    for (const LimitUse& use : merged.limit_connections) {
        http::LimitConnections limit = use.connections;
        limit.zone = find_zone(reading, use, http::LimitZone::Kind::connections);
        if (limit.zone) out.limit_connections.push_back(std::move(limit));
    }
    for (const LimitUse& use : merged.limit_requests) {
        http::LimitRequests limit = use.requests;
        limit.zone = find_zone(reading, use, http::LimitZone::Kind::requests);
        if (limit.zone) out.limit_requests.push_back(std::move(limit));
    }
    out.limit_connections_status = static_cast<std::uint16_t>(merged.limit_connections_status.value_or(503));
    out.limit_connections_dry_run = merged.limit_connections_dry_run.value_or(false);
    out.limit_requests_status = static_cast<std::uint16_t>(merged.limit_requests_status.value_or(503));
    out.limit_requests_dry_run = merged.limit_requests_dry_run.value_or(false);
}

// nginx's own three, where no `types` block says otherwise.
std::shared_ptr<const TypeMap> default_types() {
    return std::make_shared<const TypeMap>(
        TypeMap{{"html", "text/html"}, {"gif", "image/gif"}, {"jpg", "image/jpeg"}});
}

bool has_header(const std::vector<http::ProxyHeader>& headers, std::string_view lower_case_name) {
    return std::any_of(headers.begin(), headers.end(),
                       [&](const http::ProxyHeader& h) { return lower(h.name) == lower_case_name; });
}

// What the level says, and behind it nginx's defaults for names that it does not say.
std::vector<http::ProxyHeader> make_headers(Reading& reading, const LocationConf& merged) {
    std::vector<http::ProxyHeader> out = merged.proxy.set_headers;
    if (!has_header(merged.proxy.set_headers, "host")) {
        auto host = reading.variables.compile("$proxy_host", merged.position);
        if (host) out.push_back({"Host", std::move(*host)});
    }
    if (!has_header(merged.proxy.set_headers, "connection"))
        out.push_back({"Connection", http::Template::from_literal("close")});
    return out;
}

std::vector<std::string> make_hidden(const ProxyConf& proxy) {
    std::vector<std::string> out = {"date",
                                    "server",
                                    "x-pad",
                                    "x-accel-expires",
                                    "x-accel-redirect",
                                    "x-accel-limit-rate",
                                    "x-accel-buffering",
                                    "x-accel-charset"};
    for (const std::string& name : proxy.hide_headers) {
        const std::string key = lower(name);
        if (std::find(out.begin(), out.end(), key) == out.end()) out.push_back(key);
    }
    for (const std::string& name : proxy.pass_headers) std::erase(out, lower(name));
    return out;
}

// The two rules that nginx checks when it merges buffer sizes.
void check_buffers(Reading& reading, const LocationConf& merged) {
    const ProxyConf& proxy = merged.proxy;
    const ProxyConf::Buffers buffers = proxy.buffers.value_or(ProxyConf::Buffers{});
    const std::uint64_t largest = std::max(proxy.buffer_size.value_or(4096), buffers.size);
    const std::uint64_t busy = proxy.busy_buffers_size.value_or(2 * largest);
    if (busy < largest)
        reading.error(
            merged.position,
            "\"proxy_busy_buffers_size\" must be equal to or greater than the maximum of the value of "
            "\"proxy_buffer_size\" and one of the \"proxy_buffers\"");
    // (count - 1) * size without overflow.
    if (buffers.count - 1 <= busy / buffers.size && busy > (buffers.count - 1) * buffers.size)
        reading.error(
            merged.position,
            "\"proxy_busy_buffers_size\" must be less than the size of all \"proxy_buffers\" minus one "
            "buffer");
}

}  // namespace

void error_once(Reading& reading, const catalog::Position& where, std::string message) {
    const auto& all = reading.diagnostics.all();
    const catalog::Diagnostic same{catalog::Severity::error, where, std::move(message)};
    if (std::find(all.begin(), all.end(), same) == all.end()) reading.error(where, same.message);
}

std::shared_ptr<const http::Settings> make_settings(Reading& reading, const LocationConf& merged) {
    auto out = std::make_shared<http::Settings>();
    const http::Settings nginx;  // the defaults stand in the catalog
    out->client_max_body_size = merged.client_max_body_size.value_or(nginx.client_max_body_size);
    out->client_body_timeout = merged.client_body_timeout.value_or(nginx.client_body_timeout);
    out->send_timeout = merged.send_timeout.value_or(nginx.send_timeout);
    if (merged.keepalive_timeout) {
        out->keepalive_timeout = merged.keepalive_timeout->timeout;
        out->keepalive_header = merged.keepalive_timeout->header;
    }
    out->keepalive_requests = clamp32(merged.keepalive_requests.value_or(nginx.keepalive_requests));
    out->keepalive_time = merged.keepalive_time.value_or(nginx.keepalive_time);
    out->add_headers = merged.add_headers;
    if (!merged.access_log_off) out->access_logs = merged.access_logs;
    out->access = merged.access;
    out->real_ip.trusted = merged.real_ip_from;
    out->real_ip.header = merged.real_ip_header.value_or(nginx.real_ip.header);
    out->real_ip.recursive = merged.real_ip_recursive.value_or(false);
    set_limits(reading, merged, *out);
    out->default_type = merged.default_type.value_or(nginx.default_type);
    out->types = merged.types ? std::shared_ptr<const TypeMap>(merged.types) : default_types();
    out->server_tokens = merged.server_tokens.value_or(nginx.server_tokens);
    out->absolute_redirect = merged.absolute_redirect.value_or(nginx.absolute_redirect);
    out->port_in_redirect = merged.port_in_redirect.value_or(nginx.port_in_redirect);
    out->server_name_in_redirect = merged.server_name_in_redirect.value_or(nginx.server_name_in_redirect);
    out->reset_timedout_connection =
        merged.reset_timedout_connection.value_or(nginx.reset_timedout_connection);
    return out;
}

std::optional<http::Proxy> make_proxy(Reading& reading, Upstreams& upstreams, const LocationConf& merged) {
    const ProxyPass& pass = *merged.pass;
    const ProxyConf& conf = merged.proxy;
    http::Proxy out;
    if (pass.dynamic) {
        out.dynamic = pass.dynamic;
    } else {
        out.group = upstreams.find(pass);
        if (!out.group) return std::nullopt;
        out.host_header = pass.host_header;
        out.default_port = pass.target.port.value_or(80);
        if (!pass.target.uri.empty()) out.uri = pass.target.uri;
    }
    out.http_1_1 = conf.http_1_1.value_or(false);
    out.set_headers = make_headers(reading, merged);
    out.hide_headers = make_hidden(conf);
    out.ignored_headers = conf.ignored_headers.value_or(std::vector<std::string>{});
    if (conf.redirect.value_or(true)) out.redirects = conf.redirects;
    out.connect_timeout = conf.connect_timeout.value_or(out.connect_timeout);
    out.read_timeout = conf.read_timeout.value_or(out.read_timeout);
    out.send_timeout = conf.send_timeout.value_or(out.send_timeout);
    out.next_upstream = conf.next_upstream.value_or(out.next_upstream);
    out.next_upstream_tries = clamp32(conf.next_upstream_tries.value_or(0));
    out.next_upstream_timeout = conf.next_upstream_timeout.value_or(out.next_upstream_timeout);
    out.buffering = conf.buffering.value_or(true);
    out.request_buffering = conf.request_buffering.value_or(true);
    out.pass_request_headers = conf.pass_request_headers.value_or(true);
    out.pass_request_body = conf.pass_request_body.value_or(true);
    out.splice = conf.splice.value_or(true);
    out.method = conf.method;
    out.buffer_size = clamp32(conf.buffer_size.value_or(out.buffer_size));
    // nginx would cut an idle tunnel after its 60 s default; hawser does so only when told to.
    if (conf.read_timeout) out.tunnel_idle_timeout = *conf.read_timeout;
    check_buffers(reading, merged);
    return out;
}

}  // namespace hawser::nginx
