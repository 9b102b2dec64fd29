// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/sequence.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "sources/keepalived/line.h"

namespace hawser::keepalived {

namespace {

// Splits at the commas outside of braces.
std::vector<std::string_view> split_list(std::string_view text) {
    std::vector<std::string_view> out;
    std::size_t depth = 0, from = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i == text.size() || (text[i] == ',' && depth == 0)) {
            out.push_back(trim(text.substr(from, i - from)));
            from = i + 1;
        } else if (text[i] == '{') {
            ++depth;
        } else if (text[i] == '}' && depth > 0) {
            --depth;
        }
    }
    return out;
}

// "{a, b}" -> a, b; "a" -> a.
std::vector<std::string> members(std::string_view text) {
    if (text.size() < 2 || text.front() != '{' || text.back() != '}') return {std::string(text)};
    std::vector<std::string> out;
    for (const std::string_view one : split_list(text.substr(1, text.size() - 2))) out.emplace_back(one);
    return out;
}

bool is_name(std::string_view text) {
    if (text.empty() || (text.front() >= '0' && text.front() <= '9')) return false;
    for (const char c : text)
        if (!is_name_character(c)) return false;
    return true;
}

// Decimal, or hexadecimal with 0x.
std::optional<std::int64_t> number_of(std::string_view text) {
    const bool negative = !text.empty() && text.front() == '-';
    if (negative) text.remove_prefix(1);
    const bool hex = text.starts_with("0x") || text.starts_with("0X");
    if (hex) text.remove_prefix(2);
    std::uint32_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
    if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return negative ? -std::int64_t{value} : std::int64_t{value};
}

std::string formatted(std::int64_t value, bool hex) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, value, hex ? 16 : 10).ptr;
    return {text, end};
}

void count(Sequence& out, const std::vector<std::string_view>& words, bool hex, std::size_t most) {
    std::vector<std::int64_t> numbers;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const auto number = number_of(words[i]);
        if (!number) {
            out.error = "\"" + std::string(words[i]) + "\" is not a number";
            return;
        }
        numbers.push_back(*number);
    }
    if (numbers.empty() || numbers.size() > 3) {
        out.error = "~SEQ takes a name and one to three numbers: (name, start, step, end)";
        return;
    }
    const std::int64_t last = numbers.back();
    const std::int64_t first = numbers.size() > 1 ? numbers.front() : (last < 0 ? -1 : 1);
    const std::int64_t step = numbers.size() == 3 ? numbers[1] : (last < first ? -1 : 1);
    if (step == 0) {
        out.error = "a step of 0 has no end";
        return;
    }
    for (std::int64_t value = first; step > 0 ? value <= last : value >= last; value += step) {
        if (out.rounds.size() == most) {
            out.error = "a sequence has at most " + std::to_string(most) + " values";
            return;
        }
        out.rounds.push_back({formatted(value, hex)});
    }
}

void list(Sequence& out, const std::vector<std::string_view>& words) {
    for (std::size_t i = 1; i < words.size(); ++i) {
        auto values = members(words[i]);
        if (values.size() != out.names.size()) {
            out.error = "\"" + std::string(words[i]) + "\" has " + std::to_string(values.size()) +
                        " values for " + std::to_string(out.names.size()) +
                        (out.names.size() == 1 ? " name" : " names");
            return;
        }
        out.rounds.push_back(std::move(values));
    }
    if (out.rounds.empty()) out.error = "~LST takes a name and at least one value";
}

}  // namespace

bool begins_sequence(std::string_view text, std::size_t at) {
    text.remove_prefix(std::min(at, text.size()));
    return text.starts_with("~SEQ(") || text.starts_with("~SEQx(") || text.starts_with("~LST(");
}

Sequence read_sequence(std::string_view text, std::size_t at, std::size_t most) {
    Sequence out;
    const std::size_t open = text.find('(', at);
    const std::size_t close = text.find(')', at);
    if (close == std::string_view::npos) {
        out.error = "the sequence has no closing )";
        return out;
    }
    out.end = close + 1;
    const std::string_view kind = text.substr(at, open - at);
    const auto words = split_list(text.substr(open + 1, close - open - 1));
    out.names = kind == "~LST" ? members(words[0]) : std::vector<std::string>{std::string(words[0])};
    for (const std::string& name : out.names)
        if (!is_name(name)) {
            out.error = "\"" + name + "\" cannot be the name of a parameter";
            return out;
        }
    if (kind == "~LST") {
        list(out, words);
    } else {
        count(out, words, kind == "~SEQx", most);
    }
    return out;
}

}  // namespace hawser::keepalived
