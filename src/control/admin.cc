// SPDX-License-Identifier: Apache-2.0
#include "control/admin.h"

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/url.hpp>
#include <cctype>
#include <optional>

namespace hawser::control {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

namespace {

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

bool equal_without_case(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

net::Error boost_error(std::string what, const boost::system::error_code& code) {
    return net::system_error(what, code.value());
}

}  // namespace

bool accepts_host(std::string_view host, const std::vector<std::string>& names) {
    if (host.empty()) return true;
    std::string_view name = host;
    if (name.starts_with('[')) {
        const auto end = name.find(']');
        return end != std::string_view::npos && net::IpAddress::parse(name.substr(1, end - 1)).has_value();
    }
    name = name.substr(0, name.find(':'));
    if (net::IpAddress::parse(name) || equal_without_case(name, "localhost")) return true;
    return std::any_of(names.begin(), names.end(),
                       [&](const auto& n) { return equal_without_case(n, name); });
}

struct AdminServer::Shared {
    Options options;
    Handler handler;
    std::size_t connections = 0;
};

class AdminServer::Session : public std::enable_shared_from_this<Session> {
  public:
    Session(tcp::socket socket, std::shared_ptr<Shared> shared)
        : stream_(std::move(socket)), shared_(std::move(shared)) {
        ++shared_->connections;
    }
    ~Session() { --shared_->connections; }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void read() {
        parser_.emplace();
        parser_->header_limit(shared_->options.max_head);
        parser_->body_limit(shared_->options.max_body);
        stream_.expires_after(shared_->options.timeout);
        http::async_read(
            stream_, buffer_, *parser_,
            [self = shared_from_this()](beast::error_code failed, std::size_t) { self->on_request(failed); });
    }

  private:
    void on_request(beast::error_code failed) {
        head_ = false;
        keep_alive_ = false;
        if (failed == http::error::header_limit)
            return write(failure(431, "BadRequest", "the head is too large"));
        if (failed == http::error::body_limit)
            return write(failure(413, "RequestEntityTooLarge", "the body is too large"));
        if (failed == http::error::end_of_stream || failed == beast::error::timeout) return close();
        // What Beast's parser refuses; anything else is a broken connection.
        if (failed && failed.category() == http::make_error_code(http::error::bad_method).category())
            return write(failure(400, "BadRequest", "not a request: " + failed.message()));
        if (failed) return;
        const auto& message = parser_->get();
        keep_alive_ = message.keep_alive();
        head_ = message.method() == http::verb::head;
        if (auto refused = refuse(message)) return write(std::move(*refused));
        auto request = parse(message);
        if (!request) return write(failure(400, "BadRequest", "the target is not an absolute path"));
        stream_.expires_never();  // a reload may take as long as the disk and the resolver do
        shared_->handler(*request, [self = shared_from_this()](Response response) {
            asio::post(self->stream_.get_executor(), [self, response = std::move(response)]() mutable {
                self->write(std::move(response));
            });
        });
    }

    using Message = http::request<http::string_body>;

    [[nodiscard]] std::optional<Response> refuse(const Message& message) const {
        const auto host = view(message[http::field::host]);
        if (message.count(http::field::host) > 1 || !accepts_host(host, shared_->options.host_names))
            return failure(421, "Misdirected",
                           "this server is not called \"" + std::string(host) + "\"; see --admin-host");
        if (message.method() == http::verb::get || message.method() == http::verb::head) return std::nullopt;
        const auto origin = message.find(http::field::origin);
        if (origin != message.end() && view(origin->value()) != "http://" + std::string(host))
            return failure(403, "Forbidden", "a page of another origin may not do this");
        const auto site = view(message["Sec-Fetch-Site"]);
        if (!site.empty() && site != "same-origin" && site != "none")
            return failure(403, "Forbidden", "a page of another origin may not do this");
        return std::nullopt;
    }

    static std::optional<Request> parse(const Message& message) {
        const auto target = boost::urls::parse_origin_form(message.target());
        if (!target) return std::nullopt;
        Request request;
        request.method = std::string(view(message.method_string()));
        request.path = target->path();
        for (const auto& parameter : target->params()) request.query[parameter.key] = parameter.value;
        return request;
    }

    void write(Response from) {
        response_.emplace(static_cast<http::status>(from.status), 11);
        response_->set(http::field::content_type, from.content_type);
        response_->set(http::field::cache_control, "no-store");
        response_->set("X-Content-Type-Options", "nosniff");
        for (const auto& [name, value] : from.headers) response_->set(name, value);
        response_->keep_alive(keep_alive_);
        response_->content_length(from.body.size());
        if (!head_) response_->body() = std::move(from.body);
        stream_.expires_after(shared_->options.timeout);
        serializer_.emplace(*response_);
        const auto written = [self = shared_from_this()](beast::error_code failed, std::size_t) {
            if (failed || !self->keep_alive_) return self->close();
            self->read();
        };
        if (head_)
            http::async_write_header(stream_, *serializer_, written);
        else
            http::async_write(stream_, *serializer_, written);
    }

    // Unread bytes in the socket would make close() send RST, which can overtake the answer.
    void close() {
        beast::error_code ignored;
        stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
        stream_.expires_after(std::chrono::seconds(2));
        drain();
    }

    void drain() {
        stream_.async_read_some(asio::buffer(waste_),
                                [self = shared_from_this()](beast::error_code failed, std::size_t bytes) {
                                    self->wasted_ += bytes;
                                    if (!failed && self->wasted_ < 256 * 1024) self->drain();
                                });
    }

    beast::tcp_stream stream_;
    std::shared_ptr<Shared> shared_;
    beast::flat_buffer buffer_;
    std::optional<http::request_parser<http::string_body>> parser_;
    std::optional<http::response<http::string_body>> response_;
    std::optional<http::response_serializer<http::string_body>> serializer_;
    std::array<char, 1024> waste_{};
    std::size_t wasted_ = 0;
    bool keep_alive_ = false;
    bool head_ = false;
};

AdminServer::AdminServer(asio::io_context& io, Options options, Handler handler)
    : acceptor_(io), shared_(std::make_shared<Shared>(Shared{std::move(options), std::move(handler), 0})) {}

AdminServer::~AdminServer() = default;

net::Result<net::SocketAddress> AdminServer::listen() {
    sockaddr_storage storage{};
    const auto& address = shared_->options.address;
    const socklen_t size = address.to_sockaddr(storage);
    tcp::endpoint endpoint;
    endpoint.resize(size);
    std::copy_n(reinterpret_cast<const char*>(&storage), size, reinterpret_cast<char*>(endpoint.data()));
    boost::system::error_code failed;
    acceptor_.open(endpoint.protocol(), failed);
    if (!failed) acceptor_.set_option(tcp::acceptor::reuse_address(true), failed);
    if (!failed) acceptor_.bind(endpoint, failed);
    if (!failed) acceptor_.listen(asio::socket_base::max_listen_connections, failed);
    if (failed) return boost_error("admin server on " + address.text(), failed);
    auto bound = address;
    bound.port = acceptor_.local_endpoint(failed).port();
    accept();
    return bound;
}

void AdminServer::stop() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
}

void AdminServer::accept() {
    acceptor_.async_accept([this](boost::system::error_code failed, tcp::socket socket) {
        if (failed == asio::error::operation_aborted || !acceptor_.is_open()) return;
        if (!failed && shared_->connections < shared_->options.max_connections)
            std::make_shared<Session>(std::move(socket), shared_)->read();
        if (!failed) return accept();
        // Out of descriptors: the connection stays in the queue, so do not spin on it.
        auto pause =
            std::make_shared<asio::steady_timer>(acceptor_.get_executor(), std::chrono::milliseconds(200));
        pause->async_wait([this, pause](boost::system::error_code stopped) {
            if (!stopped && acceptor_.is_open()) accept();
        });
    });
}

}  // namespace hawser::control
