// SPDX-License-Identifier: Apache-2.0
// ProxyExchange: the answer on its way to the client.
#include <algorithm>
#include <array>
#include <cerrno>

#include "gateway/proxy_exchange.h"

namespace hawser::gateway {

namespace http = catalog::http;
namespace next_upstream = catalog::http::next_upstream;
using net::Duration;
using Framing = http1::Framing;

namespace {

constexpr std::size_t small_payload = 8 * 1024;  // gathered, so that small chunks share a write

}  // namespace

net::Task<HttpConnection::After> ProxyExchange::pass_answer() {
    redirect_ = internal_redirect_of(x_, proxy_);
    if (redirect_) {
        end_attempt("ok");
        endpoint_.reset();
        co_return After::close;  // the caller goes on with the redirect
    }
    if (x_.upstream_response.status == 101) co_return co_await open_tunnel();

    const http1::ResponseHead& answer = x_.upstream_response;
    bool endpoint_may_stay =
        answer.keep_alive && answer.framing.kind != Framing::Kind::until_close && proxy_.http_1_1;
    x_.status = answer.status;
    keep_client_ = connection_.may_keep_alive(x_);
    answer_body_ = http1::BodyDecoder(answer.framing);
    answer_done_ = answer_body_.done();
    auto fields = make_client_fields(x_, proxy_);
    if (answer.framing.kind == Framing::Kind::chunked || answer.framing.kind == Framing::Kind::until_close) {
        chunk_down_ = x_.request.minor_version == 1;
        if (chunk_down_)
            fields.emplace_back("Transfer-Encoding", "chunked");
        else
            keep_client_ = false;
    }
    down_ = connection_.make_head(x_, std::move(fields), keep_client_, false);
    head_size_ = down_.size();

    Failure failure;
    bool client_gone = false;
    bool body_is_torn = false;
    if (!endpoint_->input.empty() && !answer_done_) answer_cut_ = pull_answer(failure) == Step::failed;
    while (!answer_cut_) {
        if (!flush_down()) {
            client_gone = true;
            break;
        }
        if (down_.empty() && answer_done_) break;
        Step pulled = Step::blocked;
        if (down_.empty()) pulled = pull_answer(failure);
        if (pulled == Step::failed) {
            answer_cut_ = true;
            break;
        }
        if (!request_sent() && push_request(failure) == Step::failed) {
            // The endpoint does not want the rest, or the client does not send it. What was sent is a torso:
            // the next request on that connection would be taken for the rest of this one.
            body_sent_ = true;
            out_.clear();
            endpoint_may_stay = false;
            body_is_torn = failure.mask == 0;
        }
        if (pulled == Step::moved) {
            if (has_had_its_share()) {
                net::Yield others(loop());
                co_await others;
            }
            continue;
        }
        if (connection_.socket_->peer_finished()) {
            client_gone = true;
            break;
        }
        if (!co_await wait_for_progress(failure, true)) {
            answer_cut_ = failure.mask != 0;
            client_gone = failure.mask == 0;
            break;
        }
    }
    if (answer_cut_ && !down_.empty()) {
        const std::string rest = std::exchange(down_, {});
        client_gone = !co_await connection_.write_all(rest, settings_.send_timeout);
    }
    const std::uint64_t sent = connection_.bytes_to_client_;
    x_.body_bytes_sent = sent > head_size_ ? sent - head_size_ : 0;
    x_.completed = !client_gone;  // for nginx an answer that the endpoint cut is complete, too
    if (is_handshake(x_)) explain_refusal();
    end_attempt(answer_cut_ ? "reset" : "ok");
    if (x_.completed && !answer_cut_ && endpoint_may_stay && request_sent())
        worker_.pool().put(*group_, group_->endpoints[picked_].address, std::move(endpoint_));
    endpoint_.reset();
    hold_.release();
    if (answer_cut_ && worker_.wants_log(LogLevel::warning))
        worker_.log(LogLevel::warning, failure.reason + ", client: " + connection_.peer_.ip.text() +
                                           ", request: \"" + x_.request_line + "\"");
    if (client_gone || answer_cut_) co_return After::close;
    if (!keep_client_ || body_is_torn) co_return connection_.end_gently();
    if (!connection_.body_.done() && !co_await connection_.discard_body()) co_return After::linger;
    co_return After::next_request;
}

ProxyExchange::Step ProxyExchange::pull_answer(Failure& failure) {
    if (answer_done_) return Step::blocked;
    std::string early = std::exchange(endpoint_->input, {});
    std::string_view bytes = early;
    if (bytes.empty()) {
        if (!endpoint_->socket->readable()) return Step::blocked;
        const ssize_t n = endpoint_->socket->read(loop().scratch(), piece_size);
        if (n == -EAGAIN) return Step::blocked;
        if (n <= 0) {
            if (n == 0 && answer_body_.end_completes()) {
                answer_done_ = true;
                send_down({}, true);
                return Step::moved;
            }
            failure.reason = x_.attempts.back().endpoint + " cut its answer short";
            return Step::failed;
        }
        endpoint_read_at_ = loop().now();
        x_.attempts.back().bytes_received += static_cast<std::uint64_t>(n);
        bytes = {loop().scratch(), static_cast<std::size_t>(n)};
    }
    while (!bytes.empty() && !answer_done_) {
        const auto step = answer_body_.next(bytes);
        if (step.invalid) {
            failure.reason = "invalid answer of " + x_.attempts.back().endpoint + ": " + step.reason;
            return Step::failed;
        }
        answer_done_ = step.done;
        // Of a chunked answer nginx counts the bytes as they come.
        x_.attempts.back().response_length += answer_body_.chunked() ? step.consumed : step.payload.size();
        if (refusal_text_.size() < 120 && is_handshake(x_)) refusal_text_ += step.payload.substr(0, 120);
        if (!step.payload.empty() || step.done) send_down(step.payload, step.done);
        if (step.consumed == 0 && !step.done) break;
        bytes.remove_prefix(step.consumed);
    }
    endpoint_->input = bytes;  // behind the end: keeps the connection out of the pool
    return Step::moved;
}

bool ProxyExchange::send_down(std::string_view payload, bool last) {
    // What cannot be written now is owed; a failed write shows again when that is flushed.
    std::array<char, 20> head{};
    std::size_t head_size = 0;
    std::string tail;
    if (chunk_down_) {
        if (!payload.empty()) head_size = http1::write_chunk_head(payload.size(), head.data());
        if (!payload.empty()) tail = "\r\n";
        if (last) tail += "0\r\n" + answer_body_.trailers() + "\r\n";
    }
    if (payload.size() <= small_payload || !connection_.socket_->writable()) {
        if (down_.empty()) client_write_at_ = loop().now();
        down_.append(head.data(), head_size).append(payload).append(tail);
        return false;
    }
    std::array<std::string_view, 4> parts{down_, {head.data(), head_size}, payload, tail};
    std::array<iovec, 4> vectors{};
    for (std::size_t i = 0; i < parts.size(); ++i)
        vectors[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
    std::size_t sent = 0;
    if (connection_.socket_->writable()) {
        const ssize_t n = connection_.socket_->write(std::span<const iovec>(vectors));
        if (n > 0) sent = static_cast<std::size_t>(n);
    }
    connection_.bytes_to_client_ += sent;
    if (sent != 0) client_write_at_ = loop().now();
    std::string owed;
    for (const std::string_view part : parts) {
        const std::size_t skip = std::min(sent, part.size());
        sent -= skip;
        owed += part.substr(skip);
    }
    if (down_.empty() && !owed.empty()) client_write_at_ = loop().now();
    down_ = std::move(owed);
    return down_.empty();
}

bool ProxyExchange::flush_down() {
    while (!down_.empty() && connection_.socket_->writable()) {
        const ssize_t n = connection_.socket_->write(down_.data(), down_.size());
        if (n == -EAGAIN) break;
        if (n < 0) return false;
        connection_.bytes_to_client_ += static_cast<std::uint64_t>(n);
        client_write_at_ = loop().now();
        down_.erase(0, static_cast<std::size_t>(n));
    }
    if (down_.empty()) down_ = {};
    return true;
}

}  // namespace hawser::gateway
