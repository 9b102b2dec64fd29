// SPDX-License-Identifier: Apache-2.0
#include "catalog/nearest_name.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace hawser::catalog {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1] ? 1 : 0)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

}  // namespace

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known) {
    if (name.size() > 64) return {};
    const std::string wanted = lower(name);
    std::size_t best = std::max<std::size_t>(1, std::min<std::size_t>(3, name.size() / 3)) + 1;
    std::string_view out;
    for (const std::string_view k : known) {
        const std::size_t distance = edit_distance(wanted, lower(k));
        if (distance >= best) continue;
        best = distance;
        out = k;
    }
    return out;
}

}  // namespace hawser::catalog
