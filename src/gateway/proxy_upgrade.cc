// SPDX-License-Identifier: Apache-2.0
// ProxyExchange: a 101, and handshakes that failed.
#include <memory>
#include <vector>

#include "gateway/handshake.h"
#include "gateway/proxy_exchange.h"

namespace hawser::gateway {

namespace http = catalog::http;
namespace next_upstream = catalog::http::next_upstream;
using net::Duration;
using Framing = http1::Framing;

namespace {

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) out += c >= ' ' && c < 127 && c != '"' ? c : ' ';
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

}  // namespace

bool ProxyExchange::answer_is_upgrade(std::string& why_not) const {
    const auto& fields = x_.upstream_response.fields;
    const auto asked = x_.request.fields.find("Upgrade");
    if (!request_->asks_upgrade && !(asked && !request_->upgrade.empty())) {
        why_not = "no upgrade was asked for";
        return false;
    }
    if (proxy_.upgrade != http::UpgradePolicy::automatic) return true;  // nginx looks no further
    const auto token = fields.find("Upgrade");
    if (!token || !upgrade_was_asked(request_->upgrade, *token)) {
        why_not = "for \"" + printable(token.value_or("")) + "\" instead of \"" + request_->upgrade + "\"";
        return false;
    }
    const auto key = x_.request.fields.find("Sec-WebSocket-Key");
    if (!http1::same_name(*token, "websocket") || !key) return true;
    const auto accept = fields.find("Sec-WebSocket-Accept");
    if (accept && *accept == websocket_accept(*key)) return true;
    why_not = accept ? "with a wrong Sec-WebSocket-Accept" : "without Sec-WebSocket-Accept";
    return false;
}

void ProxyExchange::record_handshake(Handshake result, const std::string& words) {
    ++worker_.stats().handshakes[result];
    if (result == Handshake::accepted || !worker_.wants_log(LogLevel::warning)) return;
    worker_.log(LogLevel::warning,
                "handshake failed client=" + connection_.peer_.text() + " host=" + printable(x_.host) +
                    " uri=\"" + printable(x_.request.target) + "\" route=\"" + x_.location->route_id +
                    "\" endpoint=" + (x_.attempts.empty() ? std::string("-") : x_.attempts.back().endpoint) +
                    ": " + words);
}

void ProxyExchange::explain_refusal() {
    const std::string status = std::to_string(x_.status);
    const std::string said = printable(refusal_text_);
    std::string words =
        "the endpoint answered " + status + (said.empty() ? " with no text" : " with \"" + said + "\"");
    Handshake result = Handshake::endpoint_refused;
    if (!x_.request.fields.has_token("Connection", "upgrade")) {
        result = Handshake::no_connection_upgrade;
        words = "the client sent Upgrade without Connection: upgrade; " + words;
    } else if (!request_->asks_upgrade) {
        result = Handshake::endpoint_saw_no_upgrade;
        words =
            "the endpoint saw no Upgrade header (the configuration does not pass Upgrade and Connection "
            "on); " +
            words;
    }
    record_handshake(result, words);
}

namespace {

// What lives as long as the tunnel, and the lines of its access logs.
class UpgradeEnd final : public Worker::TunnelEnd {
  public:
    using TunnelEnd::TunnelEnd;

    void ended(const tunnel::Tunnel& tunnel) override {
        TunnelEnd::ended(tunnel);
        if (!logging) return;
        FrozenLog::End end;
        end.head_sent = logging->head_sent;
        end.bytes_sent = logging->head_sent + tunnel.from_endpoint.bytes;
        end.endpoint_sent = tunnel.from_client.bytes;
        end.endpoint_received = tunnel.from_endpoint.bytes;
        end.now = worker_.loop().system_now();
        end.now_steady = worker_.loop().now();
        end.duration = std::chrono::duration_cast<Duration>(end.now_steady - logging->request_started);
        end.endpoint_duration = std::chrono::duration_cast<Duration>(end.now_steady - logging->attempt_started);
        for (const FrozenLog& log : logging->logs) worker_.logs().write(log.path(), log.render(end));
    }

    struct Logging {
        std::uint64_t head_sent = 0;  // bytes of the 101
        SteadyTime request_started, attempt_started;
        std::vector<FrozenLog> logs;
    };
    balance::Hold hold;
    LimitHold limits;
    std::unique_ptr<Logging> logging;  // null: no log wants a line
};

}  // namespace

net::Task<HttpConnection::After> ProxyExchange::open_tunnel() {
    x_.status = 101;
    const auto upgrade = x_.upstream_response.fields.find("Upgrade");
    const std::string head = connection_.make_head(x_, make_client_fields(x_, proxy_), false, true);
    if (!co_await connection_.write_all(head, settings_.send_timeout)) {
        end_attempt("ok");
        co_return After::close;
    }
    record_handshake(Handshake::accepted, {});
    end_attempt("ok");
    ++worker_.stats().requests[101];

    tunnel::Tunnel tunnel;
    tunnel.kind = tunnel::Kind::upgrade;
    tunnel.protocol =
        upgrade && http1::same_name(*upgrade, "websocket") ? "websocket" : printable(upgrade.value_or("?"));
    tunnel.route = x_.location->route_id;
    tunnel.service = group_->service;
    tunnel.endpoint = group_->endpoints[picked_].address;
    tunnel.endpoint_name = group_->endpoints[picked_].name;
    tunnel.client = x_.client;
    tunnel.frontend = x_.local;
    tunnel.started = loop().system_now();
    tunnel.idle_timeout = proxy_.tunnel_idle_timeout;
    tunnel.may_splice = proxy_.splice;

    tunnel::Relay::Ends ends;
    ends.client = std::move(connection_.socket_);
    ends.endpoint = std::move(endpoint_->socket);
    ends.early_from_client = std::move(connection_.input_);
    ends.early_from_endpoint = std::move(endpoint_->input);

    auto end = std::make_unique<UpgradeEnd>(worker_);
    end->hold = std::move(hold_);
    end->limits = std::move(limit_hold_);
    x_.bytes_sent = connection_.bytes_to_client_;
    for (const auto& log : settings_.access_logs) {
        if (!wants_log(log, x_)) continue;
        if (!end->logging)
            end->logging = std::make_unique<UpgradeEnd::Logging>(
                UpgradeEnd::Logging{x_.bytes_sent, x_.started_steady, attempt_started_, {}});
        end->logging->logs.emplace_back(log, x_);
    }
    worker_.open_tunnel(std::move(tunnel), std::move(ends), std::move(connection_.pass_), std::move(end));
    co_return After::tunnel;
}

}  // namespace hawser::gateway
