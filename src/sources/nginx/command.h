// SPDX-License-Identifier: Apache-2.0
#pragma once

// The table of directives: where each may stand, how many arguments it takes and who reads it (nginx's
// ngx_command_t).

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "sources/nginx/conf.h"
#include "sources/nginx/load.h"
#include "sources/nginx/syntax.h"
#include "sources/nginx/variables.h"

namespace hawser::nginx {

// Where a directive may stand; a set of bits.
namespace where {
inline constexpr std::uint32_t main = 1, events = 2, http = 4, server = 8, location = 16, upstream = 32,
                               server_if = 64, location_if = 128, limit_except = 256;
inline constexpr std::uint32_t anything = http | server | location;
}  // namespace where

// How many arguments it takes, and whether a block; a set of bits. The low eight are "exactly 0..7".
namespace takes {
inline constexpr std::uint32_t none = 1, one = 2, two = 4, three = 8, four = 16, one_or_two = 6,
                               one_to_three = 14, two_or_three = 12, one_to_four = 30, block = 0x100,
                               flag = 0x200, any = 0x400, one_or_more = 0x800, two_or_more = 0x1000;
}

// Where reading stands.
struct Scope {
    std::uint32_t kind = where::main;  // one bit of `where`
    ServerConf* server = nullptr;      // http: the defaults
    LocationConf* location = nullptr;  // the innermost level
    UpstreamConf* upstream = nullptr;
    catalog::http::Script* script = nullptr;  // of the server, the location or the `if`
};

// What all handlers of one load share.
struct Reading {
    const LoadOptions& options;
    catalog::Diagnostics& diagnostics;
    Variables variables;
    HttpConf http;
    std::vector<ProcessSetting> process;
    bool is_fragment = true;
    bool has_http = false, has_events = false;

    Reading(const LoadOptions& o, catalog::Diagnostics& d) : options(o), diagnostics(d), variables(d) {}

    void error(const catalog::Position& where, std::string message) {
        diagnostics.error(where, std::move(message));
    }
    // nginx: "NAME" directive TEXT.
    void directive_error(const Directive& d, std::string_view text) {
        diagnostics.error(d.position(), "\"" + d.name() + "\" directive " + std::string(text));
    }
};

using Handler = void (*)(Reading& reading, const Directive& directive, const Scope& scope);

struct Command {
    std::string_view name;
    std::uint32_t where = 0;
    std::uint32_t takes = 0;
    Handler handler = nullptr;
};

// The rows of each group of directives. A name may have rows for several places in several groups.
std::span<const Command> structure_commands();  // http, server, location, events, listen, server_name ...
std::span<const Command> setting_commands();    // client_*, keepalive_*, add_header, types ...
std::span<const Command> traffic_commands();    // allow, deny, limit_*, real_ip, access_log, log_format
std::span<const Command> proxy_commands();
std::span<const Command> rewrite_commands();
std::span<const Command> map_commands();
std::span<const Command> upstream_commands();
std::span<const Command> noted_commands();
std::span<const Command> inert_commands();  // settings of modules that hawser has not
std::span<const Command> refused_commands();
std::span<const std::span<const Command>> all_commands();

// Reads the directives of one block.
void read_directives(Reading& reading, const std::vector<Directive>& directives, const Scope& scope);

}  // namespace hawser::nginx
