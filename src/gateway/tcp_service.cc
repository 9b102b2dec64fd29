// SPDX-License-Identifier: Apache-2.0
#include "gateway/tcp_service.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace hawser::gateway {

namespace {

constexpr net::Duration connect_timeout{10'000};

// A connection on its way to an endpoint, as the worker counts it and cuts it when a drain is over.
class Connecting : public ServedConnection {
  public:
    Connecting(Worker& worker, const std::unique_ptr<net::Socket>& endpoint)
        : worker_(worker), endpoint_(endpoint) {
        worker_.add(*this);
    }
    ~Connecting() override { worker_.remove(*this); }
    Connecting(const Connecting&) = delete;
    Connecting& operator=(const Connecting&) = delete;

    void end_if_idle() override {}
    void cut() override {
        is_cut_ = true;
        if (endpoint_) ::shutdown(endpoint_->fd(), SHUT_RDWR);  // the connect fails
    }
    [[nodiscard]] bool is_orphaned() const override { return false; }
    [[nodiscard]] bool is_cut() const { return is_cut_; }

  private:
    Worker& worker_;
    const std::unique_ptr<net::Socket>& endpoint_;
    bool is_cut_ = false;
};

class TcpEnd final : public Worker::TunnelEnd {
  public:
    using TunnelEnd::TunnelEnd;
    balance::Hold hold;
};

// No endpoint's fault, and no other endpoint would do better.
bool is_ours(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

// 0, or the errno of the attempt.
net::Task<int> connect(net::Loop& loop, const net::SocketAddress& to, std::unique_ptr<net::Socket>& out) {
    auto fd = net::start_connect(to);
    if (!fd) co_return fd.error().code;
    out = std::make_unique<net::Socket>(loop, std::move(*fd), false);
    if (auto opened = out->open(); !opened) co_return opened.error().code;
    const auto deadline = loop.now() + connect_timeout;
    while (!out->writable()) {
        const net::Wait::Interest writing{out.get(), net::writing};
        if (!co_await net::Wait(deadline, writing)) co_return ETIMEDOUT;
    }
    co_return out->take_error();
}

}  // namespace

net::Task<void> serve_tcp(Worker& worker, net::Fd fd, net::SocketAddress peer, PurposeSlot purpose,
                          Admission::Pass pass) {
    std::unique_ptr<net::Socket> endpoint;
    const Connecting connecting(worker, endpoint);
    auto client = std::make_unique<net::Socket>(worker.loop(), std::move(fd), true);
    net::set_no_delay(client->fd());
    const auto local = net::local_address(client->fd());
    const auto frontend = purpose->frontend;
    if (!frontend || !client->open()) co_return client->close_with_reset();
    const bool inside = frontend->cluster_group && worker.is_inside(peer.ip, local.ip);
    const auto group = inside ? frontend->cluster_group : frontend->group;
    const auto refuse = [&](const char* cause) {
        ++worker.stats().refused[cause];
        client->close_with_reset();
    };
    if (!group) co_return refuse("no_endpoint");

    const auto picker = worker.picker(group);
    balance::Tried tried;
    for (;;) {
        const balance::PickRequest request{peer.ip, local.ip, {}, worker.loop().now()};
        const auto index = picker->pick(request, tried);
        if (!index) co_return refuse("no_endpoint");
        const catalog::Endpoint& chosen = group->endpoints[*index];
        balance::Hold hold(chosen.state);
        const int error = co_await connect(worker.loop(), chosen.address, endpoint);
        if (connecting.is_cut()) co_return refuse("drained");
        if (is_ours(error)) co_return refuse("descriptors");
        chosen.state->opened.fetch_add(1, std::memory_order_relaxed);
        const char* outcome = error == 0 ? "ok" : error == ETIMEDOUT ? "timeout" : "connect_error";
        ++worker.stats().endpoint_attempts[{group->service, chosen.address.text(), outcome}];
        if (error != 0) {
            chosen.state->failed.fetch_add(1, std::memory_order_relaxed);
            picker->failed(*index, request);
            if (worker.wants_log(LogLevel::warning))
                worker.log(LogLevel::warning, "connect to " + chosen.address.text() + " of " +
                                                  group->service + ": " + std::strerror(error) +
                                                  ", client: " + peer.text());
            endpoint.reset();
            continue;
        }
        picker->succeeded(*index, request);

        tunnel::Tunnel tunnel;
        tunnel.kind = tunnel::Kind::tcp;
        tunnel.protocol = "tcp";
        tunnel.route = frontend->id;
        tunnel.service = group->service;
        tunnel.endpoint = chosen.address;
        tunnel.endpoint_name = chosen.name;
        tunnel.client = peer;
        tunnel.frontend = local;
        tunnel.started = worker.loop().system_now();
        tunnel.idle_timeout = frontend->tunnel_idle_timeout;
        tunnel::Relay::Ends ends;
        ends.client = std::move(client);
        ends.endpoint = std::move(endpoint);
        auto end = std::make_unique<TcpEnd>(worker);
        end->hold = std::move(hold);
        worker.open_tunnel(std::move(tunnel), std::move(ends), std::move(pass), std::move(end));
        co_return;
    }
}

}  // namespace hawser::gateway
