// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/syntax.h"

#include <utility>

namespace hawser::keepalived {

void Syntax::end_statement() {
    if (words_.empty()) return;
    Statement statement;
    statement.words = std::exchange(words_, {});
    if (dropped_depth_ != 0) return;
    here().push_back(std::move(statement));
    may_open_ = true;
}

void Syntax::open_block(const catalog::Position& where) {
    end_statement();
    if (dropped_depth_ != 0 || !may_open_ || open_.size() == bounds_.block_depth) {
        if (dropped_depth_ == 0)
            diagnostics_.error(
                where, may_open_ ? "blocks are nested too deeply" : "unexpected {: no keyword before it");
        ++dropped_depth_;
        return;
    }
    Statement statement = std::move(here().back());
    here().pop_back();
    statement.has_block = true;
    statement.open = where;
    open_.push_back(std::move(statement));
    may_open_ = false;
}

void Syntax::close_block(const catalog::Position& where) {
    end_statement();
    may_open_ = false;
    if (dropped_depth_ != 0) {
        --dropped_depth_;
        return;
    }
    if (open_.empty()) {
        diagnostics_.error(where, "unexpected }: no block is open");
        return;
    }
    Statement done = std::move(open_.back());
    open_.pop_back();
    here().push_back(std::move(done));
}

void Syntax::feed(const Line& line) {
    for (Token& token : read_tokens(line, diagnostics_)) {
        switch (token.kind) {
            case Token::Kind::word:
                words_.push_back(std::move(token.word));
                break;
            case Token::Kind::open:
                open_block(token.word.position);
                break;
            case Token::Kind::close:
                close_block(token.word.position);
        }
    }
    end_statement();
}

std::vector<Statement> Syntax::finish() {
    end_statement();
    // One message: what is missing is seldom more than one brace.
    if (!open_.empty())
        diagnostics_.error(open_.back().open,
                           "the block of \"" + open_.back().name() + "\" has no closing }");
    while (!open_.empty()) {
        Statement done = std::move(open_.back());
        open_.pop_back();
        here().push_back(std::move(done));
    }
    may_open_ = false;
    dropped_depth_ = 0;
    return std::exchange(top_, {});
}

}  // namespace hawser::keepalived
