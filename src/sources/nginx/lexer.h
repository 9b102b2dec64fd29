// SPDX-License-Identifier: Apache-2.0
#pragma once

// The tokens of nginx.conf, read as nginx 1.22's ngx_conf_read_token reads them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"

namespace hawser::nginx {

// A word of a directive, quotes removed and escapes resolved.
struct Word {
    std::string text;
    std::uint32_t line = 0, column = 0;  // from 1; of the first character after an opening quote
};

// The words up to a ';', a '{', a '}' or the end of the file.
struct Statement {
    enum class End : std::uint8_t { semicolon, block_start, block_end, end_of_file };
    std::vector<Word> words;  // empty for block_end and end_of_file
    End end = End::end_of_file;
    std::uint32_t line = 0, column = 0;  // where the end stands
};

// Reads one file. Errors go to diagnostics in nginx's words and reading goes on behind them, so that all of
// them are seen: a ';' or '{' without words is skipped, a '}' in the middle of a directive drops the
// directive.
class Lexer {
  public:
    // nginx reads with a buffer of this size: a longer word (or comment) is an error there too.
    static constexpr std::size_t max_word = 4096;

    // text, file and diagnostics have to outlive the lexer.
    Lexer(std::string_view text, const std::string& file, catalog::Diagnostics& diagnostics)
        : text_(text), file_(file), diagnostics_(diagnostics) {}

    Statement next();

  private:
    enum class Step : std::uint8_t { more, done };
    Step between_words(char c, Statement& statement);
    Step end_of_text(Statement& statement);
    void read_word(Statement& statement);
    bool take_bare_word(Word& word);
    bool take_quoted_word(char quote, Word& word);
    void skip_comment();
    char take();
    void finish(Statement& statement, Statement::End end);
    void error(std::string message) { error_at(line_, column_, std::move(message)); }
    void error_at(std::uint32_t line, std::uint32_t column, std::string message);
    static std::string unescape(std::string_view raw);

    std::string_view text_;
    const std::string& file_;
    catalog::Diagnostics& diagnostics_;
    std::size_t at_ = 0;
    std::uint32_t line_ = 1, column_ = 1;  // of text_[at_]
    bool need_space_ = false;              // right behind a quoted word
};

}  // namespace hawser::nginx
