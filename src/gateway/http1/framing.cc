// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1/framing.h"

#include <limits>
#include <string>

#include "gateway/http1/syntax.h"
#include "gateway/http1/target.h"

namespace hawser::gateway::http1 {
namespace {

// The fields that decide about the connection, gathered in one walk.
struct Known {
    std::optional<std::string_view> host, content_length, transfer_encoding, expect;
    bool content_lengths_differ = false;
    bool close = false;
    bool keep_alive = false;
    std::string_view repeated;  // a field that may stand once only and stands twice
};

// Fields that nginx 1.22 refuses to see twice in a request.
bool is_unique(std::string_view name) {
    static constexpr std::string_view names[] = {
        "if-modified-since", "if-unmodified-since", "if-match",      "if-none-match",
        "if-range",          "authorization",       "content-range",
    };
    for (const std::string_view unique : names) {
        if (same_name(name, unique)) return true;
    }
    return false;
}

void take_once(std::optional<std::string_view>& slot, const Field& field, Known& known) {
    if (slot) known.repeated = field.name;
    slot = field.value;
}

Known gather(const Fields& fields) {
    Known known;
    for (const Field& field : fields.all()) {
        switch (field.name.size()) {
            case 4:
                if (same_name(field.name, "host")) take_once(known.host, field, known);
                break;
            case 6:
                if (same_name(field.name, "expect")) take_once(known.expect, field, known);
                break;
            case 10:
                if (!same_name(field.name, "connection")) break;
                known.close |= has_token(field.value, "close");
                known.keep_alive |= has_token(field.value, "keep-alive");
                break;
            case 14:
                if (!same_name(field.name, "content-length")) break;
                known.content_lengths_differ |= known.content_length && *known.content_length != field.value;
                take_once(known.content_length, field, known);
                break;
            case 17:
                if (same_name(field.name, "transfer-encoding"))
                    take_once(known.transfer_encoding, field, known);
                break;
            default:
                break;
        }
    }
    return known;
}

void find_repeated(const Fields& fields, Known& known) {
    const auto& all = fields.all();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!is_unique(all[i].name)) continue;
        for (std::size_t j = i + 1; j < all.size(); ++j) {
            if (same_name(all[i].name, all[j].name)) {
                known.repeated = all[j].name;
                return;
            }
        }
    }
}

ParseError bad(std::string reason) { return ParseError{.status = 400, .reason = std::move(reason)}; }
ParseError bad_gateway(std::string reason) { return ParseError{.status = 502, .reason = std::move(reason)}; }

std::optional<ParseError> frame_request_body(RequestHead& head, const Known& known) {
    if (known.content_length) {
        const auto length = parse_content_length(*known.content_length);
        if (!length) return bad("an invalid Content-Length");
        head.framing = {Framing::Kind::length, *length};
    }
    if (!known.transfer_encoding) return std::nullopt;
    if (head.minor_version == 0) return bad("Transfer-Encoding in an HTTP/1.0 request");
    if (!same_name(*known.transfer_encoding, "chunked")) {
        return ParseError{.status = 501, .reason = "an unknown Transfer-Encoding"};
    }
    if (known.content_length) return bad("both Content-Length and Transfer-Encoding");
    head.framing = {Framing::Kind::chunked, 0};
    return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_content_length(std::string_view value) {
    constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
    if (value.empty()) return std::nullopt;
    std::uint64_t length = 0;
    for (const char c : value) {
        if (!is_digit(c)) return std::nullopt;
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (length > (most - digit) / 10) return std::nullopt;
        length = length * 10 + digit;
    }
    return length;
}

std::optional<ParseError> frame_request(RequestHead& head) {
    head.host = head.target_host.empty() ? std::string_view{} : host_of(head.target_host).value_or("");
    if (head.minor_version == 9) {
        head.keep_alive = false;
        return std::nullopt;
    }
    Known known = gather(head.fields);
    find_repeated(head.fields, known);
    if (!known.repeated.empty()) return bad("two " + std::string(known.repeated) + " fields");
    if (known.host) {
        const auto host = host_of(*known.host);
        if (!host) return bad("an invalid Host");
        if (head.host.empty()) head.host = *host;
    } else if (head.minor_version >= 1) {
        return bad("an HTTP/1.1 request without Host");
    }
    if (auto error = frame_request_body(head, known)) return error;
    if (head.method == "TRACE") return ParseError{.status = 405, .reason = "TRACE is not allowed here"};
    head.keep_alive = !known.close && (head.minor_version >= 1 || known.keep_alive);
    head.expect_continue =
        head.minor_version >= 1 && known.expect && same_name(*known.expect, "100-continue");
    return std::nullopt;
}

std::optional<ParseError> frame_response(ResponseHead& head, bool request_was_head) {
    const Known known = gather(head.fields);
    const bool bodiless = request_was_head || head.status < 200 || head.status == 204 || head.status == 304;
    head.keep_alive = !known.close && (head.minor_version >= 1 || known.keep_alive);
    std::optional<std::uint64_t> length;
    if (known.content_length) {
        length = parse_content_length(*known.content_length);
        if (!length) return bad_gateway("an invalid Content-Length");
        if (known.content_lengths_differ) return bad_gateway("two different Content-Length fields");
    }
    if (known.transfer_encoding) {
        if (head.fields.count("transfer-encoding") > 1) return bad_gateway("two Transfer-Encoding fields");
        if (!same_name(*known.transfer_encoding, "chunked"))
            return bad_gateway("an unknown Transfer-Encoding");
        // RFC 9112 §6.3: the length does not count, and somebody before us may have believed it. The same
        // for the faulty framing of a 1.0 message (§6.1).
        if (length || head.minor_version == 0) head.keep_alive = false;
    }
    if (bodiless) {
        head.framing = {};
        if (head.status == 101) head.keep_alive = false;
    } else if (known.transfer_encoding) {
        head.framing = {Framing::Kind::chunked, 0};
    } else if (length) {
        head.framing = {Framing::Kind::length, *length};
    } else {
        head.framing = {Framing::Kind::until_close, 0};
        head.keep_alive = false;
    }
    return std::nullopt;
}

}  // namespace hawser::gateway::http1
