// SPDX-License-Identifier: Apache-2.0
#include "app/client.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <optional>

namespace hawser::app {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

// One request on a loop of its own: connect, write, read, each within the stream's deadline.
class Exchange {
  public:
    Exchange(tcp::endpoint to, http::request<http::empty_body> request, std::chrono::milliseconds timeout)
        : stream_(io_), to_(std::move(to)), request_(std::move(request)) {
        parser_.body_limit(256ULL << 20);
        stream_.expires_after(timeout);
    }

    beast::error_code run() {
        stream_.async_connect(to_, [this](beast::error_code failed) {
            if (failed) return fail(failed);
            http::async_write(stream_, request_, [this](beast::error_code failed_write, std::size_t) {
                if (failed_write) return fail(failed_write);
                http::async_read(stream_, buffer_, parser_,
                                 [this](beast::error_code failed_read, std::size_t) { fail(failed_read); });
            });
        });
        io_.run();
        return result_;
    }
    [[nodiscard]] const http::response<http::string_body>& response() const { return parser_.get(); }

  private:
    void fail(beast::error_code code) {
        result_ = code;
        stream_.cancel();  // the deadline
    }

    asio::io_context io_;
    beast::tcp_stream stream_;
    tcp::endpoint to_;
    http::request<http::empty_body> request_;
    beast::flat_buffer buffer_;
    http::response_parser<http::string_body> parser_;
    beast::error_code result_;
};

}  // namespace

net::Result<AdminClient::Answer> AdminClient::request(std::string_view method,
                                                      const std::string& target) const {
    sockaddr_storage storage{};
    const socklen_t size = address_.to_sockaddr(storage);
    tcp::endpoint endpoint;
    endpoint.resize(size);
    std::copy_n(reinterpret_cast<const char*>(&storage), size, reinterpret_cast<char*>(endpoint.data()));

    http::request<http::empty_body> request(
        http::string_to_verb(beast::string_view(method.data(), method.size())), target, 11);
    request.set(http::field::host, address_.text());
    request.keep_alive(false);
    Exchange exchange(endpoint, std::move(request), timeout_);
    const std::string whom = "hawser at " + address_.text();
    if (const auto failed = exchange.run()) {
        net::Error error;
        error.message = "cannot reach " + whom + ": " + failed.message();
        return error;
    }
    boost::system::error_code wrong;
    Answer answer;
    answer.status = exchange.response().result_int();
    answer.body = boost::json::parse(exchange.response().body(), wrong);
    if (!wrong && answer.body.is_object()) return answer;
    net::Error error;
    error.message = "what answers at " + address_.text() + " is not hawser (status " +
                    std::to_string(answer.status) + ")";
    return error;
}

}  // namespace hawser::app
