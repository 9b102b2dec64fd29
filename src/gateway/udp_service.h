// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <unordered_map>

#include "gateway/worker.h"
#include "net/loop.h"

namespace hawser::gateway {

// An L4 UDP frontend on one worker: a flow for each client address and port, with a connected socket to its
// endpoint. Flows end when they are idle, when the endpoint answers "port unreachable", and when their
// endpoint leaves the group (H-09). Bounded: the least recently used flow makes room.
class UdpService : private net::EventHandler {
  public:
    static constexpr std::size_t max_flows = 4096;

    UdpService(Worker& worker, net::Fd fd, std::shared_ptr<const catalog::Frontend> frontend);
    ~UdpService() override;

    net::Result<void> open();
    void set_frontend(std::shared_ptr<const catalog::Frontend> frontend);
    [[nodiscard]] std::size_t flows() const { return flows_.size(); }

  private:
    struct Flow;
    using List = std::list<std::unique_ptr<Flow>>;  // most recently used first
    // A client's datagrams to two addresses of this node are two flows: the answers come from different
    // addresses.
    struct Key {
        net::SocketAddress client;
        net::IpAddress local;
        bool operator==(const Key&) const = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<net::SocketAddress>{}(key.client) * 31 + std::hash<net::IpAddress>{}(key.local);
        }
    };

    void on_events(std::uint32_t events) override;
    Flow* flow_of(const Key& key);
    void reply(const Flow& flow, const char* bytes, std::size_t size);
    void remove(Flow& flow);
    void refused(Flow& flow);  // by "port unreachable"

    Worker& worker_;
    net::Fd fd_;
    std::shared_ptr<const catalog::Frontend> frontend_;
    List recent_;
    std::unordered_map<Key, Flow*, KeyHash> flows_;
};

}  // namespace hawser::gateway
