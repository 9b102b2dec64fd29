// SPDX-License-Identifier: Apache-2.0
#include "app/text_format.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace hawser::app {

namespace json = boost::json;

namespace {

bool is_block(const json::value& value) {
    return (value.is_object() && !value.get_object().empty()) ||
           (value.is_array() && !value.get_array().empty());
}

void add_json(std::string& out, const json::value& value, std::size_t depth) {
    if (!is_block(value)) {
        out += json::serialize(value);
        return;
    }
    constexpr std::size_t step = 4;
    const std::string inner((depth + 1) * step, ' ');
    const char* separator = "\n";
    const bool is_object = value.is_object();
    out += is_object ? "{" : "[";
    if (is_object) {
        for (const auto& member : value.get_object()) {
            out += separator + inner + json::serialize(json::string(member.key())) + ": ";
            add_json(out, member.value(), depth + 1);
            separator = ",\n";
        }
    } else {
        for (const auto& item : value.get_array()) {
            out += separator + inner;
            add_json(out, item, depth + 1);
            separator = ",\n";
        }
    }
    out += "\n" + std::string(depth * step, ' ') + (is_object ? "}" : "]");
}

// Plain in every version of YAML: starts with a letter or '/', has nothing that could mean something, and is
// no word for a boolean or null. "e" and "." are fine after a letter: no number starts with one (.inf has its
// dot first).
bool is_plain(std::string_view text) {
    static constexpr std::array<std::string_view, 9> words{"true", "false", "null", "yes", "no",
                                                           "on",   "off",   "y",    "n"};
    if (text.empty() || (!std::isalpha(static_cast<unsigned char>(text[0])) && text[0] != '/')) return false;
    std::string lower;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (!std::isalnum(byte) && std::string_view("-_./").find(c) == std::string_view::npos) return false;
        lower += static_cast<char>(std::tolower(byte));
    }
    return std::find(words.begin(), words.end(), lower) == words.end();
}

// A JSON string is a YAML double-quoted one.
std::string scalar(const json::value& value) {
    const auto* text = value.if_string();
    if (text != nullptr && is_plain(*text)) return std::string(*text);
    return json::serialize(value);
}

std::string key_text(std::string_view key) {
    return is_plain(key) ? std::string(key) : json::serialize(json::string(key));
}

// `column`: where the value's keys and dashes stand. The first line's indentation has been written already
// when the value stands behind a dash.
void add_yaml(std::string& out, const json::value& value, std::size_t column, bool behind_dash) {
    bool indented = behind_dash;
    const auto indent = [&] {
        if (!indented) out.append(column, ' ');
        indented = false;
    };
    if (const auto* array = value.if_array()) {
        for (const auto& item : *array) {
            indent();
            out += "- ";
            if (is_block(item))
                add_yaml(out, item, column + 2, true);
            else
                out += scalar(item) + "\n";
        }
        return;
    }
    for (const auto& member : value.get_object()) {
        indent();
        out += key_text(member.key()) + ":";
        if (!is_block(member.value())) {
            out += " " + scalar(member.value()) + "\n";
            continue;
        }
        out += "\n";
        add_yaml(out, member.value(), member.value().is_array() ? column : column + 2, false);
    }
}

}  // namespace

std::string pretty_json(const json::value& value) {
    std::string out;
    add_json(out, value, 0);
    return out + "\n";
}

std::string to_yaml(const json::value& value) {
    if (!is_block(value)) return scalar(value) + "\n";
    std::string out;
    add_yaml(out, value, 0, false);
    return out;
}

}  // namespace hawser::app
