// SPDX-License-Identifier: Apache-2.0
#include "app/endpoint_check.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <set>

namespace hawser::app {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t most_at_once = 8;
constexpr unsigned failures_that_count = 2;

tcp::endpoint endpoint_of(const net::SocketAddress& address) {
    if (address.ip.is_v4()) return {asio::ip::address_v4(address.ip.v4_host_order()), address.port};
    return {asio::ip::address_v6(address.ip.bytes()), address.port};
}

void add(std::set<net::SocketAddress>& to, const std::shared_ptr<const catalog::EndpointGroup>& group) {
    if (!group) return;
    for (const auto& endpoint : group->endpoints) to.insert(endpoint.address);
}

}  // namespace

// Connects to several at one time; the first that answers decides.
struct EndpointCheck::Round : std::enable_shared_from_this<EndpointCheck::Round> {
    Round(EndpointCheck& owner, std::vector<net::SocketAddress> targets) : check(&owner), timer(owner.io_), left(targets.size()), tried(left) {
        for (const auto& target : targets) {
            sockets.push_back(std::make_unique<tcp::socket>(owner.io_));
            addresses.push_back(endpoint_of(target));
        }
    }
    void start(std::chrono::milliseconds timeout) {
        auto self = shared_from_this();
        timer.expires_after(timeout);
        timer.async_wait([self](boost::system::error_code failed) {
            if (!failed) self->finish(false);
        });
        for (std::size_t i = 0; i < sockets.size(); ++i)
            sockets[i]->async_connect(addresses[i], [self](boost::system::error_code failed) {
                if (!failed || --self->left == 0) self->finish(!failed);
            });
    }
    void finish(bool reached) {
        EndpointCheck* const owner = std::exchange(check, nullptr);
        if (owner == nullptr) return;
        cancel();
        owner->end(reached, tried);
    }
    void cancel() {
        check = nullptr;
        timer.cancel();
        boost::system::error_code ignored;
        for (const auto& socket : sockets) socket->close(ignored);
    }
    EndpointCheck* check;  // null once it is over
    asio::steady_timer timer;
    std::vector<std::unique_ptr<tcp::socket>> sockets;
    std::vector<tcp::endpoint> addresses;
    std::size_t left, tried;
};

EndpointCheck::EndpointCheck(asio::io_context& io, Pace pace, std::function<void(const std::string&)> on_change)
    : io_(io), pace_(pace), on_change_(std::move(on_change)), timer_(io), random_(std::random_device{}()) {}

EndpointCheck::~EndpointCheck() { stop(); }

void EndpointCheck::stop() {
    if (round_) round_->cancel();
    round_.reset();
    timer_.cancel();
    waits_ = false;
    endpoints_.clear();
}

void EndpointCheck::watch(const catalog::Snapshot& snapshot) {
    std::set<net::SocketAddress> all;
    for (const auto& frontend : snapshot.frontends) {
        if (frontend.protocol != catalog::Protocol::tcp) continue;
        add(all, frontend.group);
        add(all, frontend.cluster_group);
    }
    endpoints_.assign(all.begin(), all.end());
    if (pace_.interval.count() == 0) return;
    if (!waits_ && !round_) wait(std::chrono::milliseconds(0));
}

void EndpointCheck::wait(std::chrono::milliseconds time) {
    waits_ = true;
    timer_.expires_after(time);
    timer_.async_wait([this](boost::system::error_code failed) {
        if (failed) return;
        waits_ = false;
        begin(failures_ == 0 ? 1 : most_at_once);
    });
}

void EndpointCheck::begin(std::size_t most) {
    if (endpoints_.empty()) return end(true, 0);
    std::vector<net::SocketAddress> targets;
    std::sample(endpoints_.begin(), endpoints_.end(), std::back_inserter(targets), most, random_);
    round_ = std::make_shared<Round>(*this, std::move(targets));
    round_->start(pace_.timeout);
}

void EndpointCheck::end(bool reached, std::size_t tried) {
    round_.reset();
    failures_ = reached ? 0 : failures_ + 1;
    std::string why_not = why_not_;
    if (reached) why_not.clear();
    // The first failure is of one endpoint alone.
    if (failures_ > failures_that_count)
        why_not = "none of " + std::to_string(tried) + " endpoints can be reached";
    wait(reached || !why_not.empty() ? pace_.interval : pace_.again);
    if (why_not == why_not_) return;
    why_not_ = why_not;
    on_change_(why_not_);
}

}  // namespace hawser::app
