// SPDX-License-Identifier: Apache-2.0
#include "gateway/proxy_exchange.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "gateway/handshake.h"

namespace hawser::gateway {

namespace http = catalog::http;
namespace next_upstream = catalog::http::next_upstream;
using net::Duration;
using Framing = http1::Framing;

namespace {

constexpr std::size_t piece_size =
    64 * 1024;  // read from an endpoint at once, and so owed to a client at most
constexpr std::size_t replay_limit = 64 * 1024;  // of a request body, kept for another attempt
constexpr std::size_t owed_to_endpoint = 64 * 1024;
constexpr int pieces_per_turn = 8;  // of one request, before the others have their turn
constexpr unsigned most_interim_answers = 100;
constexpr std::size_t small_payload = 8 * 1024;  // gathered, so that small chunks share a write
constexpr std::uint16_t closed_in_body = 498;    // logged as 400, and answered by nobody

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

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) out += c >= ' ' && c < 127 && c != '"' ? c : ' ';
    while (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
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

// ---- one attempt
// ---------------------------------------------------------------------------------------------

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
        endpoint_ = fresh ? nullptr : worker_.pool().take(group_->id, endpoint.address);
        const bool reused = endpoint_ != nullptr;
        if (!reused) {
            if (auto failure = co_await connect(endpoint)) co_return failure;
        }
        x_.attempts.back().connect_time =
            std::chrono::duration_cast<Duration>(loop().now() - attempt_started_);
        ++endpoint_->requests;
        out_ = request_head(endpoint);
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

net::Task<std::optional<ProxyExchange::Failure>> ProxyExchange::connect(const catalog::Endpoint& endpoint) {
    Failure failure;
    failure.mask = next_upstream::error;
    auto fd = net::start_connect(endpoint.address);
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

std::string ProxyExchange::request_head(const catalog::Endpoint&) {
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

// ---- bytes
// ---------------------------------------------------------------------------------------------------

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

// ---- the answer
// ----------------------------------------------------------------------------------------------

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
    std::size_t total = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        vectors[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
        total += parts[i].size();
    }
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

// ---- upgrades
// ------------------------------------------------------------------------------------------------

bool ProxyExchange::answer_is_upgrade(std::string& why_not) const {
    const auto& fields = x_.upstream_response.fields;
    const auto asked = x_.request.fields.find("Upgrade");
    if (!request_->asks_upgrade && !(asked && !request_->upgrade.empty())) {
        why_not = "no upgrade was asked for";
        return false;
    }
    if (proxy_.upgrade != http::UpgradePolicy::automatic) return true;  // nginx looks no further
    const auto token = fields.find("Upgrade");
    if (!token || !upgrade_was_asked(request_->upgrade, *token)) {
        why_not = "for \"" + printable(token.value_or("")) + "\" instead of \"" + request_->upgrade + "\"";
        return false;
    }
    const auto key = x_.request.fields.find("Sec-WebSocket-Key");
    if (!http1::same_name(*token, "websocket") || !key) return true;
    const auto accept = fields.find("Sec-WebSocket-Accept");
    if (accept && *accept == websocket_accept(*key)) return true;
    why_not = accept ? "with a wrong Sec-WebSocket-Accept" : "without Sec-WebSocket-Accept";
    return false;
}

void ProxyExchange::record_handshake(Handshake result, const std::string& words) {
    ++worker_.stats().handshakes[result];
    if (result == Handshake::accepted || !worker_.wants_log(LogLevel::warning)) return;
    worker_.log(LogLevel::warning,
                "handshake failed client=" + connection_.peer_.text() + " host=" + printable(x_.host) +
                    " uri=\"" + printable(x_.request.target) + "\" route=\"" + x_.location->route_id +
                    "\" endpoint=" + (x_.attempts.empty() ? std::string("-") : x_.attempts.back().endpoint) +
                    ": " + words);
}

void ProxyExchange::explain_refusal() {
    const std::string status = std::to_string(x_.status);
    const std::string said = printable(refusal_text_);
    std::string words =
        "the endpoint answered " + status + (said.empty() ? " with no text" : " with \"" + said + "\"");
    Handshake result = Handshake::endpoint_refused;
    if (!x_.request.fields.has_token("Connection", "upgrade")) {
        result = Handshake::no_connection_upgrade;
        words = "the client sent Upgrade without Connection: upgrade; " + words;
    } else if (!request_->asks_upgrade) {
        result = Handshake::endpoint_saw_no_upgrade;
        words =
            "the endpoint saw no Upgrade header (the configuration does not pass Upgrade and Connection "
            "on); " +
            words;
    }
    record_handshake(result, words);
}

namespace {

// What lives as long as the tunnel and goes with it.
struct TunnelTail {
    Admission::Pass pass;
    balance::Hold hold;
    LimitHold limits;
    std::vector<FrozenLog> logs;
    FrozenLog::End begun;
    SteadyTime request_started, attempt_started;
};

}  // namespace

net::Task<HttpConnection::After> ProxyExchange::open_tunnel() {
    x_.status = 101;
    const auto upgrade = x_.upstream_response.fields.find("Upgrade");
    const std::string head = connection_.make_head(x_, make_client_fields(x_, proxy_), false, true);
    if (!co_await connection_.write_all(head, settings_.send_timeout)) {
        end_attempt("ok");
        co_return After::close;
    }
    record_handshake(Handshake::accepted, {});
    end_attempt("ok");
    ++worker_.stats().requests[101];

    tunnel::Tunnel tunnel;
    tunnel.kind = tunnel::Kind::upgrade;
    tunnel.protocol =
        upgrade && http1::same_name(*upgrade, "websocket") ? "websocket" : printable(upgrade.value_or("?"));
    tunnel.route = x_.location->route_id;
    tunnel.service = group_->service;
    tunnel.endpoint = group_->endpoints[picked_].address;
    tunnel.endpoint_name = group_->endpoints[picked_].name;
    tunnel.client = x_.client;
    tunnel.frontend = x_.local;
    tunnel.started = loop().system_now();
    tunnel.idle_timeout = proxy_.tunnel_idle_timeout;

    tunnel::Relay::Ends ends;
    ends.client = std::move(connection_.socket_);
    ends.endpoint = std::move(endpoint_->socket);
    ends.early_from_client = std::move(connection_.input_);
    ends.early_from_endpoint = std::move(endpoint_->input);

    auto tail = std::make_shared<TunnelTail>();
    tail->pass = std::move(connection_.pass_);
    tail->hold = std::move(hold_);
    tail->limits = std::move(limit_hold_);
    tail->begun.bytes_sent = connection_.bytes_to_client_;
    tail->begun.head_sent = connection_.bytes_to_client_;
    tail->request_started = x_.started_steady;
    tail->attempt_started = attempt_started_;
    x_.bytes_sent = connection_.bytes_to_client_;
    for (const auto& log : settings_.access_logs)
        if (wants_log(log, x_)) tail->logs.emplace_back(log, x_);

    Worker& worker = worker_;
    worker.open_tunnel(std::move(tunnel), std::move(ends), [&worker, tail](const tunnel::Tunnel& t) {
        for (const FrozenLog& log : tail->logs) {
            FrozenLog::End end = tail->begun;
            end.bytes_sent += t.from_endpoint.bytes;
            end.endpoint_sent = t.from_client.bytes;
            end.endpoint_received = t.from_endpoint.bytes;
            end.now = worker.loop().system_now();
            end.now_steady = worker.loop().now();
            end.duration = std::chrono::duration_cast<Duration>(end.now_steady - tail->request_started);
            end.endpoint_duration =
                std::chrono::duration_cast<Duration>(end.now_steady - tail->attempt_started);
            worker.logs().write(log.path(), log.render(end));
        }
    });
    co_return After::tunnel;
}

}  // namespace hawser::gateway
