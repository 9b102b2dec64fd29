// SPDX-License-Identifier: Apache-2.0
#include "im/metrics.h"

#include <prometheus/text_serializer.h>

#include <sstream>

namespace hawser::im {
namespace {

prometheus::Counter& counter(prometheus::Registry& registry, const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Gauge& gauge(prometheus::Registry& registry, const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

Metrics::Metrics(const std::string& pod)
    : ready(gauge(registry, "hawser_im_ready", "1 when messages can be stored")),
      connections(gauge(registry, "hawser_im_connections", "open TCP connections")),
      sessions(gauge(registry, "hawser_im_sessions", "signed-in WebSocket sessions")),
      users(gauge(registry, "hawser_im_users_online", "users online on all replicas")),
      messages_stored(
          counter(registry, "hawser_im_messages_stored_total", "messages stored and acknowledged here")),
      messages_duplicate(
          counter(registry, "hawser_im_messages_duplicate_total", "messages sent again and recognised")),
      messages_failed(
          counter(registry, "hawser_im_messages_failed_total", "messages that could not be stored")),
      messages_seen(counter(registry, "hawser_im_messages_seen_total",
                            "stored messages of all replicas that passed here")),
      frames_in(counter(registry, "hawser_im_frames_received_total", "WebSocket messages from clients")),
      bytes_in(counter(registry, "hawser_im_received_bytes_total", "their payload, inflated")),
      bytes_out(counter(registry, "hawser_im_sent_bytes_total", "payload to clients, before deflate")),
      rate_limited(counter(registry, "hawser_im_rate_limited_total", "requests refused by the rate limit")),
      connections_refused(counter(registry, "hawser_im_connections_refused_total",
                                  "connections beyond the limit or while draining")),
      append_seconds(
          prometheus::BuildHistogram()
              .Name("hawser_im_append_seconds")
              .Help("from a message's arrival to its durability")
              .Register(registry)
              .Add({}, prometheus::Histogram::BucketBoundaries{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                               0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10})),
      handshakes_failed_(prometheus::BuildCounter()
                             .Name("hawser_im_handshakes_failed_total")
                             .Help("WebSocket handshakes that were refused")
                             .Register(registry)),
      closed_(prometheus::BuildCounter()
                  .Name("hawser_im_sessions_closed_total")
                  .Help("WebSocket sessions by the close code that ended them; 1006: cut without one")
                  .Register(registry)),
      http_(prometheus::BuildCounter()
                .Name("hawser_im_http_responses_total")
                .Help("HTTP responses by status")
                .Register(registry)) {
    prometheus::BuildGauge()
        .Name("hawser_im_info")
        .Help("this replica")
        .Register(registry)
        .Add({{"pod", pod}})
        .Set(1);
}

prometheus::Counter& Metrics::handshake_failed(const std::string& reason) {
    return handshakes_failed_.Add({{"reason", reason}});
}

prometheus::Counter& Metrics::closed(unsigned code) {
    // The peer chooses its code: only the protocol's own get a label.
    const bool known = code >= 1000 && code <= 1015;
    return closed_.Add({{"code", known ? std::to_string(code) : "other"}});
}

prometheus::Counter& Metrics::http(unsigned status) {
    return http_.Add({{"status", std::to_string(status)}});
}

std::string Metrics::text() { return prometheus::TextSerializer().Serialize(registry.Collect()); }

}  // namespace hawser::im
