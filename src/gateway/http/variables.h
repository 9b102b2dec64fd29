// SPDX-License-Identifier: Apache-2.0
#pragma once

// Evaluation of variables and templates inside http/. Everything appends, so that a whole line or field is
// built in one string.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "catalog/http_template.h"
#include "catalog/regex.h"
#include "gateway/http/exchange.h"

namespace hawser::gateway {

using NamedGroups = std::vector<std::pair<std::uint32_t, catalog::http::VariableIndex>>;

// Where $1..$9 of a template come from.
struct CaptureView {
    const catalog::Regex::Captures& groups;
    std::string_view subject;

    // Text of a group; "" for one that took no part.
    [[nodiscard]] std::string_view group(std::size_t number) const;
};

// Appends the value. False (and nothing appended) when nginx calls the variable "not found": logs show "-".
// A variable that is set and empty is found.
bool append_value(std::string& out, catalog::http::VariableIndex variable, const Exchange& exchange);

// $1..$9 are those of the exchange's last match.
void append_expanded(std::string& out, const catalog::http::Template& text, const Exchange& exchange);
void append_expanded(std::string& out, const catalog::http::Template& text, const Exchange& exchange,
                     const CaptureView& captures);
// True when the template's value is "" or "0", which `if`, if= and friends take for false.
bool is_false(std::string_view value);

void assign(const Exchange& exchange, catalog::http::VariableIndex variable, std::string value);
void assign_named(const Exchange& exchange, const NamedGroups& named, const CaptureView& captures);
// Matches, and keeps the captures in the exchange ($1.., named groups). No match: the exchange is unchanged.
bool match_and_keep(const catalog::Regex& regex, const NamedGroups& named, std::string_view subject,
                    Exchange& exchange);

// Parts of append_value, by what the variable is.
bool append_builtin(std::string& out, catalog::http::Builtin builtin, const Exchange& exchange);
bool append_upstream_list(std::string& out, catalog::http::Builtin builtin, const Exchange& exchange);
void append_map(std::string& out, const catalog::http::Map& map, const Exchange& exchange);

// "name" of $http_NAME against a field name: case aside, '-' for '_'.
bool is_variable_name_of(std::string_view variable_name, std::string_view field_name);
// Seconds with three decimals, as nginx prints times; negative counts as 0.
void append_seconds(std::string& out, std::chrono::milliseconds time);
void append_number(std::string& out, std::uint64_t number);

// The settings that hold for the exchange now: the location's, before one is found the server's.
const catalog::http::Settings& settings_of(const Exchange& exchange);
// The target without scheme and authority, as the client sent it: $request_uri.
std::string_view target_as_sent(const Exchange& exchange);
// A Location that starts with '/', with scheme, host and port before it if absolute_redirect asks for them.
std::string absolute_location(const Exchange& exchange, std::string location);

}  // namespace hawser::gateway
