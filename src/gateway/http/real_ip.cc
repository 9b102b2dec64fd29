// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/real_ip.h"

#include <algorithm>
#include <string_view>

namespace hawser::gateway {

namespace {

bool is_trusted(const catalog::http::RealIp& settings, const net::IpAddress& ip) {
    return std::any_of(settings.trusted.begin(), settings.trusted.end(),
                       [&](const net::Cidr& cidr) { return cidr.contains(ip); });
}

// "1.2.3.4", "1.2.3.4:80", "::1", "[::1]", "[::1]:80".
std::optional<net::SocketAddress> parse_client(std::string_view text) {
    if (const auto ip = net::IpAddress::parse(text)) return net::SocketAddress{*ip, 0};
    if (text.starts_with('[') && text.ends_with(']')) {
        const auto ip = net::IpAddress::parse(text.substr(1, text.size() - 2));
        return ip && ip->is_v6() ? std::optional(net::SocketAddress{*ip, 0}) : std::nullopt;
    }
    const auto address = net::SocketAddress::parse(text);
    return address && address->port != 0 ? address : std::nullopt;
}

// Takes addresses off the end of one field's list. True: the whole field was read and its first address was
// trusted, so that the field before it may be looked at.
bool walk_back(const catalog::http::RealIp& settings, std::string_view list, net::SocketAddress& client) {
    constexpr std::string_view separators = " ,";
    while (is_trusted(settings, client.ip)) {
        const std::size_t last = list.find_last_not_of(separators);
        list = list.substr(0, last == std::string_view::npos ? 0 : last + 1);
        // nginx does not look at the first byte: ",1.2.3.4" is not an address.
        const std::size_t before = list.find_last_of(separators);
        const std::size_t start = before == std::string_view::npos || before == 0 ? 0 : before + 1;
        const auto address = parse_client(list.substr(start));
        if (!address) return false;
        client = *address;
        if (!settings.recursive) return false;
        if (start == 0) return true;
        list = list.substr(0, before);
    }
    return false;
}

}  // namespace

void apply_real_ip(const catalog::http::RealIp& settings, Exchange& x) {
    if (settings.trusted.empty() || !is_trusted(settings, x.client.ip)) return;
    const auto& fields = x.request.fields.all();
    const bool is_list = http1::same_name(settings.header, "x-forwarded-for");
    if (!is_list) {
        if (const auto value = x.request.fields.find(settings.header)) walk_back(settings, *value, x.client);
        return;
    }
    for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
        if (!http1::same_name(field->name, settings.header)) continue;
        if (!walk_back(settings, field->value, x.client)) return;
    }
}

}  // namespace hawser::gateway
