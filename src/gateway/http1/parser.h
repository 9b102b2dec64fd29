// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "gateway/http1/message.h"
#include "gateway/http1/target.h"

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
    // After an error: what was understood before it, for the access log. `size` counts whole lines only, as
    // nginx's $request_length does; method, target and path are there once the request line was good, fields
    // as far as they came.
    [[nodiscard]] RequestHead head_so_far(std::string_view input) const;
    // The empty line that ends the head was seen.
    [[nodiscard]] bool is_complete() const { return complete_; }

  private:
    enum class Phase : std::uint8_t { before, request_line, name, value };
    std::optional<ParseError> skip_empty_lines(std::string_view input);
    std::optional<ParseError> scan_request_line(std::string_view input);
    std::optional<ParseError> scan_field_line(std::string_view input);
    std::optional<ParseError> scan_name(std::string_view input);
    std::optional<ParseError> finish_request_line(std::string_view line);
    std::optional<ParseError> finish_field(std::string_view input, std::size_t end);
    bool fits(std::size_t length, bool complete);
    [[nodiscard]] ParseError too_large() const;
    std::variant<NeedMore, RequestHead, ParseError> make_head(std::string_view input);
    [[nodiscard]] RequestHead copy_head(std::string_view input, std::size_t end) const;

    RequestLimits limits_;
    Phase phase_ = Phase::before;
    std::size_t scanned_ = 0;  // everything before this was looked at
    std::size_t begin_ = 0;    // of the request line: behind the empty lines
    std::size_t line_ = 0;     // where the line that is being read begins
    std::size_t colon_ = 0;    // phase value: where the name ends
    bool started_ = false;
    bool method_ended_ = false;
    bool line_ended_ = false;      // the line that was scanned last is whole
    bool complete_ = false;        // the empty line was seen
    bool invalid_name_ = false;    // nginx's "invalid header": letters, digits and '-' only are valid
    std::size_t buffer_used_ = 0;  // of nginx's buffer that would hold the line
    std::size_t buffers_ = 0;      // large ones in use
    std::size_t field_lines_ = 0;
    RequestLine request_line_;
    std::size_t request_line_size_ = 0;
    std::string path_;  // normalized, unless request_line_.plain_path
    struct FieldSpan {
        Span name, value;
    };
    std::vector<FieldSpan> fields_;  // relative to begin_
};

// Parses the head of a response. 1xx heads are returned too: the caller goes on with the next parse (101 ends
// HTTP).
class ResponseParser {
  public:
    // max_size: bytes of the whole head (proxy_buffer_size). request_was_head decides the framing. Errors
    // have status 502.
    explicit ResponseParser(std::size_t max_size, bool request_was_head)
        : max_size_(max_size), head_(request_was_head) {}
    std::variant<NeedMore, ResponseHead, ParseError> parse(std::string_view input);

  private:
    std::optional<ParseError> scan_line(std::string_view input);
    std::size_t max_size_;
    bool head_;
    std::size_t scanned_ = 0;
    std::size_t line_ = 0;
    bool line_ended_ = false;
    bool complete_ = false;
    std::uint8_t minor_version_ = 1;
    std::uint16_t status_ = 0;
    Span reason_;
    struct FieldSpan {
        Span name, value;
    };
    std::vector<FieldSpan> fields_;
};

}  // namespace hawser::gateway::http1
