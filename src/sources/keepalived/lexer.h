// SPDX-License-Identifier: Apache-2.0
#pragma once

// The words and braces of a line of keepalived.conf.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"
#include "sources/keepalived/line.h"

namespace hawser::keepalived {

// Quotes removed and their escapes resolved.
struct Word {
    std::string text;
    catalog::Position position;
    bool quoted = false;  // it began with a quote
};

struct Token {
    enum class Kind : std::uint8_t { word, open, close } kind = Kind::word;  // a word, '{', '}'
    Word word;                                                               // of a brace: its position
};

// Strings stand in " or '; what touches a string belongs to its word. An escape counts in strings only.
// Braces outside of strings stand for themselves, wherever they are. A string without its end is an error and
// reaches to the end of the line.
std::vector<Token> read_tokens(const Line& line, catalog::Diagnostics& diagnostics);

// The arguments of a script: blanks separate, ' and " keep them.
std::vector<std::string> split_command(std::string_view text);

// \a \b \E \f \n \r \t \v \nnn \xXX \cC; any other character after a backslash is itself.
std::string unescape(std::string_view text);

}  // namespace hawser::keepalived
