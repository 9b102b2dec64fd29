// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "gateway/http1/body.h"
#include "gateway/http1/parser.h"
#include "gateway/worker.h"
#include "net/socket.h"
#include "net/task.h"

namespace hawser::gateway {

// A client's HTTP/1 connection: reads requests one after the other and answers them, until one side closes or
// the connection becomes a tunnel. Runs as one coroutine on its worker's loop; owns no buffer while it waits
// for a request.
class HttpConnection : public ServedConnection {
  public:
    HttpConnection(Worker& worker, net::Fd fd, const net::SocketAddress& peer, PurposeSlot purpose,
                   Admission::Pass pass);
    ~HttpConnection() override;

    net::Task<void> run();
    // The answer to a client that is one too many: a status and the end.
    net::Task<void> turn_away(std::uint16_t status);

    void end_if_idle() override;
    void cut() override;
    [[nodiscard]] bool is_orphaned() const override { return !purpose_->http; }

  private:
    friend class ProxyExchange;

    // What follows after a request was served.
    enum class After : std::uint8_t { next_request, close, linger, tunnel };

    net::Task<std::optional<http1::RequestHead>> read_head();
    net::Task<After> serve(Exchange& exchange);
    net::Task<After> refuse_malformed(const http1::ParseError& error);
    net::Task<After> answer(Exchange& exchange, const Answer& answer);
    net::Task<bool> discard_body();
    // close, or linger if the client has sent what nobody reads: the RST could overtake our answer.
    [[nodiscard]] After end_gently() const;
    // Reads and forgets what still comes, at most `total`, at most `pause` between two pieces.
    net::Task<void> linger(net::Duration total, net::Duration pause);

    void begin_exchange(Exchange& exchange, http1::RequestHead head);
    void finish_exchange(Exchange& exchange);
    void write_logs(Exchange& exchange);
    // Reads what is there into input_. False: the connection has ended or failed.
    bool read_some();
    net::Task<bool> write_all(std::string_view bytes, net::Duration timeout);
    [[nodiscard]] bool may_keep_alive(const Exchange& exchange) const;
    [[nodiscard]] bool loop_now_before(net::Duration keepalive_time) const;
    // Status line and fields; adds Connection and Keep-Alive.
    std::string make_head(Exchange& exchange, std::vector<std::pair<std::string, std::string>> fields,
                          bool keep_alive, bool is_upgrade);
    net::Loop& loop() { return worker_.loop(); }

    Worker& worker_;
    std::unique_ptr<net::Socket> socket_;
    net::SocketAddress peer_;
    net::SocketAddress local_;
    PurposeSlot purpose_;
    std::shared_ptr<const HttpRules> rules_;  // of the current request
    Admission::Pass pass_;
    std::string input_;  // read from the client, not consumed
    std::uint64_t number_;
    std::uint32_t requests_ = 0;
    SystemTime connected_;
    SteadyTime connected_steady_;
    bool pipelined_ = false;  // the request's first bytes came with the one before
    bool idle_ = false;       // waits for the first byte of a request
    std::optional<http1::ParseError> malformed_;
    http1::RequestParser parser_;
    http1::BodyDecoder body_;            // of the current request
    std::uint64_t bytes_to_client_ = 0;  // of the current exchange
};

}  // namespace hawser::gateway
