// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/regex.h"

namespace hawser::catalog::http {

using VariableIndex = std::uint16_t;  // into VariableTable::variables

// Text with variables and captures in it: "$scheme://$host/$1".
struct Template {
    struct Part {
        enum class Kind : std::uint8_t { literal, variable, capture };
        Kind kind = Kind::literal;
        std::string text;            // literal
        VariableIndex variable = 0;  // variable
        std::uint8_t capture = 0;    // capture: $1..$9
        bool operator==(const Part&) const = default;
    };
    std::vector<Part> parts;
    std::string source;  // as written

    [[nodiscard]] bool empty() const { return parts.empty(); }
    // True when no variable and no capture is in it; then literal() is its value.
    [[nodiscard]] bool is_literal() const;
    [[nodiscard]] std::string literal() const;
    static Template from_literal(std::string text);
    bool operator==(const Template&) const = default;
};

// Variables whose value the gateway computes (nginx's names; "$uri" is Builtin::uri, and so on).
enum class Builtin : std::uint8_t {
    args,
    binary_remote_addr,
    body_bytes_sent,
    bytes_sent,
    connection,
    connection_requests,
    connection_time,
    content_length,
    content_type,
    document_uri,
    host,
    hostname,
    https,
    is_args,
    limit_conn_status,
    limit_req_status,
    msec,
    nginx_version,
    pid,
    pipe,
    proxy_add_x_forwarded_for,
    proxy_host,
    proxy_port,
    query_string,
    realip_remote_addr,
    realip_remote_port,
    remote_addr,
    remote_port,
    remote_user,
    request,
    request_completion,
    request_id,
    request_length,
    request_method,
    request_time,
    request_uri,
    scheme,
    server_addr,
    server_name,
    server_port,
    server_protocol,
    status,
    tcpinfo_rtt,
    tcpinfo_rttvar,
    tcpinfo_snd_cwnd,
    tcpinfo_rcv_space,
    time_iso8601,
    time_local,
    upstream_addr,
    upstream_bytes_received,
    upstream_bytes_sent,
    upstream_connect_time,
    upstream_header_time,
    upstream_response_length,
    upstream_response_time,
    upstream_status,
    uri,
};

enum class VariableKind : std::uint8_t {
    builtin,
    request_header,   // $http_NAME
    response_header,  // $sent_http_NAME
    upstream_header,  // $upstream_http_NAME
    argument,         // $arg_NAME
    cookie,           // $cookie_NAME
    upstream_cookie,  // $upstream_cookie_NAME
    map,              // a `map` block's target
    assigned,         // `set $x`, or a named capture (?<x>...)
};

struct Map;

struct Variable {
    std::string name;  // without $
    VariableKind kind = VariableKind::assigned;
    Builtin builtin{};     // kind builtin
    std::string argument;  // NAME of $http_NAME and its like, as written after the prefix (lower case, '_')
    std::shared_ptr<const Map> map;  // kind map
    // Kind assigned, and no `set` assigns it, only named captures: while unset, logs show "-" instead of "".
    bool only_captured = false;
};

struct VariableTable {
    std::vector<Variable> variables;
};

// nginx `map SOURCE $TARGET {}`.
struct Map {
    struct RegexCase {
        std::shared_ptr<const Regex> regex;
        std::vector<std::pair<std::uint32_t, VariableIndex>> named;  // group number -> assigned variable
        Template value;
    };
    Template source;
    bool hostnames = false;
    bool is_volatile = false;               // evaluated anew at each use
    std::map<std::string, Template> exact;  // keys in lower case: nginx compares without case
    std::map<std::string, Template>
        suffix;  // hostnames "*.example.com": key ".example.com", "example.com" apart
    std::map<std::string, Template> prefix;  // hostnames "mail.*": key "mail."
    std::vector<RegexCase> regexes;          // in the order of the file
    Template default_value;                  // "" when none was given
};

// The value of nginx's $NAME for a builtin, or nullptr if there is none: "remote_addr" ->
// Builtin::remote_addr.
const Builtin* find_builtin(std::string_view name);

}  // namespace hawser::catalog::http
