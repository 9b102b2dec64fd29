// SPDX-License-Identifier: Apache-2.0
#include "gateway/endpoint_pool.h"

namespace hawser::gateway {

struct EndpointPool::Idle : net::ReadinessListener, net::Timer {
    EndpointPool* pool = nullptr;
    std::string group;
    net::SocketAddress address;
    std::unique_ptr<EndpointConnection> connection;
    List::iterator self;

    ~Idle() override {
        if (connection) connection->socket->set_listener(nullptr);
    }
    void on_readiness(net::Socket& socket) override {
        // Writable again is no news; anything to read is either the end or out of turn.
        if (socket.readable() || socket.peer_finished()) pool->drop(*this);
    }
    void on_timer() override { pool->drop(*this); }
};

EndpointPool::EndpointPool(net::Loop& loop) : loop_(loop) {}

EndpointPool::~EndpointPool() { clear(); }

std::unique_ptr<EndpointConnection> EndpointPool::take(const std::string& group_id,
                                                       const net::SocketAddress& address) {
    const auto group = groups_.find(group_id);
    if (group == groups_.end()) return nullptr;
    for (auto at = group->second.begin(); at != group->second.end(); ++at) {
        if ((*at)->address != address) continue;
        auto connection = std::move((*at)->connection);
        connection->socket->set_listener(nullptr);
        connection->reused = true;
        group->second.erase(at);
        --size_;
        return connection;
    }
    return nullptr;
}

void EndpointPool::put(const catalog::EndpointGroup& group, const net::SocketAddress& address,
                       std::unique_ptr<EndpointConnection> connection) {
    if (group.keepalive == 0 || connection->requests >= group.keepalive_requests ||
        loop_.now() - connection->opened >= group.keepalive_time || !connection->input.empty() ||
        connection->socket->readable() || connection->socket->peer_finished())
        return;
    List& list = groups_[group.id];
    auto idle = std::make_unique<Idle>();
    idle->pool = this;
    idle->group = group.id;
    idle->address = address;
    connection->socket->set_listener(idle.get());
    idle->connection = std::move(connection);
    loop_.timers().set(*idle, loop_.now() + group.keepalive_timeout);
    list.push_front(std::move(idle));
    list.front()->self = list.begin();
    ++size_;
    if (list.size() > group.keepalive) drop(*list.back());
}

void EndpointPool::drop(Idle& idle) {
    const auto group = groups_.find(idle.group);
    idle.connection->socket->close();
    group->second.erase(idle.self);
    --size_;
    if (group->second.empty()) groups_.erase(group);
}

void EndpointPool::clear() {
    groups_.clear();
    size_ = 0;
}

}  // namespace hawser::gateway
