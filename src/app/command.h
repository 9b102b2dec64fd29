// SPDX-License-Identifier: Apache-2.0
#pragma once

// The command line, parsed.

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "gateway/gateway.h"
#include "net/address.h"

namespace hawser::app {

namespace exit_code {
inline constexpr int good = 0, bad_input = 1, bad_usage = 2, unreachable = 3;
}

// What `run` and `check` share: where the configuration stands and how it is built.
struct Configuration {
    std::vector<std::string> manifests;
    std::vector<std::string> nginx;
    std::vector<std::string> keepalived;
    std::string config_id;                       // of keepalived.conf's @lines; "" = the host's name
    std::string node_name;                       // "" = by the node's addresses
    std::optional<std::string> state_directory;  // "" = nothing is kept; nothing: default_state_directory()
    std::vector<net::Cidr> service_cidrs;        // at most one of each family; empty: 10.96.0.0/12
    std::vector<net::Cidr> pod_cidrs;
    std::vector<net::Cidr> node_port_addresses;
    std::uint16_t node_port_min = 30000, node_port_max = 32767;
    std::vector<net::SocketAddress> http;  // where Ingress rules are served; empty: 0.0.0.0:80 and [::]:80
    std::string ingress_class = "hawser";
};

struct RunCommand {
    Configuration configuration;
    std::optional<net::SocketAddress> admin;  // nothing: no admin server
    std::vector<std::string> admin_hosts;
    unsigned workers = 0;  // 0 = one per core
    gateway::Limits limits;
    std::chrono::milliseconds drain_timeout{25'000};
    std::chrono::milliseconds drain_spread{5'000};
    bool watch = true;
    bool log_json = false;
    gateway::LogLevel log_level = gateway::LogLevel::info;
    std::string log_file;
    bool splice = true;  // where the kernel and the privileges allow it
    std::string splice_directory = "/sys/fs/bpf/hawser";
    std::uint32_t splice_tunnels = 524'288;
    std::uint16_t splice_port_low = 10'240, splice_port_high = 29'999;
    int vip_real_time_priority = 0;  // SCHED_FIFO; 0 = none
    std::chrono::seconds vip_lifetime{3};
    std::chrono::milliseconds vip_check_interval{3'000};  // 0: endpoints are not connected to
    std::string replication_key;  // a file; "": tunnels over VIPs are told to no other node
    std::vector<net::SocketAddress> replication_listen;  // empty: port 8112 of all addresses
    std::vector<net::SocketAddress> replication_peers;   // besides those that VRRP knows
    unsigned replication_nodes = 2;
    std::chrono::milliseconds replication_quiet{5'000};
};
struct CheckCommand {
    Configuration configuration;
};

enum class Output { table, wide, json, yaml };
enum class Resource { services, endpoints, routes, frontends, tunnels, vips, peers, snapshot };
struct GetCommand {
    net::SocketAddress admin;
    Resource resource = Resource::services;
    std::string name;  // "" = all
    std::string namespace_ = "default";
    bool all_namespaces = false;
    std::string service;  // of routes, frontends, tunnels
    bool no_headers = false;
    Output output = Output::table;
};
struct KillCommand {
    net::SocketAddress admin;
    std::vector<std::string> ids;
};
struct ReloadCommand {
    net::SocketAddress admin;
};
struct SpliceRemoveCommand {
    std::string directory = "/sys/fs/bpf/hawser";
};
struct VersionCommand {};

using Command =
    std::variant<RunCommand, CheckCommand, GetCommand, KillCommand, ReloadCommand, SpliceRemoveCommand, VersionCommand>;

// The command, or the exit code after a message was printed (help: on stdout and 0; bad usage: on stderr and
// 2).
std::variant<Command, int> parse_command_line(int argc, const char* const* argv);

// $XDG_STATE_HOME/hawser, or /var/lib/hawser for root, or ~/.local/state/hawser.
std::string default_state_directory();

const char* version();

}  // namespace hawser::app
