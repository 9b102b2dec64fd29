// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <string>

namespace hawser::im {

// What /metrics shows. Belongs to main; everything else has a reference.
class Metrics {
  public:
    explicit Metrics(const std::string& pod);

    prometheus::Registry registry;
    prometheus::Gauge& ready;
    prometheus::Gauge& connections;  // TCP, of both kinds
    prometheus::Gauge& sessions;     // signed in
    prometheus::Gauge& users;        // online on all replicas
    prometheus::Counter& messages_stored;
    prometheus::Counter& messages_duplicate;
    prometheus::Counter& messages_failed;
    prometheus::Counter& messages_seen;
    prometheus::Counter& frames_in;
    prometheus::Counter& bytes_in;
    prometheus::Counter& bytes_out;
    prometheus::Counter& rate_limited;
    prometheus::Counter& connections_refused;
    prometheus::Histogram& append_seconds;

    prometheus::Counter& handshake_failed(const std::string& reason);
    prometheus::Counter& closed(unsigned code);
    prometheus::Counter& http(unsigned status);

    [[nodiscard]] std::string text();

  private:
    prometheus::Family<prometheus::Counter>& handshakes_failed_;
    prometheus::Family<prometheus::Counter>& closed_;
    prometheus::Family<prometheus::Counter>& http_;
};

}  // namespace hawser::im
