// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "catalog/snapshot.h"
#include "control/sources.h"
#include "gateway/stats.h"
#include "splice/plane.h"
#include "vip/router.h"

namespace hawser::control {

struct MetricsInput {
    gateway::Stats stats;
    ReloadStatus reloads;
    std::uint64_t generation = 0;  // number of the snapshot in force, 0 = none
    bool ready = false;
    std::optional<splice::Plane::Stats> splice;  // nothing: the kernel carries nothing
    std::vector<vip::Status> vips;
    std::optional<replication::Status> replication;
};

// The Prometheus text format 0.0.4; docs/operations.md lists the names.
std::string metrics_text(const MetricsInput& input);

}  // namespace hawser::control
