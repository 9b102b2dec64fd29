// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/snapshot.h"
#include "splice/names.h"
#include "splice/program.h"

namespace hawser::splice {

// The L4 services of snapshots in the kernel's tables. Only what changed since the last snapshot is written:
// a group is written under its next generation, then turned over to, then the old one is removed, so that no
// packet meets half of a change. What an earlier process left is cleaned up after the first snapshot. One
// thread.
class Services {
  public:
    struct Options {
        std::vector<net::Cidr> pod_ranges, service_ranges;
        bool cluster_ips_only = false;  // the gateway serves the others, because it counts clients
    };
    Services(const Tables& tables, Names& names, Options options);

    struct Result {
        catalog::Diagnostics
            diagnostics;          // tables that are full: what stands there is not served by the kernel
        std::size_t written = 0;  // elements
        std::chrono::microseconds took{0};
        bool udp_changed = false;  // a UDP service has lost an endpoint
    };
    Result apply(std::shared_ptr<const catalog::Snapshot> snapshot);

    // Whether a service port's endpoint is not one of its service any more, while the service has others
    // (H-09). Keys of names, as flows have them.
    [[nodiscard]] bool is_gone(std::uint64_t service, std::uint64_t endpoint) const;
    // The keys of names that the tables use.
    [[nodiscard]] std::unordered_set<std::uint64_t> names_in_use() const;
    [[nodiscard]] std::size_t frontends() const { return snapshot_ ? snapshot_->frontends.size() : 0; }

  private:
    struct Programmed {
        std::shared_ptr<const catalog::EndpointGroup> group;
        layout::group value{};
        std::size_t users = 0;
        std::vector<std::uint64_t> endpoints;  // ids, by index
        std::size_t hash_parts = 0;
    };
    using Group = std::shared_ptr<const catalog::EndpointGroup>;

    [[nodiscard]] bool is_ours(const catalog::Frontend& frontend) const;
    void add(const catalog::Frontend& frontend);
    void remove(const catalog::Frontend& frontend);
    void change(const catalog::Frontend& before, const catalog::Frontend& now);
    void use(const Group& group);
    void leave(const Group& group);
    void write_group(const Group& group, Programmed& to);
    void remove_parts(std::uint64_t id, const Programmed& old);
    void write_addresses(const catalog::Snapshot& snapshot);
    void clean_up();
    void failed(const std::string& what, int error);
    template <class Table, class Key, class Value>
    void put(const Table& table, const Key& key, const Value& value, const char* what);
    [[nodiscard]] layout::frontend value_of(const catalog::Frontend& frontend);

    const Tables& tables_;
    Names& names_;
    Options options_;
    std::shared_ptr<const catalog::Snapshot> snapshot_;
    std::unordered_map<std::string, Programmed> groups_;  // by the group's id
    std::vector<std::pair<std::string, Group>> abandoned_;
    std::vector<net::IpAddress> node_addresses_, cluster_addresses_;
    Result* result_ = nullptr;
    bool is_full_ = false;
};

layout::frontend_key key_of(const catalog::Frontend& frontend);
// Smooth weighted round robin as a sequence of indices; empty when all weights are equal.
std::vector<std::uint32_t> weighted_turns(const catalog::EndpointGroup& group);
// The name under which flows know an endpoint of a service.
std::string endpoint_name(const catalog::Endpoint& endpoint);

}  // namespace hawser::splice
