// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1/body.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "gateway/http1/syntax.h"

namespace hawser::gateway::http1 {
namespace {

constexpr unsigned max_size_digits = 16;
constexpr std::size_t max_trailers = 8192;
// Extension bytes beyond what the data pays for (16 bytes a chunk and two for each byte of data: signed
// chunks of object stores carry 85).
constexpr std::size_t max_overhead = 16384;

bool refuse(BodyDecoder::Step& step, std::string_view reason) {
    step.invalid = true;
    step.reason = reason;
    return false;
}

}  // namespace

BodyDecoder::BodyDecoder(const Framing& framing) : framing_(framing) {
    switch (framing.kind) {
        case Framing::Kind::none:
            break;
        case Framing::Kind::length:
            remaining_ = framing.length;
            done_ = remaining_ == 0;
            break;
        case Framing::Kind::chunked:
        case Framing::Kind::until_close:
            done_ = false;
            break;
    }
}

bool BodyDecoder::end_completes() const { return done_ || framing_.kind == Framing::Kind::until_close; }

BodyDecoder::Step BodyDecoder::next(std::string_view input) {
    if (done_) return {.done = true};
    if (framing_.kind == Framing::Kind::chunked) return next_chunked(input);
    if (framing_.kind == Framing::Kind::until_close) return {.consumed = input.size(), .payload = input};
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size()));
    remaining_ -= size;
    done_ = remaining_ == 0;
    return {.consumed = size, .payload = input.substr(0, size), .done = done_};
}

// One piece of data at most, with all the framing around it.
BodyDecoder::Step BodyDecoder::next_chunked(std::string_view input) {
    Step step;
    while (step.consumed < input.size() && !done_) {
        if (state_ == State::data) {
            if (!step.payload.empty()) return step;
            const auto size =
                static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size() - step.consumed));
            step.payload = input.substr(step.consumed, size);
            step.consumed += size;
            remaining_ -= size;
            if (remaining_ == 0) state_ = State::data_cr;
            continue;
        }
        const char c = input[step.consumed];
        const bool taken = state_ == State::trailer ? take_trailer_byte(c, step) : take_size_byte(c, step);
        if (!taken) return step;
        ++step.consumed;
    }
    step.done = done_;
    return step;
}

bool BodyDecoder::take_size_byte(char c, Step& step) {
    switch (state_) {
        case State::size:
            if (const int digit = hex_value(c); digit >= 0) {
                remaining_ = remaining_ * 16 + static_cast<unsigned>(digit);
                return ++digits_ <= max_size_digits || refuse(step, "a chunk size that is too long");
            }
            if (digits_ == 0) return refuse(step, "an invalid chunk size");
            [[fallthrough]];
        case State::blank:
            if (c == ';') {
                state_ = State::extension;
            } else if (c == ' ' || c == '\t') {
                state_ = State::blank;  // BWS: only before a ';' (RFC 9112 §7.1.1)
            } else if (c == '\r' && state_ == State::size) {
                state_ = State::size_lf;
                return true;
            } else {
                return refuse(step, "an invalid chunk size");
            }
            return ++overhead_ <= max_overhead || refuse(step, "too many chunk extensions");
        case State::extension:
            if (c == '\r') {
                state_ = State::size_lf;
                return true;
            }
            if (is_control(c) && c != '\t') return refuse(step, "a control byte in a chunk extension");
            return ++overhead_ <= max_overhead || refuse(step, "too many chunk extensions");
        case State::size_lf:
            return c == '\n' ? begin_data(step) : refuse(step, "CR without LF behind a chunk size");
        case State::data_cr:
            if (c != '\r') return refuse(step, "no CRLF behind the data of a chunk");
            state_ = State::data_lf;
            return true;
        case State::data_lf:
            if (c != '\n') return refuse(step, "no CRLF behind the data of a chunk");
            state_ = State::size;
            return true;
        case State::data:
        case State::trailer:
            break;
    }
    return refuse(step, "a decoder in no state");
}

bool BodyDecoder::begin_data(Step& step) {
    if (remaining_ > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return refuse(step, "a chunk size that is too large");
    }
    const std::uint64_t paid = 16 + 2 * std::min<std::uint64_t>(remaining_, max_overhead);
    overhead_ -= static_cast<std::size_t>(std::min<std::uint64_t>(overhead_, paid));
    digits_ = 0;
    state_ = remaining_ == 0 ? State::trailer : State::data;
    return true;
}

bool BodyDecoder::take_trailer_byte(char c, Step& step) {
    if (trailers_.size() >= max_trailers + 2) return refuse(step, "trailers that are too large");
    trailers_ += c;
    return c == '\n' ? end_trailer_line(step) : true;
}

bool BodyDecoder::end_trailer_line(Step& step) {
    std::string_view line = std::string_view(trailers_).substr(trailer_line_);
    if (!line.ends_with("\r\n")) return refuse(step, "bare LF in a trailer");
    line.remove_suffix(2);
    if (line.empty()) {
        trailers_.resize(trailer_line_);
        done_ = true;
        return true;
    }
    std::size_t colon = 0;
    while (colon < line.size() && is_token_byte(line[colon])) ++colon;
    if (colon == 0 || colon == line.size() || line[colon] != ':' ||
        find_control(line, colon, false) != line.size()) {
        return refuse(step, "an invalid trailer line");
    }
    trailer_line_ = trailers_.size();
    return true;
}

std::size_t write_chunk_head(std::uint64_t size, char* out) {
    char* end = std::to_chars(out, out + 16, size, 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    return static_cast<std::size_t>(end - out);
}

}  // namespace hawser::gateway::http1
