// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/http1/message.h"

namespace hawser::gateway::http1 {

// Cuts the payload of a body out of the bytes of a connection. Zero copy: payload views point into the input.
class BodyDecoder {
  public:
    BodyDecoder() = default;  // no body: done at once
    explicit BodyDecoder(const Framing& framing);

    struct Step {
        std::size_t consumed = 0;    // bytes of the input that are used up, payload included
        std::string_view payload{};  // may be empty
        bool done = false;           // the body is complete; what follows in the input is not of it
        bool invalid = false;  // broken chunking: answer 400 / treat the endpoint's answer as cut, and close
        std::string reason{};  // when invalid
    };
    // Takes the next piece. Call again with the rest while consumed > 0 and neither done nor invalid.
    Step next(std::string_view input);

    // The connection ended. True when that completes the body (until_close), false when it cuts it short.
    [[nodiscard]] bool end_completes() const;
    [[nodiscard]] bool done() const { return done_; }
    [[nodiscard]] bool chunked() const { return framing_.kind == Framing::Kind::chunked; }
    // Payload bytes still to come; only for kind length.
    [[nodiscard]] std::uint64_t remaining() const { return remaining_; }
    // The trailer section as received, "Name: value\r\n..." without the final empty line; bounded (8 KiB).
    [[nodiscard]] const std::string& trailers() const { return trailers_; }

  private:
    Step next_chunked(std::string_view input);
    bool take_size_byte(char c, Step& step);
    bool begin_data(Step& step);
    bool take_trailer_byte(char c, Step& step);
    bool end_trailer_line(Step& step);

    enum class State : std::uint8_t { size, blank, extension, size_lf, data, data_cr, data_lf, trailer };
    Framing framing_;
    State state_ = State::size;
    std::uint64_t remaining_ = 0;
    unsigned digits_ = 0;
    std::size_t overhead_ = 0;      // bytes of extensions: bounded, or a peer sends us only those for ever
    std::size_t trailer_line_ = 0;  // where in trailers_ the line that is being read begins
    std::string trailers_;
    bool done_ = true;
};

// "1a2b\r\n" into out, at most 18 bytes; returns the length. size > 0.
std::size_t write_chunk_head(std::uint64_t size, char* out);
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

}  // namespace hawser::gateway::http1
