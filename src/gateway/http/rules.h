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

// What stands in the Server field and at the foot of error pages, where nginx says "nginx".
inline constexpr std::string_view product_name = "hawser";

// Finds the server of a request on one listener. Built once per listener and snapshot; exact names by hash,
// wildcards longest first, then regexes in order, else the default server (nginx's rules).
class ServerIndex {
  public:
    explicit ServerIndex(const catalog::http::Listener& listener);
    ~ServerIndex();
    ServerIndex(ServerIndex&&) noexcept;
    ServerIndex& operator=(ServerIndex&&) noexcept;

    // host: as sent, without port; "" if there is none. When a regex server_name matches, its captures go
    // into the exchange (and exchange.server is set, because the named ones are variables of that server).
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
// limit_req: go on after this long, then proxy. limit_conn and access were settled before, so that nothing is
// left to decide afterwards.
struct Delay {
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
// access, content). Needs exchange.server, uri, args, host and peer. Sets exchange.location, uri, args,
// client and the variables of scripts. `now` drives limit_req. A declared body above client_max_body_size is
// answered with 413 here; a chunked one is the reader's to count. Call it once per request.
std::variant<GoProxy, Answer, Delay> run_phases(Exchange& exchange, LimitZones& zones, LimitHold& hold,
                                                SteadyTime now);

// The URI that an answer's X-Accel-Redirect sends the request to ("/private/a?b"), unless
// proxy_ignore_headers has it. Names of locations ("@name") are not known here and yield nothing.
std::optional<std::string> internal_redirect_of(const Exchange& exchange, const catalog::http::Proxy& proxy);
// The phases again for another URI, as `internal` request. The caller makes the method GET unless it is HEAD.
std::variant<GoProxy, Answer, Delay> redirect_internally(Exchange& exchange, std::string_view target,
                                                         LimitZones& zones, LimitHold& hold, SteadyTime now);

// The line of an access log, without the newline.
std::string render_log_line(const catalog::http::LogFormat& format, const Exchange& exchange);
// False when an if= condition says not to log ("" or "0").
bool wants_log(const catalog::http::AccessLog& log, const Exchange& exchange);

// The URL of a proxy_pass with variables, taken apart: group by name, or address. Error: reason for a 500.
struct DynamicTarget {
    std::shared_ptr<const catalog::EndpointGroup> group;  // or
    std::optional<net::SocketAddress> address;
    std::string host_header;  // for exchange.proxy_host
    std::uint16_t port = 80;  // for exchange.proxy_port
    std::optional<std::string> uri;
};
net::Result<DynamicTarget> resolve_dynamic(const Exchange& exchange, const catalog::http::Proxy& proxy);

// The request for the endpoint. Fields in nginx's order: those of proxy_set_header (a value that is empty
// drops the field), then the client's own, as sent, without those that are configured and without Host,
// Connection, Keep-Alive, TE, Upgrade, Expect, Content-Length and Transfer-Encoding. Framing the body
// (Content-Length, Transfer-Encoding) is left to the caller; Host, Upgrade and Connection are here.
//
// UpgradePolicy::automatic: Upgrade and Connection are not the configuration's. `Connection: upgrade` and the
// client's Upgrade are here if both were sent and something but h2c was asked for; otherwise there is neither
// field, and the caller decides on keep-alive. Fields that the client's Connection names are dropped.
struct UpstreamRequest {
    std::string method;
    std::string target;                                       // request target for the endpoint
    std::vector<std::pair<std::string, std::string>> fields;  // without body framing
    bool asks_upgrade = false;  // Upgrade and Connection: upgrade are both there
    std::string upgrade;        // its value
};
// target: what resolve_dynamic said, for a proxy whose URL has variables; set exchange.proxy_host and
// proxy_port first, for $proxy_host.
UpstreamRequest make_upstream_request(const Exchange& exchange, const catalog::http::Proxy& proxy,
                                      const DynamicTarget* target = nullptr);

// The fields of the endpoint's answer (exchange.upstream_response) for the client, in nginx's order: Server
// and Date (hawser's own; the endpoint's stand with the others if proxy_pass_header keeps them),
// Content-Type, Content-Length, Last-Modified, a Location that proxy_redirect changed, the others as they
// came, add_header. Hidden ones are gone; so are Connection, Keep-Alive and Transfer-Encoding, which the
// caller writes. A Content-Length is among them if it counts (not with a chunked body, nor with 101 and 204).
// A 101 has `Connection: upgrade` and the endpoint's Upgrade, and no other hop-by-hop field.
std::vector<std::pair<std::string, std::string>> make_client_fields(const Exchange& exchange,
                                                                    const catalog::http::Proxy& proxy);
// add_header for an answer of our own.
std::vector<std::pair<std::string, std::string>> make_added_fields(const Exchange& exchange,
                                                                   std::uint16_t status);
// The value of a Date field (RFC 9110 §5.6.7).
std::string http_date(SystemTime time);

// The body of nginx's page for a status ("<html>\r\n<head><title>404 Not Found</title></head>..."), with
// hawser's name, whatever server_tokens says. Statuses without a page, as in nginx, yield "". Type:
// text/html. 494 to 497 are nginx's special pages of a 400.
std::string standard_page(std::uint16_t status, bool server_tokens);
// The same with the padding that nginx adds to 4xx and 5xx for old Internet Explorers and for Chrome.
std::string standard_page(const Exchange& exchange, std::uint16_t status);
// "Moved Temporarily"; "" for a status that nginx has no words for (the status line ends in a space then).
std::string_view reason_phrase(std::uint16_t status);
// By the extension of the URI; default_type if it is not known.
std::string content_type_for(const catalog::http::Settings& settings, std::string_view uri);

}  // namespace hawser::gateway
