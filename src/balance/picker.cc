// SPDX-License-Identifier: Apache-2.0
#include "balance/picker.h"

#include <algorithm>
#include <unordered_map>

#include "balance/hash.h"
#include "balance/maglev.h"
#include "balance/nginx_hash.h"
#include "balance/peers.h"

namespace hawser::balance {
namespace {

using catalog::Scheduler;

constexpr unsigned max_draws = 20;  // random: then round robin, as nginx

// Fixed for ever, as those of maglev.cc.
constexpr std::uint64_t source_seed = 0x6861777365720005;
constexpr std::uint64_t destination_seed = 0x6861777365720006;

}  // namespace

struct Picker::Impl {
    Impl(const catalog::EndpointGroup& g, AffinityTable* table, std::uint64_t seed);

    std::optional<std::size_t> schedule(const PickRequest& request, const Tried& tried);
    std::optional<std::size_t> least_connected(std::span<const std::size_t> candidates, const Tried& tried,
                                               Time now);
    std::optional<std::size_t> random(const Tried& tried, Time now);
    std::optional<std::size_t> random_two(const Tried& tried, Time now);
    std::optional<std::size_t> highest(std::uint64_t key, const Tried& tried, Time now);
    std::optional<std::size_t> maglev(const PickRequest& request, const Tried& tried);
    std::optional<std::size_t> affine(const PickRequest& request, const Tried& tried);

    std::uint64_t draw() { return mix(seed_, ++draws_); }
    std::size_t draw_by_weight();
    [[nodiscard]] bool has_affinity() const {
        return affinity != nullptr && group.balancing.affinity_timeout;
    }

    const catalog::EndpointGroup& group;
    AffinityTable* affinity;
    Peers peers;
    Ring ring;                          // hash_consistent
    MaglevTable table;                  // maglev
    std::vector<std::uint64_t> ranges;  // random: the weights of the primary endpoints, summed up
    std::vector<std::int64_t> loads;    // least_connected: scratch
    std::vector<std::size_t> equals;    // the same
    std::unordered_map<net::SocketAddress, std::size_t> by_address;  // affinity

  private:
    std::uint64_t seed_;
    std::uint64_t draws_ = 0;
};

Picker::Impl::Impl(const catalog::EndpointGroup& g, AffinityTable* table_of_clients, std::uint64_t seed)
    : group(g), affinity(table_of_clients), peers(g), seed_(seed) {
    if (group.balancing.scheduler == Scheduler::hash_consistent) ring = Ring(group, peers);
    if (group.balancing.scheduler == Scheduler::maglev) table = MaglevTable(group);
    std::uint64_t sum = 0;
    for (const std::size_t index : peers.primary()) ranges.push_back(sum += peers.weight(index));
    loads.resize(group.endpoints.size());
    if (!has_affinity()) return;
    for (std::size_t i = 0; i < group.endpoints.size(); ++i)
        by_address.emplace(group.endpoints[i].address, i);
}

std::optional<std::size_t> Picker::Impl::schedule(const PickRequest& request, const Tried& tried) {
    const Time now = request.now;
    std::optional<std::size_t> index;
    switch (group.balancing.scheduler) {
        case Scheduler::rr:
            break;
        case Scheduler::random:
            index = random(tried, now);
            break;
        case Scheduler::random_two:
            index = random_two(tried, now);
            break;
        case Scheduler::least_connected:
            index = least_connected(peers.primary(), tried, now);
            return index ? index : least_connected(peers.backup(), tried, now);
        case Scheduler::source_hash:
            return highest(stable_hash(request.client, source_seed), tried, now);
        case Scheduler::destination_hash:
            return highest(stable_hash(request.destination, destination_seed), tried, now);
        case Scheduler::maglev:
            return maglev(request, tried);
        case Scheduler::ip_hash:
            index = pick_ip_hash(peers, request, tried);
            break;
        case Scheduler::hash:
            index = pick_hash(peers, request, tried);
            break;
        case Scheduler::hash_consistent:
            index = ring.pick(peers, request, tried);
            break;
    }
    return index ? index : peers.next(tried, now);
}

// The least active / weight; among equals nginx goes on by round robin. All workers change the counters
// meanwhile: they are read once.
std::optional<std::size_t> Picker::Impl::least_connected(std::span<const std::size_t> candidates,
                                                         const Tried& tried, Time now) {
    std::optional<std::size_t> best;
    const auto compare = [&](std::size_t a, std::size_t b) {
        return loads[a] * static_cast<std::int64_t>(peers.weight(b)) -
               loads[b] * static_cast<std::int64_t>(peers.weight(a));
    };
    for (const std::size_t index : candidates) {
        if (!peers.usable(index, tried, now)) continue;
        loads[index] = std::max<std::int64_t>(peers.active(index), 0);
        if (!best || compare(index, *best) < 0) best = index;
    }
    if (!best) return std::nullopt;
    equals.clear();
    for (const std::size_t index : candidates) {
        if (peers.usable(index, tried, now) && compare(index, *best) == 0) equals.push_back(index);
    }
    if (equals.size() <= 1) return best;
    // Nothing is left only if another worker filled them all just now (max_conns).
    const auto index = peers.next(equals, tried, now);
    return index ? index : best;
}

std::size_t Picker::Impl::draw_by_weight() {
    const std::uint64_t place = draw() % ranges.back();
    const auto range = std::upper_bound(ranges.begin(), ranges.end(), place);
    return peers.primary()[static_cast<std::size_t>(range - ranges.begin())];
}

std::optional<std::size_t> Picker::Impl::random(const Tried& tried, Time now) {
    if (peers.single() || ranges.empty()) return std::nullopt;
    for (unsigned draws = 0; draws <= max_draws; ++draws) {
        const std::size_t index = draw_by_weight();
        if (peers.usable(index, tried, now)) return index;
    }
    return std::nullopt;
}

std::optional<std::size_t> Picker::Impl::random_two(const Tried& tried, Time now) {
    if (peers.single() || ranges.empty()) return std::nullopt;
    std::optional<std::size_t> first;
    for (unsigned draws = 0; draws <= max_draws; ++draws) {
        const std::size_t index = draw_by_weight();
        if (index == first || !peers.usable(index, tried, now)) continue;
        if (!first) {
            first = index;
            continue;
        }
        const bool first_is_freer = peers.active(index) * static_cast<std::int64_t>(peers.weight(*first)) >
                                    peers.active(*first) * static_cast<std::int64_t>(peers.weight(index));
        return first_is_freer ? *first : index;
    }
    return std::nullopt;
}

std::optional<std::size_t> Picker::Impl::highest(std::uint64_t key, const Tried& tried, Time now) {
    for (const bool backup : {false, true}) {
        auto index = rendezvous(group, key, [&](std::size_t i) {
            return group.endpoints[i].backup == backup && peers.usable(i, tried, now);
        });
        if (index) return index;
    }
    return std::nullopt;
}

// Where the table's choice cannot be used, the client goes where `sh` would send it: the same place on every
// node that sees the same endpoints fail.
std::optional<std::size_t> Picker::Impl::maglev(const PickRequest& request, const Tried& tried) {
    const auto index = table.find(request.client);
    if (index && peers.usable(*index, tried, request.now)) return index;
    return highest(stable_hash(request.client, source_seed), tried, request.now);
}

std::optional<std::size_t> Picker::Impl::affine(const PickRequest& request, const Tried& tried) {
    const auto address =
        affinity->find(group.id, request.client, request.now, *group.balancing.affinity_timeout);
    if (!address) return std::nullopt;
    const auto found = by_address.find(*address);
    if (found == by_address.end()) {
        affinity->erase(group.id, request.client);
        return std::nullopt;
    }
    if (!peers.open(found->second, tried)) return std::nullopt;
    return found->second;
}

Picker::Picker(std::shared_ptr<const catalog::EndpointGroup> group, AffinityTable* affinity,
               std::uint64_t seed, const Picker* previous)
    : group_(std::move(group)), impl_(std::make_unique<Impl>(*group_, affinity, seed)) {
    if (previous != nullptr) impl_->peers.inherit(previous->impl_->peers);
}

Picker::~Picker() = default;

std::optional<std::size_t> Picker::pick(const PickRequest& request, Tried& tried) {
    std::optional<std::size_t> index;
    if (impl_->has_affinity()) index = impl_->affine(request, tried);
    if (!index) index = impl_->schedule(request, tried);
    if (!index) return std::nullopt;
    impl_->peers.picked(*index, request.now);
    tried.add(*index);
    if (impl_->has_affinity()) {
        impl_->affinity->put(group_->id, request.client, group_->endpoints[*index].address, request.now);
    }
    return index;
}

void Picker::succeeded(std::size_t index, const PickRequest& /*request*/) { impl_->peers.succeeded(index); }

void Picker::failed(std::size_t index, const PickRequest& request) {
    impl_->peers.failed(index, request.now);
    const catalog::Endpoint& endpoint = group_->endpoints[index];
    if (!impl_->has_affinity()) return;
    // Another connection of this client may have been bound elsewhere meanwhile: that one stays.
    const auto bound =
        impl_->affinity->find(group_->id, request.client, request.now, *group_->balancing.affinity_timeout);
    if (bound == endpoint.address) impl_->affinity->erase(group_->id, request.client);
}

Hold::Hold(std::shared_ptr<catalog::EndpointState> state) : state_(std::move(state)) {
    if (state_) state_->active.fetch_add(1, std::memory_order_relaxed);
}

Hold& Hold::operator=(Hold&& other) noexcept {
    if (this == &other) return *this;
    release();
    state_ = std::move(other.state_);
    return *this;
}

void Hold::release() {
    if (!state_) return;
    state_->active.fetch_sub(1, std::memory_order_relaxed);
    state_.reset();
}

}  // namespace hawser::balance
