// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "catalog/endpoint.h"
#include "net/address.h"

namespace hawser::balance {

using Time = std::chrono::steady_clock::time_point;

struct AffinityKey;

// sessionAffinity ClientIP: which endpoint a client address was given, per service port. Shared by all
// workers of the process and kept over snapshots; thread-safe (sharded, a mutex held for one look-up; asked
// once per connection, never per byte). Bounded: at most `max_entries`, the least recently used goes first.
class AffinityTable {
  public:
    explicit AffinityTable(std::size_t max_entries = 1'000'000);
    ~AffinityTable();
    AffinityTable(const AffinityTable&) = delete;
    AffinityTable& operator=(const AffinityTable&) = delete;

    // The endpoint that this client has, if its entry is not older than timeout. Does not refresh.
    std::optional<net::SocketAddress> find(std::string_view group_id, const net::IpAddress& client, Time now,
                                           std::chrono::seconds timeout);
    // Sets or refreshes (A-03: by each new connection).
    void put(std::string_view group_id, const net::IpAddress& client, const net::SocketAddress& endpoint,
             Time now);
    void erase(std::string_view group_id, const net::IpAddress& client);
    [[nodiscard]] std::size_t size() const;

  private:
    struct Shard;
    Shard& shard_of(std::string_view group_id, const net::IpAddress& client, AffinityKey& key) const;
    std::uint64_t seed_;  // secret: clients choose their addresses, but not our buckets
    std::vector<std::unique_ptr<Shard>> shards_;
};

struct PickRequest {
    net::IpAddress client;       // source address (after real_ip for HTTP)
    net::IpAddress destination;  // the address the client connected to: for dh
    std::string_view hash_key;   // the expanded key of hash / hash consistent
    Time now;
};

// The endpoints that this request has already tried: an endpoint is not picked twice until all were.
class Tried {
  public:
    [[nodiscard]] bool has(std::size_t index) const { return index < bits_.size() && bits_[index]; }
    void add(std::size_t index) {
        if (index >= bits_.size()) bits_.resize(index + 1);
        bits_[index] = true;
    }

  private:
    std::vector<bool> bits_;
};

// Picks endpoints of one group for one worker thread. Belongs to that thread; AffinityTable and EndpointState
// are shared.
class Picker {
  public:
    // affinity may be null (then affinity_timeout is not honoured). `seed` feeds random choices (tests fix
    // it). `previous`: the picker of the same group id in the last snapshot, whose failure marks carry over;
    // may be null.
    Picker(std::shared_ptr<const catalog::EndpointGroup> group, AffinityTable* affinity, std::uint64_t seed,
           const Picker* previous = nullptr);
    ~Picker();
    Picker(const Picker&) = delete;
    Picker& operator=(const Picker&) = delete;

    // Index into group().endpoints, or nothing: none is left (all tried, down, failed, at max_conns).
    // Marks the pick in `tried`. Pure but for the scheduler's own state; does not count active connections:
    // see Hold.
    // A client with affinity gets its endpoint even while that is marked as failed: one client's bad luck
    // does not scatter the others, and if it is really gone, failed() unbinds the client.
    std::optional<std::size_t> pick(const PickRequest& request, Tried& tried);

    // What became of an attempt; once for each pick (max_fails / fail_timeout as nginx counts them; a failed
    // client-affine endpoint loses its entry, A-06).
    void succeeded(std::size_t index, const PickRequest& request);
    void failed(std::size_t index, const PickRequest& request);

    [[nodiscard]] const catalog::EndpointGroup& group() const { return *group_; }
    [[nodiscard]] const std::shared_ptr<const catalog::EndpointGroup>& group_pointer() const {
        return group_;
    }

  private:
    struct Impl;
    std::shared_ptr<const catalog::EndpointGroup> group_;
    std::unique_ptr<Impl> impl_;
};

// Counts one active request, connection or tunnel on an endpoint while it lives. EndpointState::opened and
// failed are for the gateway to count, which knows what was an attempt.
class Hold {
  public:
    Hold() = default;
    explicit Hold(std::shared_ptr<catalog::EndpointState> state);
    Hold(Hold&& other) noexcept : state_(std::move(other.state_)) {}
    Hold& operator=(Hold&& other) noexcept;
    ~Hold() { release(); }
    void release();

  private:
    std::shared_ptr<catalog::EndpointState> state_;
};

}  // namespace hawser::balance
