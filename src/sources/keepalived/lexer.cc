// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/lexer.h"

#include <algorithm>

namespace hawser::keepalived {

namespace {

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 16;
}

// A number in `base` with at most `most` digits; `at` is left behind it.
char take_number(std::string_view text, std::size_t& at, int base, std::size_t most) {
    unsigned value = 0;
    for (; most > 0 && at < text.size() && digit_of(text[at]) < base; --most, ++at)
        value = value * static_cast<unsigned>(base) + static_cast<unsigned>(digit_of(text[at]));
    return static_cast<char>(value);
}

char plain_escape(char c) {
    switch (c) {
        case 'a':
            return '\a';
        case 'b':
            return '\b';
        case 'E':
            return '\x1b';
        case 'f':
            return '\f';
        case 'n':
            return '\n';
        case 'r':
            return '\r';
        case 't':
            return '\t';
        case 'v':
            return '\v';
        default:
            return c;
    }
}

bool ends_word(char c) { return is_blank(c) || c == '{' || c == '}'; }

struct WordReader {
    const Line& line;
    catalog::Diagnostics& diagnostics;
    std::size_t at = 0;

    Word read() {
        Word out;
        out.position = line.position(at);
        out.quoted = opens_quote(line.text, at);
        const std::string_view text = line.text;
        while (at < text.size() && !ends_word(text[at])) {
            if (opens_quote(text, at)) {
                read_string(out);
            } else {
                out.text += text[at++];
            }
        }
        return out;
    }
    void read_string(Word& out) {
        const std::string_view text = line.text;
        std::size_t end = end_of_quoted(text, at);
        if (end == std::string_view::npos) {
            diagnostics.error(line.position(at), std::string("the string has no closing ") + text[at]);
            end = text.size() + 1;
        }
        out.text += unescape(text.substr(at + 1, end - at - 2));
        at = std::min(end, text.size());
    }
};

}  // namespace

std::string unescape(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at++];
        if (c != '\\' || at == text.size()) {
            out += c;
            continue;
        }
        const char next = text[at++];
        if (next >= '0' && next <= '7') {
            out += take_number(text, --at, 8, 3);
        } else if (next == 'x' && at < text.size() && digit_of(text[at]) < 16) {
            out += take_number(text, at, 16, text.size());
        } else if (next == 'c' && at < text.size()) {
            out += static_cast<char>(text[at++] & 0x1f);
        } else {
            out += plain_escape(next);
        }
    }
    return out;
}

std::vector<Token> read_tokens(const Line& line, catalog::Diagnostics& diagnostics) {
    std::vector<Token> out;
    WordReader reader{line, diagnostics};
    for (;;) {
        reader.at = skip_blanks(line.text, reader.at);
        if (reader.at >= line.text.size()) return out;
        const char c = line.text[reader.at];
        Token token;
        if (c == '{' || c == '}') {
            token.kind = c == '{' ? Token::Kind::open : Token::Kind::close;
            token.word.position = line.position(reader.at++);
        } else {
            token.word = reader.read();
        }
        out.push_back(std::move(token));
    }
}

std::vector<std::string> split_command(std::string_view text) {
    std::vector<std::string> out;
    for (std::size_t at = skip_blanks(text); at < text.size(); at = skip_blanks(text, at)) {
        std::string word;
        while (at < text.size() && !is_blank(text[at])) {
            if (text[at] == '\\' && at + 1 < text.size()) {
                word += text[at + 1];
                at += 2;
                continue;
            }
            const bool quote = text[at] == '\'' || text[at] == '"';
            const std::size_t end = quote ? end_of_quoted(text, at) : std::string_view::npos;
            if (end == std::string_view::npos) {
                word += text[at++];
            } else {
                word += text.substr(at + 1, end - at - 2);
                at = end;
            }
        }
        out.push_back(std::move(word));
    }
    return out;
}

}  // namespace hawser::keepalived
