// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "app/command.h"

namespace hawser::app {

using Row = std::vector<std::string>;

// kubectl's columns: each as wide as its widest cell and three spaces, six at least; nothing behind the last.
std::string print_table(const std::vector<Row>& rows);

// k8s.io/apimachinery duration.HumanDuration: "16d", "4h", "3h12m", "95s".
std::string human_duration(std::chrono::seconds duration);
// 1234567 -> "1.2M"; below 1000 as it is.
std::string human_bytes(std::uint64_t bytes);

// The rows, heading first, for the items of the list that the API answered.
struct TableOptions {
    bool wide = false;
    bool namespaces = false;  // a NAMESPACE column in front
    bool headers = true;
    std::chrono::system_clock::time_point now;
};
std::vector<Row> table_rows(Resource resource, const boost::json::array& items, const TableOptions& options);

}  // namespace hawser::app
