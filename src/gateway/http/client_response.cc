// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <ctime>

#include "gateway/http/escape.h"
#include "gateway/http/rules.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::AddHeader;
using catalog::http::Proxy;
using catalog::http::ProxyRedirect;
using catalog::http::Template;
using catalog::http::UpgradePolicy;
using http1::Field;
using http1::same_name;
using FieldList = std::vector<std::pair<std::string, std::string>>;

namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
    return std::any_of(names.begin(), names.end(), [&](auto each) { return same_name(each, name); });
}

bool is_hidden(const Proxy& proxy, std::string_view name) {
    return std::any_of(proxy.hide_headers.begin(), proxy.hide_headers.end(),
                       [&](const std::string& hidden) { return same_name(hidden, name); });
}

// Fields that belong to the endpoint's connection. nginx passes Upgrade on in any answer (a 426 needs it);
// routes that upgrade by themselves drop everything that is hop-by-hop by RFC 9110 §7.6.1.
bool is_hop_by_hop(const Exchange& x, const Proxy& proxy, std::string_view name) {
    const http1::ResponseHead& answer = x.upstream_response;
    if (is_one_of(name, {"Connection", "Keep-Alive", "Transfer-Encoding"})) return true;
    const bool strict = proxy.upgrade == UpgradePolicy::automatic || answer.status == 101;
    if (!strict) return false;
    if (same_name(name, "Upgrade")) return answer.status != 101 && answer.status != 426;
    if (same_name(name, "Trailer")) return answer.status == 101;
    return is_one_of(name, {"Proxy-Connection", "TE"}) || answer.fields.has_token("Connection", name);
}

// proxy_redirect on the part of `value` behind `prefix` bytes. False: none of the rules matched.
bool rewrite_redirect(std::string& value, std::size_t prefix, const Exchange& x, const Proxy& proxy) {
    const std::string_view url = std::string_view(value).substr(prefix);
    for (const ProxyRedirect& rule : proxy.redirects) {
        std::string changed(value, 0, prefix);
        if (const auto* text = std::get_if<Template>(&rule.from)) {
            const std::string from = expand(*text, x);
            if (!url.starts_with(from)) continue;
            append_expanded(changed, rule.to, x);
            changed += url.substr(from.size());
        } else {
            catalog::Regex::Captures captures;
            if (!std::get<std::shared_ptr<const catalog::Regex>>(rule.from)->match(url, &captures)) continue;
            const CaptureView view{captures, url};
            assign_named(x, rule.named, view);
            append_expanded(changed, rule.to, x, view);
        }
        escape_controls(changed);
        value = std::move(changed);
        return true;
    }
    return false;
}

bool rewrite_refresh(std::string& value, const Exchange& x, const Proxy& proxy) {
    constexpr std::string_view url = "url=";
    for (std::size_t i = 0; i + url.size() <= value.size(); ++i) {
        if (!same_name(std::string_view(value).substr(i, url.size()), url)) continue;
        return rewrite_redirect(value, i + url.size(), x, proxy);
    }
    return false;
}

bool has_body_length(const http1::ResponseHead& answer) {
    return answer.framing.kind != http1::Framing::Kind::chunked && answer.status != 101 &&
           answer.status != 204;
}

// The fields that nginx writes first, whatever the order was. At most one of each.
struct Leading {
    bool own_server = true, own_date = true;
    std::optional<std::string_view> content_type, content_length, last_modified;
    std::optional<std::string> location;

    void write(FieldList& out, std::uint16_t status, SystemTime now) && {
        if (own_server) out.emplace_back("Server", product_name);
        if (own_date) out.emplace_back("Date", http_date(now));
        if (content_type) out.emplace_back("Content-Type", *content_type);
        if (content_length) out.emplace_back("Content-Length", *content_length);
        if (last_modified) out.emplace_back("Last-Modified", *last_modified);
        if (location) out.emplace_back("Location", *std::move(location));
        if (status == 101) out.emplace_back("Connection", "upgrade");
    }
};

// add_header for Last-Modified and ETag takes the place of the endpoint's own; an empty value removes it.
bool replaces(std::string_view name) { return is_one_of(name, {"Last-Modified", "ETag"}); }

bool put_in_place(FieldList& out, std::string_view name, const std::string& value) {
    const auto at =
        std::find_if(out.begin(), out.end(), [&](const auto& field) { return same_name(field.first, name); });
    if (at == out.end()) return false;
    if (value.empty()) {
        out.erase(at);
    } else {
        at->second = value;
    }
    return true;
}

void append_added(FieldList& out, const Exchange& x, std::uint16_t status) {
    constexpr std::array<std::uint16_t, 10> usual = {200, 201, 204, 206, 301, 302, 303, 304, 307, 308};
    const bool is_usual = std::find(usual.begin(), usual.end(), status) != usual.end();
    for (const AddHeader& header : settings_of(x).add_headers) {
        if (!is_usual && !header.always) continue;
        std::string value = expand(header.value, x);
        escape_controls(value);
        if (replaces(header.name) && put_in_place(out, header.name, value)) continue;
        if (!value.empty()) out.emplace_back(header.name, std::move(value));
    }
}

}  // namespace

std::string http_date(SystemTime time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[40];
    return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

FieldList make_client_fields(const Exchange& x, const Proxy& proxy) {
    const http1::ResponseHead& answer = x.upstream_response;
    Leading leading;
    FieldList rest;
    rest.reserve(answer.fields.all().size() + 4);
    for (const Field& field : answer.fields.all()) {
        if (is_hop_by_hop(x, proxy, field.name) || is_hidden(proxy, field.name)) continue;
        if (same_name(field.name, "Server")) leading.own_server = false;
        if (same_name(field.name, "Date")) leading.own_date = false;
        if (same_name(field.name, "Content-Type")) {
            leading.content_type = field.value;
        } else if (same_name(field.name, "Content-Length")) {
            if (has_body_length(answer)) leading.content_length = field.value;
        } else if (same_name(field.name, "Last-Modified")) {
            leading.last_modified = field.value;
        } else if (same_name(field.name, "Location")) {
            std::string value(field.value);
            const bool changed = rewrite_redirect(value, 0, x, proxy);
            if (changed && value.starts_with('/') && settings_of(x).absolute_redirect) {
                leading.location = absolute_location(x, std::move(value));
            } else {
                rest.emplace_back(field.name, std::move(value));
            }
        } else {
            std::string value(field.value);
            if (same_name(field.name, "Refresh")) rewrite_refresh(value, x, proxy);
            rest.emplace_back(field.name, std::move(value));
        }
    }

    FieldList out;
    out.reserve(rest.size() + 8);
    std::move(leading).write(out, answer.status, x.now);
    std::move(rest.begin(), rest.end(), std::back_inserter(out));
    append_added(out, x, answer.status);
    return out;
}

FieldList make_added_fields(const Exchange& x, std::uint16_t status) {
    FieldList out;
    append_added(out, x, status);
    return out;
}

std::optional<std::string> internal_redirect_of(const Exchange& x, const Proxy& proxy) {
    const auto& ignored = proxy.ignored_headers;
    if (std::find(ignored.begin(), ignored.end(), "x-accel-redirect") != ignored.end()) return std::nullopt;
    const auto target = x.upstream_response.fields.find("X-Accel-Redirect");
    if (!target || !target->starts_with('/')) return std::nullopt;
    return std::string(*target);
}

}  // namespace hawser::gateway
