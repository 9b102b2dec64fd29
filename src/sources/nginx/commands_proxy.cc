// SPDX-License-Identifier: Apache-2.0
// nginx's proxy module.

#include <algorithm>

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace http = catalog::http;

namespace {

void read_proxy_pass(Reading& reading, const Directive& d, const Scope& scope) {
    LocationConf& location = *scope.location;
    if (location.pass) return reading.directive_error(d, "is duplicate");
    ProxyPass pass;
    pass.position = d.position();
    pass.url = d.argument(1);
    if (Variables::has_variables(pass.url)) {
        pass.dynamic = reading.variables.compile(pass.url, d.position(1));
        if (pass.dynamic) location.pass = std::move(pass);
        return;
    }
    if (starts_with_no_case(pass.url, "https://"))
        return reading.error(d.position(1), "\"proxy_pass\" to https:// is not supported yet");
    if (!starts_with_no_case(pass.url, "http://")) return reading.error(d.position(1), "invalid URL prefix");
    const std::string_view rest = std::string_view(pass.url).substr(7);
    if (starts_with_no_case(rest, "unix:"))
        return reading.error(d.position(1), "\"proxy_pass\" to a unix socket is not supported");
    pass.target = parse_url(rest, {.listening = false, .uri_allowed = true});
    if (pass.target.error != nullptr)
        return reading.error(d.position(1),
                             std::string(pass.target.error) + " in upstream \"" + std::string(rest) + "\"");
    pass.host_header = pass.target.port.value_or(80) == 80 ? pass.target.host : pass.target.authority();
    const bool is_regex = location.match.kind == http::LocationMatch::Kind::regex;
    if (is_regex && !pass.target.uri.empty())
        return reading.error(
            d.position(1),
            "\"proxy_pass\" cannot have URI part in location given by regular expression, or "
            "inside named location, or inside \"if\" statement, or inside \"limit_except\" "
            "block");
    if (!is_regex) pass.location = location.name;
    location.pass = std::move(pass);
}

void read_set_header(Reading& reading, const Directive& d, const Scope& scope) {
    auto value = reading.variables.compile(d.argument(2), d.position(2));
    if (value) scope.location->proxy.set_headers.push_back({d.argument(1), std::move(*value)});
}

void read_hide_header(Reading&, const Directive& d, const Scope& scope) {
    scope.location->proxy.hide_headers.push_back(d.argument(1));
}
void read_pass_header(Reading&, const Directive& d, const Scope& scope) {
    scope.location->proxy.pass_headers.push_back(d.argument(1));
}

void read_redirect(Reading& reading, const Directive& d, const Scope& scope) {
    ProxyConf& proxy = scope.location->proxy;
    const std::string& first = d.argument(1);
    if (proxy.redirect == false) return reading.directive_error(d, "is duplicate");
    if (d.argument_count() == 1 && first == "off") {
        if (!proxy.redirects.empty()) return reading.directive_error(d, "is duplicate");
        proxy.redirect = false;
        return;
    }
    proxy.redirect = true;
    http::ProxyRedirect redirect;
    if (d.argument_count() == 1) {
        if (first != "default") return reading.error(d.position(1), "invalid parameter \"" + first + "\"");
        const auto& pass = scope.location->pass;
        if (pass && pass->dynamic)
            return reading.error(d.position(),
                                 "\"proxy_redirect default\" cannot be used with \"proxy_pass\" "
                                 "directive with variables");
        if (!pass)
            return reading.error(d.position(),
                                 "\"proxy_redirect default\" should be placed after the "
                                 "\"proxy_pass\" directive");
        const bool has_uri = !pass->target.uri.empty();
        redirect.from = http::Template::from_literal(has_uri ? pass->url : pass->url + "/");
        redirect.to = http::Template::from_literal(has_uri ? pass->location : "/");
        proxy.redirects.push_back(std::move(redirect));
        return;
    }
    if (first.starts_with("~")) {
        const bool no_case = first.starts_with("~*");
        auto regex = reading.variables.compile_regex(first.substr(no_case ? 2 : 1), no_case, d.position(1));
        if (!regex) return;
        redirect.from = std::move(regex->regex);
        redirect.named = std::move(regex->named);
    } else {
        auto from = reading.variables.compile(first, d.position(1));
        if (!from) return;
        redirect.from = std::move(*from);
    }
    auto to = reading.variables.compile(d.argument(2), d.position(2));
    if (!to) return;
    redirect.to = std::move(*to);
    proxy.redirects.push_back(std::move(redirect));
}

void read_http_version(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = scope.location->proxy.http_1_1;
    if (slot) return reading.directive_error(d, "is duplicate");
    if (d.argument(1) != "1.0" && d.argument(1) != "1.1")
        return reading.error(d.position(1), "invalid value \"" + d.argument(1) + "\"");
    slot = d.argument(1) == "1.1";
}

void read_next_upstream(Reading& reading, const Directive& d, const Scope& scope) {
    namespace bit = http::next_upstream;
    struct Named {
        std::string_view name;
        std::uint32_t bit;
    };
    static constexpr Named names[] = {
        {"error", bit::error},
        {"timeout", bit::timeout},
        {"invalid_header", bit::invalid_header},
        {"non_idempotent", bit::non_idempotent},
        {"http_500", bit::http_500},
        {"http_502", bit::http_502},
        {"http_503", bit::http_503},
        {"http_504", bit::http_504},
        {"http_403", bit::http_403},
        {"http_404", bit::http_404},
        {"http_429", bit::http_429},
        {"updating", 0},
        {"off", 0},
    };
    auto& slot = scope.location->proxy.next_upstream;
    std::uint32_t bits = slot.value_or(0);
    bool off = false;
    for (std::size_t i = 1; i <= d.argument_count(); ++i) {
        const auto* known = std::find_if(std::begin(names), std::end(names),
                                         [&](const Named& n) { return n.name == lower(d.argument(i)); });
        if (known == std::end(names))
            return reading.error(d.position(i), "invalid value \"" + d.argument(i) + "\"");
        if ((bits & known->bit) != 0)
            reading.diagnostics.warning(d.position(i), "duplicate value \"" + d.argument(i) + "\"");
        bits |= known->bit;
        off = off || known->name == "off";
    }
    slot = off ? 0 : bits;
}

void read_ignore_headers(Reading& reading, const Directive& d, const Scope& scope) {
    static constexpr std::string_view known[] = {"x-accel-redirect",  "x-accel-expires", "x-accel-limit-rate",
                                                 "x-accel-buffering", "x-accel-charset", "expires",
                                                 "cache-control",     "set-cookie",      "vary"};
    auto& slot = scope.location->proxy.ignored_headers;
    if (!slot) slot.emplace();
    for (std::size_t i = 1; i <= d.argument_count(); ++i) {
        const std::string name = lower(d.argument(i));
        if (std::find(std::begin(known), std::end(known), name) == std::end(known))
            return reading.error(d.position(i), "invalid value \"" + d.argument(i) + "\"");
        if (std::find(slot->begin(), slot->end(), name) != slot->end())
            reading.diagnostics.warning(d.position(i), "duplicate value \"" + d.argument(i) + "\"");
        else
            slot->push_back(name);
    }
}

void read_method(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = scope.location->proxy.method;
    if (slot) return reading.directive_error(d, "is duplicate");
    slot = reading.variables.compile(d.argument(1), d.position(1));
}

void read_buffers(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = scope.location->proxy.buffers;
    if (slot) return reading.directive_error(d, "is duplicate");
    const auto count = parse_number(d.argument(1));
    const auto size = parse_size(d.argument(2));
    if (!count || *count == 0 || !size || *size == 0) return reading.directive_error(d, "invalid value");
    if (*count < 2) return reading.error(d.position(1), "there must be at least 2 \"proxy_buffers\"");
    slot = ProxyConf::Buffers{*count, *size};
    reading.diagnostics.note(d.position(),
                             "\"proxy_buffers\" has no effect: the relay has buffers of its own");
}

void read_busy_buffers(Reading& reading, const Directive& d, const Scope& scope) {
    set_size<OfProxy<&ProxyConf::busy_buffers_size>>(reading, d, scope);
    reading.diagnostics.note(d.position(), "\"" + d.name() + "\" has no effect");
}

using P = ProxyConf;
template <auto Member>
constexpr Handler flag = set_flag<OfProxy<Member>>;
template <auto Member>
constexpr Handler time = set_milliseconds<OfProxy<Member>>;

// hawser's own: nginx refuses a file with it.
void read_splice(Reading& reading, const Directive& d, const Scope& scope) {
    const auto parse = [](const std::string& word) -> std::optional<bool> {
        if (word == "auto") return true;
        if (word == "off") return false;
        return std::nullopt;
    };
    set_slot<OfProxy<&P::splice>>(reading, d, scope, parse, "is \"auto\" or \"off\"");
}

constexpr Command commands[] = {
    {"proxy_pass", where::location | where::location_if | where::limit_except, takes::one, read_proxy_pass},
    {"proxy_http_version", where::anything, takes::one, read_http_version},
    {"proxy_set_header", where::anything, takes::two, read_set_header},
    {"proxy_hide_header", where::anything, takes::one, read_hide_header},
    {"proxy_pass_header", where::anything, takes::one, read_pass_header},
    {"proxy_ignore_headers", where::anything, takes::one_or_more, read_ignore_headers},
    {"proxy_redirect", where::anything, takes::one_or_two, read_redirect},
    {"proxy_connect_timeout", where::anything, takes::one, time<&P::connect_timeout>},
    {"proxy_read_timeout", where::anything, takes::one, time<&P::read_timeout>},
    {"proxy_send_timeout", where::anything, takes::one, time<&P::send_timeout>},
    {"proxy_next_upstream", where::anything, takes::one_or_more, read_next_upstream},
    {"proxy_next_upstream_tries", where::anything, takes::one, set_number<OfProxy<&P::next_upstream_tries>>},
    {"proxy_next_upstream_timeout", where::anything, takes::one, time<&P::next_upstream_timeout>},
    {"proxy_buffering", where::anything, takes::flag, flag<&P::buffering>},
    {"proxy_request_buffering", where::anything, takes::flag, flag<&P::request_buffering>},
    {"proxy_pass_request_headers", where::anything, takes::flag, flag<&P::pass_request_headers>},
    {"proxy_pass_request_body", where::anything, takes::flag, flag<&P::pass_request_body>},
    {"proxy_method", where::anything, takes::one, read_method},
    {"proxy_buffer_size", where::anything, takes::one, set_size<OfProxy<&P::buffer_size>>},
    {"proxy_buffers", where::anything, takes::two, read_buffers},
    {"proxy_busy_buffers_size", where::anything, takes::one, read_busy_buffers},
    {"hawser_splice", where::anything, takes::one, read_splice},
};

}  // namespace

std::span<const Command> proxy_commands() { return commands; }

}  // namespace hawser::nginx
