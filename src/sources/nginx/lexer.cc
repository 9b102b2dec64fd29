// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/lexer.h"

namespace hawser::nginx {

namespace {
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
}  // namespace

void Lexer::error_at(std::uint32_t line, std::uint32_t column, std::string message) {
    diagnostics_.error({file_, line, column}, std::move(message));
}

char Lexer::take() {
    const char c = text_[at_++];
    if (c == '\n') {
        ++line_;
        column_ = 1;
    } else {
        ++column_;
    }
    return c;
}

void Lexer::finish(Statement& statement, Statement::End end) {
    statement.end = end;
    statement.line = line_;
    statement.column = column_;
    if (end != Statement::End::end_of_file) take();
}

Lexer::Step Lexer::end_of_text(Statement& statement) {
    if (!statement.words.empty()) {
        error("unexpected end of file, expecting \";\" or \"}\"");
        statement.words.clear();
    }
    finish(statement, Statement::End::end_of_file);
    return Step::done;
}

Statement Lexer::next() {
    Statement statement;
    need_space_ = false;
    for (;;) {
        if (at_ == text_.size()) {
            end_of_text(statement);
            return statement;
        }
        const char c = text_[at_];
        if (is_space(c)) {
            need_space_ = false;
            take();
            continue;
        }
        if (need_space_ && c != ';' && c != '{') {
            // `if ($a = "b")` puts a ')' right behind a quoted word; anything else has to be apart.
            if (c != ')') error(std::string("unexpected \"") + c + "\"");
            need_space_ = false;
        }
        if (between_words(c, statement) == Step::done) return statement;
    }
}

Lexer::Step Lexer::between_words(char c, Statement& statement) {
    switch (c) {
        case ';':
        case '{':
            if (statement.words.empty()) {
                error(std::string("unexpected \"") + c + "\"");
                if (c == ';') {
                    take();
                    return Step::more;
                }
            }
            finish(statement, c == ';' ? Statement::End::semicolon : Statement::End::block_start);
            return Step::done;
        case '}':
            if (!statement.words.empty()) {
                error("unexpected \"}\"");
                statement.words.clear();
            }
            finish(statement, Statement::End::block_end);
            return Step::done;
        case '#':
            skip_comment();
            return Step::more;
        default:
            read_word(statement);
            return Step::more;
    }
}

void Lexer::skip_comment() {
    const std::uint32_t line = line_;
    const std::uint32_t column = column_;
    const std::size_t start = at_;
    while (at_ < text_.size() && text_[at_] != '\n') take();
    if (at_ - start >= max_word && at_ != text_.size())
        error_at(line, column,
                 "too long parameter \"" + std::string(text_.substr(start, 10)) + "...\" started");
}

void Lexer::read_word(Statement& statement) {
    Word word;
    const std::uint32_t line = line_;
    const std::uint32_t column = column_;
    const char first = text_[at_];
    const bool quoted = first == '"' || first == '\'';
    if (quoted) take();
    word.line = line_;
    word.column = column_;
    const std::size_t start = at_;
    const bool complete = quoted ? take_quoted_word(first, word) : take_bare_word(word);
    const std::size_t length = at_ - start;
    if (length >= max_word + (quoted ? 1 : 0)) {
        const std::string missing =
            std::string("too long parameter, probably missing terminating \"") + first + "\" character";
        error_at(line, column,
                 quoted ? missing
                        : "too long parameter \"" + std::string(text_.substr(start, 10)) + "...\" started");
        return;
    }
    if (!complete) {
        error("unexpected end of file, expecting \";\" or \"}\"");
        statement.words.clear();
        return;
    }
    need_space_ = quoted;
    statement.words.push_back(std::move(word));
}

bool Lexer::take_quoted_word(char quote, Word& word) {
    const std::size_t start = at_;
    while (at_ < text_.size()) {
        const char c = take();
        if (c == quote) {
            word.text = unescape(text_.substr(start, at_ - 1 - start));
            return true;
        }
        if (c == '\\' && at_ < text_.size()) take();
    }
    return false;
}

bool Lexer::take_bare_word(Word& word) {
    const std::size_t start = at_;
    bool after_dollar = false;
    while (at_ < text_.size()) {
        const char c = text_[at_];
        // "${" begins a variable, not a block.
        if (is_space(c) || c == ';' || (c == '{' && !after_dollar)) {
            word.text = unescape(text_.substr(start, at_ - start));
            return true;
        }
        take();
        after_dollar = c == '$';
        if (c == '\\' && at_ < text_.size()) take();
    }
    return false;
}

// Only these six escapes mean something, in quotes and without; any other backslash stays for the regex.
std::string Lexer::unescape(std::string_view raw) {
    std::string out;
    out.reserve(raw.size());
    for (std::size_t i = 0; i < raw.size(); ++i) {
        const char next = raw[i] == '\\' && i + 1 < raw.size() ? raw[i + 1] : '\0';
        switch (next) {
            case '"':
            case '\'':
            case '\\':
                out += next;
                ++i;
                break;
            case 't':
                out += '\t';
                ++i;
                break;
            case 'r':
                out += '\r';
                ++i;
                break;
            case 'n':
                out += '\n';
                ++i;
                break;
            default:
                out += raw[i];
        }
    }
    return out;
}

}  // namespace hawser::nginx
