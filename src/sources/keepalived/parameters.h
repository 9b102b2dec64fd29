// SPDX-License-Identifier: Apache-2.0
#pragma once

// $NAME, ${NAME} and what they stand for.

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"
#include "sources/keepalived/files.h"
#include "sources/keepalived/line.h"

namespace hawser::keepalived {

// "$NAME=" at the beginning of a line.
struct Definition {
    std::string name;
    std::size_t value_at = 0;  // behind the '='
};
std::optional<Definition> definition_in(std::string_view text);

class Parameters {
  public:
    Parameters(const Bounds& bounds, catalog::Diagnostics& diagnostics)
        : bounds_(bounds), diagnostics_(diagnostics) {}

    // A value of several lines has '\n' between them.
    void define(const std::string& name, std::string value) { values_[name] = std::move(value); }
    void forget(const std::string& name) { values_.erase(name); }

    // Replaces what is defined, in values too; the rest stays as it is. With a '\n' in the result: several
    // lines. Nothing if there was nothing to replace, or (an error) too much.
    std::optional<Line> expand(const Line& line);

    // Names in use that are not defined, told once each: ${NAME} outside of strings is an error, for its
    // braces would make a block; $NAME a warning.
    void report_undefined(const Line& line);

    [[nodiscard]] bool exhausted() const { return made_ > bounds_.total_bytes; }
    // Counts text that was made towards the bound; false (with an error, once) when it is exceeded.
    bool charge(std::size_t bytes, const catalog::Position& where);

  private:
    struct Use {
        std::string name;
        std::size_t end = 0;  // behind it
        bool braced = false;
    };
    [[nodiscard]] static std::optional<Use> use_at(std::string_view text, std::size_t at, char follower);
    bool expand_into(Line& out, std::string_view text, const Line* origin, std::uint32_t column,
                     char follower, std::size_t depth, const catalog::Position& where);

    const Bounds& bounds_;
    catalog::Diagnostics& diagnostics_;
    std::map<std::string, std::string> values_;
    std::size_t made_ = 0;
    bool replaced_ = false;
};

}  // namespace hawser::keepalived
