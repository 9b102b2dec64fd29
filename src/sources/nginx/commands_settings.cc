// SPDX-License-Identifier: Apache-2.0
// Limits, time-outs and habits of the HTTP side (nginx's core and headers modules).

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace {

void read_keepalive_timeout(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = scope.location->keepalive_timeout;
    if (slot) return reading.directive_error(d, "is duplicate");
    const auto timeout = parse_time_ms(d.argument(1));
    if (!timeout) return reading.directive_error(d, "invalid value");
    KeepaliveTimeout value{*timeout, std::nullopt};
    if (d.argument_count() == 2) {
        value.header = parse_time_s(d.argument(2));
        if (!value.header) return reading.directive_error(d, "invalid value");
    }
    slot = value;
}

void read_large_buffers(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = scope.server->large_header_buffers;
    if (slot) return reading.directive_error(d, "is duplicate");
    const auto count = parse_number(d.argument(1));
    const auto size = parse_size(d.argument(2));
    if (!count || *count == 0 || !size || *size == 0) return reading.directive_error(d, "invalid value");
    if (*size < 512)
        return reading.error(d.position(2),
                             "the \"large_client_header_buffers\" size must be equal to or greater than "
                             "\"connection_pool_size\"");
    slot = ServerConf::Buffers{*count, *size};
}

void read_add_header(Reading& reading, const Directive& d, const Scope& scope) {
    catalog::http::AddHeader header;
    header.name = d.argument(1);
    if (d.argument_count() == 3) {
        if (d.argument(3) != "always")
            return reading.error(d.position(3), "invalid parameter \"" + d.argument(3) + "\"");
        header.always = true;
    }
    auto value = reading.variables.compile(d.argument(2), d.position(2));
    if (!value) return;
    header.value = std::move(*value);
    scope.location->add_headers.push_back(std::move(header));
}

void read_server_tokens(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = scope.location->server_tokens;
    if (slot) return reading.directive_error(d, "is duplicate");
    const std::string value = lower(d.argument(1));
    if (value != "on" && value != "off" && value != "build")
        return reading.error(d.position(1), "invalid value \"" + d.argument(1) + "\"");
    slot = value != "off";
}

void read_types(Reading& reading, const Directive& d, const Scope& scope) {
    auto& types = scope.location->types;
    if (!types) types = std::make_shared<TypeMap>();
    for (const Directive& row : d.children) {
        if (row.has_block) {
            reading.error(row.end(), "unexpected \"{\"");
            continue;
        }
        for (std::size_t i = 1; i <= row.argument_count(); ++i) {
            const auto [at, added] = types->emplace(lower(row.argument(i)), row.name());
            if (added) continue;
            reading.diagnostics.warning(row.position(i),
                                        "duplicate extension \"" + row.argument(i) + "\", content type: \"" +
                                            row.name() + "\", previous content type: \"" + at->second + "\"");
            at->second = row.name();
        }
    }
}

using L = LocationConf;
using S = ServerConf;
constexpr std::uint32_t server_level = where::http | where::server;

constexpr Command commands[] = {
    {"client_max_body_size", where::anything, takes::one, set_offset<OfLocation<&L::client_max_body_size>>},
    {"client_body_timeout", where::anything, takes::one,
     set_milliseconds<OfLocation<&L::client_body_timeout>>},
    {"send_timeout", where::anything, takes::one, set_milliseconds<OfLocation<&L::send_timeout>>},
    {"keepalive_timeout", where::anything, takes::one_or_two, read_keepalive_timeout},
    {"keepalive_requests", where::anything, takes::one, set_number<OfLocation<&L::keepalive_requests>>},
    {"keepalive_time", where::anything, takes::one, set_milliseconds<OfLocation<&L::keepalive_time>>},
    {"add_header", where::anything | where::location_if, takes::two_or_three, read_add_header},
    {"default_type", where::anything, takes::one, set_string<OfLocation<&L::default_type>>},
    {"types", where::anything, takes::none | takes::block, read_types},
    {"server_tokens", where::anything, takes::one, read_server_tokens},
    {"absolute_redirect", where::anything, takes::flag, set_flag<OfLocation<&L::absolute_redirect>>},
    {"port_in_redirect", where::anything, takes::flag, set_flag<OfLocation<&L::port_in_redirect>>},
    {"server_name_in_redirect", where::anything, takes::flag,
     set_flag<OfLocation<&L::server_name_in_redirect>>},
    {"reset_timedout_connection", where::anything, takes::flag,
     set_flag<OfLocation<&L::reset_timedout_connection>>},
    {"client_header_timeout", server_level, takes::one,
     set_milliseconds<OfServer<&S::client_header_timeout>>},
    {"client_header_buffer_size", server_level, takes::one,
     set_size<OfServer<&S::client_header_buffer_size>>},
    {"large_client_header_buffers", server_level, takes::two, read_large_buffers},
    {"ignore_invalid_headers", server_level, takes::flag, set_flag<OfServer<&S::ignore_invalid_headers>>},
    {"underscores_in_headers", server_level, takes::flag, set_flag<OfServer<&S::underscores_in_headers>>},
    {"merge_slashes", server_level, takes::flag, set_flag<OfServer<&S::merge_slashes>>},
};

}  // namespace

std::span<const Command> setting_commands() { return commands; }

}  // namespace hawser::nginx
