// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files in, lines out: comments, includes, conditions (@id), parameters ($NAME) and sequences (~SEQ, ~LST)
// are resolved.

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "sources/keepalived/files.h"
#include "sources/keepalived/line.h"
#include "sources/keepalived/parameters.h"

namespace hawser::keepalived {

class Preprocessor {
  public:
    using Sink = std::function<void(const Line& line)>;

    // All have to outlive the preprocessor. `sink` gets each line that has anything on it.
    Preprocessor(const std::string& config_id, const Bounds& bounds, Files& files,
                 catalog::Diagnostics& diagnostics, Sink sink);

    // A file and what it includes; relative names start at the including file's directory.
    void read_file(const std::string& path);
    void read_text(std::string_view text, const std::string& name, const std::string& directory);

  private:
    // What an include demands beside being read (include_check).
    struct Demands {
        bool readable = false, match = false, wildcard_match = false, brace_match = false;
    };
    // $NAME= \ ... : lines are collected up to one without a backslash.
    struct Pending {
        std::string name, value;
        bool drop = false;  // its condition does not hold
    };

    void read_line(Line line, const std::string& directory);
    bool collect(std::string_view text);
    bool begin_collecting(const Line& line);
    bool include(const Line& line, const std::string& directory);
    void include_path(const std::string& pattern, const Demands& demands, const catalog::Position& where);
    void process(Line line, std::size_t depth);
    void repeat(const Line& line, std::size_t at, std::size_t depth);
    void split_and_process(const Line& line, std::size_t depth);
    void emit(const Line& line);
    // Takes the conditions off the beginning; false: one does not hold.
    bool take_conditions(Line& line) const;
    [[nodiscard]] bool stopped() const {
        return diagnostics_.errors() > bounds_.errors || lines_ > bounds_.lines || parameters_.exhausted();
    }

    const std::string& config_id_;
    const Bounds& bounds_;
    Files& files_;
    catalog::Diagnostics& diagnostics_;
    Sink sink_;
    Parameters parameters_;
    std::unique_ptr<Pending> pending_;
    std::size_t include_depth_ = 0, lines_ = 0;
};

}  // namespace hawser::keepalived
