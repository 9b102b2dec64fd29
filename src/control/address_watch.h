// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <vector>

#include "net/address.h"
#include "net/error.h"

namespace hawser::control {

// Tells when the set of addresses on this machine's interfaces became another one (rtnetlink RTM_NEWADDR,
// RTM_DELADDR). NodePorts and local external IPs depend on it.
class AddressWatch {
  public:
    // on_change is called on io's thread.
    AddressWatch(boost::asio::io_context& io, std::function<void()> on_change);
    net::Result<void> open();

  private:
    void wait();
    bool is_news();
    void look();

    std::function<void()> on_change_;
    boost::asio::posix::stream_descriptor netlink_;
    boost::asio::steady_timer timer_;
    std::vector<net::IpAddress> addresses_;
};

}  // namespace hawser::control
