// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1/parser.h"

#include <algorithm>
#include <cstring>

#include "gateway/http1/framing.h"
#include "gateway/http1/syntax.h"

namespace hawser::gateway::http1 {
namespace {

// RFC 9112 §2.2 wants one empty line before a request forgiven; some clients send more after a POST.
constexpr std::size_t max_empty_lines = 8;

ParseError bad(std::string reason) { return ParseError{.status = 400, .reason = std::move(reason)}; }

Span span(std::size_t base, std::string_view whole, std::string_view part) {
    return {static_cast<std::uint32_t>(static_cast<std::size_t>(part.data() - whole.data()) - base),
            static_cast<std::uint32_t>(part.size())};
}

}  // namespace

void RequestParser::reset(const RequestLimits& limits) {
    std::vector<FieldSpan> fields = std::move(fields_);
    *this = RequestParser(limits);
    fields.clear();
    fields_ = std::move(fields);
}

std::string_view RequestParser::request_line_of(std::string_view input) const {
    const std::string_view rest = input.substr(std::min(begin_, input.size()));
    return rest.substr(0, std::min(rest.find_first_of("\r\n"), rest.size()));
}

std::variant<NeedMore, RequestHead, ParseError> RequestParser::parse(std::string_view input) {
    if (phase_ == Phase::before) {
        if (auto error = skip_empty_lines(input)) return *error;
        if (phase_ == Phase::before) return NeedMore{};
    }
    while (!complete_) {
        line_ended_ = false;
        auto error = phase_ == Phase::request_line ? scan_request_line(input) : scan_field_line(input);
        if (error) return *std::move(error);
        if (!line_ended_) return NeedMore{};
    }
    return make_head(input);
}

std::optional<ParseError> RequestParser::skip_empty_lines(std::string_view input) {
    while (scanned_ < input.size()) {
        if (input[scanned_] != '\r') {
            started_ = true;
            phase_ = Phase::request_line;
            begin_ = line_ = scanned_;
            return std::nullopt;
        }
        if (scanned_ + 1 == input.size()) return std::nullopt;
        if (input[scanned_ + 1] != '\n') return bad("CR without LF before the request line");
        scanned_ += 2;
        if (scanned_ > 2 * max_empty_lines) return bad("too many empty lines before the request line");
    }
    return std::nullopt;
}

// nginx keeps the lines of a head whole in buffers: one of header_buffer_size first, then large ones. The
// same sum here gives the same refusals. A line that is not complete must leave room for one more byte.
bool RequestParser::fits(std::size_t length, bool complete) {
    const std::size_t need = complete ? length : length + 1;
    const std::size_t size = buffers_ == 0 ? limits_.header_buffer_size : limits_.large_buffer_size;
    if (buffer_used_ + need <= size) {
        if (complete) buffer_used_ += length;
        return true;
    }
    if (need > limits_.large_buffer_size || buffers_ == limits_.large_buffers) return false;
    if (complete) {
        ++buffers_;
        buffer_used_ = length;
    }
    return true;
}

ParseError RequestParser::too_large() const {
    if (phase_ == Phase::request_line) return {.status = 414, .reason = "a request line that is too long"};
    return {.status = 400, .reason = "a header that is too large", .page = 494};
}

std::optional<ParseError> RequestParser::scan_request_line(std::string_view input) {
    // A TLS hello on a plain port, or other noise, may never bring a line end: its first byte decides.
    for (; !method_ended_ && scanned_ < input.size(); ++scanned_) {
        const char c = input[scanned_];
        if (c == ' ' || is_control(c)) {
            if (c != ' ' && scanned_ == line_) return bad("an invalid method");
            method_ended_ = true;
            break;
        }
        if ((c < 'A' || c > 'Z') && c != '_' && c != '-') return bad("an invalid method");
    }
    scanned_ = find_control(input, scanned_, true);
    if (!fits(scanned_ - line_, false)) return too_large();
    if (scanned_ == input.size()) return std::nullopt;
    if (input[scanned_] == '\n') return bad("bare LF in the request line");
    if (input[scanned_] != '\r') return bad("a control byte in the request line");
    if (scanned_ + 1 == input.size()) return std::nullopt;
    if (input[scanned_ + 1] != '\n') return bad("CR without LF in the request line");
    if (!fits(scanned_ + 2 - line_, true)) return too_large();
    return finish_request_line(input.substr(line_, scanned_ - line_));
}

std::optional<ParseError> RequestParser::finish_request_line(std::string_view line) {
    auto parsed = parse_request_line(line);
    if (auto* error = std::get_if<ParseError>(&parsed)) return *error;
    request_line_ = std::get<RequestLine>(parsed);
    request_line_size_ = line.size();
    if (!request_line_.plain_path) {
        auto path = normalize_path(request_line_.path.of(line.data()), limits_.merge_slashes);
        if (!path) return bad("an invalid path");
        path_ = *std::move(path);
    }
    scanned_ += 2;
    line_ = scanned_;
    line_ended_ = true;
    phase_ = Phase::name;
    complete_ = request_line_.minor_version == 9;
    return std::nullopt;
}

std::optional<ParseError> RequestParser::scan_name(std::string_view input) {
    for (; scanned_ < input.size(); ++scanned_) {
        switch (name_byte(input[scanned_])) {
            case NameByte::plain:
                break;
            case NameByte::underscore:
                invalid_name_ |= !limits_.underscores_in_headers;
                break;
            case NameByte::token:
                invalid_name_ = true;
                break;
            case NameByte::foreign:
                if (!limits_.ignore_invalid_headers) return bad("an invalid byte in a header name");
                invalid_name_ = true;
                break;
            case NameByte::colon:
                if (scanned_ == line_) return bad("a header line without a name");
                colon_ = scanned_++;
                phase_ = Phase::value;
                return std::nullopt;
            case NameByte::forbidden: {
                const char c = input[scanned_];
                if (c == '\n') return bad("bare LF in a header line");
                if (c == '\r') {
                    if (scanned_ + 1 == input.size()) return std::nullopt;
                    return bad(input[scanned_ + 1] == '\n' ? "a header line without a colon"
                                                           : "CR without LF in a header line");
                }
                if (c != ' ' && c != '\t') return bad("a control byte in a header name");
                return bad(scanned_ == line_ ? "a folded header line" : "a space in a header name");
            }
        }
    }
    return std::nullopt;
}

std::optional<ParseError> RequestParser::scan_field_line(std::string_view input) {
    if (phase_ == Phase::name) {
        if (line_ < input.size() && input[line_] == '\r') {
            if (line_ + 1 == input.size()) return std::nullopt;
            if (input[line_ + 1] != '\n') return bad("CR without LF in a header line");
            if (!fits(2, true)) return too_large();
            scanned_ = line_ + 2;
            line_ended_ = complete_ = true;
            return std::nullopt;
        }
        if (auto error = scan_name(input)) return fits(scanned_ - line_, false) ? error : too_large();
    }
    if (phase_ == Phase::value) scanned_ = find_control(input, scanned_, false);
    if (!fits(scanned_ - line_, false)) return too_large();
    if (phase_ == Phase::name || scanned_ == input.size()) return std::nullopt;
    if (input[scanned_] == '\n') return bad("bare LF in a header line");
    if (input[scanned_] != '\r') return bad("a control byte in a header value");
    if (scanned_ + 1 == input.size()) return std::nullopt;
    if (input[scanned_ + 1] != '\n') return bad("CR without LF in a header line");
    if (!fits(scanned_ + 2 - line_, true)) return too_large();
    return finish_field(input, scanned_);
}

std::optional<ParseError> RequestParser::finish_field(std::string_view input, std::size_t end) {
    if (++field_lines_ > limits_.max_fields) {
        return ParseError{.status = 400, .reason = "too many header lines", .page = 494};
    }
    if (!invalid_name_ || !limits_.ignore_invalid_headers) {
        const std::string_view value = trimmed(input.substr(colon_ + 1, end - colon_ - 1));
        fields_.push_back(
            {span(begin_, input, input.substr(line_, colon_ - line_)), span(begin_, input, value)});
    }
    invalid_name_ = false;
    phase_ = Phase::name;
    scanned_ = line_ = end + 2;
    line_ended_ = true;
    return std::nullopt;
}

std::variant<NeedMore, RequestHead, ParseError> RequestParser::make_head(std::string_view input) {
    RequestHead head = copy_head(input, scanned_);
    if (auto error = frame_request(head)) return *std::move(error);
    return head;
}

RequestHead RequestParser::copy_head(std::string_view input, std::size_t end) const {
    RequestHead head;
    head.size = end;
    head.empty_lines = begin_;
    head.bytes = std::make_unique_for_overwrite<char[]>(end - begin_);
    const char* base = head.bytes.get();
    std::memcpy(head.bytes.get(), input.data() + begin_, end - begin_);

    const RequestLine& line = request_line_;
    head.request_line = {base, request_line_size_};
    head.method = line.method.of(base);
    head.target = line.target.of(base);
    head.scheme = line.scheme.of(base);
    head.target_authority = line.authority.of(base);
    head.target_host = line.host.of(base);
    head.raw_path = line.path.size == 0 ? std::string_view("/") : line.path.of(base);
    head.query = line.query.of(base);
    head.has_query = line.has_query;
    head.minor_version = line.minor_version;
    head.path = request_line_.plain_path ? std::string(head.raw_path) : path_;
    head.fields.reserve(fields_.size());
    for (const FieldSpan& field : fields_) head.fields.add({field.name.of(base), field.value.of(base)});
    return head;
}

RequestHead RequestParser::head_so_far(std::string_view input) const {
    if (request_line_size_ == 0) return {};
    RequestHead head =
        copy_head(input, complete_ ? scanned_ : std::max(line_, begin_ + request_line_size_ + 2));
    head.host = head.target_host;
    if (const auto host = head.fields.find("Host"); head.host.empty() && host)
        head.host = host_of(*host).value_or("");
    return head;
}

}  // namespace hawser::gateway::http1
