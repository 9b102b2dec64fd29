// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/api.h"
#include "net/address.h"
#include "net/error.h"

namespace hawser::control {

// The admin HTTP/1.1 server. Everything is bounded: connections, head and body of a request, the time for
// each. A request must name this server by address, as localhost or by one of host_names: a browser that was
// lured to attacker.example with its DNS answer turned to 127.0.0.1 does not. Requests that change something
// and carry another Origin are refused; there is no CORS.
class AdminServer {
  public:
    struct Options {
        net::SocketAddress address;
        std::vector<std::string> host_names;  // accepted in Host besides addresses and localhost
        std::size_t max_connections = 64;
        std::uint32_t max_head = 8 * 1024;
        std::uint64_t max_body = 4 * 1024;
        std::chrono::milliseconds timeout{10'000};  // for a request, and for reading its answer; idle as well
    };
    using Handler = std::function<void(const Request&, Api::Answer)>;

    AdminServer(boost::asio::io_context& io, Options options, Handler handler);
    ~AdminServer();
    AdminServer(const AdminServer&) = delete;
    AdminServer& operator=(const AdminServer&) = delete;

    // The address with the port that the kernel gave for port 0.
    net::Result<net::SocketAddress> listen();
    void stop();

  private:
    class Session;
    struct Shared;
    void accept();

    boost::asio::ip::tcp::acceptor acceptor_;
    std::shared_ptr<Shared> shared_;
};

// host: the Host header, with or without port. "" is accepted (HTTP/1.0, no browser).
bool accepts_host(std::string_view host, const std::vector<std::string>& names);

}  // namespace hawser::control
