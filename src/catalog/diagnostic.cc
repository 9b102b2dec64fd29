// SPDX-License-Identifier: Apache-2.0
#include "catalog/diagnostic.h"

namespace hawser::catalog {

std::string Position::text() const {
    std::string out = file;
    if (line != 0) out += ":" + std::to_string(line);
    if (line != 0 && column != 0) out += ":" + std::to_string(column);
    return out;
}

std::string Diagnostic::text() const {
    const char* word = severity == Severity::error     ? "error"
                       : severity == Severity::warning ? "warning"
                                                       : "note";
    const std::string where = position.text();
    return (where.empty() ? "" : where + ": ") + word + ": " + message;
}

void Diagnostics::add(Severity severity, Position where, std::string message) {
    if (severity == Severity::error) ++errors_;
    all_.push_back({severity, std::move(where), std::move(message)});
}

void Diagnostics::append(const Diagnostics& other) {
    all_.insert(all_.end(), other.all_.begin(), other.all_.end());
    errors_ += other.errors_;
}

std::string Diagnostics::text() const {
    std::string out;
    for (const Diagnostic& d : all_) out += d.text() + "\n";
    return out;
}

}  // namespace hawser::catalog
