// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/build.h"
#include "catalog/objects.h"
#include "net/error.h"

namespace hawser::catalog {

// The ClusterIPs and nodePorts that hawser handed out in place of an API server, so that a restart hands out
// the same. A value; the build changes it only when it succeeds.
class Allocations {
  public:
    // The text of a state file as text() writes it; "" is the empty state.
    static net::Result<Allocations> parse(std::string_view json);
    [[nodiscard]] std::string text() const;  // JSON, sorted, ends with a newline

    bool operator==(const Allocations&) const = default;

    std::map<std::string, std::string> cluster_ips;   // "default/im-service/IPv4" -> "10.104.253.46"
    std::map<std::string, std::uint16_t> node_ports;  // "default/im-service:9080/TCP" -> 30100
};

// Reads the state file; one that is not there is the empty state.
net::Result<Allocations> load_allocations(const std::string& path);
// Replaces the state file in one step (a new file, renamed over the old one).
net::Result<void> save_allocations(const std::string& path, const Allocations& allocations);

// Fills in what the API server would (S-16, S-20): clusterIP(s), ipFamilies, nodePorts, healthCheckNodePort.
// What the manifests name is reserved first; then what `allocations` remembers; the rest is found from a hash
// of namespace, name and port, so that machines with the same files agree even without a state file. services
// must be sorted by namespace and name. Numbers asked for twice, ranges that are full and families without a
// range are errors. Numbers of services that are gone are forgotten.
void allocate(std::vector<Sourced<Service>>& services, const BuildOptions& options, Allocations& allocations,
              Diagnostics& diagnostics);

}  // namespace hawser::catalog
