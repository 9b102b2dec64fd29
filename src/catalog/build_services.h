// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "catalog/build.h"
#include "catalog/build_groups.h"
#include "catalog/controllers.h"
#include "catalog/topology.h"

namespace hawser::catalog {

// A Service with its endpoints, as the build passes it around.
struct ServiceModel {
    std::shared_ptr<const Service> object;  // allocated
    Position position;
    std::vector<ServiceEndpoint> endpoints;  // all, the unusable ones too
};

// "default/im-service:9080/TCP", with "/IPv6" behind it for the IPv6 set; a named port stands by its name.
std::string group_id(const Service& service, const ServicePort& port, bool v4);

// The families that a service is served in, from its clusterIPs (S-20).
std::vector<bool> families_of(const Service& service);  // true = IPv4

// How a service's endpoints are picked: the annotation kube-router.io/service.scheduler, else session
// affinity, else kube-proxy's random choice. A scheduler that kube-router does not know is a warning and rr.
Balancing balancing_of(const ServiceModel& service, Diagnostics& diagnostics);

// The endpoint groups of one service port and family.
struct PortGroups {
    std::shared_ptr<const EndpointGroup> cluster, local;
};
PortGroups make_groups(const ServiceModel& service, const ServicePort& port, bool v4,
                       const Balancing& balancing, const NodeIdentity& node, GroupShelf& shelf);

// Whether kube-proxy would serve it (S-01): not ExternalName, not headless, not given to another proxy.
bool is_served(const Service& service);

// All frontends of the service (S-02, S-05, S-08, S-10, S-13, S-17; P-01 to P-03, P-06, P-10).
std::vector<Frontend> make_frontends(const ServiceModel& service, const BuildOptions& options,
                                     const NodeIdentity& node, GroupShelf& shelf, Diagnostics& diagnostics);

}  // namespace hawser::catalog
