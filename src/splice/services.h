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

// The L4 services of snapshots in the kernel's tables. Only what changed since the last snapshot is written,
// many elements with one system call: groups under their next generation, then what turns over to it, then
// the frontends; what is old is removed at the end, so that no packet meets half of a change. What an earlier
// process left is cleaned up after the first snapshot. One thread.
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
    // Takes the counters of endpoints out that no group has and no tunnel goes to.
    void forget_loads();
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

    // What the snapshot that is being applied has yet to write.
    struct Pending {
        explicit Pending(const Tables& tables);
        // These may stand in their tables before anything refers to them, so full batches are written early.
        Names::Batch names;
        Batch<layout::part_key, layout::endpoint> endpoints;
        Batch<layout::part_key, layout::hashes> hash_parts;
        Batch<layout::part_key, layout::entries> entry_parts;
        Batch<std::uint64_t, std::uint64_t> loads;
        Batch<std::uint64_t, layout::port_counters> port_counters;
        Batch<layout::source_range_key, std::uint8_t> source_ranges;
        Batch<layout::address, std::uint32_t> cluster_addresses;
        // These take effect; in this order.
        Batch<layout::member_key, std::uint32_t> members;
        Batch<std::uint64_t, layout::group> groups;
        Batch<layout::frontend_key, layout::frontend> frontends;
    };
    // A frontend of the last snapshot, and what it is in this one; null: it is gone.
    struct Outdated {
        const catalog::Frontend* before;
        const catalog::Frontend* now;
    };

    void adopt();
    void compare(const catalog::Snapshot& snapshot);
    void write_pending();
    void remove_old();
    void remove_group(const std::string& id);
    void hold_address(const catalog::Frontend& frontend);
    void leave_address(const catalog::Frontend& frontend);
    [[nodiscard]] std::uint32_t generation_of(std::uint64_t id, const Programmed& programmed) const;
    [[nodiscard]] bool is_ours(const catalog::Frontend& frontend) const;
    void add(const catalog::Frontend& frontend);
    void remove(const Outdated& outdated);
    void use(const Group& group);
    void leave(const Group& group);
    void write_group(const Group& group, Programmed& to);
    void write_tables(const Group& group, layout::scheduler scheduler, Programmed& to);
    void remove_members(std::uint64_t id, const Programmed& old, const Programmed* now);
    void remove_parts(std::uint64_t id, const Programmed& old);
    void write_addresses(const catalog::Snapshot& snapshot);
    void write_ranges();
    void clean_up();
    void failed(const std::string& what, int error);
    template <class Key, class Value>
    void put(Batch<Key, Value>& batch, const Key& key, const Value& value, const char* what);
    template <class Key, class Value>
    void put_now(const Table<Key, Value>& table, const Key& key, const Value& value, const char* what);
    template <class Key, class Value>
    void put_last(Batch<Key, Value>& batch, const Key& key, const Value& value);
    template <class Key, class Value>
    void write(Batch<Key, Value>& batch, const char* what);
    std::uint64_t put_name(const std::string& name);
    [[nodiscard]] layout::frontend value_of(const catalog::Frontend& frontend);

    const Tables& tables_;
    Names& names_;
    Options options_;
    std::shared_ptr<const catalog::Snapshot> snapshot_;
    std::unordered_map<std::string, Programmed> groups_;  // by the group's id
    std::vector<net::IpAddress> node_addresses_;
    std::map<net::IpAddress, std::size_t> cluster_addresses_;  // how many frontends have it
    std::unordered_set<std::uint64_t> counted_, loaded_;       // the keys of port_counters and loads
    // Of the snapshot that is being applied.
    Pending pending_;
    std::vector<Outdated> outdated_;
    std::vector<std::string> abandoned_;                          // ids of groups
    std::vector<std::pair<std::uint64_t, Programmed>> replaced_;  // old generations, by the group's key
    // Of the groups that an earlier process left, by key; of the first snapshot alone.
    std::unordered_map<std::uint64_t, std::uint32_t> generations_;
    Result* result_ = nullptr;
    bool is_full_ = false;
};

layout::frontend_key key_of(const catalog::Frontend& frontend);
// Smooth weighted round robin as a sequence of indices; empty when all weights are equal.
std::vector<std::uint32_t> weighted_turns(const catalog::EndpointGroup& group);
// The name under which flows know an endpoint of a service.
std::string endpoint_name(const catalog::Endpoint& endpoint);

}  // namespace hawser::splice
