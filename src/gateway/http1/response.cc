// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "gateway/http1/framing.h"
#include "gateway/http1/parser.h"
#include "gateway/http1/syntax.h"

namespace hawser::gateway::http1 {
namespace {

ParseError bad(std::string reason) { return ParseError{.status = 502, .reason = std::move(reason)}; }

struct StatusLine {
    std::uint8_t minor_version = 1;
    std::uint16_t status = 0;
    std::string_view reason;
};

// "HTTP/1.1 200 OK"; without a reason the space before it may be missing too (nginx and many servers).
std::optional<StatusLine> parse_status_line(std::string_view line) {
    if (line.size() < 12 || !line.starts_with("HTTP/1.") || !is_digit(line[7]) || line[8] != ' ') {
        return std::nullopt;
    }
    StatusLine out;
    out.minor_version = line[7] == '0' ? 0 : 1;
    for (const char c : line.substr(9, 3)) {
        if (!is_digit(c)) return std::nullopt;
        out.status = static_cast<std::uint16_t>(out.status * 10 + (c - '0'));
    }
    if (out.status < 100) return std::nullopt;
    if (line.size() > 12) {
        if (line[12] != ' ') return std::nullopt;
        out.reason = line.substr(13);
    }
    return out;
}

bool may_begin_status_line(std::string_view start) {
    constexpr std::string_view protocol = "HTTP/1.";
    const std::size_t size = std::min(start.size(), protocol.size());
    return start.substr(0, size) == protocol.substr(0, size);
}

}  // namespace

std::optional<ParseError> ResponseParser::scan_line(std::string_view input) {
    line_ended_ = false;
    scanned_ = find_control(input, scanned_, false);
    if (scanned_ >= max_size_) return bad("a header that is too big");
    if (scanned_ == input.size()) return std::nullopt;
    if (input[scanned_] == '\n') return bad("bare LF in the header");
    if (input[scanned_] != '\r') return bad("a control byte in the header");
    if (scanned_ + 1 == input.size()) return std::nullopt;
    if (input[scanned_ + 1] != '\n') return bad("CR without LF in the header");
    if (scanned_ + 2 > max_size_) return bad("a header that is too big");
    const std::string_view line = input.substr(line_, scanned_ - line_);
    if (status_ == 0) {
        const auto parsed = parse_status_line(line);
        if (!parsed) return bad("an invalid status line");
        minor_version_ = parsed->minor_version;
        status_ = parsed->status;
        reason_ = {13, static_cast<std::uint32_t>(parsed->reason.size())};
    } else if (line.empty()) {
        complete_ = true;
    } else {
        std::size_t colon = 0;
        while (colon < line.size() && is_token_byte(line[colon])) ++colon;
        if (colon == 0 || colon == line.size() || line[colon] != ':') return bad("an invalid header line");
        const std::string_view value = trimmed(line.substr(colon + 1));
        fields_.push_back({{static_cast<std::uint32_t>(line_), static_cast<std::uint32_t>(colon)},
                           {static_cast<std::uint32_t>(value.data() - input.data()),
                            static_cast<std::uint32_t>(value.size())}});
    }
    scanned_ = line_ = scanned_ + 2;
    line_ended_ = true;
    return std::nullopt;
}

std::variant<NeedMore, ResponseHead, ParseError> ResponseParser::parse(std::string_view input) {
    if (!may_begin_status_line(input)) return bad("no HTTP/1.x answer");
    while (!complete_) {
        if (auto error = scan_line(input)) return *std::move(error);
        if (!line_ended_) return NeedMore{};
    }
    ResponseHead head;
    head.size = scanned_;
    head.bytes = std::make_unique_for_overwrite<char[]>(scanned_);
    std::memcpy(head.bytes.get(), input.data(), scanned_);
    const char* base = head.bytes.get();
    head.minor_version = minor_version_;
    head.status = status_;
    head.reason = reason_.size == 0 ? std::string_view{} : reason_.of(base);
    head.fields.reserve(fields_.size());
    for (const FieldSpan& field : fields_) head.fields.add({field.name.of(base), field.value.of(base)});
    if (auto error = frame_response(head, head_)) return *std::move(error);
    return head;
}

}  // namespace hawser::gateway::http1
