// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "catalog/diagnostic.h"
#include "sources/manifest/value.h"

namespace hawser::manifest {

// A field's place in an object: "spec.ports[0].nodePort", "metadata.labels[app]", and the value there. Cheap
// to make; refers to its parent, so it may not outlive it (keep parents in local variables).
class Path {
  public:
    explicit Path(const Value& root) : value_(&root) {}
    Path(const Path& parent, std::string_view field);
    Path(const Path& parent, std::size_t index);
    // The same without a look-up: `value` is what stands there.
    Path(const Path& parent, std::string_view field, const Value* value);
    // A key that is data and no field: labels, annotations.
    static Path keyed(const Path& parent, std::string_view key, const Value* value);

    [[nodiscard]] std::string text() const;
    [[nodiscard]] const Value* value() const { return value_; }  // null: the field is absent
    [[nodiscard]] bool present() const { return value_ != nullptr && !value_->is_null(); }
    // Of the value, or of the nearest enclosing one that is there.
    [[nodiscard]] catalog::Position position(const std::string& file) const;

  private:
    enum class Step : unsigned char { root, field, index, key };
    Path() = default;
    void append_to(std::string& out) const;

    const Path* parent_ = nullptr;
    Step step_ = Step::root;
    std::string_view name_;
    std::size_t index_ = 0;
    const Value* value_ = nullptr;
};

// Collects the errors of one object.
class Report {
  public:
    Report(std::string file, catalog::Diagnostics& diagnostics)
        : file_(std::move(file)), diagnostics_(diagnostics) {}

    void error(const Path& path, const std::string& message) {
        error_at(path.position(file_), path.text(), message);
    }
    void warning(const Path& path, const std::string& message) {
        diagnostics_.warning(path.position(file_), path.text() + ": " + message);
    }
    void error_at(const catalog::Position& where, const std::string& path, const std::string& message) {
        diagnostics_.error(where, path.empty() ? message : path + ": " + message);
    }

    [[nodiscard]] const std::string& file() const { return file_; }
    // While true, messages do not repeat values (Secret).
    bool secret = false;

  private:
    std::string file_;
    catalog::Diagnostics& diagnostics_;
};

}  // namespace hawser::manifest
