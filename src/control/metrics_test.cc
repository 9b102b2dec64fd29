// SPDX-License-Identifier: Apache-2.0
#include "control/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hawser::control {
namespace {

using testing::HasSubstr;

MetricsInput some_input() {
    MetricsInput input;
    input.generation = 7;
    input.ready = true;
    input.reloads.succeeded = 7;
    input.reloads.failed = 2;
    auto& stats = input.stats;
    stats.accepted = 11;
    stats.refused["per_client"] = 3;
    stats.requests[101] = 5;
    stats.handshakes[gateway::Handshake::endpoint_saw_no_upgrade] = 4;
    auto& service = stats.services["default/im-service"];
    service.tunnels_active = 2;
    service.tunnels_opened = 5;
    service.bytes_in = 1000;
    service.frames_out = 9;
    service.durations[0] = 1;                             // a blink
    service.durations[6] = 1;                             // within an hour
    service.durations[service.durations.size() - 1] = 1;  // longer than a month
    service.duration_sum = 4000.5;
    stats.tunnels_closed[{"default/im-service", "client", "finished", 1000}] = 3;
    stats.endpoint_attempts[{"default/im-service", "10.0.0.1:9080", "connect_error"}] = 1;
    return input;
}

TEST(Metrics, have_the_documented_names_and_labels) {
    const auto text = metrics_text(some_input());
    const std::string prefix = "hawser_tunnel_duration_seconds";
    for (const char* line : {
             "hawser_tunnels_active{service=\"default/im-service\"} 2\n",
             "hawser_tunnels_opened_total{service=\"default/im-service\"} 5\n",
             "hawser_tunnels_closed_total{service=\"default/"
             "im-service\",by=\"client\",reason=\"finished\",ws_code=\"1000\"} 3\n",
             "hawser_handshakes_total{result=\"endpoint_saw_no_upgrade\"} 4\n",
             "hawser_tunnel_bytes_total{service=\"default/im-service\",dir=\"in\"} 1000\n",
             "hawser_tunnel_frames_total{service=\"default/im-service\",dir=\"out\"} 9\n",
             "hawser_http_requests_total{code=\"101\"} 5\n",
             "hawser_connections_active 0\n",
             "hawser_connections_accepted_total 11\n",
             "hawser_connections_refused_total{reason=\"per_client\"} 3\n",
             "hawser_endpoint_attempts_total{service=\"default/"
             "im-service\",endpoint=\"10.0.0.1:9080\",result=\"connect_error\"} 1\n",
             "hawser_config_generation 7\n",
             "hawser_config_last_reload_success 0\n",
             "hawser_config_reloads_total{result=\"failure\"} 2\n",
             "hawser_ready 1\n",
             "# TYPE hawser_tunnels_closed_total counter\n",
             "# TYPE hawser_tunnel_duration_seconds histogram\n",
             "# TYPE process_resident_memory_bytes gauge\n",
         })
        EXPECT_THAT(text, HasSubstr(line));
}

TEST(Metrics, duration_buckets_are_cumulative_up_to_infinity) {
    const auto text = metrics_text(some_input());
    for (const char* line : {
             "hawser_tunnel_duration_seconds_bucket{service=\"default/im-service\",le=\"0.1\"} 1\n",
             "hawser_tunnel_duration_seconds_bucket{service=\"default/im-service\",le=\"900\"} 1\n",
             "hawser_tunnel_duration_seconds_bucket{service=\"default/im-service\",le=\"3600\"} 2\n",
             "hawser_tunnel_duration_seconds_bucket{service=\"default/im-service\",le=\"2592000\"} 2\n",
             "hawser_tunnel_duration_seconds_bucket{service=\"default/im-service\",le=\"+Inf\"} 3\n",
             "hawser_tunnel_duration_seconds_count{service=\"default/im-service\"} 3\n",
             "hawser_tunnel_duration_seconds_sum{service=\"default/im-service\"} 4000.5\n",
         })
        EXPECT_THAT(text, HasSubstr(line));
}

}  // namespace
}  // namespace hawser::control
