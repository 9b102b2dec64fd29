// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/parameters.h"

#include <cctype>

namespace hawser::keepalived {

namespace {
constexpr std::size_t most_lines = 16;  // of a definition, if each were as long as it can be

std::string_view name_at(std::string_view text, std::size_t at) {
    std::size_t end = at;
    while (end < text.size() && is_name_character(text[end])) ++end;
    if (end == at || std::isdigit(static_cast<unsigned char>(text[at])) != 0) return {};
    return text.substr(at, end - at);
}
}  // namespace

std::optional<Definition> definition_in(std::string_view text) {
    const std::size_t start = skip_blanks(text);
    if (start >= text.size() || text[start] != '$') return std::nullopt;
    const std::string_view name = name_at(text, start + 1);
    const std::size_t end = start + 1 + name.size();
    if (name.empty() || end >= text.size() || text[end] != '=') return std::nullopt;
    return Definition{std::string(name), end + 1};
}

bool Parameters::charge(std::size_t bytes, const catalog::Position& where) {
    const bool before = exhausted();
    made_ += bytes;
    if (exhausted() && !before) diagnostics_.error(where, "parameters and sequences make too much text");
    return !exhausted();
}

// `follower` stands behind the text: a $NAME has to be followed by a blank or the end of the line.
std::optional<Parameters::Use> Parameters::use_at(std::string_view text, std::size_t at, char follower) {
    const bool braced = at + 1 < text.size() && text[at + 1] == '{';
    const std::size_t from = at + (braced ? 2 : 1);
    const std::string_view name = name_at(text, from);
    if (name.empty()) return std::nullopt;
    const std::size_t end = from + name.size();
    const char next = end < text.size() ? text[end] : follower;
    // ${_RANDOM MIN MAX} is the only one with words behind its name; it is refused.
    if (braced && next != '}' && (name != "_RANDOM" || text.find('}', end) == std::string_view::npos))
        return std::nullopt;
    if (!braced && !is_blank(next)) return std::nullopt;
    return Use{std::string(name), braced ? text.find('}', end) + 1 : end, braced};
}

bool Parameters::expand_into(Line& out, std::string_view text, const Line* origin, std::uint32_t column,
                             char follower, std::size_t depth, const catalog::Position& where) {
    if (depth > bounds_.expansion_depth) {
        diagnostics_.error(where, "parameters are nested too deeply, or one stands for itself");
        return false;
    }
    for (std::size_t at = 0; at < text.size();) {
        const std::uint32_t here = origin != nullptr ? origin->column(at) : column;
        const auto use = text[at] == '$' ? use_at(text, at, follower) : std::nullopt;
        const auto value = use ? values_.find(use->name) : values_.end();
        if (use && use->name == "_RANDOM") {
            diagnostics_.error({where.file, where.line, here},
                               "${_RANDOM} is not supported: each reading would be another configuration");
            return false;
        }
        if (value == values_.end()) {
            out.append(text.substr(at, 1), here);
            ++at;
            continue;
        }
        replaced_ = true;
        if (!charge(value->second.size() + 1, where)) return false;
        const char next = use->end < text.size() ? text[use->end] : follower;
        // Several lines are looked at one after the other: a line may define what the next one uses.
        if (value->second.find('\n') != std::string::npos) {
            out.append(value->second, here);
        } else if (!expand_into(out, value->second, nullptr, here, next, depth + 1, where)) {
            return false;
        }
        if (out.text.size() > most_lines * bounds_.line_bytes) {
            diagnostics_.error(where, "the line becomes too long");
            return false;
        }
        at = use->end;
    }
    return true;
}

std::optional<Line> Parameters::expand(const Line& line) {
    if (line.text.find('$') == std::string::npos) return std::nullopt;
    Line out;
    out.file = line.file;
    out.number = line.number;
    replaced_ = false;
    if (!expand_into(out, line.text, &line, 0, '\n', 0, line.position(0))) {
        out = Line::of(line.file, line.number, "");  // it was told; the line is dropped
        return out;
    }
    if (!replaced_) return std::nullopt;
    return out;
}

void Parameters::report_undefined(const Line& line) {
    const std::string_view text = line.text;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (opens_quote(text, at)) {
            const std::size_t end = end_of_quoted(text, at);
            if (end == std::string_view::npos) return;
            at = end - 1;
            continue;
        }
        const auto use = text[at] == '$' ? use_at(text, at, '\n') : std::nullopt;
        if (!use || values_.contains(use->name)) continue;
        if (use->braced) {
            diagnostics_.error(line.position(at), "parameter \"" + use->name + "\" is not defined");
        } else {
            diagnostics_.warning(line.position(at), "parameter \"" + use->name + "\" is not defined; \"$" +
                                                        use->name + "\" stays as it is");
        }
    }
}

}  // namespace hawser::keepalived
