// SPDX-License-Identifier: Apache-2.0
// The directives that make the tree: http, events, server, location, and what a server answers to.

#include <algorithm>

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace http = catalog::http;

namespace {

void read_http(Reading& reading, const Directive& d, const Scope&) {
    if (reading.has_http) return reading.directive_error(d, "is duplicate");
    reading.has_http = true;
    ServerConf& defaults = reading.http.defaults;
    defaults.position = d.position();
    read_directives(reading, d.children, {where::http, &defaults, &defaults.location, nullptr, nullptr});
}

void read_events(Reading& reading, const Directive& d, const Scope&) {
    if (reading.has_events) return reading.directive_error(d, "is duplicate");
    reading.has_events = true;
    read_directives(reading, d.children, {where::events, nullptr, nullptr, nullptr, nullptr});
}

void read_server(Reading& reading, const Directive& d, const Scope&) {
    auto server = std::make_unique<ServerConf>();
    server->position = server->location.position = d.position();
    read_directives(reading, d.children,
                    {where::server, server.get(), &server->location, nullptr, &server->location.script});
    if (server->listens.empty())
        server->listens.push_back({d.position(), {net::IpAddress::any_v4(), 80}, ListenOptions{}});
    if (server->names.empty()) {
        server->names.emplace_back();
        server->name_texts.emplace_back();
    }
    reading.http.servers.push_back(std::move(server));
}

// ---- location

using Kind = http::LocationMatch::Kind;

// The modifier and the name, together or apart: "= /x", "=/x".
struct ModifierAndName {
    std::string_view modifier, name;
};

std::optional<ModifierAndName> split_location(Reading& reading, const Directive& d) {
    const std::string_view first = d.argument(1);
    if (d.argument_count() == 2) {
        static constexpr std::string_view modifiers[] = {"=", "^~", "~", "~*"};
        if (std::find(std::begin(modifiers), std::end(modifiers), first) == std::end(modifiers)) {
            reading.error(d.position(1), "invalid location modifier \"" + d.argument(1) + "\"");
            return std::nullopt;
        }
        return ModifierAndName{first, d.argument(2)};
    }
    const std::size_t length = first.starts_with("^~") || first.starts_with("~*")
                                   ? 2
                                   : first.starts_with("=") || first.starts_with("~");
    return ModifierAndName{first.substr(0, length), first.substr(length)};
}

bool set_match(Reading& reading, const Directive& d, LocationConf& location) {
    const auto split = split_location(reading, d);
    if (!split) return false;
    const auto [modifier, name] = *split;
    location.name = location.match.text = name;
    if (modifier.starts_with("~")) {
        location.match.kind = Kind::regex;
        auto regex = reading.variables.compile_regex(name, modifier == "~*", d.position(d.argument_count()));
        if (!regex) return false;
        location.match.regex = std::move(regex->regex);
        location.match.named = std::move(regex->named);
        return true;
    }
    location.match.kind = modifier == "="    ? Kind::exact
                          : modifier == "^~" ? Kind::prefix_final
                                             : Kind::prefix;
    if (modifier.empty() && name.starts_with("@")) {
        reading.error(d.position(1), "the named location \"" + location.name +
                                         "\" is not supported: error_page and try_files, which lead to one, "
                                         "are not");
        return false;
    }
    return true;
}

// nginx's rules for a location inside another.
bool may_nest(Reading& reading, const Directive& d, const LocationConf& outer, const LocationConf& inner) {
    const std::string pair = "\"" + outer.name + "\"";
    if (outer.match.kind == Kind::exact) {
        reading.error(d.position(),
                      "location \"" + inner.name + "\" cannot be inside the exact location " + pair);
        return false;
    }
    if (inner.match.kind != Kind::regex && !inner.name.starts_with(outer.name)) {
        reading.error(d.position(), "location \"" + inner.name + "\" is outside location " + pair);
        return false;
    }
    return true;
}

// The later of two locations of one name and kind.
void refuse_duplicate(Reading& reading, const Directive& d, const LocationConf& location,
                      const LocationConf& outer) {
    const auto is_exact = [](const LocationConf& l) { return l.match.kind == Kind::exact; };
    if (location.match.kind == Kind::regex) return;
    const bool known = std::any_of(outer.nested.begin(), outer.nested.end(), [&](const auto& other) {
        return other->match.kind != Kind::regex && other->name == location.name &&
               is_exact(*other) == is_exact(location);
    });
    if (known) reading.error(d.position(), "duplicate location \"" + location.name + "\"");
}

void read_location(Reading& reading, const Directive& d, const Scope& scope) {
    auto location = std::make_unique<LocationConf>();
    location->position = d.position();
    // What stands inside a location that is wrong itself is read all the same, for its own errors.
    if (set_match(reading, d, *location) &&
        (scope.kind != where::location || may_nest(reading, d, *scope.location, *location)))
        refuse_duplicate(reading, d, *location, *scope.location);
    read_directives(reading, d.children,
                    {where::location, scope.server, location.get(), nullptr, &location->script});
    scope.location->nested.push_back(std::move(location));
}

void read_internal(Reading&, const Directive&, const Scope& scope) { scope.location->internal = true; }

// ---- listen

struct ListenReader {
    Reading& reading;
    const Directive& d;
    ListenOptions options;
    bool ok = true;

    void fail(std::size_t word, std::string message) {
        reading.error(d.position(word), std::move(message));
        ok = false;
    }
    void refuse(std::size_t word, const std::string& what) {
        fail(word, "the \"" + what + "\" parameter of \"listen\" is not supported yet");
    }

    // Options of the socket that hawser leaves to the system.
    bool harmless(std::size_t i) {
        const std::string& text = d.argument(i);
        const std::string_view value = std::string_view(text).substr(text.find('=') + 1);
        if (text.starts_with("rcvbuf=") || text.starts_with("sndbuf=")) {
            if (!parse_size(value)) fail(i, "invalid " + text.substr(0, 6) + " \"" + text + "\"");
        } else if (text.starts_with("fastopen=")) {
            if (!parse_number(value)) fail(i, "invalid fastopen \"" + text + "\"");
        } else if (text.starts_with("so_keepalive=")) {
            if (value != "on" && value != "off" && value.find(':') == std::string::npos)
                fail(i, "invalid so_keepalive value: \"" + std::string(value) + "\"");
        } else if (text != "bind" && text != "deferred" && text != "reuseport") {
            return false;
        }
        options.any_set = true;
        return true;
    }

    void read(std::size_t i) {
        const std::string& text = d.argument(i);
        if (text == "default_server" || text == "default") {
            options.default_server = true;
        } else if (harmless(i)) {
            reading.diagnostics.note(d.position(i), "\"" + text + "\" of \"listen\" has no effect");
        } else if (text.starts_with("backlog=")) {
            const auto value = parse_number(std::string_view(text).substr(8));
            options.any_set = true;
            if (!value || *value == 0) return fail(i, "invalid backlog \"" + text + "\"");
            options.backlog = static_cast<int>(std::min<std::uint64_t>(*value, 1U << 30));
        } else if (text.starts_with("ipv6only=o")) {
            options.any_set = true;
            if (text != "ipv6only=on" && text != "ipv6only=off")
                return fail(i, "invalid ipv6only flags \"" + text.substr(9) + "\"");
            options.ipv6_only = text == "ipv6only=on";
        } else if (text == "ssl" || text == "http2" || text == "proxy_protocol" || text == "quic") {
            refuse(i, text);
        } else {
            fail(i, "invalid parameter \"" + text + "\"");
        }
    }
};

void read_listen(Reading& reading, const Directive& d, const Scope& scope) {
    const std::string& text = d.argument(1);
    if (text.starts_with("unix:"))
        return reading.error(d.position(1), "\"listen\" on a unix socket is not supported: \"" + text + "\"");
    const Url url = parse_url(text, {.listening = true, .uri_allowed = false});
    const auto complain = [&](const char* what) {
        reading.error(d.position(1), std::string(what) + " in \"" + text + "\" of the \"listen\" directive");
    };
    if (url.error != nullptr) return complain(url.error);

    ListenReader options{reading, d, {}, true};
    for (std::size_t i = 2; i <= d.argument_count(); ++i) options.read(i);
    if (!options.ok) return;

    std::vector<net::IpAddress> addresses;
    if (url.is_wildcard) {
        addresses.push_back(net::IpAddress::any_v4());
    } else if (url.ip) {
        addresses.push_back(*url.ip);
    } else {
        const auto resolved = reading.options.resolve(url.host);
        if (!resolved) return complain("host not found");
        addresses = *resolved;
    }
    const std::uint32_t first = url.port.value_or(80);
    for (std::uint32_t port = first; port <= url.last_port.value_or(static_cast<std::uint16_t>(first));
         ++port)
        for (const net::IpAddress& ip : addresses)
            scope.server->listens.push_back(
                {d.position(), {ip, static_cast<std::uint16_t>(port)}, options.options});
}

// ---- server_name

std::optional<http::ServerName> read_name(Reading& reading, const Directive& d, std::size_t i,
                                          std::string& text) {
    http::ServerName name;
    const catalog::Position where = d.position(i);
    text = d.argument(i);
    const char first = text.empty() ? '\0' : text.front();
    if ((first == '*' && (text.size() < 3 || text[1] != '.')) || (first == '.' && text.size() < 2)) {
        reading.error(where, "server name \"" + text + "\" is invalid");
        return std::nullopt;
    }
    if (text.find('/') != std::string::npos)
        reading.diagnostics.warning(where, "server name \"" + text + "\" has suspicious symbols");
    if (text == "$hostname") text = reading.options.hostname;

    if (first == '~') {
        const std::string pattern = text.substr(1);
        if (pattern.empty()) {
            reading.error(where, "empty regex in server name \"~\"");
            return std::nullopt;
        }
        // Host names arrive in lower case; a pattern with capitals is meant without case.
        const bool capitals =
            std::any_of(pattern.begin(), pattern.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
        auto regex = reading.variables.compile_regex(pattern, capitals, where);
        if (!regex) return std::nullopt;
        name.kind = http::ServerName::Kind::regex;
        name.text = pattern;  // `text` keeps the '~': it is $server_name
        name.regex = std::move(regex->regex);
        name.named = std::move(regex->named);
        return name;
    }
    text = lower(text);
    name.text = text;
    const std::size_t stars = static_cast<std::size_t>(std::count(text.begin(), text.end(), '*'));
    const bool wildcard = first == '*' || text.ends_with(".*");
    if (stars > 1 || (stars == 1 && !wildcard) || (first == '.' && text.ends_with("*")) ||
        text.find("..") != std::string::npos) {
        reading.error(where, "invalid server name or wildcard \"" + text + "\"");
        return std::nullopt;
    }
    if (first == '*' || first == '.') {
        name.kind = http::ServerName::Kind::leading_wildcard;
        name.also_bare = first == '.';
        if (first == '*') name.text = text.substr(1);
    } else if (wildcard) {
        name.kind = http::ServerName::Kind::trailing_wildcard;
        name.text.pop_back();
    }
    return name;
}

void read_server_name(Reading& reading, const Directive& d, const Scope& scope) {
    for (std::size_t i = 1; i <= d.argument_count(); ++i) {
        std::string text;
        auto name = read_name(reading, d, i, text);
        if (!name) continue;
        scope.server->names.push_back(std::move(*name));
        scope.server->name_texts.push_back(std::move(text));
    }
}

constexpr Command commands[] = {
    {"http", where::main, takes::none | takes::block, read_http},
    {"events", where::main, takes::none | takes::block, read_events},
    {"server", where::http, takes::none | takes::block, read_server},
    {"location", where::server | where::location, takes::one_or_two | takes::block, read_location},
    {"internal", where::location, takes::none, read_internal},
    {"listen", where::server, takes::one_or_more, read_listen},
    {"server_name", where::server, takes::one_or_more, read_server_name},
};

}  // namespace

std::span<const Command> structure_commands() { return commands; }

}  // namespace hawser::nginx
