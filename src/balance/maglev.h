// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "catalog/endpoint.h"
#include "net/address.h"

namespace hawser::balance {

// The look-up table of Maglev hashing (Eisenbud et al., NSDI 2016, §3.4), weighted. Depends on the addresses
// and weights of the endpoints only, never on their order: every node builds the same.
class MaglevTable {
  public:
    MaglevTable() = default;
    // `down` and `backup` endpoints have no entry. All are backups: then those that are not down.
    explicit MaglevTable(const catalog::EndpointGroup& group);

    // Index into group.endpoints, or nothing if the table is empty.
    [[nodiscard]] std::optional<std::size_t> find(const net::IpAddress& client) const;
    [[nodiscard]] const std::vector<std::uint32_t>& entries() const { return entries_; }

    // The smallest of Cilium's primes (251 ... 131071) with at least a hundred entries for each endpoint:
    // then no endpoint has more than about one per cent more than its share (§5.3 of the paper).
    static std::size_t size_for(std::size_t endpoints);

  private:
    std::vector<std::uint32_t> entries_;  // indices into group.endpoints
};

// Weighted rendezvous (highest random weight) hashing: of those endpoints for which `allowed` is true the one
// that `key` (a hash of the client or destination) likes best. One that goes moves only its own clients.
template <class Allowed>
std::optional<std::size_t> rendezvous(const catalog::EndpointGroup& group, std::uint64_t key,
                                      Allowed allowed);

// What an endpoint puts into the score: the kernel's tables hold it. Of equal weights the highest mix(key, rank) wins.
std::uint64_t rendezvous_rank(const net::SocketAddress& address);

// How much `key` likes an endpoint; in (0, infinity). The share of keys that like one best is its weight's.
double rendezvous_score(const catalog::Endpoint& endpoint, std::uint64_t key);

template <class Allowed>
std::optional<std::size_t> rendezvous(const catalog::EndpointGroup& group, std::uint64_t key,
                                      Allowed allowed) {
    std::optional<std::size_t> best;
    double best_score = 0;
    for (std::size_t i = 0; i < group.endpoints.size(); ++i) {
        if (!allowed(i)) continue;
        const double score = rendezvous_score(group.endpoints[i], key);
        // Equal scores are decided by address, so that the order of the endpoints never is.
        if (!best || score > best_score ||
            (score == best_score && group.endpoints[i].address < group.endpoints[*best].address)) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

}  // namespace hawser::balance
