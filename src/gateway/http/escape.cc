// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/escape.h"

#include <algorithm>
#include <array>

namespace hawser::gateway {

namespace {
constexpr char hex_digits[] = "0123456789ABCDEF";

constexpr std::array<bool, 256> table(std::string_view printable) {
    std::array<bool, 256> out{};
    for (unsigned c = 0; c < 256; ++c) out[c] = c < 0x20 || c >= 0x7f;
    for (const char c : printable) out[static_cast<unsigned char>(c)] = true;
    return out;
}
// Seen with nginx 1.22.1 by sending every byte through proxy_pass and rewrite.
constexpr auto uri_bytes = table(" \"#%<>?\\^`{|}");
constexpr auto argument_bytes = table(" \"#%&+;<>?\\^`{|}");
constexpr auto log_bytes = table("\"\\");

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = static_cast<char>(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void append_hex(std::string& out, unsigned char byte) {
    out += hex_digits[byte >> 4];
    out += hex_digits[byte & 15];
}
}  // namespace

void append_escaped(std::string& out, std::string_view text, EscapeSet set) {
    const auto& escaped = set == EscapeSet::uri ? uri_bytes : argument_bytes;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (!escaped[byte]) {
            out += c;
            continue;
        }
        out += '%';
        append_hex(out, byte);
    }
}

void unescape_redirect(std::string& text) {
    std::size_t to = text.find_first_of("%?");
    if (to == std::string::npos || text[to] == '?') return;
    std::size_t from = to;
    while (from < text.size()) {
        const char c = text[from];
        if (c == '?') break;
        const int high = c == '%' && from + 2 < text.size() ? hex_value(text[from + 1]) : -1;
        const int low = high >= 0 ? hex_value(text[from + 2]) : -1;
        if (low < 0) {
            text[to++] = text[from++];
            continue;
        }
        const int byte = high * 16 + low;
        if (byte > '%' && byte < 0x7f) {
            text[to++] = static_cast<char>(byte);
            from += 3;
            if (byte == '?') break;
            continue;
        }
        for (int i = 0; i < 3; ++i) text[to++] = text[from++];
    }
    text.erase(to, from - to);
}

void escape_controls(std::string& text) {
    const auto is_control = [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
    };
    if (std::none_of(text.begin(), text.end(), is_control)) return;
    std::string out;
    for (const char c : text) {
        if (is_control(c)) {
            out += '%';
            append_hex(out, static_cast<unsigned char>(c));
        } else {
            out += c;
        }
    }
    text = std::move(out);
}

void append_log_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (!log_bytes[byte]) {
            out += c;
            continue;
        }
        out += "\\x";
        append_hex(out, byte);
    }
}

void append_json_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            case '\b':
                out += "\\b";
                break;
            case '\f':
                out += "\\f";
                break;
            default:
                if (static_cast<unsigned char>(c) >= 0x20) {
                    out += c;
                    break;
                }
                out += "\\u00";
                append_hex(out, static_cast<unsigned char>(c));
        }
    }
}

}  // namespace hawser::gateway
