// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/http.h"
#include "gateway/http1/message.h"
#include "net/address.h"

namespace hawser::gateway {

// Both clocks are read once per event loop turn, so that times in one log line agree.
using SteadyTime = std::chrono::steady_clock::time_point;
using SystemTime = std::chrono::system_clock::time_point;

// One attempt to get an answer from an endpoint: nginx's $upstream_* variables list them, ", " between
// attempts.
struct UpstreamAttempt {
    std::string endpoint;      // "10.0.0.1:9080"
    std::uint16_t status = 0;  // 0: no answer ("-" where nginx prints it; 502/504 as nginx does)
    std::optional<std::chrono::milliseconds> connect_time, header_time, response_time;
    std::uint64_t bytes_received = 0;  // from the endpoint, head included
    std::uint64_t bytes_sent = 0;
    std::uint64_t response_length = 0;  // body bytes
    // First attempt at another group, after an internal redirect: " : " instead of ", " before it.
    bool other_group = false;
};

// A request and its answer, as scripts, variables, limits and logs see them. Lives as long as the request;
// belongs to one worker. The connection code fills it in; `http/` reads it and writes what scripts may
// change.
struct Exchange {
    // The connection.
    net::SocketAddress peer;    // what TCP says
    net::SocketAddress client;  // the same, or what real_ip made of it: $remote_addr
    net::SocketAddress local;   // $server_addr:$server_port
    std::uint64_t connection_number = 0;
    std::uint32_t connection_requests = 1;
    SystemTime connection_started;
    int fd = -1;             // for $tcpinfo_*
    bool pipelined = false;  // $pipe: the request was read behind another one

    // The request.
    http1::RequestHead request;
    std::string request_line;  // $request; also for a request that failed to parse
    std::string uri;           // $uri: request.path, until a rewrite changes it
    std::string args;          // $args
    std::string host;          // $host: lower case, without port; server_name if there is no Host
    SystemTime started;
    SteadyTime started_steady;
    std::uint64_t request_length = 0;
    mutable std::string request_id;  // made at first use: 32 hex digits

    // Where it goes. Owned here, so that a snapshot that is replaced stays alive for this request only.
    std::shared_ptr<const catalog::http::VirtualServer> server;
    std::shared_ptr<const catalog::http::Location> location;  // null until found

    // Values of variables, by VariableIndex of server->variables. `cached` is what a map gave once, or what
    // `set` and named captures assigned.
    mutable std::vector<std::optional<std::string>> values;
    catalog::Regex::Captures captures;  // of the last regex that matched ...
    std::string captured_subject;       // ... in this text: $1..$9
    unsigned uri_changes = 0;           // more than 10: 500, as nginx

    // What the rewrite phase leaves behind; only http/ writes these.
    bool args_rewritten = false;  // $args was set by a rewrite, to nothing perhaps
    bool uri_changed = false;    // the location has to be looked for again
    bool uri_as_sent = true;     // no rewrite matched: the endpoint may get the target's own bytes
    bool valid_location = true;  // false after `rewrite ... break`: proxy_pass replaces no prefix
    bool internal = false;       // rewritten or redirected internally: reaches `internal` locations

    // The answer.
    std::uint16_t status = 0;
    http1::ResponseHead upstream_response;  // status 0 = none
    // The head that went to the client: $sent_http_*. Names as sent.
    std::vector<std::pair<std::string, std::string>> sent_fields;
    std::uint64_t bytes_sent = 0;
    std::uint64_t body_bytes_sent = 0;
    bool completed = false;  // $request_completion "OK"
    SteadyTime now_steady;   // for $request_time; refreshed by the connection code
    SystemTime now;
    std::vector<UpstreamAttempt> attempts;
    std::string proxy_host;  // $proxy_host, $proxy_port once a proxy was chosen
    std::uint16_t proxy_port = 0;
    const char* limit_conn_status = nullptr;  // "PASSED", "REJECTED", ... for the variables of that name
    const char* limit_req_status = nullptr;
};

}  // namespace hawser::gateway
