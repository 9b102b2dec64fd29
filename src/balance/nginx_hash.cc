// SPDX-License-Identifier: Apache-2.0
#include "balance/nginx_hash.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "balance/hash.h"

namespace hawser::balance {
namespace {

constexpr unsigned max_misses = 20;
constexpr unsigned points_per_weight = 160;

// The endpoint at `place` of a line on which each takes its weight.
std::size_t at_weight(const Peers& peers, std::uint64_t place) {
    for (const std::size_t index : peers.primary()) {
        if (place < peers.weight(index)) return index;
        place -= peers.weight(index);
    }
    return peers.primary().back();
}

// Walks the places that next_place() gives until one can be used. nginx counts a miss for each place that
// cannot, but the places where the earlier tries of this request ended were no misses.
template <class NextPlace>
std::optional<std::size_t> walk(const Peers& peers, const PickRequest& request, const Tried& tried,
                                NextPlace next_place) {
    Tried passed;
    for (unsigned misses = 0; misses <= max_misses;) {
        const std::size_t index = at_weight(peers, next_place() % peers.total_weight());
        if (peers.usable(index, tried, request.now)) return index;
        if (tried.has(index) && !passed.has(index)) {
            passed.add(index);
        } else {
            ++misses;
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::size_t> pick_ip_hash(const Peers& peers, const PickRequest& request, const Tried& tried) {
    if (peers.single() || peers.primary().empty()) return std::nullopt;
    const auto& bytes = request.client.bytes();
    // The first three bytes of an IPv4 address, all of an IPv6 one.
    const bool v4 = request.client.is_v4();
    const std::span<const std::uint8_t> key(bytes.data() + (v4 ? 12 : 0), v4 ? 3 : 16);
    std::uint64_t hash = 89;
    return walk(peers, request, tried, [&] {
        for (const std::uint8_t byte : key) hash = (hash * 113 + byte) % 6271;
        return hash;
    });
}

std::optional<std::size_t> pick_hash(const Peers& peers, const PickRequest& request, const Tried& tried) {
    if (peers.single() || peers.primary().empty() || request.hash_key.empty()) return std::nullopt;
    std::uint32_t hash = 0;
    unsigned rehash = 0;
    return walk(peers, request, tried, [&]() -> std::uint64_t {
        std::uint32_t crc = crc32_init;
        if (rehash > 0) crc = crc32_update(crc, std::to_string(rehash));
        crc = crc32_final(crc32_update(crc, request.hash_key));
        ++rehash;
        hash += (crc >> 16) & 0x7fff;
        return hash;
    });
}

namespace {

// crc32(HOST \0 PORT), not finished: what Cache::Memcached::Fast hashes, and nginx after it.
std::uint32_t server_hash(std::string_view server) {
    std::string_view host = server;
    std::string_view port;
    if (server.starts_with("unix:")) {
        host.remove_prefix(5);
    } else if (const std::size_t colon = server.rfind(':'); colon != std::string_view::npos) {
        const std::string_view digits = server.substr(colon + 1);
        if (digits.find_first_not_of("0123456789") == std::string_view::npos) {
            host = server.substr(0, colon);
            port = digits;
        }
    }
    std::uint32_t crc = crc32_update(crc32_init, host);
    crc = crc32_update(crc, std::string_view("\0", 1));
    return crc32_update(crc, port);
}

}  // namespace

Ring::Ring(const catalog::EndpointGroup& group, const Peers& peers) {
    std::unordered_map<std::string, std::uint32_t> by_name;
    for (const std::size_t index : peers.primary()) {
        const catalog::Endpoint& endpoint = group.endpoints[index];
        const std::string name = endpoint.name.empty() ? endpoint.address.text() : endpoint.name;
        const auto [found, is_new] = by_name.emplace(name, static_cast<std::uint32_t>(servers_.size()));
        if (is_new) servers_.emplace_back();
        servers_[found->second].push_back(index);

        const std::uint32_t base = server_hash(name);
        std::uint32_t previous = 0;
        for (std::uint64_t i = 0; i < std::uint64_t{endpoint.weight} * points_per_weight; ++i) {
            const char bytes[] = {static_cast<char>(previous), static_cast<char>(previous >> 8),
                                  static_cast<char>(previous >> 16), static_cast<char>(previous >> 24)};
            previous = crc32_final(crc32_update(base, std::string_view(bytes, 4)));
            points_.push_back({previous, found->second});
        }
    }
    std::stable_sort(points_.begin(), points_.end(),
                     [](const Point& a, const Point& b) { return a.hash < b.hash; });
    const auto same = [](const Point& a, const Point& b) { return a.hash == b.hash; };
    points_.erase(std::unique(points_.begin(), points_.end(), same), points_.end());
}

std::optional<std::size_t> Ring::pick(Peers& peers, const PickRequest& request, const Tried& tried) const {
    if (peers.single() || points_.empty() || request.hash_key.empty()) return std::nullopt;
    const std::uint32_t hash = crc32_final(crc32_update(crc32_init, request.hash_key));
    const auto first =
        std::lower_bound(points_.begin(), points_.end(), hash,
                         [](const Point& point, std::uint32_t value) { return point.hash < value; });
    auto at = static_cast<std::size_t>(first - points_.begin());
    for (unsigned misses = 0; misses <= max_misses; ++misses, ++at) {
        const auto& server = servers_[points_[at % points_.size()].server];
        if (auto index = peers.next(server, tried, request.now)) return index;
    }
    return std::nullopt;
}

}  // namespace hawser::balance
