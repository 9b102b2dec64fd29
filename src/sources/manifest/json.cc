// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <optional>
#include <unordered_set>

#include "sources/manifest/value.h"

namespace hawser::manifest {
namespace {

using catalog::Diagnostics;

// Tells whether one of an object's keys was there before. Few are compared, many are looked up.
class Keys {
  public:
    bool is_fresh(const std::vector<Value::Member>& members, const std::string& key) {
        if (members.size() < most_compared)
            return std::none_of(members.begin(), members.end(),
                                [&key](const Value::Member& m) { return m.key == key; });
        if (seen_.empty())
            for (const Value::Member& m : members) seen_.insert(m.key);
        return seen_.insert(key).second;
    }

  private:
    static constexpr std::size_t most_compared = 16;
    std::unordered_set<std::string> seen_;
};

// The scalars that need no parser, as written in `token`: text in ASCII without escapes, whole numbers of up
// to 18 digits, words. False: another one, or a wrong one; `out` is as it was.
bool read_plain(std::string_view token, Value& out) {
    if (token.front() == '"') {
        const std::string_view text = token.substr(1, token.size() - 2);
        const auto plain = [](char c) { return c >= 0x20 && c < 0x7F && c != '\\'; };
        if (!std::all_of(text.begin(), text.end(), plain)) return false;
        out.kind = Value::Kind::text;
        out.text = text;
        return true;
    }
    if (token == "true" || token == "false") {
        out.kind = Value::Kind::boolean;
        out.boolean = token == "true";
    } else if (token != "null") {
        const std::string_view digits = token.substr(token.front() == '-' ? 1 : 0);
        const bool is_whole =
            !digits.empty() && digits.size() <= 18 &&
            std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (!is_whole || (digits.front() == '0' && token != "0")) return false;
        std::from_chars(token.data(), token.data() + token.size(), out.integer);
        out.kind = Value::Kind::integer;
    }
    out.text = token;
    return true;
}

// Boost.JSON gives no places and keeps the last of two equal keys, so the structure is read here and only
// the scalars that are not plain (escapes, UTF-8, fractions) are left to it.
class Reader {
  public:
    Reader(std::string_view text, const std::string& file, const ParseLimits& limits,
           Diagnostics& diagnostics)
        : text_(text), file_(file), limits_(limits), diagnostics_(diagnostics) {}

    std::vector<ValuePtr> read() {
        std::vector<ValuePtr> out;
        if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
        for (skip_space(); at_ < text_.size(); skip_space()) {
            ValuePtr value = read_value(0);
            if (!value) break;
            out.push_back(std::move(value));
        }
        return out;
    }

  private:
    void skip_space() {
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '\n') {
                ++line_;
                line_start_ = at_ + 1;
            } else if (c != ' ' && c != '\t' && c != '\r') {
                return;
            }
        }
    }

    [[nodiscard]] std::uint32_t column() const { return static_cast<std::uint32_t>(at_ - line_start_ + 1); }

    // Reports and ends the reading: what follows a syntax error means nothing.
    ValuePtr fail(const std::string& message) {
        diagnostics_.error({file_, line_, column()}, "JSON: " + message);
        at_ = text_.size();
        return nullptr;
    }

    bool refuse(const std::string& message) {
        fail(message);
        return false;
    }

    [[nodiscard]] bool next_is(char c) const { return at_ < text_.size() && text_[at_] == c; }

    std::shared_ptr<Value> make(Value::Kind kind) {
        auto value = std::make_shared<Value>();
        value->kind = kind;
        value->line = line_;
        value->column = column();
        return value;
    }

    ValuePtr read_value(std::uint32_t depth) {
        if (++values_ > limits_.values)
            return fail("more than " + std::to_string(limits_.values) + " values");
        if (depth > limits_.depth)
            return fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
        if (at_ >= text_.size()) return fail("the text ends before its value");
        if (text_[at_] == '{') return read_object(depth);
        if (text_[at_] == '[') return read_array(depth);
        auto out = std::make_shared<Value>();
        return read_scalar(*out) ? out : nullptr;
    }

    ValuePtr read_array(std::uint32_t depth) {
        auto out = make(Value::Kind::list);
        ++at_;
        skip_space();
        if (next_is(']')) {
            ++at_;
            return out;
        }
        while (true) {
            skip_space();
            ValuePtr item = read_value(depth + 1);
            if (!item) return nullptr;
            out->items.push_back(std::move(item));
            skip_space();
            if (next_is(',')) {
                ++at_;
                continue;
            }
            if (!next_is(']')) return fail("\",\" or \"]\" is missing");
            ++at_;
            weigh(*out);
            return out;
        }
    }

    ValuePtr read_object(std::uint32_t depth) {
        auto out = make(Value::Kind::map);
        Keys keys;
        ++at_;
        skip_space();
        if (next_is('}')) {
            ++at_;
            return out;
        }
        while (true) {
            skip_space();
            if (!next_is('"')) return fail("a key in double quotes is missing");
            Value::Member member{"", line_, column(), nullptr};
            Value key;
            if (!read_scalar(key)) return nullptr;
            member.key = std::move(key.text);
            skip_space();
            if (!next_is(':')) return fail("\":\" is missing");
            ++at_;
            skip_space();
            member.value = read_value(depth + 1);
            if (!member.value) return nullptr;
            if (keys.is_fresh(out->members, member.key))
                out->members.push_back(std::move(member));
            else
                diagnostics_.error({file_, member.line, member.column},
                                   "the key \"" + member.key + "\" is given twice");
            skip_space();
            if (next_is(',')) {
                ++at_;
                continue;
            }
            if (!next_is('}')) return fail("\",\" or \"}\" is missing");
            ++at_;
            weigh(*out);
            return out;
        }
    }

    // False after a report.
    bool read_scalar(Value& out) {
        out.line = line_;
        out.column = column();
        std::size_t end = at_;
        if (text_[at_] == '"') {
            for (++end; end < text_.size() && text_[end] != '"' && text_[end] != '\n'; ++end)
                if (text_[end] == '\\') ++end;
            if (end >= text_.size() || text_[end] != '"') return refuse("the string has no end");
            ++end;
        } else {
            while (end < text_.size() &&
                   std::string_view(",]}:\"[{ \t\r\n").find(text_[end]) == std::string_view::npos)
                ++end;
            if (end == at_) return refuse(std::string("unexpected \"") + text_[at_] + "\"");
        }
        const std::string_view token = text_.substr(at_, end - at_);
        if (!read_plain(token, out)) {
            boost::system::error_code error;
            const boost::json::value json = boost::json::parse(token, error);
            if (error) return refuse(error.message());
            const Value read = *from_json(json);
            out.kind = read.kind;
            out.integer = read.integer;
            out.text = read.kind == Value::Kind::text ? read.text : std::string(token);
        }
        at_ = end;
        return true;
    }

    std::string_view text_;
    const std::string& file_;
    const ParseLimits& limits_;
    Diagnostics& diagnostics_;
    std::size_t at_ = 0, line_start_ = 0;
    std::uint32_t line_ = 1;
    std::uint64_t values_ = 0;
};

}  // namespace

std::vector<ValuePtr> parse_json(std::string_view text, const std::string& file, const ParseLimits& limits,
                                 Diagnostics& diagnostics) {
    return Reader(text, file, limits, diagnostics).read();
}

}  // namespace hawser::manifest
