// SPDX-License-Identifier: Apache-2.0
#pragma once

// What an HTTP listener does with a request, in the terms of nginx's http module, because that is what
// nginx.conf needs; Ingress rules compile to the same structures. Everything is immutable after the build.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/endpoint.h"
#include "catalog/http_template.h"
#include "net/address.h"

namespace hawser::catalog::http {

using std::chrono::milliseconds;

// ---- rewrite module
// ----------------------------------------------------------------------------------------
struct Instruction;
using Script = std::vector<Instruction>;

struct SetVariable {
    VariableIndex variable = 0;
    Template value;
};
struct Return {
    std::uint16_t status = 0;  // 444 closes the connection without an answer
    Template text;             // body, or the Location for 301 302 303 307 308
};
struct Rewrite {
    enum class Flag : std::uint8_t { none, last, break_, redirect, permanent };
    std::shared_ptr<const Regex> regex;
    std::vector<std::pair<std::uint32_t, VariableIndex>> named;
    Template replacement;        // without the trailing '?' that suppresses the arguments
    bool keep_arguments = true;  // append the request's arguments
    Flag flag = Flag::none;      // "http://", "https://", "$scheme" at its start mean redirect
};
struct Break {};
struct Condition {
    enum class Test : std::uint8_t {
        is_true,
        equals,
        not_equals,
        matches,
        not_matches
    };  // "" and "0" are false
    Test test = Test::is_true;
    VariableIndex variable = 0;
    Template operand;                    // equals, not_equals
    std::shared_ptr<const Regex> regex;  // matches, not_matches
    std::vector<std::pair<std::uint32_t, VariableIndex>> named;
};
struct If {
    Condition condition;
    std::shared_ptr<const Script> then;
};
struct Instruction {
    Position position;
    std::variant<SetVariable, Return, Rewrite, Break, If> what;
};

// ---- settings that http, server and location hand down
// -----------------------------------------------------
struct AddHeader {
    std::string name;
    Template value;
    bool always = false;  // otherwise only with 200 201 204 206 301 302 303 304 307 308
};

struct LogFormat {
    enum class Escape : std::uint8_t { standard, json, none };
    std::string name;
    Template format;
    Escape escape = Escape::standard;
};
struct AccessLog {
    std::string path;  // absolute; "/dev/stdout" and "/dev/stderr" work
    std::shared_ptr<const LogFormat> format;
    std::optional<Template> condition;  // if=
};

struct AccessRule {
    bool allow = false;
    std::optional<net::Cidr> cidr;  // nothing: all
};

// limit_conn_zone and limit_req_zone; counted in memory shared by all workers, over snapshots, by name.
struct LimitZone {
    enum class Kind : std::uint8_t { connections, requests };
    Kind kind = Kind::connections;
    std::string name;
    Template key;
    std::uint64_t size = 0;      // bytes as in nginx; bounds the number of keys
    double rate_per_second = 0;  // requests
};
struct LimitConnections {
    std::shared_ptr<const LimitZone> zone;
    std::uint32_t limit = 0;
};
struct LimitRequests {
    std::shared_ptr<const LimitZone> zone;
    std::uint32_t burst = 0;
    std::uint32_t no_delay_after = 0;  // delay=N; 0 delays from the first excess request
    bool no_delay = false;
};

struct RealIp {
    std::vector<net::Cidr> trusted;    // set_real_ip_from
    std::string header = "X-Real-IP";  // real_ip_header (a name; "proxy_protocol" is refused)
    bool recursive = false;
};

struct Settings {
    std::uint64_t client_max_body_size = 1 << 20;  // bytes; 0 = no limit
    milliseconds client_body_timeout{60'000};
    milliseconds send_timeout{60'000};
    milliseconds keepalive_timeout{75'000};  // 0 = no keep-alive
    std::optional<std::chrono::seconds>
        keepalive_header;  // second argument: the "Keep-Alive: timeout=N" header
    std::uint32_t keepalive_requests = 1000;
    milliseconds keepalive_time{3'600'000};
    std::vector<AddHeader> add_headers;
    std::vector<AccessLog> access_logs;  // empty = off
    std::vector<AccessRule> access;      // first match decides; none = allowed
    RealIp real_ip;
    std::vector<LimitConnections> limit_connections;
    std::uint16_t limit_connections_status = 503;
    bool limit_connections_dry_run = false;
    std::vector<LimitRequests> limit_requests;
    std::uint16_t limit_requests_status = 503;
    bool limit_requests_dry_run = false;
    std::string default_type = "text/plain";                          // for `return` bodies
    std::shared_ptr<const std::map<std::string, std::string>> types;  // extension -> type; may be null
    bool server_tokens = true;  // "nginx" in error pages is answered as "hawser"
    bool absolute_redirect = true;
    bool port_in_redirect = true;
    bool server_name_in_redirect = false;
    bool reset_timedout_connection = false;
};

// ---- proxy module
// ------------------------------------------------------------------------------------------
struct ProxyHeader {
    std::string name;
    Template value;  // a value that turns out empty: the header is not sent
};
struct ProxyRedirect {
    // "default" was resolved by the source into a prefix pair.
    std::variant<Template, std::shared_ptr<const Regex>> from;
    std::vector<std::pair<std::uint32_t, VariableIndex>> named;
    Template to;
};

// What counts as a failed attempt, after which the next endpoint is tried (proxy_next_upstream).
namespace next_upstream {
inline constexpr std::uint32_t error = 1, timeout = 2, invalid_header = 4, http_500 = 8, http_502 = 16,
                               http_503 = 32, http_504 = 64, http_403 = 128, http_404 = 256, http_429 = 512,
                               non_idempotent = 1024, off = 0;
}

enum class UpgradePolicy : std::uint8_t {
    // As nginx: an upgrade happens when the configured headers carry it and the endpoint answers 101.
    headers_decide,
    // Upgrade and Connection are passed on by themselves (Ingress, Gateway): HAProxy's consistency rule.
    automatic,
};

struct Proxy {
    // Exactly one: a fixed group, or text with variables that names host and port at request time. A name
    // that is a group's (an upstream block) is looked up in `groups`; an address is connected to; other names
    // are errors.
    std::shared_ptr<const EndpointGroup> group;
    std::optional<Template> dynamic;  // the whole URL after proxy_pass, when it has variables
    std::string host_header;  // $proxy_host: what stands in proxy_pass, "websocket" or "10.0.0.1:8080"
    std::uint16_t default_port = 80;  // $proxy_port
    // The URI part of proxy_pass ("/" in http://b/), which replaces the matched prefix; nothing: the URI as
    // the client sent it (or as rewritten).
    std::optional<std::string> uri;

    bool http_1_1 = false;                 // proxy_http_version; nginx 1.22's default is 1.0
    std::vector<ProxyHeader> set_headers;  // proxy_set_header; `Host` and `Connection` defaults included
    std::vector<std::string>
        hide_headers;  // lower case, the default list included, proxy_pass_header removed
    std::vector<std::string> ignored_headers;  // proxy_ignore_headers, lower case
    std::vector<ProxyRedirect> redirects;
    milliseconds connect_timeout{60'000};
    milliseconds read_timeout{60'000};  // between two reads of an answer
    milliseconds send_timeout{60'000};
    std::uint32_t next_upstream = next_upstream::error | next_upstream::timeout;
    std::uint32_t next_upstream_tries = 0;  // 0 = all
    milliseconds next_upstream_timeout{0};  // 0 = no limit
    bool buffering = true;
    bool request_buffering = true;
    bool pass_request_headers = true;
    bool pass_request_body = true;
    std::optional<Template> method;    // proxy_method
    std::uint32_t buffer_size = 4096;  // bytes: the limit on an answer's head
    UpgradePolicy upgrade = UpgradePolicy::headers_decide;
    // Idle limit of a tunnel (no byte either way). Default one hour. An explicit proxy_read_timeout sets it.
    milliseconds tunnel_idle_timeout{3'600'000};
    bool splice = true;  // tunnels may be handed to the kernel: hawser_splice, annotation hawser.io/splice
};

// ---- locations and servers
// ---------------------------------------------------------------------------------
struct LocationMatch {
    enum class Kind : std::uint8_t { prefix, prefix_final /* ^~ */, exact, regex };
    Kind kind = Kind::prefix;
    std::string text;                    // "/" , or the pattern
    std::shared_ptr<const Regex> regex;  // kind regex
    std::vector<std::pair<std::uint32_t, VariableIndex>> named;
};

struct Location {
    std::string route_id;  // stable over snapshots: "nginx:websocket.bbotte.com:80/" or
                           // "ingress:default/chat:host/path"
    Position position;
    LocationMatch match;
    std::shared_ptr<const Settings> settings;
    Script script;               // rewrite directives of this location
    std::optional<Proxy> proxy;  // nothing and no `return` in the script: 404 (hawser serves no files)
    bool internal = false;
    bool auto_redirect = false;  // proxy_pass with a prefix ending in '/': "/a" answers 301 to "/a/"
    std::vector<std::shared_ptr<const Location>> nested;
};

struct ServerName {
    // leading: "*.example.com" and ".example.com" (text ".example.com"); trailing: "mail.*" (text "mail.").
    enum class Kind : std::uint8_t { exact, leading_wildcard, trailing_wildcard, regex };
    Kind kind = Kind::exact;
    std::string text;        // lower case
    bool also_bare = false;  // ".example.com": matches "example.com" too
    std::shared_ptr<const Regex> regex;
    std::vector<std::pair<std::uint32_t, VariableIndex>> named;
};

struct VirtualServer {
    std::string name;  // first server_name, "" if none: $server_name
    std::vector<ServerName> names;
    Position position;
    std::shared_ptr<const VariableTable> variables;  // the indices of every template below refer to it
    std::shared_ptr<const Settings> settings;
    Script script;                                           // rewrite directives of the server level
    std::vector<std::shared_ptr<const Location>> locations;  // in the order of the file
    // Endpoint groups by lower-case name, for proxy_pass with variables.
    std::shared_ptr<const std::map<std::string, std::shared_ptr<const EndpointGroup>>> groups;

    milliseconds client_header_timeout{60'000};
    std::uint32_t client_header_buffer_size = 1024;
    std::uint32_t large_header_buffers = 4;         // count
    std::uint32_t large_header_buffer_size = 8192;  // bytes each: also the limit of one line
    bool ignore_invalid_headers = true;
    bool underscores_in_headers = false;
    bool merge_slashes = true;
};

struct Listener {
    net::SocketAddress address;  // 0.0.0.0 or [::]: all addresses
    bool ipv6_only = true;
    int backlog = 511;
    std::string source;  // "nginx" or "ingress": who asked for it
    Position position;
    std::vector<std::shared_ptr<const VirtualServer>> servers;  // in the order of the file
    std::size_t default_server = 0;                             // index into servers
};

}  // namespace hawser::catalog::http
