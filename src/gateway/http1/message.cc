// SPDX-License-Identifier: Apache-2.0
#include "gateway/http1/message.h"

#include "gateway/http1/syntax.h"

namespace hawser::gateway::http1 {

bool same_name(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

bool has_token(std::string_view value, std::string_view token) {
    while (true) {
        const std::size_t comma = value.find(',');
        if (same_name(trimmed(value.substr(0, comma)), token)) return true;
        if (comma == std::string_view::npos) return false;
        value.remove_prefix(comma + 1);
    }
}

std::optional<std::string_view> Fields::find(std::string_view name) const {
    for (const Field& field : all_) {
        if (same_name(field.name, name)) return field.value;
    }
    return std::nullopt;
}

std::size_t Fields::count(std::string_view name) const {
    std::size_t found = 0;
    for (const Field& field : all_) found += same_name(field.name, name) ? 1 : 0;
    return found;
}

bool Fields::has_token(std::string_view name, std::string_view token) const {
    for (const Field& field : all_) {
        if (same_name(field.name, name) && http1::has_token(field.value, token)) return true;
    }
    return false;
}

}  // namespace hawser::gateway::http1
