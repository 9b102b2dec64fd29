// SPDX-License-Identifier: Apache-2.0
#pragma once

// What Kubernetes' endpoint slice controllers do, for objects that come from files: a Service's selector and
// the Pods give endpoints, joined with the slices and Endpoints that are there already.

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "catalog/objects.h"
#include "net/address.h"

namespace hawser::catalog {

// One endpoint of one port of a Service, usable or not.
struct ServiceEndpoint {
    net::SocketAddress address;
    std::string port_name;
    Protocol protocol = Protocol::tcp;
    std::string pod;  // "namespace/name"; "" = not known
    std::string node;
    std::string zone;
    bool ready = false, serving = false, terminating = false;
    std::vector<std::string> for_zones, for_nodes;  // hints (E-10)
    bool operator==(const ServiceEndpoint&) const = default;
};

// Looks endpoints up by Service. Refers to the objects, which must outlive it.
class EndpointIndex {
  public:
    explicit EndpointIndex(const Objects& objects);

    // Sorted by port name, protocol, address; each address once per port (E-05). Slices (E-01..E-04, E-14)
    // come before Endpoints, and these before what the selector finds (S-03, E-06, E-08): where two tell
    // different things of one address, the earlier is believed. ExternalName services have none.
    [[nodiscard]] std::vector<ServiceEndpoint> endpoints_of(const Service& service) const;

    // Pods that a selector could find and that have no Ready condition, which counts as not ready.
    void warn_of_pods_without_condition(Diagnostics& diagnostics) const;

  private:
    void add_slices(const Service& service, std::vector<ServiceEndpoint>& out) const;
    void add_endpoints(const Service& service, std::vector<ServiceEndpoint>& out) const;
    void add_pods(const Service& service, std::vector<ServiceEndpoint>& out) const;
    void add_pod(const Service& service, const Pod& pod, std::vector<ServiceEndpoint>& out) const;
    [[nodiscard]] std::string zone_of(const std::string& node) const;

    const Objects& objects_;
    std::unordered_map<std::string, std::vector<const EndpointSlice*>> slices_;  // by "namespace/service"
    std::unordered_map<std::string, const Endpoints*> endpoints_;                // by "namespace/service"
    std::unordered_map<std::string, std::vector<const Pod*>> pods_;              // by "namespace/label=value"
    std::unordered_map<std::string, std::string> zones_;                         // node -> zone
};

}  // namespace hawser::catalog
