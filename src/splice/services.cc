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

template <class Programmed>
bool has(const Programmed& group, std::uint64_t endpoint) {
    return std::find(group.endpoints.begin(), group.endpoints.end(), endpoint) != group.endpoints.end();
}

// Whether `now` has not all endpoints of `before`.
template <class Programmed>
bool has_lost(const Programmed& before, const Programmed& now) {
    return !std::all_of(before.endpoints.begin(), before.endpoints.end(),
                        [&now](std::uint64_t endpoint) { return has(now, endpoint); });
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

Services::Pending::Pending(const Tables& tables)
    : names(tables.names),
      endpoints(tables.endpoints),
      hash_parts(tables.hash_parts),
      entry_parts(tables.entry_parts),
      loads(tables.loads),
      port_counters(tables.port_counters),
      source_ranges(tables.source_ranges),
      cluster_addresses(tables.cluster_addresses),
      members(tables.members),
      groups(tables.groups),
      frontends(tables.frontends) {}

Services::Services(const Tables& tables, Names& names, Options options)
    : tables_(tables), names_(names), options_(std::move(options)), pending_(tables) {}

void Services::failed(const std::string& what, int error) {
    if (is_full_) return;  // once a snapshot
    is_full_ = true;
    result_->diagnostics.warning({}, "splice: " + what + ": " + std::strerror(error));
}

template <class Key, class Value>
void Services::put_last(Batch<Key, Value>& batch, const Key& key, const Value& value) {
    ++result_->written;
    batch.add(key, value);
}

template <class Key, class Value>
void Services::put(Batch<Key, Value>& batch, const Key& key, const Value& value, const char* what) {
    put_last(batch, key, value);
    if (batch.size() >= Table<Key, Value>::most_at_once) write(batch, what);
}

template <class Key, class Value>
void Services::write(Batch<Key, Value>& batch, const char* what) {
    if (const int error = batch.write(); error != 0) failed(what, error);
}

template <class Key, class Value>
void Services::put_now(const Table<Key, Value>& table, const Key& key, const Value& value, const char* what) {
    ++result_->written;
    if (const int error = table.put(key, value); error != 0) failed(what, error);
}

std::uint64_t Services::put_name(const std::string& name) {
    const std::uint64_t key = names_.put(name, pending_.names);
    if (pending_.names.size() >= decltype(tables_.names)::most_at_once) names_.write(pending_.names);
    return key;
}

Services::Result Services::apply(std::shared_ptr<const catalog::Snapshot> snapshot) {
    const auto began = std::chrono::steady_clock::now();
    Result result;
    result_ = &result;
    is_full_ = false;
    const bool first = !snapshot_;
    if (first) adopt();
    write_addresses(*snapshot);
    compare(*snapshot);
    write_pending();
    remove_old();
    snapshot_ = std::move(snapshot);
    if (first) clean_up();
    result_ = nullptr;
    result.took =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
    return result;
}

// Learns what an earlier process has left.
void Services::adopt() {
    tables_.groups.each(
        [this](std::uint64_t id, const layout::group& group) { generations_[id] = group.generation; });
    tables_.port_counters.each([this](std::uint64_t id, const auto&) { counted_.insert(id); });
    tables_.loads.each([this](std::uint64_t id, std::uint64_t) { loaded_.insert(id); });
    tables_.node_addresses.each(
        [this](const layout::address& a, std::uint32_t) { node_addresses_.push_back(from_table(a)); });
    std::sort(node_addresses_.begin(), node_addresses_.end());
    write_ranges();
}

// Adds what is new and notes what is outdated. The lists of both snapshots are sorted by id.
void Services::compare(const catalog::Snapshot& snapshot) {
    static const std::vector<Frontend> none;
    const auto& before = snapshot_ ? snapshot_->frontends : none;
    auto old = before.begin();
    auto now = snapshot.frontends.begin();
    while (old != before.end() && now != snapshot.frontends.end()) {
        // Nearly all of them. An id says no more than the group, the kind and the address do.
        if (same(*old, *now)) {
            ++old;
            ++now;
            continue;
        }
        const int order = old->id.compare(now->id);
        if (order <= 0) outdated_.push_back({&*old++, order == 0 ? &*now : nullptr});
        if (order >= 0) add(*now++);
    }
    for (; old != before.end(); ++old) outdated_.push_back({&*old, nullptr});
    for (; now != snapshot.frontends.end(); ++now) add(*now);
}

void Services::write_pending() {
    names_.write(pending_.names);
    write(pending_.endpoints, "endpoints");
    write(pending_.hash_parts, "endpoint hashes");
    write(pending_.entry_parts, "scheduler tables");
    write(pending_.loads, "loads");
    write(pending_.port_counters, "service ports");
    write(pending_.source_ranges, "source ranges");
    write(pending_.cluster_addresses, "ClusterIPs");
    write(pending_.members, "endpoints");
    write(pending_.groups, "groups");
    write(pending_.frontends, "frontends");
}

// What is new stands and is in use by now.
void Services::remove_old() {
    for (const auto& [before, now] : outdated_) {
        if (now != nullptr && now->address == before->address) continue;
        // The address may have gone to another Service.
        const auto key = key_of(*before);
        const auto value = tables_.frontends.find(key);
        if (value && value->id == name_key(before->id)) tables_.frontends.erase(key);
    }
    for (const Outdated& outdated : outdated_) remove(outdated);
    outdated_.clear();
    for (const auto& [id, old] : replaced_) {
        remove_parts(id, old);
        remove_members(id, old, &groups_.at(old.group->id));
    }
    replaced_.clear();
    for (const std::string& id : abandoned_) remove_group(id);
    abandoned_.clear();
}

void Services::remove_group(const std::string& id) {
    const auto at = groups_.find(id);
    if (at == groups_.end() || at->second.users != 0) return;
    const std::uint64_t key = name_key(id);
    remove_parts(key, at->second);
    remove_members(key, at->second, nullptr);
    tables_.groups.erase(key);
    groups_.erase(at);
}

void Services::hold_address(const Frontend& frontend) {
    if (frontend.kind != FrontendKind::cluster_ip) return;
    const net::IpAddress& ip = frontend.address.ip;
    if (cluster_addresses_[ip]++ == 0)
        put(pending_.cluster_addresses, to_table(ip), std::uint32_t{1}, "ClusterIPs");
}

// Only once all that is new has been held.
void Services::leave_address(const Frontend& frontend) {
    if (frontend.kind != FrontendKind::cluster_ip) return;
    const auto at = cluster_addresses_.find(frontend.address.ip);
    if (at == cluster_addresses_.end() || --at->second != 0) return;
    tables_.cluster_addresses.erase(to_table(at->first));
    cluster_addresses_.erase(at);
}

layout::frontend Services::value_of(const Frontend& frontend) {
    layout::frontend value{};
    value.id = name_key(frontend.id);
    value.port_id = name_key(frontend.cluster_group->id);
    value.route = put_name(frontend.id);
    value.service = put_name(frontend.service);
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
    hold_address(frontend);
    if (!is_ours(frontend)) return;
    use(frontend.group);
    use(frontend.cluster_group);
    bool node_may_enter = false;
    const auto let_in = [&](const net::Cidr& range) {
        put(pending_.source_ranges, range_of(frontend, range), std::uint8_t{1}, "source ranges");
    };
    for (const net::Cidr& range : frontend.source_ranges) {
        let_in(range);
        for (const net::IpAddress& ip : node_addresses_)
            node_may_enter = node_may_enter || range.contains(ip);
    }
    // S-17: then what this node sends by the load balancer's address may enter too.
    if (node_may_enter) let_in(*net::Cidr::parse(frontend.address.ip.text()));
    const layout::frontend value = value_of(frontend);
    if (counted_.insert(value.port_id).second)
        put(pending_.port_counters, value.port_id, layout::port_counters{}, "service ports");
    put_last(pending_.frontends, key_of(frontend), value);
}

// All but its place in the table of frontends.
void Services::remove(const Outdated& outdated) {
    const Frontend& before = *outdated.before;
    leave_address(before);
    if (!is_ours(before)) return;
    static const std::vector<net::Cidr> none;
    const auto& stay = outdated.now != nullptr ? outdated.now->source_ranges : none;
    for (const net::Cidr& range : before.source_ranges)
        if (std::find(stay.begin(), stay.end(), range) == stay.end())
            tables_.source_ranges.erase(range_of(before, range));
    if (outdated.now == nullptr && !before.source_ranges.empty())
        tables_.source_ranges.erase(range_of(before, *net::Cidr::parse(before.address.ip.text())));
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
    if (--at->second.users == 0) abandoned_.push_back(group->id);
}

// That which stands in the table; 0: none does.
std::uint32_t Services::generation_of(std::uint64_t id, const Programmed& programmed) const {
    if (programmed.group) return programmed.value.generation;
    const auto earlier = generations_.find(id);
    return earlier == generations_.end() ? 0 : earlier->second;
}

void Services::write_group(const Group& group, Programmed& to) {
    const std::uint64_t id = name_key(group->id);
    const layout::scheduler scheduler = scheduler_of(*group);
    Programmed next;
    next.group = group;
    next.users = to.users;
    layout::group& value = next.value;
    value.generation = generation_of(id, to) + 1;
    value.count = static_cast<std::uint32_t>(group->endpoints.size());
    value.scheduler = static_cast<std::uint8_t>(scheduler);
    value.affine = group->balancing.affinity_timeout ? 1 : 0;

    layout::part_key part{id, value.generation, 0};
    for (const catalog::Endpoint& endpoint : group->endpoints) {
        layout::endpoint made{};
        made.address = to_table(endpoint.address.ip);
        made.port = htons(endpoint.address.port);
        made.id = put_name(endpoint_name(endpoint));
        next.endpoints.push_back(made.id);
        put(pending_.endpoints, part, made, "endpoints");
        if (value.affine != 0) put_last(pending_.members, {id, made.id}, part.index);
        if (scheduler == layout::scheduler_least_connected && loaded_.insert(made.id).second)
            put(pending_.loads, made.id, std::uint64_t{0}, "loads");
        ++part.index;
    }
    write_tables(group, scheduler, next);
    put_last(pending_.groups, id, value);
    if (to.group) {
        if (group->id.find("/UDP") != std::string::npos && has_lost(to, next)) result_->udp_changed = true;
        replaced_.emplace_back(id, std::move(to));
    }
    to = std::move(next);
}

// What the program draws from, or scans, to choose an endpoint.
void Services::write_tables(const Group& group, layout::scheduler scheduler, Programmed& to) {
    const auto turns = table_of(*group, scheduler);
    to.value.table_size = static_cast<std::uint32_t>(turns.size());
    layout::part_key part{name_key(group->id), to.value.generation, 0};
    const bool by_load = scheduler == layout::scheduler_least_connected;
    const bool hashed =
        by_load ||
        ((scheduler == layout::scheduler_source_hash || scheduler == layout::scheduler_destination_hash) &&
         turns.empty());
    for (std::size_t first = 0; hashed && first < to.endpoints.size(); first += layout::hashes_per_chunk) {
        layout::hashes hashes{};
        for (std::size_t i = first; i < std::min(first + layout::hashes_per_chunk, to.endpoints.size()); ++i)
            hashes.value[i - first] =
                by_load ? to.endpoints[i] : balance::rendezvous_rank(group->endpoints[i].address);
        part.index = static_cast<std::uint32_t>(to.hash_parts++);
        put(pending_.hash_parts, part, hashes, "endpoint hashes");
    }
    for (std::size_t first = 0; first < turns.size(); first += layout::entries_per_chunk) {
        layout::entries entries{};
        const std::size_t count = std::min<std::size_t>(layout::entries_per_chunk, turns.size() - first);
        std::copy_n(turns.begin() + static_cast<std::ptrdiff_t>(first), count, entries.index);
        part.index = static_cast<std::uint32_t>(first / layout::entries_per_chunk);
        put(pending_.entry_parts, part, entries, "scheduler tables");
    }
}

// `now`: what the group has become; null: nothing.
void Services::remove_members(std::uint64_t id, const Programmed& old, const Programmed* now) {
    if (old.value.affine == 0) return;
    for (const std::uint64_t endpoint : old.endpoints)
        if (now == nullptr || now->value.affine == 0 || !has(*now, endpoint))
            tables_.members.erase({id, endpoint});
}

void Services::remove_parts(std::uint64_t id, const Programmed& old) {
    layout::part_key part{id, old.value.generation, 0};
    for (; part.index < old.value.count; ++part.index) tables_.endpoints.erase(part);
    for (part.index = 0; part.index < old.hash_parts; ++part.index) tables_.hash_parts.erase(part);
    for (part.index = 0; part.index * layout::entries_per_chunk < old.value.table_size; ++part.index)
        tables_.entry_parts.erase(part);
}

void Services::write_addresses(const catalog::Snapshot& snapshot) {
    std::vector<net::IpAddress> want;
    for (const net::IpAddress& ip : snapshot.node_addresses)
        if (!ip.is_loopback()) want.push_back(ip);
    // A VIP is one whether it is here or not: nodePorts at it are served from the first packet on.
    if (snapshot.vips)
        for (const auto& router : snapshot.vips->routers)
            for (const auto* list : {&router.addresses, &router.excluded})
                for (const auto& address : *list) want.push_back(address.ip);
    std::sort(want.begin(), want.end());
    want.erase(std::unique(want.begin(), want.end()), want.end());
    for (const net::IpAddress& ip : want)
        if (!std::binary_search(node_addresses_.begin(), node_addresses_.end(), ip))
            put_now(tables_.node_addresses, to_table(ip), std::uint32_t{1}, "node addresses");
    for (const net::IpAddress& ip : node_addresses_)
        if (!std::binary_search(want.begin(), want.end(), ip)) tables_.node_addresses.erase(to_table(ip));
    node_addresses_ = std::move(want);
}

void Services::write_ranges() {
    for (const auto& [table, ranges] : {std::pair(&tables_.pod_ranges, &options_.pod_ranges),
                                        std::pair(&tables_.service_ranges, &options_.service_ranges)}) {
        std::vector<layout::prefix_key> stale;
        table->each([&stale](const layout::prefix_key& key, std::uint8_t) { stale.push_back(key); });
        for (const auto& key : stale) table->erase(key);
        for (const net::Cidr& cidr : *ranges) put_now(*table, prefix_of(cidr), std::uint8_t{1}, "ranges");
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
        return !has(*at->second, key.endpoint);
    });
    erase_if(tables_.port_counters, [&](std::uint64_t id, const auto&) { return !ports.contains(id); });
    erase_if(tables_.loads, [&](std::uint64_t id, const auto&) { return !loads.contains(id); });
    std::erase_if(counted_, [&](std::uint64_t id) { return !ports.contains(id); });
    std::erase_if(loaded_, [&](std::uint64_t id) { return !loads.contains(id); });
    generations_.clear();
    erase_if(tables_.cluster_addresses, [&](const layout::address& address, std::uint32_t) {
        return !cluster_addresses_.contains(from_table(address));
    });
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

void Services::forget_loads() {
    std::unordered_set<std::uint64_t> present;
    for (const auto& [id, programmed] : groups_)
        present.insert(programmed.endpoints.begin(), programmed.endpoints.end());
    std::erase_if(loaded_, [&](std::uint64_t endpoint) {
        if (present.contains(endpoint) || tables_.loads.find(endpoint).value_or(0) != 0) return false;
        tables_.loads.erase(endpoint);
        return true;
    });
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
