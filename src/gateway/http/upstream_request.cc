// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "gateway/http/escape.h"
#include "gateway/http/rules.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::Proxy;
using catalog::http::ProxyHeader;
using catalog::http::UpgradePolicy;
using http1::same_name;

namespace {

// What nginx never passes on by itself.
constexpr std::array<std::string_view, 8> dropped = {
    "Host", "Connection", "Keep-Alive", "TE", "Upgrade", "Expect", "Content-Length", "Transfer-Encoding"};

bool is_framing(std::string_view name) {
    return same_name(name, "Content-Length") || same_name(name, "Transfer-Encoding");
}

bool is_dropped(std::string_view name) {
    return std::any_of(dropped.begin(), dropped.end(), [&](auto each) { return same_name(each, name); });
}

bool is_configured(const Proxy& proxy, std::string_view name) {
    return std::any_of(proxy.set_headers.begin(), proxy.set_headers.end(),
                       [&](const ProxyHeader& header) { return same_name(header.name, name); });
}

// A client may not use Connection to strip what the way to the endpoint or its trust depends on.
bool is_protected(std::string_view name) {
    constexpr std::string_view websocket = "sec-websocket-", forwarded = "x-forwarded-";
    return (name.size() > websocket.size() && same_name(name.substr(0, websocket.size()), websocket)) ||
           (name.size() > forwarded.size() && same_name(name.substr(0, forwarded.size()), forwarded)) ||
           same_name(name, "Forwarded") || same_name(name, "X-Real-IP") || same_name(name, "Cookie") ||
           same_name(name, "Authorization");
}

// The tokens of the client's Upgrade fields, without h2c and its kin, which a proxy has to answer itself.
std::string wanted_upgrade(const http1::Fields& fields) {
    std::string out;
    for (const http1::Field& field : fields.all()) {
        if (!same_name(field.name, "Upgrade")) continue;
        std::string_view list = field.value;
        while (true) {
            const std::size_t comma = list.find(',');
            std::string_view token = list.substr(0, comma);
            const std::size_t first = token.find_first_not_of(" \t");
            token = first == std::string_view::npos ? std::string_view{} : token.substr(first);
            token = token.substr(0, token.find_last_not_of(" \t") + 1);
            if (!token.empty() && !same_name(token, "h2c") && !same_name(token, "h2")) {
                if (!out.empty()) out += ", ";
                out += token;
            }
            if (comma == std::string_view::npos) break;
            list.remove_prefix(comma + 1);
        }
    }
    return out;
}

void add_configured_fields(UpstreamRequest& out, const Exchange& x, const Proxy& proxy, bool automatic) {
    for (const ProxyHeader& header : proxy.set_headers) {
        const bool is_connection = same_name(header.name, "Connection");
        const bool is_upgrade = same_name(header.name, "Upgrade");
        if (is_framing(header.name) || (automatic && (is_connection || is_upgrade))) continue;
        std::string value = expand(header.value, x);
        if (value.empty()) continue;
        escape_controls(value);
        if (is_upgrade) out.upgrade = value;
        if (is_connection && http1::has_token(value, "upgrade")) out.asks_upgrade = true;
        out.fields.emplace_back(header.name, std::move(value));
    }
    if (out.upgrade.empty()) out.asks_upgrade = false;
}

void add_automatic_upgrade(UpstreamRequest& out, const Exchange& x) {
    if (!x.request.fields.has_token("Connection", "upgrade")) return;
    out.upgrade = wanted_upgrade(x.request.fields);
    if (out.upgrade.empty()) return;
    out.asks_upgrade = true;
    out.fields.emplace_back("Connection", "upgrade");
    out.fields.emplace_back("Upgrade", out.upgrade);
}

void add_client_fields(UpstreamRequest& out, const Exchange& x, const Proxy& proxy, bool automatic) {
    for (const http1::Field& field : x.request.fields.all()) {
        if (is_dropped(field.name) || is_configured(proxy, field.name)) continue;
        if (automatic) {
            if (same_name(field.name, "Proxy-Connection")) continue;
            if (!is_protected(field.name) && x.request.fields.has_token("Connection", field.name)) continue;
        }
        out.fields.emplace_back(field.name, field.value);
    }
}

std::string make_target(const Exchange& x, const Proxy& proxy, const DynamicTarget* dynamic) {
    if (dynamic != nullptr && dynamic->uri) return *dynamic->uri;
    const std::string_view sent = target_as_sent(x);
    // "GET http://host?x" has no path that could go out as it came.
    if (!proxy.uri && x.uri_as_sent && sent.starts_with('/')) return std::string(sent);

    std::string out;
    std::size_t replaced = 0;
    if (proxy.uri && x.valid_location) {
        out = *proxy.uri;
        if (x.location) replaced = std::min(x.location->match.text.size(), x.uri.size());
    }
    const std::string_view rest = std::string_view(x.uri).substr(replaced);
    if (x.internal || x.request.raw_path.find('%') != std::string_view::npos) {
        append_escaped(out, rest, EscapeSet::uri);
    } else {
        out += rest;
    }
    if (!x.args.empty()) {
        out += '?';
        out += x.args;
    }
    return out;
}

}  // namespace

UpstreamRequest make_upstream_request(const Exchange& x, const Proxy& proxy, const DynamicTarget* target) {
    UpstreamRequest out;
    out.method = proxy.method ? expand(*proxy.method, x) : std::string(x.request.method);
    escape_controls(out.method);
    out.target = make_target(x, proxy, target);
    escape_controls(out.target);
    const bool automatic = proxy.upgrade == UpgradePolicy::automatic;
    out.fields.reserve(proxy.set_headers.size() + x.request.fields.all().size() + 2);
    add_configured_fields(out, x, proxy, automatic);
    if (automatic) add_automatic_upgrade(out, x);
    if (proxy.pass_request_headers) add_client_fields(out, x, proxy, automatic);
    return out;
}

}  // namespace hawser::gateway
