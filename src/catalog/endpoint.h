// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catalog/http_template.h"
#include "net/address.h"

namespace hawser::catalog {

// Live counters of one endpoint. One object per (group id, address) for the whole life of the process: the
// builder hands it from snapshot to snapshot, and all workers count in it, so that "least connections" still
// knows the tunnels of yesterday's snapshots.
struct EndpointState {
    std::atomic<std::int64_t> active{0};  // requests and tunnels now
    std::atomic<std::uint64_t> opened{0};
    std::atomic<std::uint64_t> failed{0};  // could not connect, reset, timed out, invalid answer
};

// One pod (or nginx `server` line) behind a service port. Only usable ones stand in an EndpointGroup.
struct Endpoint {
    net::SocketAddress address;
    std::string name;  // "namespace/pod", or what nginx.conf says ("192.168.0.100:30100"), for logs
    std::string node;  // "" = not known
    std::string zone;
    bool local = false;        // on this node (E-12)
    bool terminating = false;  // serving while it goes (E-07)

    // nginx `server` parameters; the defaults are nginx's. A service's endpoints have weight 1 and
    // max_fails 0.
    std::uint32_t weight = 1;     // >= 1
    std::uint32_t max_fails = 1;  // 0 = never taken out
    std::chrono::milliseconds fail_timeout{10'000};
    std::uint32_t max_conns = 0;  // 0 = no limit
    bool backup = false;
    bool down = false;

    std::shared_ptr<EndpointState> state;  // never null in a snapshot
};

enum class Scheduler : std::uint8_t {
    rr,                // (weighted) round robin, nginx's smooth algorithm; kube-router `rr`
    random,            // kube-proxy's choice, kept for a Service without annotation
    least_connected,   // kube-router `lc`, nginx `least_conn`; weighted
    random_two,        // nginx `random two` (power of two choices)
    source_hash,       // kube-router `sh`: rendezvous hashing of the client address: the same on every node
    destination_hash,  // kube-router `dh`: rendezvous hashing of the destination address
    maglev,            // kube-router `mh`: Maglev table over the client address
    ip_hash,           // nginx `ip_hash`, bit for bit
    hash,              // nginx `hash KEY`, bit for bit
    hash_consistent,   // nginx `hash KEY consistent` (ketama), bit for bit
};
std::string_view to_string(Scheduler scheduler);

struct Balancing {
    Scheduler scheduler = Scheduler::rr;
    http::Template hash_key;                               // hash, hash_consistent
    std::optional<std::chrono::seconds> affinity_timeout;  // sessionAffinity ClientIP: 1..86400 s
};

// The usable endpoints of one service port (or of one nginx `upstream`) for one traffic policy, and how one
// of them is picked. Immutable. A new snapshot shares the groups that did not change.
struct EndpointGroup {
    // "default/im-service:9080/TCP", with "/local" behind it for the node-local set; "nginx:websocket" for an
    // upstream block; "nginx:http://10.0.0.1:80" for a proxy_pass to an address.
    std::string id;
    std::string service;              // "default/im-service" or "websocket": what logs and metrics show
    std::vector<Endpoint> endpoints;  // services: sorted by address; nginx: in the order of the file
    Balancing balancing;
    std::uint32_t keepalive = 0;  // idle connections kept per worker; 0 = none (nginx 1.22's default)
    std::uint32_t keepalive_requests = 1000;
    std::chrono::milliseconds keepalive_timeout{60'000};
    std::chrono::milliseconds keepalive_time{3'600'000};  // a connection older than this is not kept
    bool has_any_endpoint =
        true;  // false: the service has no endpoint anywhere (P-06: reject even under Local)
};

}  // namespace hawser::catalog
