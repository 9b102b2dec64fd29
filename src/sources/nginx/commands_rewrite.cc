// SPDX-License-Identifier: Apache-2.0
// nginx's rewrite module: return, rewrite, set, if, break.

#include <algorithm>

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace http = catalog::http;

namespace {

bool names_another_site(std::string_view text) {
    return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("$scheme");
}

void add(const Directive& d, const Scope& scope, decltype(http::Instruction::what) what) {
    scope.script->push_back({d.position(), std::move(what)});
}

void read_return(Reading& reading, const Directive& d, const Scope& scope) {
    http::Return out;
    const std::string& first = d.argument(1);
    const auto status = parse_number(first);
    std::size_t text = 2;
    if (status && *status <= 999) {
        out.status = static_cast<std::uint16_t>(*status);
    } else if (!status && d.argument_count() == 1 && names_another_site(first)) {
        out.status = 302;
        text = 1;
    } else {
        return reading.error(d.position(1), "invalid return code \"" + first + "\"");
    }
    if (text <= d.argument_count()) {
        auto value = reading.variables.compile(d.argument(text), d.position(text));
        if (!value) return;
        out.text = std::move(*value);
    }
    add(d, scope, std::move(out));
}

void read_rewrite(Reading& reading, const Directive& d, const Scope& scope) {
    using Flag = http::Rewrite::Flag;
    http::Rewrite out;
    std::string replacement = d.argument(2);
    if (replacement.empty()) return reading.error(d.position(2), "empty replacement");
    auto regex = reading.variables.compile_regex(d.argument(1), false, d.position(1));
    if (d.argument_count() == 3) {
        static constexpr std::pair<std::string_view, Flag> flags[] = {{"last", Flag::last},
                                                                      {"break", Flag::break_},
                                                                      {"redirect", Flag::redirect},
                                                                      {"permanent", Flag::permanent}};
        const auto* flag = std::find_if(std::begin(flags), std::end(flags),
                                        [&](const auto& f) { return f.first == d.argument(3); });
        if (flag == std::end(flags))
            return reading.error(d.position(3), "invalid parameter \"" + d.argument(3) + "\"");
        out.flag = flag->second;
    }
    if (names_another_site(replacement) && out.flag != Flag::permanent) out.flag = Flag::redirect;
    if (replacement.back() == '?') {
        replacement.pop_back();
        out.keep_arguments = false;
    }
    auto value = reading.variables.compile(replacement, d.position(2));
    if (!regex || !value) return;
    out.regex = std::move(regex->regex);
    out.named = std::move(regex->named);
    out.replacement = std::move(*value);
    add(d, scope, std::move(out));
}

void read_set(Reading& reading, const Directive& d, const Scope& scope) {
    const std::string& name = d.argument(1);
    if (!name.starts_with("$")) return reading.error(d.position(1), "invalid variable name \"" + name + "\"");
    const auto variable = reading.variables.assign(std::string_view(name).substr(1), d.position(1));
    auto value = reading.variables.compile(d.argument(2), d.position(2));
    if (variable && value) add(d, scope, http::SetVariable{*variable, std::move(*value)});
}

void read_break(Reading&, const Directive& d, const Scope& scope) { add(d, scope, http::Break{}); }

// ---- if

// The words between the brackets; an error was reported if nothing comes back.
std::optional<std::vector<Word>> condition_words(Reading& reading, const Directive& d) {
    std::vector<Word> words(d.words.begin() + 1, d.words.end());
    const auto invalid = [&](const Word& word) {
        reading.error({*d.file, word.line, word.column}, "invalid condition \"" + word.text + "\"");
        return std::nullopt;
    };
    if (!words.front().text.starts_with("(")) return invalid(words.front());
    words.front().text.erase(0, 1);
    words.front().column += 1;
    if (words.front().text.empty() && words.size() > 1) words.erase(words.begin());
    if (!words.back().text.ends_with(")")) return invalid(words.back());
    words.back().text.pop_back();
    if (words.back().text.empty() && words.size() > 1) words.pop_back();
    return words;
}

std::optional<http::Condition> compare(Reading& reading, const Directive& d, const std::vector<Word>& words,
                                       http::Condition out) {
    using Test = http::Condition::Test;
    const std::string& op = words[1].text;
    const catalog::Position where{*d.file, words[2].line, words[2].column};
    if (op == "=" || op == "!=") {
        out.test = op == "=" ? Test::equals : Test::not_equals;
        auto operand = reading.variables.compile(words[2].text, where);
        if (!operand) return std::nullopt;
        out.operand = std::move(*operand);
        return out;
    }
    if (op == "~" || op == "~*" || op == "!~" || op == "!~*") {
        out.test = op.front() == '!' ? Test::not_matches : Test::matches;
        auto regex = reading.variables.compile_regex(words[2].text, op.back() == '*', where);
        if (!regex) return std::nullopt;
        out.regex = std::move(regex->regex);
        out.named = std::move(regex->named);
        return out;
    }
    reading.error({*d.file, words[1].line, words[1].column}, "unexpected \"" + op + "\" in condition");
    return std::nullopt;
}

bool tests_a_file(std::string_view op) {
    if (op.starts_with("!")) op.remove_prefix(1);
    return op == "-f" || op == "-d" || op == "-e" || op == "-x";
}

std::optional<http::Condition> read_condition(Reading& reading, const Directive& d) {
    const auto words = condition_words(reading, d);
    if (!words) return std::nullopt;
    const std::string& first = words->front().text;
    const catalog::Position where{*d.file, words->front().line, words->front().column};
    if (first.size() > 1 && first.front() == '$' && (words->size() == 1 || words->size() == 3)) {
        http::Condition out;
        out.variable = reading.variables.use(std::string_view(first).substr(1), where);
        return words->size() == 1 ? out : compare(reading, d, *words, std::move(out));
    }
    if (tests_a_file(first) && words->size() == 2) {
        reading.error(where, "\"if (" + first + " ...)\" is not supported: hawser serves no files");
        return std::nullopt;
    }
    reading.error(where, "invalid condition \"" + first + "\"");
    return std::nullopt;
}

void read_if(Reading& reading, const Directive& d, const Scope& scope) {
    auto condition = read_condition(reading, d);
    auto then = std::make_shared<http::Script>();
    Scope inner = scope;
    inner.kind = scope.kind == where::server ? where::server_if : where::location_if;
    inner.script = then.get();
    read_directives(reading, d.children, inner);
    if (condition) add(d, scope, http::If{std::move(*condition), std::move(then)});
}

constexpr std::uint32_t rewrite_level =
    where::server | where::location | where::server_if | where::location_if;

constexpr Command commands[] = {
    {"return", rewrite_level, takes::one_or_two, read_return},
    {"rewrite", rewrite_level, takes::two_or_three, read_rewrite},
    {"set", rewrite_level, takes::two, read_set},
    {"break", rewrite_level, takes::none, read_break},
    {"if", where::server | where::location, takes::one_or_more | takes::block, read_if},
};

}  // namespace

std::span<const Command> rewrite_commands() { return commands; }

}  // namespace hawser::nginx
