// SPDX-License-Identifier: Apache-2.0
#include "catalog/http_template.h"

#include <algorithm>

namespace hawser::catalog::http {

bool Template::is_literal() const {
    return std::all_of(parts.begin(), parts.end(),
                       [](const Part& p) { return p.kind == Part::Kind::literal; });
}

std::string Template::literal() const {
    std::string out;
    for (const Part& p : parts) out += p.text;
    return out;
}

Template Template::from_literal(std::string text) {
    Template out;
    out.source = text;
    if (!text.empty()) out.parts.push_back({Part::Kind::literal, std::move(text), 0, 0});
    return out;
}

namespace {
struct NamedBuiltin {
    std::string_view name;
    Builtin builtin;
};
// Sorted by name.
constexpr NamedBuiltin builtins[] = {
#define HAWSER_BUILTIN(name) \
    { #name, Builtin::name }
    HAWSER_BUILTIN(args),
    HAWSER_BUILTIN(binary_remote_addr),
    HAWSER_BUILTIN(body_bytes_sent),
    HAWSER_BUILTIN(bytes_sent),
    HAWSER_BUILTIN(connection),
    HAWSER_BUILTIN(connection_requests),
    HAWSER_BUILTIN(connection_time),
    HAWSER_BUILTIN(content_length),
    HAWSER_BUILTIN(content_type),
    HAWSER_BUILTIN(document_uri),
    HAWSER_BUILTIN(host),
    HAWSER_BUILTIN(hostname),
    HAWSER_BUILTIN(https),
    HAWSER_BUILTIN(is_args),
    HAWSER_BUILTIN(limit_conn_status),
    HAWSER_BUILTIN(limit_req_status),
    HAWSER_BUILTIN(msec),
    HAWSER_BUILTIN(nginx_version),
    HAWSER_BUILTIN(pid),
    HAWSER_BUILTIN(pipe),
    HAWSER_BUILTIN(proxy_add_x_forwarded_for),
    HAWSER_BUILTIN(proxy_host),
    HAWSER_BUILTIN(proxy_port),
    HAWSER_BUILTIN(query_string),
    HAWSER_BUILTIN(realip_remote_addr),
    HAWSER_BUILTIN(realip_remote_port),
    HAWSER_BUILTIN(remote_addr),
    HAWSER_BUILTIN(remote_port),
    HAWSER_BUILTIN(remote_user),
    HAWSER_BUILTIN(request),
    HAWSER_BUILTIN(request_completion),
    HAWSER_BUILTIN(request_id),
    HAWSER_BUILTIN(request_length),
    HAWSER_BUILTIN(request_method),
    HAWSER_BUILTIN(request_time),
    HAWSER_BUILTIN(request_uri),
    HAWSER_BUILTIN(scheme),
    HAWSER_BUILTIN(server_addr),
    HAWSER_BUILTIN(server_name),
    HAWSER_BUILTIN(server_port),
    HAWSER_BUILTIN(server_protocol),
    HAWSER_BUILTIN(status),
    HAWSER_BUILTIN(tcpinfo_rcv_space),
    HAWSER_BUILTIN(tcpinfo_rtt),
    HAWSER_BUILTIN(tcpinfo_rttvar),
    HAWSER_BUILTIN(tcpinfo_snd_cwnd),
    HAWSER_BUILTIN(time_iso8601),
    HAWSER_BUILTIN(time_local),
    HAWSER_BUILTIN(upstream_addr),
    HAWSER_BUILTIN(upstream_bytes_received),
    HAWSER_BUILTIN(upstream_bytes_sent),
    HAWSER_BUILTIN(upstream_connect_time),
    HAWSER_BUILTIN(upstream_header_time),
    HAWSER_BUILTIN(upstream_response_length),
    HAWSER_BUILTIN(upstream_response_time),
    HAWSER_BUILTIN(upstream_status),
    HAWSER_BUILTIN(uri),
#undef HAWSER_BUILTIN
};
static_assert(std::is_sorted(std::begin(builtins), std::end(builtins),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));
}  // namespace

const Builtin* find_builtin(std::string_view name) {
    const auto* at = std::lower_bound(std::begin(builtins), std::end(builtins), name,
                                      [](const NamedBuiltin& b, std::string_view n) { return b.name < n; });
    return at != std::end(builtins) && at->name == name ? &at->builtin : nullptr;
}

}  // namespace hawser::catalog::http
