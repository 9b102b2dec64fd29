// SPDX-License-Identifier: Apache-2.0
#include "balance/maglev.h"

#include <algorithm>
#include <cmath>

#include "balance/hash.h"

namespace hawser::balance {
namespace {

// Fixed for ever: another seed on another node, or in another version, sends clients elsewhere.
constexpr std::uint64_t offset_seed = 0x6861777365720001;
constexpr std::uint64_t skip_seed = 0x6861777365720002;
constexpr std::uint64_t client_seed = 0x6861777365720003;
constexpr std::uint64_t score_seed = 0x6861777365720004;

constexpr std::uint32_t free_entry = 0xffffffff;

struct Candidate {
    std::size_t index = 0;
    std::uint64_t weight = 1;
    std::uint64_t place = 0;  // in its permutation of the table
    std::uint64_t skip = 1;
    std::uint64_t due = 0;  // turns taken, in units of the greatest weight
};

std::vector<Candidate> candidates_of(const catalog::EndpointGroup& group, std::vector<std::size_t> indices) {
    std::sort(indices.begin(), indices.end(), [&](std::size_t a, std::size_t b) {
        return group.endpoints[a].address < group.endpoints[b].address;
    });
    std::vector<Candidate> out;
    const std::uint64_t size = MaglevTable::size_for(indices.size());
    for (const std::size_t index : indices) {
        const catalog::Endpoint& endpoint = group.endpoints[index];
        out.push_back({.index = index,
                       .weight = std::max<std::uint32_t>(endpoint.weight, 1),
                       .place = stable_hash(endpoint.address, offset_seed) % size,
                       .skip = stable_hash(endpoint.address, skip_seed) % (size - 1) + 1});
    }
    return out;
}

}  // namespace

std::size_t MaglevTable::size_for(std::size_t endpoints) {
    static constexpr std::size_t primes[] = {251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071};
    for (const std::size_t prime : primes) {
        if (prime >= 100 * endpoints) return prime;
    }
    return std::end(primes)[-1];
}

MaglevTable::MaglevTable(const catalog::EndpointGroup& group) {
    std::vector<std::size_t> primary, backup;
    for (std::size_t i = 0; i < group.endpoints.size(); ++i) {
        if (group.endpoints[i].down) continue;
        (group.endpoints[i].backup ? backup : primary).push_back(i);
    }
    auto candidates = candidates_of(group, primary.empty() ? backup : primary);
    if (candidates.empty()) return;
    const std::uint64_t size = size_for(candidates.size());
    entries_.assign(size, free_entry);
    std::uint64_t greatest = 0;
    for (const Candidate& candidate : candidates) greatest = std::max(greatest, candidate.weight);

    std::uint64_t filled = 0;
    for (std::uint64_t round = 1; filled < size; ++round) {
        for (Candidate& candidate : candidates) {
            // An endpoint of half the greatest weight has its turn in every second round.
            if (round * candidate.weight < candidate.due + greatest) continue;
            candidate.due += greatest;
            while (entries_[candidate.place] != free_entry)
                candidate.place = (candidate.place + candidate.skip) % size;
            entries_[candidate.place] = static_cast<std::uint32_t>(candidate.index);
            if (++filled == size) break;
        }
    }
}

std::optional<std::size_t> MaglevTable::find(const net::IpAddress& client) const {
    if (entries_.empty()) return std::nullopt;
    return entries_[stable_hash(client, client_seed) % entries_.size()];
}

std::uint64_t rendezvous_rank(const net::SocketAddress& address) { return stable_hash(address, score_seed); }

double rendezvous_score(const catalog::Endpoint& endpoint, std::uint64_t key) {
    const std::uint64_t hash = mix(key, rendezvous_rank(endpoint.address));
    // 52 bits into (0, 1), both ends excluded: -weight / ln(u) is the weighted form of "the highest hash
    // wins" (Schindelhauer, Schomaker 2005).
    const double u = (static_cast<double>(hash >> 12) + 0.5) * 0x1p-52;
    return -static_cast<double>(std::max<std::uint32_t>(endpoint.weight, 1)) / std::log(u);
}

}  // namespace hawser::balance
