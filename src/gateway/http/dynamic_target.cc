// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>

#include "gateway/http/rules.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

namespace {

net::Error target_error(std::string message) {
    net::Error error;
    error.message = std::move(message);
    return error;
}

std::string lower_case(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return out;
}

struct Authority {
    std::string_view host;  // brackets of an IPv6 address included
    std::optional<std::uint16_t> port;
};

std::optional<Authority> split_authority(std::string_view text) {
    Authority out;
    std::size_t colon = std::string_view::npos;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        if (end + 1 < text.size() && text[end + 1] != ':') return std::nullopt;
        if (end + 1 < text.size()) colon = end + 1;
    } else {
        colon = text.find(':');
    }
    out.host = text.substr(0, colon);
    if (out.host.empty()) return std::nullopt;
    if (colon == std::string_view::npos) return out;
    const std::string_view digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (code != std::errc{} || end != digits.data() + digits.size() || port == 0) return std::nullopt;
    out.port = port;
    return out;
}

std::optional<net::IpAddress> parse_host_address(std::string_view host) {
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    return net::IpAddress::parse(host);
}

}  // namespace

net::Result<DynamicTarget> resolve_dynamic(const Exchange& x, const catalog::http::Proxy& proxy) {
    constexpr std::string_view scheme = "http://";
    if (!proxy.dynamic) return target_error("proxy_pass has no variables");
    const std::string url = expand(*proxy.dynamic, x);
    const std::string_view text = url;
    if (text.size() < scheme.size() || !http1::same_name(text.substr(0, scheme.size()), scheme)) {
        if (lower_case(text.substr(0, 8)) == "https://") {
            return target_error("https upstreams are not supported yet: \"" + url + '"');
        }
        return target_error("invalid URL prefix in \"" + url + '"');
    }
    const std::string_view rest = text.substr(scheme.size());
    const std::size_t end = rest.find_first_of("/?");
    const auto authority = split_authority(rest.substr(0, end));
    if (!authority) return target_error("invalid host or port in upstream \"" + url + '"');

    DynamicTarget out;
    out.port = authority->port.value_or(80);
    out.host_header = authority->host;
    if (out.port != 80) out.host_header += ':' + std::to_string(out.port);
    if (end != std::string_view::npos) {
        out.uri = rest[end] == '?' ? '/' + std::string(rest.substr(end)) : std::string(rest.substr(end));
    }
    if (x.server->groups && !authority->port) {
        const auto at = x.server->groups->find(lower_case(authority->host));
        if (at != x.server->groups->end()) {
            out.group = at->second;
            return out;
        }
    }
    const auto ip = parse_host_address(authority->host);
    if (!ip)
        return target_error("no upstream and no address is named \"" + std::string(authority->host) + '"');
    out.address = net::SocketAddress{*ip, out.port};
    return out;
}

}  // namespace hawser::gateway
