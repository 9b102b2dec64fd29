// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/line.h"

#include <cctype>
#include <numeric>

namespace hawser::keepalived {

Line Line::of(std::shared_ptr<const std::string> file, std::uint32_t number, std::string_view text) {
    Line out;
    out.file = std::move(file);
    out.number = number;
    out.text = text;
    out.columns.resize(text.size());
    std::iota(out.columns.begin(), out.columns.end(), 1U);
    return out;
}

std::uint32_t Line::column(std::size_t at) const {
    if (columns.empty()) return 1;
    return at < columns.size() ? columns[at] : columns.back() + 1;
}

Line Line::part(std::size_t from, std::size_t to) const {
    Line out;
    out.file = file;
    out.number = number;
    out.text = text.substr(from, to - from);
    out.columns.assign(columns.begin() + static_cast<std::ptrdiff_t>(from),
                       columns.begin() + static_cast<std::ptrdiff_t>(to));
    return out;
}

void Line::append(std::string_view more, std::uint32_t at_column) {
    text += more;
    columns.resize(text.size(), at_column);
}

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' || c == '\n'; }

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::size_t skip_blanks(std::string_view text, std::size_t from) {
    while (from < text.size() && is_blank(text[from])) ++from;
    return from;
}

std::string_view trim(std::string_view text) {
    text.remove_prefix(skip_blanks(text));
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

bool opens_quote(std::string_view text, std::size_t at) {
    if (text[at] == '"') return true;
    if (text[at] != '\'') return false;
    return at == 0 || is_blank(text[at - 1]) || text[at - 1] == '{' || text[at - 1] == '}';
}

std::size_t end_of_quoted(std::string_view text, std::size_t at) {
    const char quote = text[at];
    for (std::size_t i = at + 1; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;
        } else if (text[i] == quote) {
            return i + 1;
        }
    }
    return std::string_view::npos;
}

std::size_t comment_start(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '#' || text[i] == '!') return i;
        if (text[i] == '\\') {
            ++i;
        } else if (opens_quote(text, i)) {
            const std::size_t end = end_of_quoted(text, i);
            if (end != std::string_view::npos) i = end - 1;  // an open quote is the lexer's to report
        }
    }
    return text.size();
}

}  // namespace hawser::keepalived
