// SPDX-License-Identifier: Apache-2.0
#pragma once

// The grammar of keepalived.conf: a statement is a line, or what stands between braces on it; the '{' of its
// block may open the next line. Knows no keyword.

#include <cstddef>
#include <string>
#include <vector>

#include "catalog/diagnostic.h"
#include "sources/keepalived/files.h"
#include "sources/keepalived/lexer.h"

namespace hawser::keepalived {

struct Statement {
    std::vector<Word> words;  // at least one
    bool has_block = false;
    std::vector<Statement> children;
    catalog::Position open;  // of its '{'

    [[nodiscard]] const std::string& name() const { return words.front().text; }
    [[nodiscard]] const catalog::Position& position() const { return words.front().position; }
    [[nodiscard]] std::size_t parameters() const { return words.size() - 1; }
};

// Lines in, statements out.
class Syntax {
  public:
    Syntax(const Bounds& bounds, catalog::Diagnostics& diagnostics)
        : bounds_(bounds), diagnostics_(diagnostics) {}

    void feed(const Line& line);
    // The end of a configuration: blocks that are open are an error.
    std::vector<Statement> finish();

  private:
    void end_statement();
    void open_block(const catalog::Position& where);
    void close_block(const catalog::Position& where);
    std::vector<Statement>& here() { return open_.empty() ? top_ : open_.back().children; }

    const Bounds& bounds_;
    catalog::Diagnostics& diagnostics_;
    std::vector<Statement> top_;
    std::vector<Statement> open_;  // each becomes a child of the one before it, or of the top
    std::vector<Word> words_;
    bool may_open_ = false;          // the last statement here may get its '{' now
    std::size_t dropped_depth_ = 0;  // blocks without a name, or too deep
};

}  // namespace hawser::keepalived
