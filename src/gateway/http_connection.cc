// SPDX-License-Identifier: Apache-2.0
#include "gateway/http_connection.h"

#include <algorithm>
#include <cerrno>

#include "gateway/proxy_exchange.h"

namespace hawser::gateway {

namespace http = catalog::http;
using net::Duration;

namespace {

constexpr std::size_t read_size = 32 * 1024;
constexpr std::uint32_t requests_per_turn = 16;  // of one connection, before the others have their turn
constexpr Duration lingering_time{30'000};       // nginx's lingering_time and lingering_timeout
constexpr Duration lingering_timeout{5'000};
constexpr std::size_t most_discarded = 1 << 20;  // a longer unwanted body is not worth the connection

std::string lower_host(std::string_view host) {
    if (!host.empty() && host.back() == '.') host.remove_suffix(1);
    std::string out(host);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

http1::RequestLimits limits_of(const http::VirtualServer& server) {
    http1::RequestLimits limits;
    limits.header_buffer_size = server.client_header_buffer_size;
    limits.large_buffers = server.large_header_buffers;
    limits.large_buffer_size = server.large_header_buffer_size;
    limits.ignore_invalid_headers = server.ignore_invalid_headers;
    limits.underscores_in_headers = server.underscores_in_headers;
    limits.merge_slashes = server.merge_slashes;
    return limits;
}

const http::Settings& settings_of(const Exchange& exchange) {
    return exchange.location ? *exchange.location->settings : *exchange.server->settings;
}

// After these nginx closes, unless the configuration wrote the body (ngx_http_special_response_handler).
bool ends_connection(std::uint16_t status) {
    return status == 400 || status == 413 || status == 414 || status == 500 || status == 501;
}

bool has_no_body(std::uint16_t status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

HttpConnection::HttpConnection(Worker& worker, net::Fd fd, const net::SocketAddress& peer,
                               PurposeSlot purpose, Admission::Pass pass)
    : worker_(worker),
      socket_(std::make_unique<net::Socket>(worker.loop(), std::move(fd), true)),
      peer_(peer),
      local_(net::local_address(socket_->fd())),
      purpose_(std::move(purpose)),
      pass_(std::move(pass)),
      number_(worker.shared().next_connection.fetch_add(1, std::memory_order_relaxed)),
      connected_(worker.loop().system_now()),
      connected_steady_(worker.loop().now()),
      parser_(http1::RequestLimits{}) {
    net::set_no_delay(socket_->fd());
    worker_.add(*this);
}

HttpConnection::~HttpConnection() { worker_.remove(*this); }

void HttpConnection::end_if_idle() {
    // The coroutine wakes up, reads the end and leaves.
    if (idle_) ::shutdown(socket_->fd(), SHUT_RDWR);
}

void HttpConnection::cut() {
    if (socket_) ::shutdown(socket_->fd(), SHUT_RDWR);
}

net::Task<void> HttpConnection::run() {
    if (!socket_->open()) co_return;
    for (;;) {
        auto head = co_await read_head();
        After after = After::close;
        if (head) {
            Exchange exchange;
            begin_exchange(exchange, std::move(*head));
            after = co_await serve(exchange);
        } else if (malformed_) {
            after = co_await refuse_malformed(*malformed_);
        }
        if (after == After::tunnel) co_return;
        if (after == After::next_request && !worker_.draining()) {
            // A client that sends requests faster than they are answered never makes us wait.
            if (!input_.empty() && requests_ % requests_per_turn == 0) {
                net::Yield others(loop());
                co_await others;
            }
            continue;
        }
        if (after == After::linger) co_await linger(lingering_time, lingering_timeout);
        co_return;
    }
}

bool HttpConnection::read_some() {
    char* const buffer = loop().scratch();
    const ssize_t n = socket_->read(buffer, read_size);
    if (n == -EAGAIN) return true;
    if (n <= 0) return false;
    worker_.stats().bytes_from_clients += static_cast<std::uint64_t>(n);
    input_.append(buffer, static_cast<std::size_t>(n));
    return true;
}

net::Task<std::optional<http1::RequestHead>> HttpConnection::read_head() {
    malformed_.reset();
    pipelined_ = !input_.empty();
    rules_ = purpose_->http;
    if (!rules_) co_return std::nullopt;
    const auto& server = *rules_->index.default_server();
    parser_.reset(limits_of(server));
    const auto begun = loop().now();
    const Duration first_byte =
        requests_ == 0 ? server.client_header_timeout : server.settings->keepalive_timeout;
    net::TimePoint deadline = begun + first_byte;
    for (;;) {
        if (!input_.empty()) {
            auto result = parser_.parse(input_);
            if (auto* head = std::get_if<http1::RequestHead>(&result)) {
                input_.erase(0, head->size);
                if (input_.empty()) input_ = {};
                co_return std::move(*head);
            }
            if (auto* error = std::get_if<http1::ParseError>(&result)) {
                malformed_ = std::move(*error);
                co_return std::nullopt;
            }
            if (!parser_.started()) input_.reserve(64);
        }
        const bool waits_for_first = !parser_.started();
        if (waits_for_first && worker_.draining() && requests_ != 0) co_return std::nullopt;
        idle_ = waits_for_first;
        const net::Wait::Interest interest{socket_.get(), net::reading};
        const bool ready = co_await net::Wait(deadline, interest);
        idle_ = false;
        if (!ready) {
            // As nginx: no answer to a request that does not come to its end, only a line in the log.
            if (!waits_for_first)
                malformed_ = http1::ParseError{408, "the client took too long for its request head", 0};
            co_return std::nullopt;
        }
        if (!read_some()) {
            if (!waits_for_first)
                malformed_ = http1::ParseError{499, "the client closed within its request head", 0};
            co_return std::nullopt;
        }
        if (waits_for_first) {
            // The snapshot may have changed while this connection was idle.
            rules_ = purpose_->http;
            if (!rules_) co_return std::nullopt;
            parser_.reset(limits_of(*rules_->index.default_server()));
            deadline = loop().now() + rules_->index.default_server()->client_header_timeout;
        }
    }
}

void HttpConnection::begin_exchange(Exchange& x, http1::RequestHead head) {
    ++requests_;
    bytes_to_client_ = 0;
    x.peer = x.client = peer_;
    x.local = local_;
    x.connection_number = number_;
    x.connection_requests = requests_;
    x.connection_started = connected_;
    x.fd = socket_->fd();
    x.started = loop().system_now();
    x.started_steady = loop().now();
    x.now = x.started;
    x.now_steady = x.started_steady;
    x.request = std::move(head);
    x.request_line = x.request.request_line;
    x.uri = x.request.path;
    x.args = x.request.query;
    x.request_length = x.request.size - x.request.empty_lines;
    x.pipelined = pipelined_;
    x.host = lower_host(x.request.host);
    x.server = rules_->index.find(x.request.host, x);
    x.values.resize(x.server->variables ? x.server->variables->variables.size() : 0);
    if (x.host.empty()) x.host = x.server->name;
}

net::Task<HttpConnection::After> HttpConnection::serve(Exchange& x) {
    LimitHold hold;
    body_ = http1::BodyDecoder(x.request.framing);
    auto decision = run_phases(x, *worker_.shared().limit_zones, hold, loop().now());
    After after = After::close;
    for (;;) {
        if (const auto* delay = std::get_if<Delay>(&decision)) {
            const net::Wait::Interest interest{socket_.get(), net::hangup};
            if (co_await net::Wait(loop().now() + delay->time, interest)) {
                x.status = 499;
                break;
            }
            decision = GoProxy{};
        }
        if (const auto* said = std::get_if<Answer>(&decision)) {
            after = co_await answer(x, *said);
            break;
        }
        ProxyExchange proxy(*this, x, *x.location->proxy, hold);
        after = co_await proxy.run();
        const auto& again = proxy.internal_redirect();
        if (!again) break;
        // X-Accel-Redirect: another location of this server answers, and gets no body: what is left of it
        // must not reach an endpoint behind a head that announces none.
        if (!body_.done() && !co_await discard_body()) {
            after = After::close;
            break;
        }
        body_ = {};
        if (x.request.method != "HEAD") x.request.method = "GET";
        x.request.framing = {};
        decision = redirect_internally(x, *again, *worker_.shared().limit_zones, hold, loop().now());
    }
    if (after != After::tunnel) finish_exchange(x);
    co_return after;
}

void HttpConnection::finish_exchange(Exchange& x) {
    x.now = loop().system_now();
    x.now_steady = loop().now();
    x.bytes_sent = bytes_to_client_;
    ++worker_.stats().requests[x.status];
    worker_.stats().bytes_to_clients += bytes_to_client_;
    write_logs(x);
}

void HttpConnection::write_logs(Exchange& x) {
    for (const auto& log : settings_of(x).access_logs)
        if (wants_log(log, x)) worker_.logs().write(log.path, render_log_line(*log.format, x));
}

net::Task<HttpConnection::After> HttpConnection::refuse_malformed(const http1::ParseError& error) {
    Exchange x;
    ++worker_.stats().bad_requests;
    begin_exchange(x, parser_.head_so_far(input_));
    // As in nginx the server is the default one until a host is known, or known to be missing.
    const bool host_is_missing = parser_.is_complete() && x.request.fields.count("Host") == 0;
    if (x.request.host.empty() && !host_is_missing) {
        x.server = rules_->index.default_server();
        x.host = x.server->name;
    }
    body_ = {};
    x.request_line = parser_.request_line_of(input_);
    x.request.keep_alive = false;
    x.request.framing = {};
    if (worker_.wants_log(LogLevel::info))
        worker_.log(LogLevel::info, "bad request client=" + peer_.text() +
                                        " status=" + std::to_string(error.status) + ": " + error.reason);
    After after = After::close;
    if (error.status == 408 || error.status == 499) {
        x.status = error.status == 499 ? 400 : error.status;  // what nginx logs; nobody is there to read it
    } else {
        Answer said;
        said.status = error.status;
        if (error.page != 0) said.body = standard_page(x, error.page);
        after = co_await answer(x, said);
        after = After::linger;
    }
    finish_exchange(x);
    co_return after;
}

bool HttpConnection::may_keep_alive(const Exchange& x) const {
    const http::Settings& settings = settings_of(x);
    return x.request.keep_alive && x.request.minor_version != 9 && settings.keepalive_timeout.count() > 0 &&
           requests_ < settings.keepalive_requests && loop_now_before(settings.keepalive_time) &&
           !worker_.draining();
}

bool HttpConnection::loop_now_before(Duration keepalive_time) const {
    return worker_.loop().now() - connected_steady_ < keepalive_time;
}

std::string HttpConnection::make_head(Exchange& x, std::vector<std::pair<std::string, std::string>> fields,
                                      bool keep_alive, bool is_upgrade) {
    const http::Settings& settings = settings_of(x);
    if (!is_upgrade) {
        fields.emplace_back("Connection", keep_alive ? "keep-alive" : "close");
        if (keep_alive && settings.keepalive_header)
            fields.emplace_back("Keep-Alive",
                                "timeout=" + std::to_string(settings.keepalive_header->count()));
    }
    x.sent_fields = std::move(fields);
    if (x.request.minor_version == 9) return {};
    const auto& upstream = x.upstream_response;
    const bool passed_on = upstream.status == x.status && upstream.status != 0;
    std::string head = "HTTP/1.1 " + std::to_string(x.status) + ' ';
    head += passed_on ? upstream.reason : reason_phrase(x.status);
    head += "\r\n";
    for (const auto& [name, value] : x.sent_fields) {
        head += name;
        head += ": ";
        head += value;
        head += "\r\n";
    }
    head += "\r\n";
    return head;
}

net::Task<HttpConnection::After> HttpConnection::answer(Exchange& x, const Answer& said) {
    if (!said.reason.empty() && worker_.wants_log(LogLevel::info))
        worker_.log(LogLevel::info, said.reason + ", client: " + peer_.ip.text() + ", server: " +
                                        x.server->name + ", request: \"" + x.request_line + "\"");
    x.status = said.status;
    x.upstream_response = {};
    if (ProxyExchange::is_handshake(x)) ++worker_.stats().handshakes[Handshake::answered_here];
    if (said.status == 444) co_return After::close;

    const http::Settings& settings = settings_of(x);
    std::string body = said.body;
    if (body.empty() && !said.is_text) body = standard_page(x, said.status);
    bool keep_alive = may_keep_alive(x) && (said.is_text || !ends_connection(said.status));
    // A client that waits for 100 Continue before it sends its body has nothing to discard.
    const bool must_discard = !body_.done() && !(x.request.expect_continue && input_.empty());
    if (!body_.done() && !must_discard) keep_alive = false;

    std::vector<std::pair<std::string, std::string>> fields;
    fields.emplace_back("Server", std::string(product_name));
    fields.emplace_back("Date", http_date(loop().system_now()));
    if (!has_no_body(said.status)) {
        const bool page = !said.is_text;
        if (!body.empty() || said.is_text)
            fields.emplace_back("Content-Type", page ? "text/html" : content_type_for(settings, x.uri));
        fields.emplace_back("Content-Length", std::to_string(body.size()));
    }
    if (!said.location.empty()) fields.emplace_back("Location", said.location);
    for (auto& field : make_added_fields(x, said.status)) fields.push_back(std::move(field));

    std::string bytes = make_head(x, std::move(fields), keep_alive, false);
    const std::size_t head_size = bytes.size();
    if (x.request.method != "HEAD" && !has_no_body(said.status)) bytes += body;
    if (!co_await write_all(bytes, settings.send_timeout)) co_return After::close;
    x.body_bytes_sent = bytes.size() - head_size;
    x.completed = true;
    if (!keep_alive) co_return end_gently();
    if (must_discard && !co_await discard_body()) co_return After::linger;
    co_return After::next_request;
}

HttpConnection::After HttpConnection::end_gently() const {
    return body_.done() && input_.empty() && !socket_->readable() ? After::close : After::linger;
}

net::Task<bool> HttpConnection::write_all(std::string_view bytes, Duration timeout) {
    while (!bytes.empty()) {
        const ssize_t n = socket_->write(bytes.data(), bytes.size());
        if (n > 0) {
            bytes_to_client_ += static_cast<std::uint64_t>(n);
            bytes.remove_prefix(static_cast<std::size_t>(n));
            continue;
        }
        if (n != -EAGAIN) co_return false;
        const net::Wait::Interest interest{socket_.get(), net::writing};
        if (!co_await net::Wait(loop().now() + timeout, interest)) co_return false;
    }
    co_return true;
}

net::Task<bool> HttpConnection::discard_body() {
    std::size_t discarded = 0;
    const auto deadline = loop().now() + lingering_time;
    for (;;) {
        while (!input_.empty() && !body_.done()) {
            const auto step = body_.next(input_);
            if (step.invalid) co_return false;
            if (step.consumed == 0) break;
            discarded += step.consumed;
            input_.erase(0, step.consumed);
        }
        if (body_.done()) co_return true;
        if (discarded > most_discarded) co_return false;
        const net::Wait::Interest interest{socket_.get(), net::reading};
        const auto patience = std::min(deadline, loop().now() + lingering_timeout);
        if (!co_await net::Wait(patience, interest) || !read_some()) co_return false;
    }
}

net::Task<void> HttpConnection::linger(Duration total, Duration pause) {
    // What the client still sends is read and forgotten, or the RST that unread bytes provoke could take our
    // answer away from it (RFC 9112 §9.6).
    socket_->finish_writing();
    const auto deadline = loop().now() + total;
    for (;;) {
        const net::Wait::Interest interest{socket_.get(), net::reading};
        const auto patience = std::min(deadline, loop().now() + pause);
        if (!co_await net::Wait(patience, interest)) co_return;
        const ssize_t n = socket_->read(loop().scratch(), net::Loop::scratch_size);
        if (n <= 0 && n != -EAGAIN) co_return;
        // The others' turn; and the clock stands still until a turn is over.
        net::Yield others(loop());
        co_await others;
        if (loop().now() >= deadline) co_return;
    }
}

net::Task<void> HttpConnection::turn_away(std::uint16_t status) {
    if (!socket_->open()) co_return;
    const std::string body = standard_page(status, true);
    std::string bytes = "HTTP/1.1 " + std::to_string(status) + ' ';
    bytes += reason_phrase(status);
    bytes += "\r\nServer: hawser\r\nDate: " + http_date(loop().system_now()) +
             "\r\nContent-Type: text/html\r\nContent-Length: " + std::to_string(body.size()) +
             "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" + body;
    ++worker_.stats().requests[status];
    // Short, or turning clients away would cost what serving them costs.
    if (co_await write_all(bytes, Duration{1'000})) co_await linger(Duration{1'000}, Duration{500});
}

}  // namespace hawser::gateway
