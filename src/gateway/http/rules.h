// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a request meets between its head and its endpoint: the server, the rewrite script, the location,
// real_ip, access, limits. Pure functions over an Exchange and the catalog; no I/O. The phases run in nginx's
// order (see run_phases).

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "catalog/http.h"
#include "gateway/http/exchange.h"

namespace hawser::gateway {

// Finds the server of a request on one listener. Built once per listener and snapshot; exact names by hash,
// wildcards longest first, then regexes in order, else the default server (nginx's rules).
class ServerIndex {
  public:
    explicit ServerIndex(const catalog::http::Listener& listener);
    ~ServerIndex();
    ServerIndex(ServerIndex&&) noexcept;
    ServerIndex& operator=(ServerIndex&&) noexcept;

    // host: as sent, without port. Named captures of a regex server_name go into exchange.values by
    // assign_captures.
    [[nodiscard]] std::shared_ptr<const catalog::http::VirtualServer> find(std::string_view host,
                                                                           Exchange& exchange) const;
    [[nodiscard]] const std::shared_ptr<const catalog::http::VirtualServer>& default_server() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The value of a variable / a template for this exchange. Unknown or unset values are "" (log formats print
// "-").
std::string value_of(catalog::http::VariableIndex variable, const Exchange& exchange);
std::string expand(const catalog::http::Template& text, const Exchange& exchange);

// What the phases decided.
struct GoProxy {};             // exchange.location->proxy says where
struct Answer {                // without an endpoint
    std::uint16_t status = 0;  // 444: close without a word
    std::string body;          // empty: the standard page for the status (for 4xx, 5xx, redirects)
    bool is_text = false;      // `return CODE "text"`: body is to be sent as it is, with default_type
    std::string location;      // redirects; already absolute if absolute_redirect asks for it
    std::string
        reason;  // for the error log: "access forbidden by rule", "limiting requests, excess: 0.5 by zone"
};
struct Delay {  // limit_req: go on after this long, then proxy
    std::chrono::milliseconds time{0};
};

// Counters of limit_conn and limit_req zones, shared by all workers and kept over snapshots, by zone name.
// Thread-safe (a mutex per shard; taken once per request and zone, and only where the configuration uses
// limits). Bounded by the zone's size: the least recently used key goes first.
class LimitZones;
std::shared_ptr<LimitZones> make_limit_zones();

// Holds what limit_conn counted for one exchange, until it is destroyed.
class LimitHold {
  public:
    LimitHold();
    ~LimitHold();
    LimitHold(LimitHold&&) noexcept;
    LimitHold& operator=(LimitHold&&) noexcept;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// real_ip, server script, find location, location script (again after `last`, at most 10 times), limits,
// access: nginx's phase order (post-read, server-rewrite, find-config, rewrite, post-rewrite, preaccess,
// access, content). Sets exchange.location, exchange.uri, args, client. `now` drives limit_req.
std::variant<GoProxy, Answer, Delay> run_phases(Exchange& exchange, LimitZones& zones, LimitHold& hold,
                                                SteadyTime now);

// The line of an access log, without the newline.
std::string render_log_line(const catalog::http::LogFormat& format, const Exchange& exchange);
// False when an if= condition says not to log ("" or "0").
bool wants_log(const catalog::http::AccessLog& log, const Exchange& exchange);

// The fields that proxy_set_header and the client's own fields make for the endpoint, in order, ready to be
// written
// ("Name: value\r\n" ...), for this attempt. Hop-by-hop fields that nginx blanks (Connection, Keep-Alive, TE,
// Upgrade, Proxy-Connection, Expect, Transfer-Encoding, Content-Length) are left to the caller, who frames
// the body; the configured Upgrade and Connection are in it.
struct UpstreamRequest {
    std::string method;
    std::string target;                                       // request target for the endpoint
    std::vector<std::pair<std::string, std::string>> fields;  // without body framing
    bool asks_upgrade = false;  // Upgrade and Connection: upgrade are both there
    std::string upgrade;        // its value
};
UpstreamRequest make_upstream_request(const Exchange& exchange, const catalog::http::Proxy& proxy);

// The URL of a proxy_pass with variables, taken apart: group by name, or address. Error: reason for a 500.
struct DynamicTarget {
    std::shared_ptr<const catalog::EndpointGroup> group;  // or
    std::optional<net::SocketAddress> address;
    std::string host_header;
    std::uint16_t port = 80;
    std::optional<std::string> uri;
};
net::Result<DynamicTarget> resolve_dynamic(const Exchange& exchange, const catalog::http::Proxy& proxy);

// The fields of the endpoint's answer that go to the client: hidden ones removed, proxy_redirect applied to
// Location and Refresh, hop-by-hop removed, add_header appended. Server and Date are nginx's business: see
// the .cc.
std::vector<std::pair<std::string, std::string>> make_client_fields(const Exchange& exchange,
                                                                    const catalog::http::Proxy& proxy);
// add_header for an answer of our own.
std::vector<std::pair<std::string, std::string>> make_added_fields(const Exchange& exchange,
                                                                   std::uint16_t status);

// The body of nginx's page for a status ("<html>\r\n<head><title>404 Not Found</title></head>..."), with
// hawser's name.
std::string standard_page(std::uint16_t status, bool server_tokens);
std::string_view reason_phrase(std::uint16_t status);
std::string content_type_for(const catalog::http::Settings& settings, std::string_view uri);

}  // namespace hawser::gateway
