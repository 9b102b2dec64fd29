// SPDX-License-Identifier: Apache-2.0
#include "control/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace hawser::control {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

// Collects families; one call of add() a sample.
class Families {
  public:
    void begin(std::string name, std::string help, MetricType type) {
        MetricFamily family;
        family.name = std::move(name);
        family.help = std::move(help);
        family.type = type;
        families_.push_back(std::move(family));
    }
    ClientMetric& sample(const Labels& labels) {
        ClientMetric metric;
        for (const auto& [name, value] : labels) {
            ClientMetric::Label label;
            label.name = name;
            label.value = value;
            metric.label.push_back(std::move(label));
        }
        families_.back().metric.push_back(std::move(metric));
        return families_.back().metric.back();
    }
    void add(double value, const Labels& labels = {}) {
        ClientMetric& metric = sample(labels);
        if (families_.back().type == MetricType::Counter)
            metric.counter.value = value;
        else
            metric.gauge.value = value;
    }
    void counter(std::string name, std::string help, double value) {
        begin(std::move(name), std::move(help), MetricType::Counter);
        add(value);
    }
    void gauge(std::string name, std::string help, double value) {
        begin(std::move(name), std::move(help), MetricType::Gauge);
        add(value);
    }
    std::vector<MetricFamily> take() { return std::move(families_); }

  private:
    std::vector<MetricFamily> families_;
};

double number(std::uint64_t value) { return static_cast<double>(value); }

using PerService = gateway::Stats::PerService;

void add_by_service(Families& out, const gateway::Stats& stats, const char* name, const char* help,
                    MetricType type, std::uint64_t PerService::*member) {
    out.begin(name, help, type);
    for (const auto& [service, values] : stats.services)
        out.add(number(values.*member), {{"service", service}});
}

void add_by_direction(Families& out, const gateway::Stats& stats, const char* name, const char* help,
                      std::uint64_t PerService::*in, std::uint64_t PerService::*outward) {
    out.begin(name, help, MetricType::Counter);
    for (const auto& [service, values] : stats.services) {
        out.add(number(values.*in), {{"service", service}, {"dir", "in"}});
        out.add(number(values.*outward), {{"service", service}, {"dir", "out"}});
    }
}

void add_durations(Families& out, const gateway::Stats& stats) {
    out.begin("hawser_tunnel_duration_seconds", "how long closed tunnels lived", MetricType::Histogram);
    for (const auto& [service, values] : stats.services) {
        auto& histogram = out.sample({{"service", service}}).histogram;
        std::uint64_t cumulative = 0;
        for (std::size_t i = 0; i < values.durations.size(); ++i) {
            cumulative += values.durations[i];
            ClientMetric::Bucket bucket;
            bucket.cumulative_count = cumulative;
            bucket.upper_bound = i < gateway::duration_bounds.size()
                                     ? gateway::duration_bounds[i]
                                     : std::numeric_limits<double>::infinity();
            histogram.bucket.push_back(bucket);
        }
        histogram.sample_count = cumulative;
        histogram.sample_sum = values.duration_sum;
    }
}

void add_tunnels(Families& out, const gateway::Stats& stats) {
    add_by_service(out, stats, "hawser_tunnels_active", "tunnels now", MetricType::Gauge,
                   &PerService::tunnels_active);
    add_by_service(out, stats, "hawser_tunnels_opened_total", "tunnels since the start", MetricType::Counter,
                   &PerService::tunnels_opened);
    out.begin("hawser_tunnels_closed_total",
              "tunnels that ended: who began it, why, WebSocket close code (0: none)", MetricType::Counter);
    for (const auto& [key, count] : stats.tunnels_closed) {
        const auto& [service, by, reason, code] = key;
        out.add(number(count),
                {{"service", service}, {"by", by}, {"reason", reason}, {"ws_code", std::to_string(code)}});
    }
    add_durations(out, stats);
    add_by_direction(out, stats, "hawser_tunnel_bytes_total", "bytes of tunnels; in: from clients",
                     &PerService::bytes_in, &PerService::bytes_out);
    add_by_direction(out, stats, "hawser_tunnel_frames_total",
                     "WebSocket frames of tunnels; in: from clients", &PerService::frames_in,
                     &PerService::frames_out);
    out.begin("hawser_handshakes_total", "upgrade handshakes by how they ended", MetricType::Counter);
    for (const auto& [result, count] : stats.handshakes)
        out.add(number(count), {{"result", std::string(gateway::to_string(result))}});
}

void add_connections(Families& out, const gateway::Stats& stats) {
    out.gauge("hawser_connections_active", "client connections now, tunnels not included",
              number(stats.connections));
    out.counter("hawser_connections_accepted_total", "client connections accepted", number(stats.accepted));
    out.begin("hawser_connections_refused_total", "client connections refused, by cause",
              MetricType::Counter);
    for (const auto& [reason, count] : stats.refused) out.add(number(count), {{"reason", reason}});
    out.counter("hawser_accept_suspended_total", "times that accepting stopped for want of descriptors",
                number(stats.out_of_descriptors));
    out.begin("hawser_http_requests_total", "HTTP requests by the status of the answer", MetricType::Counter);
    for (const auto& [code, count] : stats.requests) out.add(number(count), {{"code", std::to_string(code)}});
    out.counter("hawser_http_bad_requests_total", "requests that did not parse", number(stats.bad_requests));
    out.begin("hawser_http_bytes_total", "bytes of HTTP, tunnels not included; in: from clients",
              MetricType::Counter);
    out.add(number(stats.bytes_from_clients), {{"dir", "in"}});
    out.add(number(stats.bytes_to_clients), {{"dir", "out"}});
    out.begin("hawser_endpoint_attempts_total", "attempts to reach endpoints, by what became of them",
              MetricType::Counter);
    for (const auto& [key, count] : stats.endpoint_attempts) {
        const auto& [service, endpoint, result] = key;
        out.add(number(count), {{"service", service}, {"endpoint", endpoint}, {"result", result}});
    }
    out.gauge("hawser_endpoint_idle_connections", "kept-alive connections to endpoints, unused now",
              number(stats.idle_endpoint_connections));
    out.gauge("hawser_udp_flows_active", "UDP flows now", number(stats.udp_flows));
    out.begin("hawser_udp_datagrams_total", "UDP datagrams; in: from clients", MetricType::Counter);
    out.add(number(stats.udp_datagrams_in), {{"dir", "in"}});
    out.add(number(stats.udp_datagrams_out), {{"dir", "out"}});
    out.counter("hawser_udp_dropped_total", "UDP datagrams that were not passed on",
                number(stats.udp_dropped));
}

void add_splice(Families& out, const splice::Plane::Stats& stats) {
    out.begin("hawser_splice_tunnels_active", "tunnels that the kernel carries", MetricType::Gauge);
    out.add(number(stats.tunnels.l7), {{"kind", "upgrade"}});
    out.add(number(stats.tunnels.l4_tcp), {{"kind", "tcp"}});
    out.add(number(stats.tunnels.l4_udp), {{"kind", "udp"}});
    out.gauge("hawser_splice_tunnels_standby", "tunnels that the node which has their VIP carries",
              number(stats.tunnels.standby));
    out.begin("hawser_splice_hand_offs_total", "live tunnels by what became of their hand-off", MetricType::Counter);
    out.add(number(stats.handed_off), {{"result", "spliced"}});
    out.add(number(stats.refused), {{"result", "refused"}});
    out.begin("hawser_splice_packets_total", "packets by what the program made of them", MetricType::Counter);
    for (unsigned i = 0; i < splice::layout::packet_counters; ++i)
        out.add(number(stats.counts[i]), {{"verdict", splice::to_string(static_cast<splice::layout::counter>(i))}});
    out.counter("hawser_splice_events_lost_total",
                "beginnings and ends of tunnels that the process had to look for, because it did not keep up",
                number(stats.counts[splice::layout::counter_event_lost]));
    out.gauge("hawser_splice_program_seconds", "how long the last change of the L4 tables took", stats.program_seconds);
    out.counter("hawser_splice_programmed_total", "snapshots brought into the L4 tables", number(stats.programmed));
    out.counter("hawser_splice_elements_written_total", "elements written into the L4 tables", number(stats.written));
}

void add_vips(Families& out, const std::vector<vip::Status>& vips) {
    out.begin("hawser_vip_active", "1 while this node is the virtual router's active one", MetricType::Gauge);
    for (const auto& vip : vips) out.add(vip.state == vip::State::active ? 1 : 0, {{"router", vip.name}});
    out.begin("hawser_vip_state", "1 for the state that it is in", MetricType::Gauge);
    for (const auto& vip : vips)
        for (const auto state : {vip::State::fault, vip::State::backup, vip::State::active})
            out.add(vip.state == state ? 1 : 0,
                    {{"router", vip.name}, {"state", std::string(vip::to_string(state))}});
    out.begin("hawser_vip_priority", "what is advertised, with all that is tracked", MetricType::Gauge);
    for (const auto& vip : vips) out.add(number(vip.priority), {{"router", vip.name}});
    out.begin("hawser_vip_became_active_total", "times that the addresses came to this node", MetricType::Counter);
    for (const auto& vip : vips) out.add(number(vip.counters.became_active), {{"router", vip.name}});
    out.begin("hawser_vip_adverts_total", "adverts by direction", MetricType::Counter);
    for (const auto& vip : vips) {
        out.add(number(vip.counters.sent), {{"router", vip.name}, {"dir", "out"}});
        out.add(number(vip.counters.received), {{"router", vip.name}, {"dir", "in"}});
    }
    out.begin("hawser_vip_adverts_discarded_total", "adverts that were not believed, by the first reason",
              MetricType::Counter);
    for (const auto& vip : vips)
        for (std::size_t i = 0; i < vip.counters.discarded.size(); ++i)
            out.add(number(vip.counters.discarded[i]),
                    {{"router", vip.name}, {"reason", std::string(to_string(static_cast<vip::Discarded>(i)))}});
    out.begin("hawser_vip_send_errors_total", "adverts that could not be sent", MetricType::Counter);
    for (const auto& vip : vips) out.add(number(vip.counters.send_errors), {{"router", vip.name}});
    out.begin("hawser_vip_conflicts_total", "claims of other hosts to addresses that are ours", MetricType::Counter);
    for (const auto& vip : vips) out.add(number(vip.counters.conflicts), {{"router", vip.name}});
}

void add_replication(Families& out, const replication::Status& status) {
    const auto each = [&](const char* name, const char* help, MetricType type, auto value) {
        out.begin(name, help, type);
        for (const auto& peer : status.peers)
            out.add(static_cast<double>(value(peer)), {{"peer", peer.name.empty() ? peer.address.ip.text() : peer.name}});
    };
    using Peer = replication::PeerStatus;
    each("hawser_replication_connected", "1 while the other node of our VIPs is connected", MetricType::Gauge,
         [](const Peer& p) { return p.connected ? 1 : 0; });
    each("hawser_replication_in_step", "1 when it has heard of every tunnel once", MetricType::Gauge,
         [](const Peer& p) { return p.in_step ? 1 : 0; });
    each("hawser_replication_lag_messages", "messages that it has not applied yet", MetricType::Gauge,
         [](const Peer& p) { return p.lag; });
    each("hawser_replication_lag_seconds", "since the oldest of them was sent", MetricType::Gauge,
         [](const Peer& p) { return static_cast<double>(p.lag_time.count()) / 1000; });
    out.begin("hawser_replication_messages_total", "messages by direction", MetricType::Counter);
    for (const auto& peer : status.peers) {
        const std::string name = peer.name.empty() ? peer.address.ip.text() : peer.name;
        out.add(number(peer.sent), {{"peer", name}, {"dir", "out"}});
        out.add(number(peer.received), {{"peer", name}, {"dir", "in"}});
    }
    each("hawser_replication_lost_total", "messages that it was too slow for; a snapshot makes up for them",
         MetricType::Counter, [](const Peer& p) { return p.lost; });
    each("hawser_replication_snapshots_total", "times that it was told of all tunnels", MetricType::Counter,
         [](const Peer& p) { return p.snapshots; });
    each("hawser_replication_not_carried_total", "tunnels of its that this node cannot carry on", MetricType::Counter,
         [](const Peer& p) { return p.not_carried; });
    out.counter("hawser_replication_refused_total", "connections of those who had not the key, or another protocol",
                number(status.refused));
}

void add_configuration(Families& out, const MetricsInput& input) {
    out.gauge("hawser_ready", "1 when a snapshot is in force and the process is not draining",
              input.ready ? 1 : 0);
    out.gauge("hawser_config_generation", "number of the snapshot in force, 0: none",
              number(input.generation));
    out.gauge("hawser_config_last_reload_success", "1 when the last attempt to read the sources succeeded",
              input.reloads.last_success ? 1 : 0);
    out.begin("hawser_config_reloads_total", "attempts to read the sources", MetricType::Counter);
    out.add(number(input.reloads.succeeded), {{"result", "success"}});
    out.add(number(input.reloads.failed), {{"result", "failure"}});
    const auto since = std::chrono::duration<double>(input.reloads.applied.time_since_epoch()).count();
    out.gauge("hawser_config_last_reload_success_timestamp_seconds", "when the sources were last applied",
              since);
    out.begin("hawser_build_info", "1; the version is in the label", MetricType::Gauge);
    out.add(1, {{"version", HAWSER_VERSION}});
}

// Fields of /proc/self/stat after the command's name, which may hold spaces: [0] is the state.
std::vector<std::string> process_fields() {
    std::ifstream file("/proc/self/stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto end = text.rfind(')');
    if (end == std::string::npos) return {};
    std::istringstream words(text.substr(end + 1));
    return {std::istream_iterator<std::string>(words), {}};
}

double boot_time() {
    std::ifstream file("/proc/stat");
    for (std::string word; file >> word;) {
        double value = 0;
        if (word == "btime" && file >> value) return value;
    }
    return 0;
}

// The names of Prometheus' client libraries ("process_*").
void add_process(Families& out) {
    constexpr std::size_t user = 11, system = 12, threads = 17, start = 19, virtual_bytes = 20, resident = 21;
    const auto fields = process_fields();
    if (fields.size() > resident) {
        const auto field = [&fields](std::size_t i) { return std::strtod(fields[i].c_str(), nullptr); };
        const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
        out.counter("process_cpu_seconds_total", "user and system time",
                    (field(user) + field(system)) / ticks);
        out.gauge("process_threads", "threads", field(threads));
        out.gauge("process_start_time_seconds", "since the epoch", boot_time() + field(start) / ticks);
        out.gauge("process_virtual_memory_bytes", "virtual memory", field(virtual_bytes));
        out.gauge("process_resident_memory_bytes", "resident memory",
                  field(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
    }
    std::error_code ignored;
    const std::filesystem::directory_iterator descriptors("/proc/self/fd", ignored);
    // One of them is the directory itself.
    if (!ignored)
        out.gauge("process_open_fds", "open descriptors",
                  static_cast<double>(std::distance(begin(descriptors), end(descriptors)) - 1));
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out.gauge("process_max_fds", "limit of open descriptors", static_cast<double>(limit.rlim_cur));
}

class Collector final : public prometheus::Collectable {
  public:
    explicit Collector(const MetricsInput& input) : input_(input) {}
    [[nodiscard]] std::vector<MetricFamily> Collect() const override {
        Families out;
        add_tunnels(out, input_.stats);
        add_connections(out, input_.stats);
        if (input_.splice) add_splice(out, *input_.splice);
        if (!input_.vips.empty()) add_vips(out, input_.vips);
        if (input_.replication) add_replication(out, *input_.replication);
        add_configuration(out, input_);
        add_process(out);
        return out.take();
    }

  private:
    const MetricsInput& input_;
};

}  // namespace

std::string metrics_text(const MetricsInput& input) {
    return prometheus::TextSerializer().Serialize(Collector(input).Collect());
}

}  // namespace hawser::control
