// SPDX-License-Identifier: Apache-2.0
#include "gateway/admission.h"

#include <algorithm>

namespace hawser::gateway {

std::string_view to_string(Admission::Refusal refusal) {
    switch (refusal) {
        case Admission::Refusal::max_connections:
            return "max_connections";
        case Admission::Refusal::per_client:
            return "per_client";
        case Admission::Refusal::rate:
            return "rate";
    }
    return "?";
}

Admission::Admission(const Limits& limits) : limits_(limits) {}

Admission::Pass::Pass(Pass&& other) noexcept
    : admission_(std::exchange(other.admission_, nullptr)), client_(other.client_) {}

Admission::Pass& Admission::Pass::operator=(Pass&& other) noexcept {
    if (this != &other) {
        release();
        admission_ = std::exchange(other.admission_, nullptr);
        client_ = other.client_;
    }
    return *this;
}

void Admission::Pass::release() {
    if (admission_ == nullptr) return;
    Admission& admission = *std::exchange(admission_, nullptr);
    admission.connections_.fetch_sub(1, std::memory_order_relaxed);
    if (admission.limits_.max_connections_per_client == 0) return;
    Shard& shard = admission.shard_of(client_);
    const std::lock_guard lock(shard.mutex);
    const auto at = shard.clients.find(client_);
    if (at != shard.clients.end() && --at->second == 0) shard.clients.erase(at);
}

Admission::Decision Admission::enter(const net::IpAddress& client, net::TimePoint now) {
    if (limits_.max_handshakes_per_second > 0 && !take_token(now)) return {{}, Refusal::rate};
    if (limits_.max_connections_per_client != 0) {
        Shard& shard = shard_of(client);
        const std::lock_guard lock(shard.mutex);
        std::size_t& count = shard.clients[client];
        if (count >= limits_.max_connections_per_client) return {{}, Refusal::per_client};
        ++count;
    }
    const std::size_t before = connections_.fetch_add(1, std::memory_order_relaxed);
    Pass pass(this, client);
    if (limits_.max_connections != 0 && before >= limits_.max_connections)
        return {{}, Refusal::max_connections};  // `pass` counts the client out again
    return {std::move(pass), std::nullopt};
}

Admission::Shard& Admission::shard_of(const net::IpAddress& client) {
    return shards_[std::hash<net::IpAddress>{}(client) % shards_.size()];
}

bool Admission::take_token(net::TimePoint now) {
    const std::lock_guard lock(rate_mutex_);
    // A bucket of one second's worth.
    const double most = std::max(1.0, limits_.max_handshakes_per_second);
    if (!refilled_) tokens_ = most;
    if (refilled_ && now > *refilled_)
        tokens_ = std::min(most, tokens_ + limits_.max_handshakes_per_second *
                                               std::chrono::duration<double>(now - *refilled_).count());
    if (!refilled_ || now > *refilled_) refilled_ = now;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
}

}  // namespace hawser::gateway
