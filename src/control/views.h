// SPDX-License-Identifier: Apache-2.0
#pragma once

// A snapshot and the live tunnels as JSON, in the shape in which the Kubernetes API gives lists:
// {"kind": "ServiceList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [...]}.

#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/snapshot.h"
#include "control/sources.h"
#include "tunnel/tunnel.h"
#include "vip/router.h"

namespace hawser::control {

// What a query asks for; nothing = all.
struct Filter {
    std::optional<std::string> namespace_;
    std::optional<std::string> name;     // of the object
    std::optional<std::string> service;  // "default/im-service", or the name alone in any namespace
    [[nodiscard]] bool takes_service(std::string_view service_name) const;
    [[nodiscard]] bool takes(const catalog::ObjectMeta& metadata) const;
};

using FirstSeen = std::map<std::string, std::chrono::system_clock::time_point>;

// v1 ServiceList: the objects with what hawser allocated; creationTimestamp filled in from `seen`.
boost::json::object service_list(const catalog::Snapshot& snapshot, const FirstSeen& seen,
                                 const Filter& filter);
// discovery.k8s.io/v1 EndpointSliceList: all endpoints, the unusable ones too, of all services.
boost::json::object endpoint_list(const catalog::Snapshot& snapshot, const FirstSeen& seen,
                                  const Filter& filter);
// RouteList of hawser's own: listen, hosts, match, path, backend with its endpoints, where it is written.
boost::json::object route_list(const catalog::Snapshot& snapshot, const Filter& filter);
// FrontendList: where L4 traffic arrives.
boost::json::object frontend_list(const catalog::Snapshot& snapshot, const Filter& filter);
// TunnelList of at most `limit` tunnels whose id is above `after`, by id. metadata.continue is the next
// `after`.
boost::json::object tunnel_list(std::vector<tunnel::Tunnel> tunnels, const Filter& filter, std::size_t limit,
                                std::uint64_t after);
// VipList: the virtual routers of this node and their addresses.
boost::json::object peer_list(const replication::Status& status, const Filter& filter);
boost::json::object vip_list(const std::vector<vip::Status>& vips, const Filter& filter);
// The number and contents of what is in force (null: nothing yet), and how the last attempt went: last_error
// is null, or its time, cause and every diagnostic.
boost::json::object snapshot_view(const catalog::Snapshot* snapshot, const ReloadStatus& status);

boost::json::object tunnel_view(const tunnel::Tunnel& tunnel);
boost::json::array diagnostics_view(const catalog::Diagnostics& diagnostics);
std::string rfc3339(std::chrono::system_clock::time_point time);  // "2026-11-22T12:00:00Z"

}  // namespace hawser::control
