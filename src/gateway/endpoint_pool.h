// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "catalog/endpoint.h"
#include "net/socket.h"

namespace hawser::gateway {

// A connection to an endpoint that HTTP requests can use.
struct EndpointConnection {
    std::unique_ptr<net::Socket> socket;
    std::string input;           // read, not parsed yet
    std::uint32_t requests = 0;  // sent on it, this one included
    bool reused = false;         // came from the pool: it may have died since
    net::TimePoint opened;
};

// Idle endpoint connections of one worker, by endpoint group, at most group.keepalive of each; the least
// recently used one makes room (nginx `keepalive`). An idle connection that says anything or closes is
// dropped.
class EndpointPool {
  public:
    explicit EndpointPool(net::Loop& loop);
    ~EndpointPool();
    EndpointPool(const EndpointPool&) = delete;
    EndpointPool& operator=(const EndpointPool&) = delete;

    // The most recently used idle connection to that address, or null.
    std::unique_ptr<EndpointConnection> take(const std::string& group_id, const net::SocketAddress& address);
    void put(const catalog::EndpointGroup& group, const net::SocketAddress& address,
             std::unique_ptr<EndpointConnection> connection);
    [[nodiscard]] std::size_t size() const { return size_; }
    void clear();

  private:
    struct Idle;
    using List = std::list<std::unique_ptr<Idle>>;  // most recently used first
    void drop(Idle& idle);

    net::Loop& loop_;
    std::unordered_map<std::string, List> groups_;
    std::size_t size_ = 0;
};

}  // namespace hawser::gateway
