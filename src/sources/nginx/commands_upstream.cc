// SPDX-License-Identifier: Apache-2.0
// nginx's upstream module and its balancing methods.

#include <algorithm>

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace {

void read_upstream(Reading& reading, const Directive& d, const Scope&) {
    auto upstream = std::make_unique<UpstreamConf>();
    upstream->position = d.position();
    upstream->name = d.argument(1);
    const std::string key = lower(upstream->name);
    auto& all = reading.http.upstreams;
    if (std::any_of(all.begin(), all.end(), [&](const auto& other) { return lower(other->name) == key; }))
        reading.error(d.position(1), "duplicate upstream \"" + upstream->name + "\"");
    const std::size_t before = reading.diagnostics.errors();
    read_directives(reading, d.children, {where::upstream, nullptr, nullptr, upstream.get(), nullptr});
    if (upstream->servers.empty() && reading.diagnostics.errors() == before)
        reading.error(d.close_line != 0 ? d.close() : d.position(), "no servers are inside upstream");
    all.push_back(std::move(upstream));
}

struct ServerReader {
    Reading& reading;
    const Directive& d;
    UpstreamServer server;
    bool ok = true;

    void invalid(std::size_t i) {
        reading.error(d.position(i), "invalid parameter \"" + d.argument(i) + "\"");
        ok = false;
    }
    void number(std::size_t i, std::size_t prefix, std::uint64_t least, std::uint32_t& into) {
        const auto value = parse_number(std::string_view(d.argument(i)).substr(prefix));
        if (!value || *value < least) return invalid(i);
        into = static_cast<std::uint32_t>(std::min<std::uint64_t>(*value, UINT32_MAX));
    }

    void read(std::size_t i, const UpstreamConf& upstream) {
        const std::string& text = d.argument(i);
        if (text.starts_with("weight=")) {
            number(i, 7, 1, server.weight);
        } else if (text.starts_with("max_conns=")) {
            number(i, 10, 0, server.max_conns);
        } else if (text.starts_with("max_fails=")) {
            number(i, 10, 0, server.max_fails);
        } else if (text.starts_with("fail_timeout=")) {
            const auto time = parse_time_s(std::string_view(text).substr(13));
            if (!time) return invalid(i);
            server.fail_timeout = *time;
        } else if (text == "backup") {
            if (!upstream.takes_backup) {
                reading.error(d.position(i), "balancing method does not support parameter \"backup\"");
                ok = false;
            }
            server.backup = true;
        } else if (text == "down") {
            server.down = true;
        } else {
            invalid(i);
        }
    }
};

void read_server(Reading& reading, const Directive& d, const Scope& scope) {
    ServerReader reader{reading, d, {}, true};
    UpstreamServer& server = reader.server;
    server.position = d.position();
    server.name = d.argument(1);
    for (std::size_t i = 2; i <= d.argument_count(); ++i) reader.read(i, *scope.upstream);

    const auto complain = [&](const char* what) {
        reading.error(d.position(1), std::string(what) + " in upstream \"" + server.name + "\"");
    };
    if (server.name.starts_with("unix:"))
        return reading.error(d.position(1),
                             "a unix socket as \"server\" is not supported: \"" + server.name + "\"");
    const Url url = parse_url(server.name, {.listening = false, .uri_allowed = false});
    if (url.error != nullptr) return complain(url.error);
    if (!reader.ok) return;
    const std::uint16_t port = url.port.value_or(80);
    if (url.ip) {
        server.addresses.push_back({*url.ip, port});
    } else {
        const auto resolved = reading.options.resolve(url.host);
        if (!resolved) return complain("host not found");
        for (const net::IpAddress& ip : *resolved) server.addresses.push_back({ip, port});
    }
    scope.upstream->servers.push_back(std::move(server));
}

// ---- balancing methods

void set_method(Reading& reading, const Directive& d, UpstreamConf& upstream, catalog::Scheduler method,
                bool takes_backup) {
    if (upstream.has_method || upstream.keepalive)
        reading.diagnostics.warning(d.position(), "load balancing method redefined");
    upstream.has_method = true;
    upstream.takes_backup = takes_backup;
    upstream.balancing.scheduler = method;
}

void read_least_conn(Reading& reading, const Directive& d, const Scope& scope) {
    set_method(reading, d, *scope.upstream, catalog::Scheduler::least_connected, true);
}
void read_ip_hash(Reading& reading, const Directive& d, const Scope& scope) {
    set_method(reading, d, *scope.upstream, catalog::Scheduler::ip_hash, false);
}

void read_hash(Reading& reading, const Directive& d, const Scope& scope) {
    auto key = reading.variables.compile(d.argument(1), d.position(1));
    const bool consistent = d.argument_count() == 2;
    if (consistent && d.argument(2) != "consistent")
        return reading.error(d.position(2), "invalid parameter \"" + d.argument(2) + "\"");
    if (!key) return;
    set_method(reading, d, *scope.upstream,
               consistent ? catalog::Scheduler::hash_consistent : catalog::Scheduler::hash, false);
    scope.upstream->balancing.hash_key = std::move(*key);
}

void read_random(Reading& reading, const Directive& d, const Scope& scope) {
    const bool two = d.argument_count() >= 1;
    if (two && d.argument(1) != "two")
        return reading.error(d.position(1), "invalid parameter \"" + d.argument(1) + "\"");
    if (d.argument_count() == 2 && d.argument(2) != "least_conn")
        return reading.error(d.position(2), "invalid parameter \"" + d.argument(2) + "\"");
    set_method(reading, d, *scope.upstream, two ? catalog::Scheduler::random_two : catalog::Scheduler::random,
               false);
}

void read_keepalive(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = scope.upstream->keepalive;
    if (slot) return reading.directive_error(d, "is duplicate");
    const auto count = parse_number(d.argument(1));
    if (!count || *count == 0)
        return reading.error(d.position(1),
                             "invalid value \"" + d.argument(1) + "\" in \"keepalive\" directive");
    slot = *count;
}

void read_shared_zone(Reading& reading, const Directive& d, const Scope&) {
    if (d.argument_count() == 2) {
        const auto size = parse_size(d.argument(2));
        if (!size) return reading.error(d.position(2), "invalid zone size \"" + d.argument(2) + "\"");
        if (*size < 8 * 4096)
            return reading.error(d.position(1), "zone \"" + d.argument(1) + "\" is too small");
    }
    reading.diagnostics.note(d.position(),
                             "\"zone\" has no effect: the workers share the state of endpoints anyhow");
}

using U = UpstreamConf;

constexpr Command commands[] = {
    {"upstream", where::http, takes::one | takes::block, read_upstream},
    {"server", where::upstream, takes::one_or_more, read_server},
    {"least_conn", where::upstream, takes::none, read_least_conn},
    {"ip_hash", where::upstream, takes::none, read_ip_hash},
    {"hash", where::upstream, takes::one_or_two, read_hash},
    {"random", where::upstream, takes::none | takes::one_or_two, read_random},
    {"keepalive", where::upstream, takes::one, read_keepalive},
    {"keepalive_requests", where::upstream, takes::one, set_number<OfUpstream<&U::keepalive_requests>>},
    {"keepalive_timeout", where::upstream, takes::one, set_milliseconds<OfUpstream<&U::keepalive_timeout>>},
    {"keepalive_time", where::upstream, takes::one, set_milliseconds<OfUpstream<&U::keepalive_time>>},
    {"zone", where::upstream, takes::one_or_two, read_shared_zone},
};

}  // namespace

std::span<const Command> upstream_commands() { return commands; }

}  // namespace hawser::nginx
