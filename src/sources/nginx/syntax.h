// SPDX-License-Identifier: Apache-2.0
#pragma once

// The grammar of nginx.conf: directives, blocks, includes. Knows no directive but `include`.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "catalog/diagnostic.h"
#include "sources/nginx/lexer.h"

namespace hawser::nginx {

struct Directive {
    std::shared_ptr<const std::string> file;
    std::vector<Word> words;  // at least one: the name
    bool has_block = false;
    std::vector<Directive> children;                 // of the block, included files in their places
    std::uint32_t end_line = 0, end_column = 0;      // its ';' or '{'
    std::uint32_t close_line = 0, close_column = 0;  // its '}', where a block is judged as a whole

    [[nodiscard]] const std::string& name() const { return words.front().text; }
    [[nodiscard]] std::size_t argument_count() const { return words.size() - 1; }
    // 1 is the first argument.
    [[nodiscard]] const std::string& argument(std::size_t i) const { return words[i].text; }
    [[nodiscard]] catalog::Position position(std::size_t word = 0) const {
        return {*file, words[word].line, words[word].column};
    }
    [[nodiscard]] catalog::Position end() const { return {*file, end_line, end_column}; }
    [[nodiscard]] catalog::Position close() const { return {*file, close_line, close_column}; }
};

// What a configuration may cost before it is refused.
struct Bounds {
    std::size_t file_bytes = std::size_t{16} << 20;
    std::size_t total_bytes = std::size_t{64} << 20;
    std::size_t files = 1000;
    std::size_t include_depth = 32;
    std::size_t block_depth = 64;
    std::size_t errors = 500;  // after these reading stops
};

class Syntax {
  public:
    Syntax(Bounds bounds, catalog::Diagnostics& diagnostics) : bounds_(bounds), diagnostics_(diagnostics) {}

    // Reads a file and what it includes; relative names are relative to `directory`. A file that cannot be
    // read is an error at `asked_at` (or without a line, when a command line asked).
    std::vector<Directive> read_file(const std::string& path, const std::string& directory,
                                     const catalog::Position& asked_at);
    // The same for text that is at hand.
    std::vector<Directive> read_text(std::string_view text, const std::string& name,
                                     const std::string& directory);

    // Every file that was opened or looked for, in order, without repetition.
    [[nodiscard]] const std::vector<std::string>& files() const { return files_; }
    // The patterns of includes with wildcards: a new file that matches is a change too.
    [[nodiscard]] const std::vector<std::string>& patterns() const { return patterns_; }

  private:
    std::vector<Directive> read_block(Lexer& lexer, const std::shared_ptr<const std::string>& file,
                                      const std::string& directory, std::size_t depth, Directive* owner);
    void include(const Directive& directive, const std::string& directory, std::vector<Directive>& into);
    bool load(const std::string& path, const catalog::Position& asked_at, std::string& text);
    [[nodiscard]] bool stopped() const { return diagnostics_.errors() > bounds_.errors; }

    Bounds bounds_;
    catalog::Diagnostics& diagnostics_;
    std::vector<std::string> files_;
    std::vector<std::string> patterns_;
    std::size_t opened_ = 0, total_bytes_ = 0, include_depth_ = 0, block_depth_ = 0;
};

}  // namespace hawser::nginx
