// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

#include "im/site.h"

namespace hawser::im {

// One connection's place in Site::connections, from accept to its end.
class Place {
  public:
    explicit Place(Site& site) : site_(&site) {
        ++site.connections;
        site.metrics.connections.Increment();
    }
    Place(Place&& other) noexcept : site_(std::exchange(other.site_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
        if (site_ == nullptr) return;
        --site_->connections;
        site_->metrics.connections.Decrement();
    }

  private:
    Site* site_;
};

// Answers the handshake, which was found good, and carries the session until it ends.
void start_websocket_session(boost::beast::tcp_stream stream,
                             boost::beast::http::request<boost::beast::http::string_body> request, Site& site,
                             Place place);

}  // namespace hawser::im
