// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/endpoint.h"
#include "catalog/http.h"
#include "catalog/objects.h"
#include "catalog/vip.h"
#include "net/address.h"

namespace hawser::catalog {

enum class FrontendKind : std::uint8_t { node_port, external_ip, load_balancer, cluster_ip };
std::string_view to_string(FrontendKind kind);  // "NodePort", "ExternalIP", "LoadBalancer", "ClusterIP"

// Where L4 traffic arrives. The user-space gateway serves node_port, external_ip and load_balancer;
// cluster_ip waits for the kernel's tables and is shown only.
struct Frontend {
    std::string id;  // "default/im-service:9080/TCP@nodePort:30100", stable over snapshots
    FrontendKind kind = FrontendKind::node_port;
    // node_port: an unspecified address of the service's family stands for the node's addresses (S-06).
    net::SocketAddress address;
    Protocol protocol = Protocol::tcp;
    std::string service;       // "default/im-service"
    std::string service_port;  // port name, or the number as text when it has none
    // For clients from outside (P-02, P-03) and, when they differ, for clients of this node and of its pods
    // (P-04).
    std::shared_ptr<const EndpointGroup> group;
    std::shared_ptr<const EndpointGroup> cluster_group;
    // group is empty: refuse (P-06) or stay silent (P-03).
    enum class WhenEmpty : std::uint8_t { reject, drop } when_empty = WhenEmpty::reject;
    std::vector<net::Cidr> source_ranges;  // S-17: not inside = dropped; empty = everybody
    std::chrono::milliseconds tunnel_idle_timeout{3'600'000};
    std::chrono::milliseconds udp_idle_timeout{60'000};
};

// A service as `hawser get svc` and the API show it: the object, and all endpoints, the unusable ones too.
struct ServiceView {
    std::shared_ptr<const Service> object;  // ClusterIPs and nodePorts allocated
    struct EndpointView {
        net::SocketAddress address;
        std::string port_name;
        Protocol protocol = Protocol::tcp;
        std::string pod;  // "" = not known
        std::string node;
        bool ready = false, serving = false, terminating = false;
    };
    std::vector<EndpointView> endpoints;
    Position position;
};

// The immutable, numbered picture of everything at one moment. Planes hold it by shared_ptr<const Snapshot>.
struct Snapshot {
    std::uint64_t number = 0;  // 1, 2, 3 ... within a process
    std::chrono::system_clock::time_point created;
    std::vector<ServiceView> services;           // sorted by namespace, name
    std::vector<Frontend> frontends;             // sorted by id
    std::vector<http::Listener> listeners;       // sorted by address
    std::shared_ptr<const vip::Plan> vips;       // never null in a snapshot that was built
    std::vector<net::IpAddress> node_addresses;  // this node's when it was built (P-04)
    Diagnostics remarks;                         // warnings and notes of the sources and of the build
};

}  // namespace hawser::catalog
