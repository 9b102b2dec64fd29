// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the directives of each level said, before inheritance. An empty optional or list is "not said here".

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/http.h"
#include "sources/nginx/values.h"

namespace hawser::nginx {

using std::chrono::milliseconds;
using std::chrono::seconds;

// proxy_pass. Not inherited.
struct ProxyPass {
    catalog::Position position;
    std::string url;  // as written
    std::optional<catalog::http::Template> dynamic;
    Url target;               // not dynamic
    std::string host_header;  // $proxy_host
    std::string location;     // what replaces the URI part in the default proxy_redirect
};

struct ProxyConf {
    std::optional<bool> http_1_1;
    std::vector<catalog::http::ProxyHeader> set_headers;
    std::vector<std::string> hide_headers, pass_headers;  // as written
    std::optional<std::vector<std::string>> ignored_headers;
    std::optional<bool> redirect;  // false: proxy_redirect off
    std::vector<catalog::http::ProxyRedirect> redirects;
    std::optional<milliseconds> connect_timeout, read_timeout, send_timeout, next_upstream_timeout;
    std::optional<std::uint32_t> next_upstream;
    std::optional<std::uint64_t> next_upstream_tries;
    std::optional<bool> buffering, request_buffering, pass_request_headers, pass_request_body, splice;
    std::optional<catalog::http::Template> method;
    std::optional<std::uint64_t> buffer_size;
    struct Buffers {
        std::uint64_t count = 8, size = 4096;
    };
    std::optional<Buffers> buffers;
    std::optional<std::uint64_t> busy_buffers_size;
};

// limit_req and limit_conn name zones that may be defined further down.
struct LimitUse {
    catalog::Position position;
    std::string zone;
    catalog::http::LimitRequests requests;
    catalog::http::LimitConnections connections;
};

struct KeepaliveTimeout {
    milliseconds timeout{75'000};
    std::optional<seconds> header;
};

// A directive about files: harmless where a proxy or a `return` answers, an error where files would be
// served.
struct FileUse {
    std::string directive;
    catalog::Position position;
};

using TypeMap = std::map<std::string, std::string>;

// What http, server and location share.
struct LocationConf {
    catalog::Position position;

    std::optional<std::uint64_t> client_max_body_size;
    std::optional<milliseconds> client_body_timeout, send_timeout, keepalive_time;
    std::optional<KeepaliveTimeout> keepalive_timeout;
    std::optional<std::uint64_t> keepalive_requests;
    std::vector<catalog::http::AddHeader> add_headers;
    std::vector<catalog::http::AccessLog> access_logs;
    bool access_log_off = false;
    std::vector<catalog::http::AccessRule> access;
    std::vector<net::Cidr> real_ip_from;
    std::optional<std::string> real_ip_header;
    std::optional<bool> real_ip_recursive;
    std::vector<LimitUse> limit_connections, limit_requests;
    std::optional<std::uint64_t> limit_connections_status, limit_requests_status;
    std::optional<bool> limit_connections_dry_run, limit_requests_dry_run;
    std::optional<std::string> default_type;
    std::shared_ptr<TypeMap> types;
    std::optional<bool> server_tokens, absolute_redirect, port_in_redirect, server_name_in_redirect,
        reset_timedout_connection;
    ProxyConf proxy;
    std::vector<FileUse> files;  // not inherited, but `root` of server and http

    // Of a location only.
    catalog::http::LocationMatch match;
    std::string name;  // as nginx shows it in messages
    bool internal = false;
    std::optional<ProxyPass> pass;
    std::vector<std::unique_ptr<LocationConf>> nested;

    // Of a location and of a server.
    catalog::http::Script script;
};

struct ListenOptions {
    bool any_set = false;  // one of those that only one `listen` of an address may have
    int backlog = 511;
    bool ipv6_only = true;
    bool default_server = false;
};
struct ListenConf {
    catalog::Position position;
    net::SocketAddress address;
    ListenOptions options;
};

struct ServerConf {
    catalog::Position position;
    std::vector<ListenConf> listens;
    std::vector<catalog::http::ServerName> names;
    std::vector<std::string> name_texts;  // beside names: as written, lower case unless a regex
    std::optional<milliseconds> client_header_timeout;
    std::optional<std::uint64_t> client_header_buffer_size;
    struct Buffers {
        std::uint64_t count = 4, size = 8192;
    };
    std::optional<Buffers> large_header_buffers;
    std::optional<bool> ignore_invalid_headers, underscores_in_headers, merge_slashes;
    LocationConf location;  // the server's own level
};

struct UpstreamServer {
    catalog::Position position;
    std::vector<net::SocketAddress> addresses;
    std::string name;  // as written
    std::uint32_t weight = 1, max_fails = 1, max_conns = 0;
    milliseconds fail_timeout{10'000};
    bool backup = false, down = false;
};
struct UpstreamConf {
    catalog::Position position;
    std::string name;  // as written
    std::vector<UpstreamServer> servers;
    catalog::Balancing balancing;
    bool has_method = false;
    bool takes_backup = true;  // hash, ip_hash and random do not
    std::optional<std::uint64_t> keepalive, keepalive_requests;
    std::optional<milliseconds> keepalive_timeout, keepalive_time;
};

struct ZoneConf {
    catalog::Position position;
    std::shared_ptr<catalog::http::LimitZone> zone;
};

// The http block, or the fragment that stands for one.
struct HttpConf {
    ServerConf defaults;  // what http itself says for its servers
    std::vector<std::unique_ptr<ServerConf>> servers;
    std::vector<std::unique_ptr<UpstreamConf>> upstreams;
    std::map<std::string, std::shared_ptr<const catalog::http::LogFormat>> log_formats;
    std::map<std::string, ZoneConf> zones;
    bool uses_resolver = false;
};

}  // namespace hawser::nginx
