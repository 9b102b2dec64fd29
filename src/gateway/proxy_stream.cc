// SPDX-License-Identifier: Apache-2.0
// ProxyExchange: the bytes of a request and the head of its answer.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "gateway/proxy_exchange.h"

namespace hawser::gateway {

namespace http = catalog::http;
namespace next_upstream = catalog::http::next_upstream;
using net::Duration;
using Framing = http1::Framing;

namespace {

constexpr std::size_t replay_limit = 64 * 1024;  // of a request body, kept for another attempt
constexpr std::size_t owed_to_endpoint = 64 * 1024;
constexpr int pieces_per_turn = 8;  // of one request, before the others have their turn
constexpr unsigned most_interim_answers = 100;

// Trailer fields that an endpoint must not take for header fields (RFC 9110 §6.5.1): framing, routing,
// identity.
bool is_forbidden_trailer(std::string_view name) {
    constexpr std::array<std::string_view, 12> names = {
        "Authorization", "Connection",        "Content-Length", "Cookie",
        "Expect",        "Forwarded",         "Host",           "TE",
        "Trailer",       "Transfer-Encoding", "Upgrade",        "X-Real-IP"};
    constexpr std::string_view forwarded = "x-forwarded-";
    return http1::same_name(name.substr(0, forwarded.size()), forwarded) ||
           std::any_of(names.begin(), names.end(),
                       [&](std::string_view n) { return http1::same_name(n, name); });
}

// Of a request's trailer section, "Name: value\r\n" ...
std::string harmless_trailers(std::string_view section) {
    std::string out;
    while (!section.empty()) {
        const std::size_t end = std::min(section.find("\r\n"), section.size() - 1);
        const std::string_view line = section.substr(0, end + 2);
        if (!is_forbidden_trailer(line.substr(0, line.find(':')))) out += line;
        section.remove_prefix(line.size());
    }
    return out;
}

}  // namespace

ProxyExchange::Step ProxyExchange::push_request(Failure& failure) {
    Step result = Step::blocked;
    for (int pieces = 0;;) {
        if (!out_.empty()) {
            if (!endpoint_->socket->writable()) return result;
            const ssize_t n = endpoint_->socket->write(out_.data(), out_.size());
            if (n == -EAGAIN) return result;
            if (n < 0) {
                failure.mask = next_upstream::error;
                failure.outcome = "reset";
                failure.reason = "sending a request to " + x_.attempts.back().endpoint + ": " +
                                 std::strerror(static_cast<int>(-n));
                return Step::failed;
            }
            any_sent_ = true;
            result = Step::moved;
            x_.attempts.back().bytes_sent += static_cast<std::uint64_t>(n);
            endpoint_write_at_ = endpoint_read_at_ = client_read_at_ = loop().now();
            if (static_cast<std::size_t>(n) < out_.size()) {
                out_.erase(0, static_cast<std::size_t>(n));
                return result;
            }
            out_.clear();
        }
        if (body_sent_ || ++pieces == pieces_per_turn) return result;
        const Step more = next_body_piece(failure);
        if (more == Step::failed) return more;
        if (more == Step::blocked && out_.empty()) return result;
    }
}

ProxyExchange::Step ProxyExchange::next_body_piece(Failure& failure) {
    http1::BodyDecoder& body = connection_.body_;
    if (spool_ && body.done()) {
        auto piece = spool_->read(spool_sent_, owed_to_endpoint);
        if (!piece) {
            failure.mask = 0;
            failure.status = 500;
            failure.reason = piece.error().text();
            return Step::failed;
        }
        spool_sent_ += piece->size();
        out_ += *piece;
        body_sent_ = spool_sent_ == spool_->size();
        return Step::moved;
    }
    const auto broken = [&failure](std::uint16_t status, std::string reason) {
        failure.mask = 0;
        failure.status = status;
        failure.reason = std::move(reason);
        return Step::failed;
    };
    std::string& input = connection_.input_;
    if (input.empty()) {
        if (!connection_.socket_->readable()) return Step::blocked;
        if (!connection_.read_some())
            return broken(closed_in_body, "the client closed within its request body");
        if (input.empty()) return Step::blocked;
    }
    client_read_at_ = loop().now();
    bool moved = false;
    std::size_t at = 0;
    while (!body.done() && out_.size() < owed_to_endpoint) {
        const auto step = body.next(std::string_view(input).substr(at));
        if (step.invalid) return broken(400, "the client's request body: " + step.reason);
        at += step.consumed;
        x_.request_length += step.consumed;
        body_size_ += step.payload.size();
        if (settings_.client_max_body_size != 0 && body_size_ > settings_.client_max_body_size)
            return broken(413, "the client's request body is larger than " +
                                   std::to_string(settings_.client_max_body_size));
        if (spool_ && !body.done() && step.payload.empty() && step.consumed == 0) break;
        if (spool_) {
            if (auto kept = spool_->append(step.payload); !kept) return broken(500, kept.error().text());
        } else if (!step.payload.empty()) {
            add_body_payload(step.payload);
        }
        moved = moved || step.consumed != 0;
        if (step.consumed == 0) break;
    }
    input.erase(0, at);
    if (input.empty()) input = {};
    if (body.done() && !spool_) end_body();
    return moved || body.done() ? Step::moved : Step::blocked;
}

void ProxyExchange::add_body_payload(std::string_view payload) {
    if (replay_.size() + payload.size() <= replay_limit && can_replay_) {
        replay_ += payload;
    } else {
        can_replay_ = false;
        replay_ = {};
    }
    if (!proxy_.pass_request_body) return;
    if (chunk_upstream_) {
        std::array<char, 18> head{};
        out_.append(head.data(), http1::write_chunk_head(payload.size(), head.data()));
    }
    out_ += payload;
    if (chunk_upstream_) out_ += "\r\n";
}

void ProxyExchange::end_body() {
    if (chunk_upstream_ && proxy_.pass_request_body)
        out_ += "0\r\n" + harmless_trailers(connection_.body_.trailers()) + "\r\n";
    body_sent_ = true;
}

ProxyExchange::Step ProxyExchange::parse_answer(Failure& failure) {
    std::string& input = endpoint_->input;
    for (;;) {
        if (!input.empty()) {
            auto result = parser_->parse(input);
            if (auto* head = std::get_if<http1::ResponseHead>(&result)) {
                input.erase(0, head->size);
                // 100, 102, 103: the client asked for none that nginx would pass on.
                if (head->status < 200 && head->status != 101 && ++interim_answers_ <= most_interim_answers) {
                    parser_ = std::make_unique<http1::ResponseParser>(
                        std::max<std::size_t>(proxy_.buffer_size, 1024), x_.request.method == "HEAD");
                    continue;
                }
                if (head->status < 200 && head->status != 101) {
                    failure.mask = next_upstream::invalid_header;
                    failure.outcome = "invalid";
                    failure.reason = x_.attempts.back().endpoint + " sends interim answers only";
                    return Step::failed;
                }
                x_.upstream_response = std::move(*head);
                return Step::moved;
            }
            if (auto* error = std::get_if<http1::ParseError>(&result)) {
                failure.mask = next_upstream::invalid_header;
                failure.status = 502;
                failure.outcome = "invalid";
                failure.reason = "invalid answer of " + x_.attempts.back().endpoint + ": " + error->reason;
                return Step::failed;
            }
        }
        if (!endpoint_->socket->readable()) return Step::blocked;
        const ssize_t n = endpoint_->socket->read(loop().scratch(), piece_size);
        if (n == -EAGAIN) return Step::blocked;
        if (n <= 0) {
            failure.mask = next_upstream::error;
            failure.status = 502;
            failure.outcome = "reset";
            failure.reason = x_.attempts.back().endpoint + (n == 0 ? " closed" : " reset the connection") +
                             std::string(" before it answered");
            return Step::failed;
        }
        endpoint_read_at_ = loop().now();
        x_.attempts.back().bytes_received += static_cast<std::uint64_t>(n);
        input.append(loop().scratch(), static_cast<std::size_t>(n));
    }
}

net::Task<bool> ProxyExchange::wait_for_progress(Failure& failure, bool head_done) {
    const bool wants_body = !body_sent_ && out_.empty();
    const bool wants_answer = down_.empty() && !answer_done_;
    unsigned from_client = net::hangup;
    unsigned from_endpoint = net::nothing;
    if (wants_body) from_client |= net::reading;
    if (!down_.empty()) from_client |= net::writing;
    if (!out_.empty()) from_endpoint |= net::writing;
    if (wants_answer) from_endpoint |= net::reading;

    struct Limit {
        net::TimePoint at;
        std::uint32_t mask;
        std::uint16_t status;
        const char* what;
    };
    std::array<Limit, 3> limits{};
    std::size_t count = 0;
    if (!out_.empty())
        limits[count++] = {endpoint_write_at_ + proxy_.send_timeout, next_upstream::timeout, 504,
                           "the endpoint took too long to take the request"};
    else if (wants_body)
        limits[count++] = {client_read_at_ + settings_.client_body_timeout, 0, 408,
                           "the client took too long for its request body"};
    else if (wants_answer)
        limits[count++] = {endpoint_read_at_ + proxy_.read_timeout, next_upstream::timeout, 504,
                           head_done ? "the endpoint stopped in the middle of its answer"
                                     : "the endpoint took too long to answer"};
    if (!down_.empty())
        limits[count++] = {client_write_at_ + settings_.send_timeout, 0, 408,
                           "the client took too long to read"};
    const auto first = std::min_element(limits.begin(), limits.begin() + static_cast<std::ptrdiff_t>(count),
                                        [](const Limit& a, const Limit& b) { return a.at < b.at; });
    const net::Wait::Interest client{connection_.socket_.get(), from_client};
    const net::Wait::Interest endpoint{endpoint_->socket.get(), from_endpoint};
    if (has_had_its_share()) {
        net::Yield others(loop());
        co_await others;
    }
    if (co_await net::Wait(count == 0 ? net::TimePoint::max() : first->at, client, endpoint)) co_return true;
    failure.mask = first->mask;
    failure.status = first->status;
    failure.outcome = "timeout";
    failure.reason = first->what;
    co_return false;
}

}  // namespace hawser::gateway
