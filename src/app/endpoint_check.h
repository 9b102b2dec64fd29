// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "catalog/snapshot.h"

namespace hawser::app {

// Whether this node reaches any endpoint at all: a node whose way to the pods is broken should not have the VIPs. Every
// so often one endpoint is connected to, and left at once; when that fails, several others. Only what happens twice in a
// row counts. Endpoints without TCP, and none at all, are no trouble. io's thread only.
class EndpointCheck {
  public:
    struct Pace {
        std::chrono::milliseconds interval{3'000};  // 0: never
        std::chrono::milliseconds again{500};       // after a failure
        std::chrono::milliseconds timeout{1'000};   // of a connect
    };
    // on_change("" = reachable, else why not).
    EndpointCheck(boost::asio::io_context& io, Pace pace, std::function<void(const std::string& why_not)> on_change);
    ~EndpointCheck();

    void watch(const catalog::Snapshot& snapshot);  // these endpoints from now on
    void stop();

  private:
    struct Round;
    void wait(std::chrono::milliseconds time);
    void begin(std::size_t most);
    void end(bool reached, std::size_t tried);

    boost::asio::io_context& io_;
    const Pace pace_;
    std::function<void(const std::string&)> on_change_;
    boost::asio::steady_timer timer_;
    std::vector<net::SocketAddress> endpoints_;
    std::minstd_rand random_;
    std::shared_ptr<Round> round_;
    unsigned failures_ = 0;  // in a row
    bool waits_ = false;
    std::string why_not_;
};

}  // namespace hawser::app
