// SPDX-License-Identifier: Apache-2.0
#include "gateway/proxy_exchange.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace hawser::gateway {

namespace http = catalog::http;
namespace next_upstream = catalog::http::next_upstream;
using net::Duration;
using Framing = http1::Framing;

namespace {

bool is_idempotent(std::string_view method) {
    return method != "POST" && method != "LOCK" && method != "PATCH";  // nginx's list
}

std::uint32_t mask_of_status(std::uint16_t status) {
    switch (status) {
        case 500:
            return next_upstream::http_500;
        case 502:
            return next_upstream::http_502;
        case 503:
            return next_upstream::http_503;
        case 504:
            return next_upstream::http_504;
        case 403:
            return next_upstream::http_403;
        case 404:
            return next_upstream::http_404;
        case 429:
            return next_upstream::http_429;
        default:
            return 0;
    }
}

}  // namespace

ProxyExchange::ProxyExchange(HttpConnection& connection, Exchange& exchange, const http::Proxy& proxy,
                             LimitHold& hold)
    : connection_(connection),
      worker_(connection.worker_),
      x_(exchange),
      proxy_(proxy),
      settings_(*exchange.location->settings),
      limit_hold_(hold) {}

bool ProxyExchange::is_handshake(const Exchange& x) {
    const auto asked = x.request.fields.find("Upgrade");
    return asked && !http1::same_name(*asked, "h2c");
}

std::optional<Answer> ProxyExchange::choose_group() {
    x_.proxy_host = proxy_.host_header;
    x_.proxy_port = proxy_.default_port;
    group_ = proxy_.group;
    if (!proxy_.dynamic) return std::nullopt;
    auto target = resolve_dynamic(x_, proxy_);
    if (!target) {
        Answer said;
        said.status = 500;
        said.reason = target.error().text();
        return said;
    }
    dynamic_ = std::move(*target);
    x_.proxy_host = dynamic_->host_header;
    x_.proxy_port = dynamic_->port;
    group_ = dynamic_->group;
    if (!group_) {
        auto single = std::make_shared<catalog::EndpointGroup>();
        single->id = "nginx:http://" + dynamic_->address->text();
        single->service = "*";
        catalog::Endpoint endpoint;
        endpoint.address = *dynamic_->address;
        endpoint.name = dynamic_->address->text();
        endpoint.state = std::make_shared<catalog::EndpointState>();
        single->endpoints.push_back(std::move(endpoint));
        group_ = std::move(single);
    }
    return std::nullopt;
}

net::Task<HttpConnection::After> ProxyExchange::run() {
    started_ = client_read_at_ = client_write_at_ = loop().now();
    if (auto problem = choose_group()) co_return co_await connection_.answer(x_, *problem);
    http1::BodyDecoder& body = connection_.body_;
    body_sent_ = body.done();
    if (!body.done() && x_.request.expect_continue && x_.request.minor_version == 1) {
        if (!co_await connection_.write_all("HTTP/1.1 100 Continue\r\n\r\n", settings_.send_timeout))
            co_return After::close;
    }
    if (!body.done()) {
        // A collected body has a length and can be sent again; endpoints are spared slow clients.
        chunk_upstream_ = body.chunked() && !proxy_.request_buffering && proxy_.http_1_1;
        if (proxy_.request_buffering || (body.chunked() && !chunk_upstream_)) {
            if (const auto failure = co_await spool_body()) co_return co_await fail(*failure);
        } else if (!connection_.input_.empty()) {
            // What came with the head: if that is all of it, its length is known after all.
            Failure failure;
            if (next_body_piece(failure) == Step::failed) co_return co_await fail(failure);
            if (body.done()) chunk_upstream_ = false;
        }
    }
    request_ = make_upstream_request(x_, proxy_, dynamic_ ? &*dynamic_ : nullptr);
    if (group_->balancing.affinity_timeout || !group_->balancing.hash_key.empty())
        hash_key_ = expand(group_->balancing.hash_key, x_);
    // An address out of the request: kept for nobody, or a client could make us keep any number of them.
    ad_hoc_ = dynamic_ && !dynamic_->group;
    picker_ = ad_hoc_ ? std::make_shared<balance::Picker>(group_, nullptr, 0) : worker_.picker(group_);

    balance::Tried tried;
    const auto pick = [&] {
        return picker_->pick({x_.client.ip, x_.local.ip, hash_key_, loop().now()}, tried);
    };
    auto index = pick();
    if (!index) {
        UpstreamAttempt none;
        none.endpoint = group_->service;
        none.status = 502;
        none.response_time = Duration{0};
        x_.attempts.push_back(std::move(none));
        Failure failure;
        failure.reason = "no live endpoints of " + group_->service;
        co_return co_await fail(failure);
    }
    for (unsigned tries = 1;; ++tries) {
        picked_ = *index;
        auto failure = co_await attempt(*index);
        const balance::PickRequest request{x_.client.ip, x_.local.ip, hash_key_, loop().now()};
        if (!failure) {
            picker_->succeeded(*index, request);
            co_return co_await pass_answer();
        }
        if (failure->mask != 0 && failure->counts_against_endpoint) picker_->failed(*index, request);
        x_.attempts.back().response_time =
            std::chrono::duration_cast<Duration>(loop().now() - attempt_started_);
        const bool tries_left = proxy_.next_upstream_tries == 0 || tries < proxy_.next_upstream_tries;
        index = tries_left && may_try_again(*failure) ? pick() : std::nullopt;
        // An answer that is passed on after all is counted there.
        if (failure->mask != 0 && (index || failure->status != 0)) end_attempt(failure->outcome);
        if (index) {
            if (worker_.wants_log(LogLevel::warning))
                worker_.log(LogLevel::warning,
                            failure->reason + ", trying the next endpoint of " + group_->service);
            endpoint_.reset();
            continue;
        }
        if (failure->status == 0) co_return co_await pass_answer();  // an answer, only not a good one
        co_return co_await fail(*failure);
    }
}

bool ProxyExchange::may_try_again(const Failure& failure) const {
    if (failure.mask == 0) return false;
    std::uint32_t needed = failure.mask;
    if (any_sent_ && !is_idempotent(x_.request.method)) needed |= next_upstream::non_idempotent;
    if ((proxy_.next_upstream & needed) != needed) return false;
    if (!can_replay_) return false;
    const auto limit = proxy_.next_upstream_timeout;
    return limit.count() == 0 || worker_.loop().now() - started_ < limit;
}

net::Task<std::optional<ProxyExchange::Failure>> ProxyExchange::spool_body() {
    spool_ = std::make_unique<BodySpool>();
    while (!connection_.body_.done()) {
        Failure failure;
        const Step step = next_body_piece(failure);
        if (step == Step::failed) co_return failure;
        if (step == Step::moved) {
            if (has_had_its_share()) {
                net::Yield others(loop());
                co_await others;
            }
            continue;
        }
        const net::Wait::Interest interest{connection_.socket_.get(), net::reading};
        if (!co_await net::Wait(client_read_at_ + settings_.client_body_timeout, interest)) {
            failure.status = 408;
            failure.reason = "the client took too long for its request body";
            co_return failure;
        }
    }
    body_sent_ = spool_->size() == 0;
    co_return std::nullopt;
}

net::Task<std::optional<ProxyExchange::Failure>> ProxyExchange::attempt(std::size_t index) {
    const catalog::Endpoint& endpoint = group_->endpoints[index];
    for (bool fresh = false;; fresh = true) {
        UpstreamAttempt record;
        record.endpoint = endpoint.name.find('/') == std::string::npos && !endpoint.name.empty()
                              ? endpoint.name
                              : endpoint.address.text();
        if (fresh)
            x_.attempts.back() = std::move(record);
        else
            x_.attempts.push_back(std::move(record));
        hold_ = balance::Hold(endpoint.state);
        attempt_started_ = loop().now();
        any_sent_ = false;
        endpoint_ = fresh || may_be_spliced() ? nullptr : worker_.pool().take(group_->id, endpoint.address);
        const bool reused = endpoint_ != nullptr;
        if (!reused) {
            if (auto failure = co_await connect(endpoint)) co_return failure;
        }
        x_.attempts.back().connect_time =
            std::chrono::duration_cast<Duration>(loop().now() - attempt_started_);
        ++endpoint_->requests;
        out_ = request_head();
        spool_sent_ = 0;
        body_sent_ = spool_ && spool_->size() == 0;
        if (!replay_.empty()) add_body_payload(std::exchange(replay_, {}));
        if (connection_.body_.done() && !spool_) end_body();
        parser_ = std::make_unique<http1::ResponseParser>(std::max<std::size_t>(proxy_.buffer_size, 1024),
                                                          x_.request.method == "HEAD");
        auto failure = co_await exchange_heads();
        // A kept connection that the endpoint had closed already says nothing about the endpoint.
        const bool stale = reused && failure && failure->mask == next_upstream::error &&
                           x_.attempts.back().bytes_received == 0 &&
                           (is_idempotent(x_.request.method) || !any_sent_) && can_replay_;
        if (!stale) co_return failure;
    }
}

// A kept connection has a port that the kernel may give away while a splice uses it.
bool ProxyExchange::may_be_spliced() const {
    return request_ && request_->asks_upgrade && proxy_.splice && worker_.shared().options.splicing.connect;
}

net::Task<std::optional<ProxyExchange::Failure>> ProxyExchange::connect(const catalog::Endpoint& endpoint) {
    Failure failure;
    failure.mask = next_upstream::error;
    auto fd = may_be_spliced()
                  ? worker_.shared().options.splicing.connect(endpoint.address, connection_.socket_->fd())
                  : net::start_connect(endpoint.address);
    if (!fd) {
        failure.reason = fd.error().text();
        failure.counts_against_endpoint = fd.error().party == net::Party::endpoint;
        x_.attempts.back().status = 502;
        co_return failure;
    }
    endpoint_ = std::make_unique<EndpointConnection>();
    endpoint_->opened = loop().now();
    endpoint_->socket = std::make_unique<net::Socket>(loop(), std::move(*fd), false);
    if (auto opened = endpoint_->socket->open(); !opened) {
        failure.reason = opened.error().text();
        co_return failure;
    }
    const auto deadline = loop().now() + proxy_.connect_timeout;
    while (!endpoint_->socket->writable()) {
        const net::Wait::Interest to_endpoint{endpoint_->socket.get(), net::writing};
        const net::Wait::Interest to_client{connection_.socket_.get(), net::hangup};
        const bool ready = co_await net::Wait(deadline, to_endpoint, to_client);
        if (connection_.socket_->peer_finished() && !endpoint_->socket->writable()) {
            failure.mask = 0;
            failure.status = 499;
            failure.reason = "the client closed while hawser connected to " + endpoint.address.text();
            co_return failure;
        }
        if (!ready) {
            failure.mask = next_upstream::timeout;
            failure.status = x_.attempts.back().status = 504;
            failure.outcome = "timeout";
            failure.reason = "connect to " + endpoint.address.text() + " timed out";
            co_return failure;
        }
    }
    if (const int error = endpoint_->socket->take_error(); error != 0) {
        failure.reason = "connect to " + endpoint.address.text() + ": " + std::strerror(error);
        x_.attempts.back().status = 502;
        if (error == ETIMEDOUT) {
            failure.mask = next_upstream::timeout;
            failure.status = x_.attempts.back().status = 504;
        }
        co_return failure;
    }
    co_return std::nullopt;
}

std::string ProxyExchange::request_head() {
    std::string head =
        request_->method + ' ' + request_->target + (proxy_.http_1_1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
    for (const auto& [name, value] : request_->fields) {
        head += name;
        head += ": ";
        head += value;
        head += "\r\n";
    }
    add_body_framing(head);
    head += "\r\n";
    return head;
}

void ProxyExchange::add_body_framing(std::string& head) {
    const Framing& framing = x_.request.framing;
    if (!proxy_.pass_request_body) return;
    if (spool_)
        head += "Content-Length: " + std::to_string(spool_->size()) + "\r\n";
    else if (chunk_upstream_)
        head += "Transfer-Encoding: chunked\r\n";
    else if (framing.kind == Framing::Kind::length)
        head += "Content-Length: " + std::to_string(framing.length) + "\r\n";
    else if (framing.kind == Framing::Kind::chunked)
        head += "Content-Length: " + std::to_string(body_size_) + "\r\n";
}

net::Task<std::optional<ProxyExchange::Failure>> ProxyExchange::exchange_heads() {
    endpoint_read_at_ = endpoint_write_at_ = client_read_at_ = loop().now();
    for (;;) {
        Failure failure;
        Step pushed = push_request(failure);
        if (pushed == Step::failed && failure.mask == 0) co_return failure;  // the client's fault
        const Step parsed = parse_answer(failure);
        if (parsed == Step::moved) break;
        if (parsed == Step::failed || pushed == Step::failed) {
            x_.attempts.back().status = failure.status;
            co_return failure;
        }
        if (connection_.socket_->peer_finished()) {
            failure.mask = 0;
            failure.status = 499;
            failure.reason = "the client closed before the endpoint answered";
            co_return failure;
        }
        if (!co_await wait_for_progress(failure, false)) {
            if (failure.mask != 0) x_.attempts.back().status = failure.status;
            co_return failure;
        }
    }
    UpstreamAttempt& record = x_.attempts.back();
    record.status = x_.upstream_response.status;
    record.header_time = std::chrono::duration_cast<Duration>(loop().now() - attempt_started_);
    const std::uint32_t mask = mask_of_status(record.status);
    if ((proxy_.next_upstream & mask) != 0) {
        Failure failure;
        failure.mask = mask;
        failure.status = 0;
        failure.outcome = "status";
        failure.reason = record.endpoint + " answered " + std::to_string(record.status);
        failure.counts_against_endpoint =
            (mask & (next_upstream::http_403 | next_upstream::http_404)) == 0;  // as nginx counts
        co_return failure;
    }
    std::string why_not;
    if (record.status == 101 && !answer_is_upgrade(why_not)) {
        Failure failure;
        failure.mask = next_upstream::invalid_header;
        failure.outcome = "invalid";
        failure.reason = record.endpoint + " answered 101, but " + why_not;
        record.status = 502;
        record_handshake(Handshake::bad_101, failure.reason);
        co_return failure;
    }
    co_return std::nullopt;
}

net::Task<HttpConnection::After> ProxyExchange::fail(const Failure& failure) {
    endpoint_.reset();
    hold_.release();
    x_.upstream_response = {};
    if (is_handshake(x_) && (failure.status == 502 || failure.status == 504) &&
        failure.mask != next_upstream::invalid_header)
        record_handshake(Handshake::endpoint_unreachable, failure.reason);
    if (worker_.wants_log(LogLevel::warning))
        worker_.log(LogLevel::warning, failure.reason + ", client: " + connection_.peer_.ip.text() +
                                           ", server: " + x_.server->name + ", request: \"" +
                                           x_.request_line + "\", service: " + group_->service);
    if (failure.status == 499 || failure.status == 408 || failure.status == closed_in_body) {
        x_.status =
            failure.status == closed_in_body ? 400 : failure.status;  // as nginx logs it; nobody to answer
        co_return After::close;
    }
    if (failure.status == 400 || failure.status == 413) {
        // The rest of the body cannot or shall not be read.
        connection_.input_.clear();
    }
    Answer said;
    said.status = failure.status;
    co_return co_await connection_.answer(x_, said);
}

void ProxyExchange::end_attempt(const char* outcome) {
    UpstreamAttempt& record = x_.attempts.back();
    record.response_time = std::chrono::duration_cast<Duration>(loop().now() - attempt_started_);
    ++worker_.stats().endpoint_attempts[{group_->service, ad_hoc_ ? "*" : record.endpoint, outcome}];
    auto& state = *group_->endpoints[picked_].state;
    state.opened.fetch_add(1, std::memory_order_relaxed);
    if (std::string_view(outcome) != "ok" && std::string_view(outcome) != "status")
        state.failed.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace hawser::gateway
