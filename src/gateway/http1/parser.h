// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "gateway/http1/message.h"

namespace hawser::gateway::http1 {

// nginx's client_header_buffer_size, large_client_header_buffers and their relatives.
struct RequestLimits {
    std::size_t header_buffer_size = 1024;  // bytes
    std::size_t large_buffers = 4;          // count
    std::size_t large_buffer_size = 8192;   // bytes; a longer request line: 414, a longer header line: 400
    std::size_t max_fields = 1000;
    bool ignore_invalid_headers = true;  // fields with invalid names are left out, as nginx does
    bool underscores_in_headers = false;
    bool merge_slashes = true;
};

struct NeedMore {};

// Parses the head of a request out of a connection's input. Incremental: call parse() with everything that
// has arrived and was not consumed yet (the same bytes again with more behind them); it remembers how far it
// has looked, so that a slow sender costs no more than a fast one.
class RequestParser {
  public:
    explicit RequestParser(const RequestLimits& limits) : limits_(limits) {}

    // RequestHead: done, head.size bytes are consumed. ParseError: answer and close.
    std::variant<NeedMore, RequestHead, ParseError> parse(std::string_view input);

    // For another request on the same connection.
    void reset(const RequestLimits& limits);
    // True once the first byte of a request has been seen (leading CRLFs, RFC 9112 §2.2, do not count).
    [[nodiscard]] bool started() const { return started_; }
    // The request line seen so far or whole, for the access log of a request that failed to parse.
    [[nodiscard]] std::string_view request_line_of(std::string_view input) const;

  private:
    RequestLimits limits_;
    std::size_t scanned_ = 0;
    bool started_ = false;
};

// Parses the head of a response. 1xx heads are returned too: the caller goes on with the next parse (101 ends
// HTTP).
class ResponseParser {
  public:
    // max_size: bytes of the whole head (proxy_buffer_size). request_was_head / request_was_connect decide
    // the framing.
    explicit ResponseParser(std::size_t max_size, bool request_was_head)
        : max_size_(max_size), head_(request_was_head) {}
    std::variant<NeedMore, ResponseHead, ParseError> parse(std::string_view input);

  private:
    std::size_t max_size_;
    bool head_;
    std::size_t scanned_ = 0;
};

}  // namespace hawser::gateway::http1
