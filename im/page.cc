// SPDX-License-Identifier: Apache-2.0
#include "im/page.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

namespace hawser::im {
namespace {

struct Kind {
    std::string_view suffix;
    std::string_view type;
};

constexpr std::array<Kind, 4> kinds{{{".html", "text/html; charset=utf-8"},
                                     {".css", "text/css; charset=utf-8"},
                                     {".js", "text/javascript; charset=utf-8"},
                                     {".svg", "image/svg+xml"}}};

std::string_view type_of(std::string_view name) {
    for (const auto& kind : kinds) {
        if (!name.ends_with(kind.suffix)) continue;
        const auto stem = name.substr(0, name.size() - kind.suffix.size());
        const bool plain = std::all_of(stem.begin(), stem.end(), [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                   c == '_';
        });
        if (plain && !stem.empty()) return kind.type;
    }
    return {};
}

}  // namespace

std::optional<PageFile> Page::find(std::string_view path) const {
    if (!path.starts_with("/")) return std::nullopt;
    const std::string name = path == "/" ? "index.html" : std::string(path.substr(1));
    const auto type = type_of(name);
    if (type.empty()) return std::nullopt;
    if (directory_.empty()) {
        const auto found = embedded_page().find(name);
        if (found == embedded_page().end()) return std::nullopt;
        return PageFile{std::string(type), std::string(found->second)};
    }
    std::ifstream file(directory_ + "/" + name, std::ios::binary);
    if (!file) return std::nullopt;
    std::ostringstream body;
    body << file.rdbuf();
    return PageFile{std::string(type), body.str()};
}

}  // namespace hawser::im
