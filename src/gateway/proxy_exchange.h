// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "balance/picker.h"
#include "gateway/body_spool.h"
#include "gateway/endpoint_pool.h"
#include "gateway/http1/body.h"
#include "gateway/http_connection.h"

namespace hawser::gateway {

// One request's way to an endpoint and the answer's way back: picks endpoints, sends head and body, streams
// the answer with bounded memory, makes a tunnel of a 101. Lives within HttpConnection::serve.
class ProxyExchange {
  public:
    ProxyExchange(HttpConnection& connection, Exchange& exchange, const catalog::http::Proxy& proxy,
                  LimitHold& hold);

    net::Task<HttpConnection::After> run();
    // The target of an X-Accel-Redirect; then nothing has been sent to the client yet.
    [[nodiscard]] const std::optional<std::string>& internal_redirect() const { return redirect_; }

    // The client asks for an upgrade that hawser understands as such: an Upgrade field with something else
    // than h2c.
    static bool is_handshake(const Exchange& exchange);

  private:
    using After = HttpConnection::After;
    static constexpr std::size_t piece_size =
        64 * 1024;  // read from an endpoint at once, and so owed to a client at most
    static constexpr std::uint16_t closed_in_body = 498;  // logged as 400, and answered by nobody

    // Why an attempt gave no answer that can be passed on. `mask`: bits of catalog::http::next_upstream.
    struct Failure {
        std::uint32_t mask = 0;
        std::uint16_t status =
            502;  // what the client gets if there is no other attempt; 499: the client went; 0: none
        std::string reason;
        const char* outcome = "connect_error";  // for the metric
        bool counts_against_endpoint = true;
    };
    enum class Step : std::uint8_t { moved, blocked, failed };

    std::optional<Answer> choose_group();
    net::Task<std::optional<Failure>> spool_body();
    net::Task<std::optional<Failure>> attempt(std::size_t index);
    net::Task<std::optional<Failure>> connect(const catalog::Endpoint& endpoint);
    net::Task<std::optional<Failure>> exchange_heads();
    net::Task<After> pass_answer();
    net::Task<After> open_tunnel();
    net::Task<After> fail(const Failure& failure);
    net::Task<bool> wait_for_progress(Failure& failure, bool head_done);
    // Now and then the others must have their turn: fast peers never make us wait.
    bool has_had_its_share() { return ++moves_ % 8 == 0; }

    [[nodiscard]] bool may_be_spliced() const;
    std::string request_head();
    void add_body_framing(std::string& head);
    bool may_try_again(const Failure& failure) const;

    Step push_request(Failure& failure);
    // Puts more of the body into out_. blocked: nothing is there now; failed: the client's body is broken or
    // cut.
    Step next_body_piece(Failure& failure);
    void add_body_payload(std::string_view payload);
    void end_body();
    Step parse_answer(Failure& failure);
    Step pull_answer(Failure& failure);  // body bytes: endpoint -> client
    bool send_down(std::string_view payload, bool last);
    bool flush_down();

    [[nodiscard]] bool request_sent() const { return body_sent_ && out_.empty(); }
    [[nodiscard]] bool answer_is_upgrade(std::string& why_not) const;
    void record_handshake(Handshake result, const std::string& words);
    void explain_refusal();
    void end_attempt(const char* outcome);
    net::Loop& loop() { return connection_.loop(); }

    HttpConnection& connection_;
    Worker& worker_;
    Exchange& x_;
    const catalog::http::Proxy& proxy_;
    const catalog::http::Settings& settings_;
    LimitHold& limit_hold_;

    std::shared_ptr<const catalog::EndpointGroup> group_;
    std::optional<DynamicTarget> dynamic_;
    std::string hash_key_;
    std::optional<UpstreamRequest> request_;
    std::shared_ptr<balance::Picker> picker_;
    std::size_t picked_ = 0;
    bool ad_hoc_ = false;  // the endpoint's address stood in the request
    unsigned moves_ = 0;
    unsigned interim_answers_ = 0;
    balance::Hold hold_;
    std::unique_ptr<EndpointConnection> endpoint_;
    std::unique_ptr<http1::ResponseParser> parser_;

    // The request's body; its decoder is the connection's.
    std::uint64_t body_size_ = 0;       // payload bytes seen
    std::unique_ptr<BodySpool> spool_;  // the whole body, when its length had to be known first
    std::uint64_t spool_sent_ = 0;
    bool chunk_upstream_ = false;
    std::string replay_;  // payload seen so far, while it is short enough to be sent again
    bool can_replay_ = true;
    bool body_sent_ = false;  // all of it went into out_
    bool any_sent_ = false;   // of this attempt's request
    std::string out_;         // owed to the endpoint

    // The answer.
    http1::BodyDecoder answer_body_;
    bool chunk_down_ = false;
    bool answer_done_ = false;
    bool answer_cut_ = false;   // the endpoint stopped in the middle
    std::string down_;          // owed to the client
    std::string refusal_text_;  // the beginning of the answer to a handshake
    bool keep_client_ = false;
    std::size_t head_size_ = 0;  // bytes of the head that the client gets

    net::TimePoint attempt_started_, endpoint_read_at_, endpoint_write_at_, client_read_at_, client_write_at_,
        started_;
    std::optional<std::string> redirect_;
};

}  // namespace hawser::gateway
