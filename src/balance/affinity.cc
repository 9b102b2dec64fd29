// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <list>
#include <mutex>
#include <random>
#include <unordered_map>

#include "balance/hash.h"
#include "balance/picker.h"

namespace hawser::balance {

// The group by a 64-bit hash: no string in each of a million entries. Two groups with one hash would at worst
// give a client an endpoint that is not in its group, and such an entry is dropped.
struct AffinityKey {
    std::uint64_t group = 0;
    net::IpAddress client;
    std::uint64_t hash = 0;
    bool operator==(const AffinityKey& other) const { return group == other.group && client == other.client; }
};

struct AffinityTable::Shard {
    struct Entry {
        AffinityKey key;
        net::SocketAddress endpoint;
        Time used;
    };
    struct KeyHash {
        std::size_t operator()(const AffinityKey& key) const { return key.hash; }
    };

    std::mutex mutex;
    std::size_t max_entries = 1;
    std::list<Entry> entries;  // the most recently used first
    std::unordered_map<AffinityKey, std::list<Entry>::iterator, KeyHash> index;

    void erase(const AffinityKey& key) {
        const auto found = index.find(key);
        if (found == index.end()) return;
        entries.erase(found->second);
        index.erase(found);
    }
};

namespace {

// Few entries: one shard, so that the bound and "least recently used" are exact.
std::size_t shard_count(std::size_t max_entries) { return max_entries < 4096 ? 1 : 64; }

std::uint64_t random_seed() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
}

}  // namespace

AffinityTable::AffinityTable(std::size_t max_entries) : seed_(random_seed()) {
    const std::size_t count = shard_count(max_entries);
    for (std::size_t i = 0; i < count; ++i) {
        shards_.push_back(std::make_unique<Shard>());
        shards_.back()->max_entries = std::max<std::size_t>(max_entries / count, 1);
    }
}

AffinityTable::~AffinityTable() = default;

AffinityTable::Shard& AffinityTable::shard_of(std::string_view group_id, const net::IpAddress& client,
                                              AffinityKey& key) const {
    key.group = stable_hash(group_id, seed_);
    key.client = client;
    key.hash = stable_hash(client, key.group);
    // The map takes the low bits for its buckets; these are others.
    return *shards_[(key.hash >> 48) % shards_.size()];
}

std::optional<net::SocketAddress> AffinityTable::find(std::string_view group_id, const net::IpAddress& client,
                                                      Time now, std::chrono::seconds timeout) {
    AffinityKey key;
    Shard& shard = shard_of(group_id, client, key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(key);
    if (found == shard.index.end()) return std::nullopt;
    if (now - found->second->used > timeout) {
        shard.erase(key);
        return std::nullopt;
    }
    return found->second->endpoint;
}

void AffinityTable::put(std::string_view group_id, const net::IpAddress& client,
                        const net::SocketAddress& endpoint, Time now) {
    AffinityKey key;
    Shard& shard = shard_of(group_id, client, key);
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.index.find(key); found != shard.index.end()) {
        found->second->endpoint = endpoint;
        // Workers read their clocks on their own: an entry never grows older.
        found->second->used = std::max(found->second->used, now);
        shard.entries.splice(shard.entries.begin(), shard.entries, found->second);
        return;
    }
    if (shard.index.size() >= shard.max_entries) {
        shard.index.erase(shard.entries.back().key);
        shard.entries.pop_back();
    }
    shard.entries.push_front({key, endpoint, now});
    shard.index.emplace(key, shard.entries.begin());
}

void AffinityTable::erase(std::string_view group_id, const net::IpAddress& client) {
    AffinityKey key;
    Shard& shard = shard_of(group_id, client, key);
    const std::lock_guard lock(shard.mutex);
    shard.erase(key);
}

std::size_t AffinityTable::size() const {
    std::size_t size = 0;
    for (const auto& shard : shards_) {
        const std::lock_guard lock(shard->mutex);
        size += shard->index.size();
    }
    return size;
}

}  // namespace hawser::balance
