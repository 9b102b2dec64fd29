// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "im/api.h"
#include "im/hub.h"
#include "im/limits.h"
#include "im/metrics.h"

namespace hawser::im {

// What every connection refers to. Belongs to main and outlives the connections.
struct Site {
    Hub& hub;
    Api& api;
    Metrics& metrics;
    const Limits& limits;
    std::vector<std::string> origins;  // allowed values of Origin; empty: all
    std::size_t connections = 0;       // open now
    std::size_t answering = 0;         // HTTP requests without a complete answer
};

}  // namespace hawser::im
