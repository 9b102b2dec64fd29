// SPDX-License-Identifier: Apache-2.0
// Who may come, how often, under which address, and what is written down about it (nginx's access,
// limit_conn, limit_req, realip and log modules).

#include <algorithm>
#include <cmath>

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace http = catalog::http;

namespace {

// nothing: not an address. Warns about host bits, as nginx does.
std::optional<net::Cidr> read_cidr(Reading& reading, const Directive& d, std::size_t i) {
    const std::string& text = d.argument(i);
    const auto cidr = net::Cidr::parse(text);
    if (!cidr) return std::nullopt;
    const auto address = net::IpAddress::parse(std::string_view(text).substr(0, text.find('/')));
    if (address && *address != cidr->network)
        reading.diagnostics.warning(d.position(i), "low address bits of " + text + " are meaningless");
    return cidr;
}

void read_access(Reading& reading, const Directive& d, const Scope& scope) {
    http::AccessRule rule;
    rule.allow = d.name() == "allow";
    if (d.argument(1) == "unix:")
        return reading.diagnostics.note(d.position(), "\"unix:\" has no effect: no client comes that way");
    if (d.argument(1) != "all") {
        rule.cidr = read_cidr(reading, d, 1);
        if (!rule.cidr) return reading.error(d.position(1), "invalid parameter \"" + d.argument(1) + "\"");
    }
    scope.location->access.push_back(rule);
}

// ---- real_ip

void read_real_ip_from(Reading& reading, const Directive& d, const Scope& scope) {
    auto& trusted = scope.location->real_ip_from;
    if (d.argument(1) == "unix:")
        return reading.error(d.position(1), "\"set_real_ip_from unix:\" is not supported");
    if (const auto cidr = read_cidr(reading, d, 1)) {
        trusted.push_back(*cidr);
        return;
    }
    const auto resolved = reading.options.resolve(d.argument(1));
    if (!resolved)
        return reading.error(d.position(1), "host not found in set_real_ip_from \"" + d.argument(1) + "\"");
    for (const net::IpAddress& ip : *resolved) {
        const auto cidr = net::Cidr::parse(ip.text());
        if (cidr) trusted.push_back(*cidr);
    }
}

void read_real_ip_header(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = scope.location->real_ip_header;
    if (slot) return reading.directive_error(d, "is duplicate");
    if (d.argument(1) == "proxy_protocol")
        return reading.error(d.position(1), "\"real_ip_header proxy_protocol\" is not supported yet");
    slot = d.argument(1);
}

// ---- limits

std::optional<std::pair<std::string, std::uint64_t>> read_zone_size(Reading& reading, const Directive& d,
                                                                    std::size_t i) {
    const std::string text = d.argument(i).substr(5);
    const std::size_t colon = text.find(':');
    const auto size = colon == std::string::npos ? std::nullopt : parse_size(text.substr(colon + 1));
    if (!size) {
        reading.error(d.position(i), "invalid zone size \"" + d.argument(i) + "\"");
        return std::nullopt;
    }
    constexpr std::uint64_t eight_pages = 8 * 4096;
    if (*size < eight_pages) {
        reading.error(d.position(i), "zone \"" + d.argument(i) + "\" is too small");
        return std::nullopt;
    }
    return std::make_pair(text.substr(0, colon), *size);
}

// "10r/s", "30r/m". nginx keeps thousandths of a request per second and cuts off the rest.
std::optional<double> read_rate(std::string_view text) {
    double scale = 1;
    if (text.ends_with("r/m")) scale = 60;
    if (text.ends_with("r/s") || text.ends_with("r/m")) text.remove_suffix(3);
    const auto rate = parse_number(text);
    if (!rate || *rate == 0) return std::nullopt;
    return std::floor(static_cast<double>(*rate) * 1000 / scale) / 1000;
}

void read_zone(Reading& reading, const Directive& d, const Scope&) {
    const bool requests = d.name() == "limit_req_zone";
    auto zone = std::make_shared<http::LimitZone>();
    zone->kind = requests ? http::LimitZone::Kind::requests : http::LimitZone::Kind::connections;
    zone->rate_per_second = requests ? 1 : 0;
    auto key = reading.variables.compile(d.argument(1), d.position(1));
    bool ok = key.has_value();
    for (std::size_t i = 2; i <= d.argument_count(); ++i) {
        const std::string& text = d.argument(i);
        if (text.starts_with("zone=")) {
            const auto named = read_zone_size(reading, d, i);
            ok = ok && named;
            if (named) std::tie(zone->name, zone->size) = *named;
        } else if (requests && text.starts_with("rate=")) {
            const auto rate = read_rate(std::string_view(text).substr(5));
            if (!rate) reading.error(d.position(i), "invalid rate \"" + text + "\"");
            ok = ok && rate;
            zone->rate_per_second = rate.value_or(1);
        } else {
            reading.error(d.position(i), "invalid parameter \"" + text + "\"");
            ok = false;
        }
    }
    if (!ok) return;
    if (zone->name.empty())
        return reading.error(d.position(), "\"" + d.name() + "\" must have \"zone\" parameter");
    const auto known = reading.http.zones.find(zone->name);
    if (known != reading.http.zones.end())
        return reading.error(d.position(), d.name() + " \"" + zone->name + "\" is already bound to key \"" +
                                               known->second.zone->key.source + "\"");
    zone->key = std::move(*key);
    const std::string name = zone->name;
    reading.http.zones.emplace(name, ZoneConf{d.position(), std::move(zone)});
}

void read_limit_conn(Reading& reading, const Directive& d, const Scope& scope) {
    auto& limits = scope.location->limit_connections;
    const std::string& zone = d.argument(1);
    if (std::any_of(limits.begin(), limits.end(), [&](const LimitUse& l) { return l.zone == zone; }))
        return reading.directive_error(d, "is duplicate");
    const auto limit = parse_number(d.argument(2));
    if (!limit || *limit == 0)
        return reading.error(d.position(2), "invalid number of connections \"" + d.argument(2) + "\"");
    if (*limit > 65535) return reading.error(d.position(2), "connection limit must be less 65536");
    LimitUse use{d.position(), zone, {}, {}};
    use.connections.limit = static_cast<std::uint32_t>(*limit);
    limits.push_back(std::move(use));
}

void read_limit_req(Reading& reading, const Directive& d, const Scope& scope) {
    LimitUse use{d.position(), {}, {}, {}};
    bool ok = true;
    const auto number = [&](std::size_t i, std::size_t prefix, const char* what, std::uint32_t& into) {
        const auto value = parse_number(std::string_view(d.argument(i)).substr(prefix));
        if (value && *value > 0) {
            into = static_cast<std::uint32_t>(std::min<std::uint64_t>(*value, UINT32_MAX));
        } else {
            reading.error(d.position(i), std::string("invalid ") + what + " value \"" + d.argument(i) + "\"");
            ok = false;
        }
    };
    for (std::size_t i = 1; i <= d.argument_count(); ++i) {
        const std::string& text = d.argument(i);
        if (text.starts_with("zone=")) {
            use.zone = text.substr(5);
        } else if (text.starts_with("burst=")) {
            number(i, 6, "burst", use.requests.burst);
        } else if (text.starts_with("delay=")) {
            number(i, 6, "delay", use.requests.no_delay_after);
        } else if (text == "nodelay") {
            use.requests.no_delay = true;
        } else {
            reading.error(d.position(i), "invalid parameter \"" + text + "\"");
            ok = false;
        }
    }
    if (!ok) return;
    if (use.zone.empty()) return reading.error(d.position(), "\"limit_req\" must have \"zone\" parameter");
    auto& limits = scope.location->limit_requests;
    if (std::any_of(limits.begin(), limits.end(), [&](const LimitUse& l) { return l.zone == use.zone; }))
        return reading.directive_error(d, "is duplicate");
    limits.push_back(std::move(use));
}

// limit_conn_log_level and limit_req_log_level.
void read_log_level(Reading& reading, const Directive& d, const Scope&) {
    static constexpr std::string_view levels[] = {"info", "notice", "warn", "error"};
    if (std::find(std::begin(levels), std::end(levels), lower(d.argument(1))) == std::end(levels))
        return reading.error(d.position(1), "invalid value \"" + d.argument(1) + "\"");
    reading.diagnostics.note(d.position(), "\"" + d.name() + "\" has no effect");
}

// ---- logs

void read_log_format(Reading& reading, const Directive& d, const Scope&) {
    auto format = std::make_shared<http::LogFormat>();
    format->name = d.argument(1);
    if (reading.http.log_formats.contains(format->name))
        return reading.error(d.position(1), "duplicate \"log_format\" name \"" + format->name + "\"");
    std::size_t first = 2;
    if (d.argument(2).starts_with("escape=")) {
        using Escape = http::LogFormat::Escape;
        const std::string how = d.argument(2).substr(7);
        if (how != "json" && how != "none" && how != "default")
            return reading.error(d.position(2), "unknown log format escaping \"" + how + "\"");
        format->escape = how == "json" ? Escape::json : how == "none" ? Escape::none : Escape::standard;
        first = 3;
    }
    for (std::size_t i = first; i <= d.argument_count(); ++i) {
        auto part = reading.variables.compile_log(d.argument(i), d.position(i));
        if (!part) return;
        http::Template& all = format->format;
        all.source += part->source;
        for (http::Template::Part& piece : part->parts) {
            // The words stand side by side: text meets text.
            using Kind = http::Template::Part::Kind;
            const bool joins =
                piece.kind == Kind::literal && !all.parts.empty() && all.parts.back().kind == Kind::literal;
            if (joins)
                all.parts.back().text += piece.text;
            else
                all.parts.push_back(std::move(piece));
        }
    }
    reading.http.log_formats.emplace(format->name, std::move(format));
}

// buffer=, flush=, gzip, if= behind an access_log's format.
bool read_log_option(Reading& reading, const Directive& d, std::size_t i, http::AccessLog& log,
                     std::size_t& flush) {
    const std::string& text = d.argument(i);
    const std::string value = text.substr(std::min(text.size(), text.find('=') + 1));
    if (text.starts_with("buffer=")) {
        const auto size = parse_size(value);
        if (!size || *size == 0)
            return reading.error(d.position(i), "invalid buffer size \"" + value + "\""), false;
        reading.diagnostics.note(d.position(i), "\"buffer\" of \"access_log\" has no effect");
        flush = 0;
    } else if (text.starts_with("flush=")) {
        const auto time = parse_time_ms(value);
        if (!time || time->count() == 0)
            return reading.error(d.position(i), "invalid flush time \"" + value + "\""), false;
        reading.diagnostics.note(d.position(i), "\"flush\" of \"access_log\" has no effect");
        flush = flush == 0 ? 0 : i;
    } else if (text == "gzip" || text.starts_with("gzip=")) {
        return reading.error(d.position(i), "\"gzip\" of \"access_log\" is not supported"), false;
    } else if (text.starts_with("if=")) {
        log.condition = reading.variables.compile(value, d.position(i));
        return log.condition.has_value();
    } else {
        return reading.error(d.position(i), "invalid parameter \"" + text + "\""), false;
    }
    return true;
}

std::shared_ptr<const http::LogFormat> find_format(Reading& reading, const Directive& d) {
    const std::string name = d.argument_count() >= 2 ? d.argument(2) : "combined";
    const auto& formats = reading.http.log_formats;
    if (const auto known = formats.find(name); known != formats.end()) return known->second;
    if (!reading.is_fragment) {
        reading.error(d.position(2), "unknown log format \"" + name + "\"");
        return nullptr;
    }
    reading.diagnostics.warning(d.position(2),
                                "log_format \"" + name + "\" is not defined here; \"combined\" is used");
    return formats.at("combined");
}

void read_access_log(Reading& reading, const Directive& d, const Scope& scope) {
    const std::string& path = d.argument(1);
    if (path == "off") {
        scope.location->access_log_off = true;
        if (d.argument_count() > 1)
            reading.error(d.position(2), "invalid parameter \"" + d.argument(2) + "\"");
        return;
    }
    if (path.starts_with("syslog:"))
        return reading.error(d.position(1), "\"access_log\" to syslog is not supported");
    if (Variables::has_variables(path))
        return reading.error(d.position(1), "variables in the path of \"access_log\" are not supported");

    http::AccessLog log;
    log.path = path.starts_with("/") ? path : reading.options.prefix + "/" + path;
    log.format = find_format(reading, d);
    // Not 0 and not past the end: a flush= without buffer= before or behind it.
    constexpr std::size_t neither = SIZE_MAX;
    std::size_t flush = neither;
    bool ok = log.format != nullptr;
    for (std::size_t i = 3; i <= d.argument_count(); ++i)
        ok = read_log_option(reading, d, i, log, flush) && ok;
    if (flush != 0 && flush != neither)
        return reading.error(d.position(flush), "no buffer is defined for access_log \"" + path + "\"");
    if (ok) scope.location->access_logs.push_back(std::move(log));
}

using L = LocationConf;

constexpr Command commands[] = {
    {"allow", where::anything | where::limit_except, takes::one, read_access},
    {"deny", where::anything | where::limit_except, takes::one, read_access},
    {"set_real_ip_from", where::anything, takes::one, read_real_ip_from},
    {"real_ip_header", where::anything, takes::one, read_real_ip_header},
    {"real_ip_recursive", where::anything, takes::flag, set_flag<OfLocation<&L::real_ip_recursive>>},
    {"limit_conn_zone", where::http, takes::two, read_zone},
    {"limit_conn", where::anything, takes::two, read_limit_conn},
    {"limit_conn_log_level", where::anything, takes::one, read_log_level},
    {"limit_conn_status", where::anything, takes::one, set_status<OfLocation<&L::limit_connections_status>>},
    {"limit_conn_dry_run", where::anything, takes::flag, set_flag<OfLocation<&L::limit_connections_dry_run>>},
    {"limit_req_zone", where::http, takes::three, read_zone},
    {"limit_req", where::anything, takes::one_to_three, read_limit_req},
    {"limit_req_log_level", where::anything, takes::one, read_log_level},
    {"limit_req_status", where::anything, takes::one, set_status<OfLocation<&L::limit_requests_status>>},
    {"limit_req_dry_run", where::anything, takes::flag, set_flag<OfLocation<&L::limit_requests_dry_run>>},
    {"log_format", where::http, takes::two_or_more, read_log_format},
    {"access_log", where::anything | where::location_if | where::limit_except, takes::one_or_more,
     read_access_log},
};

}  // namespace

std::span<const Command> traffic_commands() { return commands; }

}  // namespace hawser::nginx
