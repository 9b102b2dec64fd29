// SPDX-License-Identifier: Apache-2.0
#include "im/server.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "im/http_session.h"

namespace hawser::im {

namespace asio = boost::asio;
using asio::ip::tcp;

Server::Server(asio::io_context& io, Site& site) : site_(site), acceptor_(io), pause_(io) {}

net::Result<net::SocketAddress> Server::listen(const net::SocketAddress& address) {
    boost::system::error_code failed;
    const auto ip = asio::ip::make_address(address.ip.text(), failed);
    const tcp::endpoint endpoint(ip, address.port);
    if (!failed) acceptor_.open(endpoint.protocol(), failed);
    if (!failed) acceptor_.set_option(tcp::acceptor::reuse_address(true), failed);
    if (!failed) acceptor_.bind(endpoint, failed);
    if (!failed) acceptor_.listen(4096, failed);
    if (failed) return net::system_error("listen on " + address.text(), failed.value());
    accept();
    return net::SocketAddress{address.ip, acceptor_.local_endpoint().port()};
}

void Server::stop() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
}

void Server::accept() {
    acceptor_.async_accept([this](boost::system::error_code failed, tcp::socket socket) {
        if (!acceptor_.is_open()) return;
        if (!failed) {
            exhausted_ = false;
            boost::system::error_code ignored;
            socket.set_option(tcp::no_delay(true), ignored);
            if (site_.connections < site_.limits.max_connections + most_told) {
                const bool beyond = site_.connections >= site_.limits.max_connections;
                start_http_session(std::move(socket), site_, beyond);
            } else {
                site_.metrics.connections_refused.Increment();
            }
        } else if (failed == asio::error::no_descriptors ||
                   failed == boost::system::errc::too_many_files_open_in_system ||
                   failed == asio::error::no_memory) {
            // Accepting again at once would spin: the connection stays in the queue.
            if (!std::exchange(exhausted_, true)) spdlog::error("accept: {}; waiting", failed.message());
            pause_.expires_after(std::chrono::milliseconds(100));
            pause_.async_wait([this](boost::system::error_code) {
                if (acceptor_.is_open()) accept();
            });
            return;
        }
        accept();
    });
}

}  // namespace hawser::im
