// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>

#include "bench/generator/load.h"

namespace hawser::bench {

std::string to_json(const LoadOptions& options, const LoadReport& report) {
    const auto per_second = [&](std::uint64_t count) {
        return report.seconds > 0 ? static_cast<double>(count) / report.seconds : 0.0;
    };
    const auto microseconds = [](std::uint64_t ns) { return static_cast<double>(ns) / 1e3; };
    boost::json::object errors;
    for (const auto& [what, count] : report.errors) errors[what] = count;
    const boost::json::object out{
        {"event", "report"},
        {"connections", options.connections},
        {"size", options.size},
        {"threads", options.threads},
        {"seconds", report.seconds},
        {"open_seconds", report.open_seconds},
        {"opened", report.opened},
        {"alive", report.alive},
        {"messages", report.messages},
        {"bytes", report.bytes},
        {"messages_per_second", per_second(report.messages)},
        {"megabytes_per_second", per_second(report.bytes) / 1e6},
        {"latency_us", boost::json::object{{"mean", report.latency.mean() / 1e3},
                                           {"p50", microseconds(report.latency.percentile(50))},
                                           {"p99", microseconds(report.latency.percentile(99))},
                                           {"p99.9", microseconds(report.latency.percentile(99.9))},
                                           {"max", microseconds(report.latency.max())}}},
        {"errors", errors},
    };
    return boost::json::serialize(out);
}

}  // namespace hawser::bench
