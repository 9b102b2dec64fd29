// SPDX-License-Identifier: Apache-2.0
#include "im/http_session.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "im/websocket_session.h"

namespace hawser::im {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::string_view server_name = "hawser-im";
constexpr std::size_t most_header_bytes = 16 * 1024;

using Request = http::request<http::string_body>;

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

// Why a request to /ws is no WebSocket handshake (RFC 6455 §4.2.1), with the words that Spring's handler
// logs, which people search for.
struct HandshakeFault {
    http::status status = http::status::bad_request;
    std::string reason;  // for the metric
    std::string log;
    std::string body;
};

std::string value_or_null(const Request& request, http::field field) {
    const auto found = request.find(field);
    return found == request.end() ? "null" : printable(view(found->value()));
}

std::optional<HandshakeFault> handshake_fault(const Request& request,
                                              const std::vector<std::string>& origins) {
    if (request.method() != http::verb::get)
        return HandshakeFault{
            http::status::method_not_allowed, "method",
            "Handshake failed due to unexpected HTTP method: " + printable(view(request.method_string())),
            "A WebSocket handshake is a GET request.\n"};
    if (!beast::iequals(request[http::field::upgrade], "websocket")) {
        const auto value = value_or_null(request, http::field::upgrade);
        return HandshakeFault{
            http::status::bad_request, "upgrade_header",
            "Handshake failed due to invalid Upgrade header: " + value,
            "Can \"Upgrade\" only to \"WebSocket\": the Upgrade header that arrived here is " + value +
                ".\nIf the client sent one, a proxy on the way dropped it: Upgrade and Connection are "
                "hop-by-hop, and a proxy has to set both again.\n"};
    }
    if (!http::token_list{request[http::field::connection]}.exists("upgrade")) {
        const auto value = value_or_null(request, http::field::connection);
        return HandshakeFault{
            http::status::bad_request, "connection_header",
            "Handshake failed due to invalid Connection header: " + value,
            "\"Connection\" must be \"upgrade\": the Connection header that arrived here is " + value +
                ".\n"};
    }
    if (request[http::field::sec_websocket_version] != "13") {
        const auto value = value_or_null(request, http::field::sec_websocket_version);
        return HandshakeFault{http::status::upgrade_required, "version",
                              "Handshake failed due to unsupported WebSocket version: " + value,
                              "This service speaks version 13 of the WebSocket protocol.\n"};
    }
    // 16 bytes in base64.
    if (request[http::field::sec_websocket_key].size() != 24)
        return HandshakeFault{http::status::bad_request, "key",
                              "Handshake failed due to missing \"Sec-WebSocket-Key\"",
                              "Sec-WebSocket-Key is missing or malformed.\n"};
    if (const auto origin = request.find(http::field::origin); origin != request.end() && !origins.empty()) {
        const std::string value(view(origin->value()));
        if (std::find(origins.begin(), origins.end(), value) == origins.end())
            return HandshakeFault{http::status::forbidden, "origin",
                                  "Handshake failed due to invalid Origin header: " + printable(value),
                                  "This origin may not connect here.\n"};
    }
    return std::nullopt;
}

class HttpSession : public std::enable_shared_from_this<HttpSession> {
  public:
    HttpSession(boost::asio::ip::tcp::socket socket, Site& site, bool beyond_limit)
        : stream_(std::move(socket)), place_(site), site_(site), beyond_limit_(beyond_limit) {}

    void read() {
        parser_.emplace();
        parser_->header_limit(most_header_bytes);
        parser_->body_limit(site_.limits.max_body_bytes);
        stream_.expires_after(requests_ == 0 ? site_.limits.handshake_timeout : site_.limits.idle_timeout);
        http::async_read(
            stream_, buffer_, *parser_,
            [self = shared_from_this()](beast::error_code failed, std::size_t) { self->got(failed); });
    }

  private:
    void got(beast::error_code failed) {
        if (failed) return got_none(failed);
        ++requests_;
        auto request = parser_->release();
        keep_alive_ = request.keep_alive();
        head_ = request.method() == http::verb::head;
        HttpRequest plain;
        if (!split_target(view(request.target()), plain))
            return answer(text(400, "the request target is malformed\n"));
        if (beyond_limit_ || (site_.hub.draining() && plain.path == "/ws")) {
            site_.metrics.connections_refused.Increment();
            keep_alive_ = false;
            auto response = text(503, beyond_limit_ ? "too many connections\n" : "going down\n");
            response.headers.emplace_back("Retry-After", "1");
            return answer(std::move(response));
        }
        if (plain.path == "/ws") return upgrade(std::move(request));
        plain.method = view(request.method_string());
        plain.body = std::move(request.body());
        const auto authorization = view(request[http::field::authorization]);
        if (authorization.size() > 7 && beast::iequals(authorization.substr(0, 7), "Bearer "))
            plain.bearer = authorization.substr(7);
        stream_.expires_never();  // the store has its own patience
        ++site_.answering;
        site_.api.handle(plain, [self = shared_from_this()](HttpResponse response) {
            self->counted_ = true;
            self->answer(std::move(response));
        });
    }

    void got_none(beast::error_code failed) {
        keep_alive_ = false;
        if (failed == http::error::body_limit) return answer(text(413, "the body is too large\n"));
        if (failed == http::error::header_limit) return answer(text(431, "the headers are too large\n"));
        const bool malformed = failed.category() == beast::error_code(http::error::bad_method).category() &&
                               failed != http::error::end_of_stream && failed != http::error::partial_message;
        if (malformed) return answer(text(400, "the request is malformed: " + failed.message() + "\n"));
        close();
    }

    void upgrade(Request request) {
        if (auto fault = handshake_fault(request, site_.origins)) {
            spdlog::error("{}", fault->log);
            site_.metrics.handshake_failed(fault->reason).Increment();
            auto response = text(static_cast<unsigned>(fault->status), fault->body);
            if (fault->status == http::status::upgrade_required)
                response.headers.emplace_back("Sec-WebSocket-Version", "13");
            if (fault->status == http::status::method_not_allowed)
                response.headers.emplace_back("Allow", "GET");
            return answer(std::move(response));
        }
        // RFC 6455 §4.1: the client waits for our answer before it sends frames.
        if (buffer_.size() != 0) {
            site_.metrics.handshake_failed("early_bytes").Increment();
            keep_alive_ = false;
            return answer(text(400, "bytes followed the handshake before it was answered\n"));
        }
        start_websocket_session(std::move(stream_), std::move(request), site_, std::move(place_));
    }

    static HttpResponse text(unsigned status, std::string body) {
        HttpResponse response;
        response.status = status;
        response.content_type = "text/plain; charset=utf-8";
        response.body = std::move(body);
        return response;
    }

    void answer(HttpResponse from) {
        site_.metrics.http(from.status).Increment();
        response_.emplace();
        response_->version(11);
        response_->result(from.status);
        response_->set(http::field::server, beast::string_view(server_name.data(), server_name.size()));
        response_->set(http::field::content_type, from.content_type);
        for (const auto& [name, value] : from.headers) response_->set(name, value);
        response_->keep_alive(keep_alive_);
        response_->content_length(from.body.size());
        if (!head_) response_->body() = std::move(from.body);
        stream_.expires_after(site_.limits.write_timeout);
        http::response_serializer<http::string_body>& serializer = serializer_.emplace(*response_);
        const auto written = [self = shared_from_this()](beast::error_code failed, std::size_t) {
            self->answered(failed);
        };
        if (head_)
            http::async_write_header(stream_, serializer, written);
        else
            http::async_write(stream_, serializer, written);
    }

    void answered(beast::error_code failed) {
        if (std::exchange(counted_, false)) --site_.answering;
        if (failed || !keep_alive_) return close();
        read();
    }

    void close() {
        beast::error_code ignored;
        stream_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
        // Closing with unread bytes in the socket would send RST, which can overtake the answer: read them
        // away.
        stream_.expires_after(std::chrono::seconds(2));
        drain();
    }

    void drain() {
        stream_.async_read_some(boost::asio::buffer(waste_),
                                [self = shared_from_this()](beast::error_code failed, std::size_t bytes) {
                                    self->wasted_ += bytes;
                                    if (!failed && self->wasted_ < 1024 * 1024) self->drain();
                                });
    }

    beast::tcp_stream stream_;
    Place place_;
    Site& site_;
    bool beyond_limit_;
    beast::flat_buffer buffer_;
    std::optional<http::request_parser<http::string_body>> parser_;
    std::optional<http::response<http::string_body>> response_;
    std::optional<http::response_serializer<http::string_body>> serializer_;
    std::array<char, 1024> waste_{};
    std::size_t wasted_ = 0;
    unsigned requests_ = 0;
    bool keep_alive_ = false;
    bool head_ = false;
    bool counted_ = false;  // in Site::answering
};

}  // namespace

void start_http_session(boost::asio::ip::tcp::socket socket, Site& site, bool beyond_limit) {
    std::make_shared<HttpSession>(std::move(socket), site, beyond_limit)->read();
}

std::string printable(std::string_view value) {
    std::string out;
    for (const char c : value.substr(0, 200)) {
        if (c >= ' ' && c <= '~') {
            out += c;
        } else {
            constexpr std::string_view digits = "0123456789abcdef";
            out += "\\x";
            out += digits[static_cast<unsigned char>(c) >> 4U];
            out += digits[static_cast<unsigned char>(c) & 15U];
        }
    }
    return out;
}

}  // namespace hawser::im
