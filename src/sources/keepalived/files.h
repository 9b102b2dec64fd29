// SPDX-License-Identifier: Apache-2.0
#pragma once

// The files of a configuration, within bounds.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"

namespace hawser::keepalived {

// What a configuration may cost before it is refused.
struct Bounds {
    std::size_t file_bytes = std::size_t{16} << 20;
    std::size_t total_bytes = std::size_t{64}
                              << 20;  // of the files; and of what parameters and sequences make
    std::size_t files = 1000;
    std::size_t include_depth = 32;
    std::size_t block_depth = 16;
    std::size_t line_bytes = std::size_t{64} << 10;
    std::size_t expansion_depth = 32;  // parameters in parameters, sequences in sequences
    std::size_t lines = 1'000'000;     // after expansion
    std::size_t errors = 500;          // after these reading stops
};

class Files {
  public:
    Files(const Bounds& bounds, catalog::Diagnostics& diagnostics)
        : bounds_(bounds), diagnostics_(diagnostics) {}

    // A file that cannot be read is told at `asked_at`: as an error, or as a warning if it may be missing.
    bool read(const std::string& path, const catalog::Position& asked_at, bool may_be_missing,
              std::string& text);
    // The files that a pattern with * ? [ { matches. A pattern is remembered: a new file that matches is a
    // change.
    std::vector<std::string> match(const std::string& pattern);

    // Every file that was opened or looked for, in order, without repetition.
    [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
    [[nodiscard]] const std::vector<std::string>& patterns() const { return patterns_; }

  private:
    std::string read_all(int fd, const std::string& path, std::string& text);

    const Bounds& bounds_;
    catalog::Diagnostics& diagnostics_;
    std::vector<std::string> names_, patterns_;
    std::size_t opened_ = 0, total_bytes_ = 0;
};

// "/a/b" -> "/a", "b" -> ".".
std::string directory_of(const std::string& path);
bool has_wildcard(std::string_view path);  // * ? [
bool has_braces(std::string_view path);

// "a{b,c{d,e}}" -> "ab", "acd", "ace"; at most `most`.
std::vector<std::string> expand_braces(const std::string& pattern, std::size_t most);

}  // namespace hawser::keepalived
