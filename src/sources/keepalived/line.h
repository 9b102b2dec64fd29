// SPDX-License-Identifier: Apache-2.0
#pragma once

// A line of keepalived.conf on its way through conditions, parameters and sequences. Each character remembers
// the column where it, or the parameter that it came out of, was written.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"

namespace hawser::keepalived {

struct Line {
    std::shared_ptr<const std::string> file;
    std::uint32_t number = 0;
    std::string text;
    std::vector<std::uint32_t> columns;  // as long as `text`

    static Line of(std::shared_ptr<const std::string> file, std::uint32_t number, std::string_view text);

    [[nodiscard]] std::uint32_t column(std::size_t at) const;
    [[nodiscard]] catalog::Position position(std::size_t at) const { return {*file, number, column(at)}; }
    [[nodiscard]] Line rest(std::size_t from) const { return part(from, text.size()); }
    [[nodiscard]] Line part(std::size_t from, std::size_t to) const;
    void append(std::string_view more, std::uint32_t column);
};

bool is_blank(char c);
bool is_name_character(char c);  // of parameters: A-Za-z0-9_
std::string_view trim(std::string_view text);

// Where the blanks at the beginning end.
std::size_t skip_blanks(std::string_view text, std::size_t from = 0);

// Where the comment begins, or the size: a '#' or '!' that is not in quotes.
std::size_t comment_start(std::string_view text);

// Whether a quote character opens a string here: '"' anywhere, '\'' where a word begins ("don't" is a word).
bool opens_quote(std::string_view text, std::size_t at);

// The index behind the closing quote of the string that opens at `at`, or npos.
std::size_t end_of_quoted(std::string_view text, std::size_t at);

}  // namespace hawser::keepalived
