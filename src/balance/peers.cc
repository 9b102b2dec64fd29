// SPDX-License-Identifier: Apache-2.0
#include "balance/peers.h"

#include <algorithm>
#include <unordered_map>

namespace hawser::balance {
namespace {

// "Never": longer ago than any fail_timeout.
constexpr Time never = Time{} - std::chrono::hours(24 * 365 * 10);

}  // namespace

Peers::Peers(const catalog::EndpointGroup& group) : group_(&group), peers_(group.endpoints.size()) {
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        peers_[i].effective_weight = weight(i);
        peers_[i].accessed = peers_[i].checked = never;
        (group.endpoints[i].backup ? backup_ : primary_).push_back(i);
        if (!group.endpoints[i].backup) total_weight_ += weight(i);
    }
}

void Peers::inherit(const Peers& previous) {
    std::unordered_map<net::SocketAddress, std::size_t> before;
    for (std::size_t i = 0; i < previous.peers_.size(); ++i) {
        before.emplace(previous.group_->endpoints[i].address, i);
    }
    for (std::size_t i = 0; i < peers_.size(); ++i) {
        const auto found = before.find(group_->endpoints[i].address);
        if (found == before.end()) continue;
        const Peer& old = previous.peers_[found->second];
        peers_[i] = old;
        // A changed weight counts in full at once; an unchanged one goes on recovering.
        if (weight(i) != previous.weight(found->second)) peers_[i].effective_weight = weight(i);
    }
}

std::int64_t Peers::active(std::size_t index) const {
    const auto& state = group_->endpoints[index].state;
    return state ? state->active.load(std::memory_order_relaxed) : 0;
}

bool Peers::open(std::size_t index, const Tried& tried) const {
    const catalog::Endpoint& endpoint = group_->endpoints[index];
    if (tried.has(index) || endpoint.down) return false;
    return endpoint.max_conns == 0 || active(index) < static_cast<std::int64_t>(endpoint.max_conns);
}

bool Peers::usable(std::size_t index, const Tried& tried, Time now) const {
    if (!open(index, tried)) return false;
    if (single()) return true;
    const catalog::Endpoint& endpoint = group_->endpoints[index];
    const Peer& peer = peers_[index];
    return endpoint.max_fails == 0 || peer.fails < endpoint.max_fails ||
           now - peer.checked > endpoint.fail_timeout;
}

std::optional<std::size_t> Peers::next(std::span<const std::size_t> candidates, const Tried& tried,
                                       Time now) {
    std::optional<std::size_t> best;
    std::int64_t total = 0;
    for (const std::size_t index : candidates) {
        if (!usable(index, tried, now)) continue;
        Peer& peer = peers_[index];
        peer.current_weight += peer.effective_weight;
        total += peer.effective_weight;
        if (peer.effective_weight < static_cast<std::int64_t>(weight(index))) ++peer.effective_weight;
        if (!best || peer.current_weight > peers_[*best].current_weight) best = index;
    }
    if (best) peers_[*best].current_weight -= total;
    return best;
}

std::optional<std::size_t> Peers::next(const Tried& tried, Time now) {
    if (auto index = next(primary_, tried, now)) return index;
    return next(backup_, tried, now);
}

void Peers::picked(std::size_t index, Time now) {
    Peer& peer = peers_[index];
    if (now - peer.checked > group_->endpoints[index].fail_timeout) peer.checked = now;
}

void Peers::succeeded(std::size_t index) {
    Peer& peer = peers_[index];
    if (peer.accessed < peer.checked) peer.fails = 0;
}

void Peers::failed(std::size_t index, Time now) {
    if (single()) return;
    Peer& peer = peers_[index];
    const catalog::Endpoint& endpoint = group_->endpoints[index];
    ++peer.fails;
    peer.accessed = peer.checked = now;
    if (endpoint.max_fails != 0) peer.effective_weight -= weight(index) / endpoint.max_fails;
    peer.effective_weight = std::max<std::int64_t>(peer.effective_weight, 0);
}

}  // namespace hawser::balance
