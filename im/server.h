// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "im/site.h"
#include "net/address.h"
#include "net/error.h"

namespace hawser::im {

// The listening socket.
class Server {
  public:
    // Connections beyond Limits::max_connections that are told so with a 503; further ones are just closed.
    static constexpr std::size_t most_told = 256;

    Server(boost::asio::io_context& io, Site& site);

    // Binds, listens and starts to accept. Port 0 takes a free one; the result is the real address.
    net::Result<net::SocketAddress> listen(const net::SocketAddress& address);
    void stop();

  private:
    void accept();

    Site& site_;
    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer pause_;
    bool exhausted_ = false;  // said once that descriptors ran out
};

}  // namespace hawser::im
