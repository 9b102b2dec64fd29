// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "net/address.h"
#include "net/error.h"

namespace hawser::app {

// A client of a daemon's admin API. One connection per call, blocking, bounded in time.
class AdminClient {
  public:
    explicit AdminClient(net::SocketAddress address,
                         std::chrono::milliseconds timeout = std::chrono::seconds(30))
        : address_(address), timeout_(timeout) {}

    struct Answer {
        unsigned status = 0;
        boost::json::value body;
    };
    // target: "/api/v1/services?namespace=default". An error is one of the connection, or an answer that is
    // not hawser's.
    [[nodiscard]] net::Result<Answer> request(std::string_view method, const std::string& target) const;

  private:
    net::SocketAddress address_;
    std::chrono::milliseconds timeout_;
};

}  // namespace hawser::app
