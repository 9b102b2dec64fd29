// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::catalog {

// Where in a source something stands. Line and column count from 1; 0 means "not known".
struct Position {
    std::string file;
    std::uint32_t line = 0;
    std::uint32_t column = 0;

    [[nodiscard]] std::string text() const;  // "im.yaml:14:11", "im.yaml:14", "im.yaml"
    auto operator<=>(const Position&) const = default;
};

// `note` tells what was read and has no effect; it is shown by `hawser check` only.
enum class Severity : std::uint8_t { note, warning, error };

struct Diagnostic {
    Severity severity = Severity::error;
    Position position;
    std::string message;

    [[nodiscard]] std::string text() const;  // "im.yaml:14:11: error: spec.ports[0].nodePort: ..."
    bool operator==(const Diagnostic&) const = default;
};

// Collects everything that is wrong with an input, in the order in which it was found.
class Diagnostics {
  public:
    void error(Position where, std::string message) {
        add(Severity::error, std::move(where), std::move(message));
    }
    void warning(Position where, std::string message) {
        add(Severity::warning, std::move(where), std::move(message));
    }
    void note(Position where, std::string message) {
        add(Severity::note, std::move(where), std::move(message));
    }
    void add(Severity severity, Position where, std::string message);
    void append(const Diagnostics& other);

    [[nodiscard]] bool has_errors() const { return errors_ != 0; }
    [[nodiscard]] std::size_t errors() const { return errors_; }
    [[nodiscard]] const std::vector<Diagnostic>& all() const { return all_; }
    [[nodiscard]] std::string text() const;  // one diagnostic a line

  private:
    std::vector<Diagnostic> all_;
    std::size_t errors_ = 0;
};

}  // namespace hawser::catalog
