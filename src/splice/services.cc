// SPDX-License-Identifier: Apache-2.0
#include "splice/services.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "balance/maglev.h"
#include "splice/address.h"

namespace hawser::splice {

namespace {

using catalog::Frontend;
using catalog::FrontendKind;
using catalog::Scheduler;

constexpr std::size_t most_scanned = std::size_t{layout::hashes_per_chunk} * layout::hash_chunks;

layout::prefix_key prefix_of(const net::Cidr& cidr) {
    return {static_cast<std::uint32_t>(cidr.bits + (cidr.v4 ? 96 : 0)), to_table(cidr.network)};
}

layout::source_range_key range_of(const Frontend& frontend, const net::Cidr& cidr) {
    const std::uint64_t id = name_key(frontend.id);
    const auto prefix = prefix_of(cidr);
    // In network order: the trie compares from the first bit on.
    return {64 + prefix.bits, htonl(static_cast<std::uint32_t>(id >> 32)),
            htonl(static_cast<std::uint32_t>(id)), prefix.address};
}

layout::scheduler scheduler_of(const catalog::EndpointGroup& group) {
    switch (group.balancing.scheduler) {
        case Scheduler::rr:
            return layout::scheduler_rr;
        case Scheduler::least_connected:
            // Past what the program scans, turns are as good.
            return group.endpoints.size() > most_scanned ? layout::scheduler_rr
                                                         : layout::scheduler_least_connected;
        case Scheduler::source_hash:
            return layout::scheduler_source_hash;
        case Scheduler::destination_hash:
            return layout::scheduler_destination_hash;
        case Scheduler::maglev:
            return layout::scheduler_maglev;
        default:
            return layout::scheduler_random;
    }
}

// What the program draws from instead of the endpoints themselves.
std::vector<std::uint32_t> table_of(const catalog::EndpointGroup& group, layout::scheduler scheduler) {
    switch (scheduler) {
        case layout::scheduler_maglev:
            return balance::MaglevTable(group).entries();
        case layout::scheduler_source_hash:
        case layout::scheduler_destination_hash:
            if (group.endpoints.size() > most_scanned) return balance::MaglevTable(group).entries();
            return {};
        case layout::scheduler_rr:
        case layout::scheduler_random:
            return weighted_turns(group);
        default:
            return {};
    }
}

bool is_local(const Frontend& frontend) {
    return frontend.kind != FrontendKind::cluster_ip && frontend.group != frontend.cluster_group;
}

bool same(const Frontend& a, const Frontend& b) {
    return a.group == b.group && a.cluster_group == b.cluster_group && a.kind == b.kind &&
           a.address == b.address && a.protocol == b.protocol && a.when_empty == b.when_empty &&
           a.source_ranges == b.source_ranges && a.tunnel_idle_timeout == b.tunnel_idle_timeout &&
           a.udp_idle_timeout == b.udp_idle_timeout;
}

std::uint32_t seconds(std::chrono::milliseconds time) {
    return static_cast<std::uint32_t>((time.count() + 999) / 1000);
}

}  // namespace

std::string endpoint_name(const catalog::Endpoint& endpoint) {
    return endpoint.name + "|" + endpoint.address.text();
}

layout::frontend_key key_of(const Frontend& frontend) {
    layout::frontend_key key{};
    key.address = to_table(frontend.address.ip);
    key.port = htons(frontend.address.port);
    key.protocol = frontend.protocol == catalog::Protocol::udp ? IPPROTO_UDP : IPPROTO_TCP;
    return key;
}

std::vector<std::uint32_t> weighted_turns(const catalog::EndpointGroup& group) {
    std::uint64_t divisor = 0, total = 0;
    for (const auto& e : group.endpoints) divisor = std::gcd(divisor, std::uint64_t{e.weight});
    if (divisor == 0) return {};
    bool equal = true;
    for (const auto& e : group.endpoints) {
        total += e.weight / divisor;
        equal = equal && e.weight == group.endpoints.front().weight;
    }
    if (equal) return {};
    // nginx's smooth weighted round robin, as long as its period is, or 4,096 turns of it.
    std::vector<std::int64_t> current(group.endpoints.size());
    std::vector<std::uint32_t> out;
    for (std::uint64_t turn = 0; turn < std::min<std::uint64_t>(total, 4096); ++turn) {
        std::size_t best = 0;
        for (std::size_t i = 0; i < current.size(); ++i) {
            current[i] += static_cast<std::int64_t>(group.endpoints[i].weight / divisor);
            if (current[i] > current[best]) best = i;
        }
        current[best] -= static_cast<std::int64_t>(total);
        out.push_back(static_cast<std::uint32_t>(best));
    }
    return out;
}

Services::Services(const Tables& tables, Names& names, Options options)
    : tables_(tables), names_(names), options_(std::move(options)) {}

void Services::failed(const std::string& what, int error) {
    if (is_full_) return;  // once a snapshot
    is_full_ = true;
    result_->diagnostics.warning({}, "splice: " + what + ": " + std::strerror(error));
}

template <class Table, class Key, class Value>
void Services::put(const Table& table, const Key& key, const Value& value, const char* what) {
    ++result_->written;
    if (const int error = table.put(key, value); error != 0) failed(what, error);
}

Services::Result Services::apply(std::shared_ptr<const catalog::Snapshot> snapshot) {
    const auto began = std::chrono::steady_clock::now();
    Result result;
    result_ = &result;
    is_full_ = false;
    const bool first = !snapshot_;
    write_addresses(*snapshot);
    // Both are sorted by id.
    static const std::vector<Frontend> none;
    const auto& before = snapshot_ ? snapshot_->frontends : none;
    auto old = before.begin();
    auto now = snapshot->frontends.begin();
    std::vector<const Frontend*> removed;
    while (old != before.end() || now != snapshot->frontends.end()) {
        const int order = old == before.end()                ? 1
                          : now == snapshot->frontends.end() ? -1
                          : old->id == now->id               ? 0
                          : old->id < now->id                ? -1
                                                             : 1;
        if (order < 0) {
            removed.push_back(&*old++);
        } else if (order > 0) {
            add(*now++);
        } else {
            if (!same(*old, *now)) change(*old, *now);
            ++old;
            ++now;
        }
    }
    // An address may have gone from one Service to another: what is new stands already.
    for (const Frontend* frontend : removed) {
        const auto key = key_of(*frontend);
        const auto value = tables_.frontends.find(key);
        if (value && value->id == name_key(frontend->id)) tables_.frontends.erase(key);
        remove(*frontend);
    }
    for (const auto& [id, group] : abandoned_) {
        const auto at = groups_.find(id);
        if (at == groups_.end() || at->second.users != 0) continue;
        remove_parts(name_key(id), at->second);
        if (at->second.value.affine != 0)
            for (const std::uint64_t endpoint : at->second.endpoints)
                tables_.members.erase({name_key(id), endpoint});
        tables_.groups.erase(name_key(id));
        groups_.erase(at);
    }
    abandoned_.clear();
    snapshot_ = std::move(snapshot);
    if (first) clean_up();
    result_ = nullptr;
    result.took =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
    return result;
}

layout::frontend Services::value_of(const Frontend& frontend) {
    layout::frontend value{};
    value.id = name_key(frontend.id);
    value.port_id = name_key(frontend.cluster_group->id);
    value.route = names_.put(frontend.id);
    value.service = names_.put(frontend.service);
    value.group = name_key(frontend.group->id);
    value.cluster_group = name_key(frontend.cluster_group->id);
    if (frontend.group->balancing.affinity_timeout)
        value.affinity_seconds =
            static_cast<std::uint32_t>(frontend.group->balancing.affinity_timeout->count());
    value.idle_seconds = seconds(frontend.tunnel_idle_timeout);
    value.udp_idle_seconds = seconds(frontend.udp_idle_timeout);
    if (frontend.when_empty == Frontend::WhenEmpty::drop) value.flags |= layout::frontend_drop_when_empty;
    if (!frontend.source_ranges.empty()) value.flags |= layout::frontend_has_ranges;
    if (is_local(frontend)) value.flags |= layout::frontend_local;
    if (frontend.kind == FrontendKind::cluster_ip) value.flags |= layout::frontend_cluster_ip;
    return value;
}

bool Services::is_ours(const Frontend& frontend) const {
    if (frontend.protocol == catalog::Protocol::sctp || !frontend.group) return false;
    return !options_.cluster_ips_only || frontend.kind == FrontendKind::cluster_ip;
}

void Services::add(const Frontend& frontend) {
    if (!is_ours(frontend)) return;
    use(frontend.group);
    use(frontend.cluster_group);
    bool node_may_enter = false;
    for (const net::Cidr& range : frontend.source_ranges) {
        put(tables_.source_ranges, range_of(frontend, range), std::uint8_t{1}, "source ranges");
        for (const net::IpAddress& ip : node_addresses_)
            node_may_enter = node_may_enter || range.contains(ip);
    }
    // S-17: then what this node sends by the load balancer's address may enter too.
    if (node_may_enter)
        put(tables_.source_ranges, range_of(frontend, *net::Cidr::parse(frontend.address.ip.text())),
            std::uint8_t{1}, "source ranges");
    const layout::frontend value = value_of(frontend);
    if (!tables_.port_counters.has(value.port_id))
        put(tables_.port_counters, value.port_id, layout::port_counters{}, "service ports");
    put(tables_.frontends, key_of(frontend), value, "frontends");
}

void Services::remove(const Frontend& frontend) {
    if (!is_ours(frontend)) return;
    for (const net::Cidr& range : frontend.source_ranges)
        tables_.source_ranges.erase(range_of(frontend, range));
    if (!frontend.source_ranges.empty())
        tables_.source_ranges.erase(range_of(frontend, *net::Cidr::parse(frontend.address.ip.text())));
    leave(frontend.group);
    leave(frontend.cluster_group);
}

void Services::change(const Frontend& before, const Frontend& now) {
    if (before.source_ranges != now.source_ranges || key_of(before).port != key_of(now).port ||
        before.address != now.address) {
        const auto key = key_of(before);
        const bool moved = before.address != now.address;
        // Ranges first come, then go: nobody who may enter is turned away meanwhile.
        add(now);
        for (const net::Cidr& range : before.source_ranges)
            if (std::find(now.source_ranges.begin(), now.source_ranges.end(), range) ==
                now.source_ranges.end())
                tables_.source_ranges.erase(range_of(before, range));
        if (moved) tables_.frontends.erase(key);
    } else {
        add(now);
    }
    if (!is_ours(before)) return;
    leave(before.group);
    leave(before.cluster_group);
}

void Services::use(const Group& group) {
    Programmed& programmed = groups_[group->id];
    ++programmed.users;
    if (programmed.group == group) return;
    write_group(group, programmed);
}

void Services::leave(const Group& group) {
    const auto at = groups_.find(group->id);
    if (at == groups_.end() || at->second.users == 0) return;
    if (--at->second.users == 0) abandoned_.emplace_back(group->id, group);
}

void Services::write_group(const Group& group, Programmed& to) {
    const std::uint64_t id = name_key(group->id);
    Programmed next;
    next.group = group;
    next.users = to.users;
    const layout::scheduler scheduler = scheduler_of(*group);
    const auto existing = to.group ? std::optional(to.value) : tables_.groups.find(id);
    layout::group& value = next.value;
    value.generation = existing ? existing->generation + 1 : 1;
    value.count = static_cast<std::uint32_t>(group->endpoints.size());
    value.scheduler = static_cast<std::uint8_t>(scheduler);
    value.affine = group->balancing.affinity_timeout ? 1 : 0;
    const bool by_load = scheduler == layout::scheduler_least_connected;
    const auto turns = table_of(*group, scheduler);
    value.table_size = static_cast<std::uint32_t>(turns.size());

    layout::part_key part{id, value.generation, 0};
    for (const catalog::Endpoint& endpoint : group->endpoints) {
        layout::endpoint made{};
        made.address = to_table(endpoint.address.ip);
        made.port = htons(endpoint.address.port);
        made.id = names_.put(endpoint_name(endpoint));
        next.endpoints.push_back(made.id);
        put(tables_.endpoints, part, made, "endpoints");
        if (value.affine != 0) put(tables_.members, layout::member_key{id, made.id}, part.index, "endpoints");
        if (by_load && !tables_.loads.has(made.id)) put(tables_.loads, made.id, std::uint64_t{0}, "loads");
        ++part.index;
    }
    const bool hashed =
        by_load ||
        ((scheduler == layout::scheduler_source_hash || scheduler == layout::scheduler_destination_hash) &&
         turns.empty());
    for (std::size_t first = 0; hashed && first < next.endpoints.size(); first += layout::hashes_per_chunk) {
        layout::hashes hashes{};
        for (std::size_t i = first; i < std::min(first + layout::hashes_per_chunk, next.endpoints.size());
             ++i)
            hashes.value[i - first] =
                by_load ? next.endpoints[i] : balance::rendezvous_rank(group->endpoints[i].address);
        part.index = static_cast<std::uint32_t>(next.hash_parts++);
        put(tables_.hash_parts, part, hashes, "endpoint hashes");
    }
    for (std::size_t first = 0; first < turns.size(); first += layout::entries_per_chunk) {
        layout::entries entries{};
        const std::size_t count = std::min<std::size_t>(layout::entries_per_chunk, turns.size() - first);
        std::copy_n(turns.begin() + static_cast<std::ptrdiff_t>(first), count, entries.index);
        part.index = static_cast<std::uint32_t>(first / layout::entries_per_chunk);
        put(tables_.entry_parts, part, entries, "scheduler tables");
    }
    put(tables_.groups, id, value, "groups");
    if (to.group) {
        const bool udp = group->id.find("/UDP") != std::string::npos;
        for (const std::uint64_t endpoint : to.endpoints) {
            const bool stays =
                std::find(next.endpoints.begin(), next.endpoints.end(), endpoint) != next.endpoints.end();
            if (!stays) result_->udp_changed = result_->udp_changed || udp;
            if (to.value.affine != 0 && (!stays || value.affine == 0)) tables_.members.erase({id, endpoint});
        }
        remove_parts(id, to);
    }
    to = std::move(next);
}

void Services::remove_parts(std::uint64_t id, const Programmed& old) {
    layout::part_key part{id, old.value.generation, 0};
    for (; part.index < old.value.count; ++part.index) tables_.endpoints.erase(part);
    for (part.index = 0; part.index < old.hash_parts; ++part.index) tables_.hash_parts.erase(part);
    for (part.index = 0; part.index * layout::entries_per_chunk < old.value.table_size; ++part.index)
        tables_.entry_parts.erase(part);
}

void Services::write_addresses(const catalog::Snapshot& snapshot) {
    const auto bring = [this](const auto& table, std::vector<net::IpAddress>& have,
                              std::vector<net::IpAddress> want, const char* what) {
        std::sort(want.begin(), want.end());
        want.erase(std::unique(want.begin(), want.end()), want.end());
        if (!snapshot_) {
            have.clear();
            table.each([&have](const layout::address& a, std::uint32_t) { have.push_back(from_table(a)); });
            std::sort(have.begin(), have.end());
        }
        for (const net::IpAddress& ip : want)
            if (!std::binary_search(have.begin(), have.end(), ip))
                put(table, to_table(ip), std::uint32_t{1}, what);
        for (const net::IpAddress& ip : have)
            if (!std::binary_search(want.begin(), want.end(), ip)) table.erase(to_table(ip));
        have = std::move(want);
    };
    std::vector<net::IpAddress> node, cluster;
    for (const net::IpAddress& ip : snapshot.node_addresses)
        if (!ip.is_loopback()) node.push_back(ip);
    for (const Frontend& frontend : snapshot.frontends)
        if (frontend.kind == FrontendKind::cluster_ip) cluster.push_back(frontend.address.ip);
    bring(tables_.node_addresses, node_addresses_, std::move(node), "node addresses");
    bring(tables_.cluster_addresses, cluster_addresses_, std::move(cluster), "ClusterIPs");
    if (snapshot_) return;
    for (const auto& [table, ranges] : {std::pair(&tables_.pod_ranges, &options_.pod_ranges),
                                        std::pair(&tables_.service_ranges, &options_.service_ranges)}) {
        std::vector<layout::prefix_key> stale;
        table->each([&stale](const layout::prefix_key& key, std::uint8_t) { stale.push_back(key); });
        for (const auto& key : stale) table->erase(key);
        for (const net::Cidr& cidr : *ranges) put(*table, prefix_of(cidr), std::uint8_t{1}, "ranges");
    }
}

// What an earlier process has left and this snapshot does not have.
void Services::clean_up() {
    std::unordered_map<std::uint64_t, const Programmed*> by_id;
    std::unordered_set<std::uint64_t> frontends, ports, loads;
    for (const auto& [id, programmed] : groups_) {
        by_id[name_key(id)] = &programmed;
        if (programmed.value.scheduler != layout::scheduler_least_connected) continue;
        loads.insert(programmed.endpoints.begin(), programmed.endpoints.end());
    }
    for (const Frontend& frontend : snapshot_->frontends) {
        frontends.insert(name_key(frontend.id));
        if (frontend.cluster_group) ports.insert(name_key(frontend.cluster_group->id));
    }
    const auto erase_if = [](const auto& table, auto is_stale) {
        table.each([&](const auto& key, const auto& value) {
            if (is_stale(key, value)) table.erase(key);
        });
    };
    erase_if(tables_.frontends,
             [&](const auto&, const layout::frontend& f) { return !frontends.contains(f.id); });
    erase_if(tables_.groups, [&](std::uint64_t id, const auto&) { return !by_id.contains(id); });
    const auto is_old_part = [&](const layout::part_key& key, const auto&) {
        const auto at = by_id.find(key.group);
        return at == by_id.end() || at->second->value.generation != key.generation;
    };
    erase_if(tables_.endpoints, is_old_part);
    erase_if(tables_.hash_parts, is_old_part);
    erase_if(tables_.entry_parts, is_old_part);
    erase_if(tables_.members, [&](const layout::member_key& key, std::uint32_t) {
        const auto at = by_id.find(key.group);
        if (at == by_id.end()) return true;
        const auto& endpoints = at->second->endpoints;
        return std::find(endpoints.begin(), endpoints.end(), key.endpoint) == endpoints.end();
    });
    erase_if(tables_.port_counters, [&](std::uint64_t id, const auto&) { return !ports.contains(id); });
    erase_if(tables_.loads, [&](std::uint64_t id, const auto&) { return !loads.contains(id); });
    erase_if(tables_.source_ranges, [&](const layout::source_range_key& key, std::uint8_t) {
        const std::uint64_t id = std::uint64_t{ntohl(key.frontend_high)} << 32 | ntohl(key.frontend_low);
        return !frontends.contains(id);
    });
}

bool Services::is_gone(std::uint64_t service, std::uint64_t endpoint) const {
    if (!snapshot_) return false;
    bool has_others = false;
    for (const Frontend& frontend : snapshot_->frontends) {
        if (frontend.protocol != catalog::Protocol::udp || name_key(frontend.service) != service) continue;
        for (const auto& group : {frontend.group, frontend.cluster_group}) {
            for (const catalog::Endpoint& e : group->endpoints) {
                if (name_key(endpoint_name(e)) == endpoint) return false;
                has_others = true;
            }
        }
    }
    return has_others;
}

std::unordered_set<std::uint64_t> Services::names_in_use() const {
    std::unordered_set<std::uint64_t> out;
    if (!snapshot_) return out;
    for (const Frontend& frontend : snapshot_->frontends) {
        out.insert(name_key(frontend.id));
        out.insert(name_key(frontend.service));
    }
    for (const auto& [id, programmed] : groups_)
        out.insert(programmed.endpoints.begin(), programmed.endpoints.end());
    return out;
}

}  // namespace hawser::splice
