// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/preprocess.h"

#include <algorithm>
#include <optional>

#include "sources/keepalived/sequence.h"

namespace hawser::keepalived {

namespace {

constexpr std::size_t least_cost = 16;  // of a round, in bytes: one that makes nothing takes its time too

std::string_view first_word(std::string_view text) {
    const std::size_t start = skip_blanks(text);
    std::size_t end = start;
    while (end < text.size() && !is_blank(text[end])) ++end;
    return text.substr(start, end - start);
}

std::string without_backslash(std::string_view text) {
    text.remove_suffix(1);
    return std::string(trim(text));
}

}  // namespace

Preprocessor::Preprocessor(const std::string& config_id, const Bounds& bounds, Files& files,
                           catalog::Diagnostics& diagnostics, Sink sink)
    : config_id_(config_id),
      bounds_(bounds),
      files_(files),
      diagnostics_(diagnostics),
      sink_(std::move(sink)),
      parameters_(bounds_, diagnostics) {
    parameters_.define("_INSTANCE", config_id);
    parameters_.define("_HASH", "#");
    parameters_.define("_BANG", "!");
    parameters_.define("_RANDOM", "");  // so that its use is seen, and refused
}

void Preprocessor::read_file(const std::string& path) {
    std::string text;
    if (files_.read(path, {}, false, text)) read_text(text, path, directory_of(path));
}

void Preprocessor::read_text(std::string_view text, const std::string& name, const std::string& directory) {
    const auto file = std::make_shared<const std::string>(name);
    parameters_.define("_PWD", directory);
    for (std::uint32_t number = 1; !text.empty() && !stopped(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.size() > bounds_.line_bytes) {
            diagnostics_.error({name, number, 1}, "the line is too long");
        } else {
            read_line(Line::of(file, number, line.substr(0, comment_start(line))), directory);
        }
    }
    if (pending_) parameters_.define(pending_->name, pending_->value);
    pending_.reset();
}

void Preprocessor::read_line(Line line, const std::string& directory) {
    const std::string_view text = trim(line.text);
    if (text.empty() || (pending_ && collect(text))) return;
    if (include(line, directory) || begin_collecting(line)) return;
    process(std::move(line), 0);
}

bool Preprocessor::collect(std::string_view text) {
    const bool more = text.back() == '\\';
    if (!pending_->value.empty()) pending_->value += '\n';
    pending_->value += more ? without_backslash(text) : std::string(text);
    if (more) return true;
    if (!pending_->drop) parameters_.define(pending_->name, pending_->value);
    pending_.reset();
    return true;
}

bool Preprocessor::begin_collecting(const Line& line) {
    const std::string_view text = trim(line.text);
    if (text.back() != '\\') return false;
    Line rest = line;
    const bool holds = take_conditions(rest);
    // Behind a condition that does not hold the definition is looked for all the same: its other lines go
    // too.
    std::string_view definition_text = rest.text;
    while (!holds && first_word(definition_text).starts_with('@')) {
        const std::string_view word = first_word(definition_text);
        definition_text.remove_prefix(static_cast<std::size_t>(word.data() - definition_text.data()) +
                                      word.size());
    }
    const auto definition = definition_in(definition_text);
    if (!definition) return false;
    pending_ = std::make_unique<Pending>();
    pending_->name = definition->name;
    pending_->value = without_backslash(trim(definition_text.substr(definition->value_at)));
    pending_->drop = !holds;
    return true;
}

bool Preprocessor::include(const Line& line, const std::string& directory) {
    const std::string_view word = first_word(line.text);
    if (!word.starts_with("include") || word.size() > 8) return false;
    const char kind = word.size() == 8 ? word.back() : ' ';
    if (std::string_view(" rmwba").find(kind) == std::string_view::npos) return false;
    const bool all = kind == 'a';
    const Demands demands{kind != ' ', all || kind == 'm', all || kind == 'w', all || kind == 'b'};
    const std::size_t start = skip_blanks(line.text);
    const std::size_t at = skip_blanks(line.text, start + word.size());
    std::string path(trim(std::string_view(line.text).substr(at)));
    if (path.empty()) {
        diagnostics_.error(line.position(start), "\"" + std::string(word) + "\" needs a parameter: a file");
        return true;
    }
    if (path.front() != '/') path = directory + "/" + path;
    if (include_depth_ == bounds_.include_depth) {
        diagnostics_.error(line.position(start), "includes are nested too deeply");
        return true;
    }
    ++include_depth_;
    const auto paths = has_braces(path) ? expand_braces(path, bounds_.files) : std::vector{path};
    for (const std::string& one : paths)
        if (!stopped())
            include_path(one,
                         {demands.readable, paths.size() > 1 ? demands.brace_match : demands.match,
                          demands.wildcard_match, demands.brace_match},
                         line.position(at));
    --include_depth_;
    parameters_.define("_PWD", directory);
    return true;
}

void Preprocessor::include_path(const std::string& pattern, const Demands& demands,
                                const catalog::Position& where) {
    std::vector<std::string> found{pattern};
    if (has_wildcard(pattern)) {
        found = files_.match(pattern);
        if (found.empty() && demands.wildcard_match)
            diagnostics_.error(where, "no file matches \"" + pattern + "\"");
    }
    for (const std::string& path : found) {
        std::string text;
        const bool may_be_missing = has_wildcard(pattern) ? !demands.readable : !demands.match;
        if (!stopped() && files_.read(path, where, may_be_missing, text))
            read_text(text, path, directory_of(path));
    }
}

bool Preprocessor::take_conditions(Line& line) const {
    for (;;) {
        const std::string_view word = first_word(line.text);
        if (!word.starts_with('@')) return true;
        const bool negative = word.starts_with("@^");
        const bool same = word.substr(negative ? 2 : 1) == config_id_;
        if (same == negative) return false;
        line = line.rest(skip_blanks(line.text) + word.size());
    }
}

void Preprocessor::process(Line line, std::size_t depth) {
    if (depth > bounds_.expansion_depth) {
        diagnostics_.error(line.position(0), "parameters and sequences are nested too deeply");
        return;
    }
    // A parameter may stand for a condition, a definition or a sequence: what it made is looked at again.
    for (std::size_t round = 0; round < 4 && !stopped(); ++round) {
        if (!take_conditions(line)) return;
        const std::size_t start = skip_blanks(line.text);
        if (start == line.text.size()) return;
        if (const auto definition = definition_in(line.text)) {
            parameters_.define(definition->name,
                               std::string(trim(std::string_view(line.text).substr(definition->value_at))));
            return;
        }
        if (begins_sequence(line.text, start)) return repeat(line, start, depth);
        auto expanded = parameters_.expand(line);
        if (!expanded) return emit(line);
        line = std::move(*expanded);
        if (line.text.find('\n') != std::string::npos) return split_and_process(line, depth + 1);
    }
    if (!stopped()) emit(line);
}

void Preprocessor::split_and_process(const Line& line, std::size_t depth) {
    for (std::size_t from = 0; from < line.text.size() && !stopped();) {
        const std::size_t end = std::min(line.text.find('\n', from), line.text.size());
        process(line.part(from, end), depth);
        from = end + 1;
    }
}

void Preprocessor::repeat(const Line& line, std::size_t at, std::size_t depth) {
    const std::size_t close = line.text.find(')', at);
    Line head = line.part(at, close == std::string::npos ? line.text.size() : close + 1);
    if (auto expanded = parameters_.expand(head)) head = std::move(*expanded);
    const Sequence sequence = read_sequence(head.text, 0, bounds_.lines);
    if (!sequence.error.empty()) {
        diagnostics_.error(line.position(at), sequence.error);
        return;
    }
    const Line rest = line.rest(close + 1);
    for (const auto& values : sequence.rounds) {
        if (stopped() || !parameters_.charge(rest.text.size() + least_cost, line.position(at))) break;
        for (std::size_t i = 0; i < values.size(); ++i) parameters_.define(sequence.names[i], values[i]);
        process(rest, depth + 1);
    }
    for (const std::string& name : sequence.names) parameters_.forget(name);
}

void Preprocessor::emit(const Line& line) {
    if (++lines_ > bounds_.lines) {
        diagnostics_.error(line.position(0), "more than " + std::to_string(bounds_.lines) + " lines");
        return;
    }
    parameters_.report_undefined(line);
    sink_(line);
}

}  // namespace hawser::keepalived
