// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "gateway/http/exchange.h"

namespace hawser::gateway {

struct FoundLocation {
    std::shared_ptr<const catalog::http::Location> location;  // null: none matches
    bool add_slash = false;  // the URI lacks the final '/' of this location: redirect to it
};

// The location for exchange.uri by nginx's rules: exact; else the longest prefix and, inside it, its nested
// locations; then, unless the prefix forbids it (^~), the regexes in order. A regex that matches leaves its
// captures in the exchange.
FoundLocation find_location(const std::vector<std::shared_ptr<const catalog::http::Location>>& locations,
                            Exchange& exchange);

}  // namespace hawser::gateway
