// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "balance/picker.h"

namespace hawser::balance {

// What one worker knows of the endpoints of a group: nginx's ngx_http_upstream_rr_peer_t, failure marks and
// weights included, with the round robin over them. Other schedulers ask it who may be picked.
class Peers {
  public:
    explicit Peers(const catalog::EndpointGroup& group);
    // Takes over marks and weights of the endpoints (by address) that stay.
    void inherit(const Peers& previous);

    // The servers without `backup`, and those with, as indices in the order of the file.
    [[nodiscard]] std::span<const std::size_t> primary() const { return primary_; }
    [[nodiscard]] std::span<const std::size_t> backup() const { return backup_; }
    // One endpoint and no backup: it is taken whatever became of it before, for there is no better.
    [[nodiscard]] bool single() const { return primary_.size() == 1 && backup_.empty(); }
    [[nodiscard]] std::uint64_t total_weight() const { return total_weight_; }  // of primary()
    [[nodiscard]] std::uint32_t weight(std::size_t index) const {
        return std::max(group_->endpoints[index].weight, 1U);
    }
    // Requests, connections and tunnels on it now, over all workers and snapshots.
    [[nodiscard]] std::int64_t active(std::size_t index) const;

    // Not tried, not down, below max_conns.
    [[nodiscard]] bool open(std::size_t index, const Tried& tried) const;
    // open, and not out for its failures.
    [[nodiscard]] bool usable(std::size_t index, const Tried& tried, Time now) const;

    // The next by nginx's smooth weighted round robin among those of `candidates` that are usable.
    std::optional<std::size_t> next(std::span<const std::size_t> candidates, const Tried& tried, Time now);
    // The same over primary(), then backup().
    std::optional<std::size_t> next(const Tried& tried, Time now);

    // To be called for each pick, and for what became of it.
    void picked(std::size_t index, Time now);
    void succeeded(std::size_t index);
    void failed(std::size_t index, Time now);

  private:
    struct Peer {
        std::int64_t current_weight = 0;
        std::int64_t effective_weight = 1;
        std::uint32_t fails = 0;
        Time accessed;  // last failure
        Time checked;   // last failure, or the first pick after fail_timeout: the probe
    };
    const catalog::EndpointGroup* group_;
    std::vector<Peer> peers_;
    std::vector<std::size_t> primary_, backup_;
    std::uint64_t total_weight_ = 0;
};

}  // namespace hawser::balance
