// SPDX-License-Identifier: Apache-2.0
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_set>

#include "sources/manifest/value.h"

namespace hawser::manifest {
namespace {

using catalog::Diagnostics;
using catalog::Position;

constexpr bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
    for (const std::string_view w : words)
        if (text == w) return true;
    return false;
}

std::optional<std::int64_t> parse_integer(std::string_view text) {
    std::string digits;
    for (const char c : text)
        if (c != '_') digits += c;  // 30_000 is a number in YAML 1.1
    std::string_view d = digits;
    bool negative = false;
    if (!d.empty() && (d[0] == '+' || d[0] == '-')) {
        negative = d[0] == '-';
        d.remove_prefix(1);
    }
    int base = 10;
    if (d.size() > 2 && d[0] == '0' && is_one_of(d.substr(1, 1), {"x", "X", "o", "O", "b", "B"})) {
        base = d[1] == 'x' || d[1] == 'X' ? 16 : d[1] == 'o' || d[1] == 'O' ? 8 : 2;
        d.remove_prefix(2);
    } else if (d.size() > 1 && d[0] == '0') {
        base = 8;
        d.remove_prefix(1);
    }
    if (d.empty() || d[0] == '-' || d[0] == '+') return std::nullopt;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(d.data(), d.data() + d.size(), value, base);
    if (error != std::errc() || end != d.data() + d.size()) return std::nullopt;
    return negative ? -value : value;
}

bool looks_like_number(std::string_view text) {
    if (is_one_of(text, {".inf", ".Inf", ".INF", "+.inf", "-.inf", ".nan", ".NaN", ".NAN"})) return true;
    std::size_t i = 0, digits = 0;
    const auto skip_digits = [&] {
        for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) ++digits;
    };
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    skip_digits();
    if (i < text.size() && text[i] == '.') {
        ++i;
        skip_digits();
    }
    if (digits == 0) return false;
    if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
        ++i;
        if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
        const std::size_t before = digits;
        skip_digits();
        if (digits == before) return false;
    }
    return i == text.size();
}

// The scalar rules of the YAML reader that kubectl uses: YAML 1.1, where yes and on are booleans.
void resolve_plain(Value& value) {
    const std::string_view t = value.text;
    if (is_one_of(t, {"", "~", "null", "Null", "NULL"})) {
        value.kind = Value::Kind::null;
    } else if (is_one_of(t, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
        value.kind = Value::Kind::boolean;
        value.boolean = true;
    } else if (is_one_of(t, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
        value.kind = Value::Kind::boolean;
    } else if (const auto i = parse_integer(t)) {
        value.kind = Value::Kind::integer;
        value.integer = *i;
    } else {
        value.kind = looks_like_number(t) ? Value::Kind::number : Value::Kind::text;
    }
}

// Builds Value trees from yaml-cpp's events, so that no intermediate tree can grow without bounds.
class Builder : public YAML::EventHandler {
  public:
    Builder(const std::string& file, const ParseLimits& limits, Diagnostics& diagnostics)
        : file_(file), limits_(limits), diagnostics_(diagnostics) {}

    ValuePtr take_root() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark&) override {
        root_ = nullptr;
        open_.clear();
        anchors_.clear();
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { add(make(mark), anchor); }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) throw YAML::ParserException(mark, "an alias inside its own anchor");
        // The place is where the anchor stands: that is where the wrong value is written.
        add_finished(found->second, mark, false);
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override {
        auto value = make(mark);
        value->text = text;
        if (tag == "?" || tag.empty())
            resolve_plain(*value);
        else
            resolve_tagged(*value, tag, mark);
        add(std::move(value), anchor, tag == "?");
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(mark, Value::Kind::list, anchor);
    }
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(mark, Value::Kind::map, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override { close(); }

  private:
    struct Open {
        std::shared_ptr<Value> value;
        YAML::anchor_t anchor = 0;
        std::optional<Value::Member> key;  // read, its value not yet
        bool merge = false;                // the key is a plain <<
        std::vector<std::pair<ValuePtr, YAML::Mark>> merged;
        std::unordered_set<std::string> keys;
    };

    std::shared_ptr<Value> make(const YAML::Mark& mark) {
        if (++values_ > limits_.values)
            throw YAML::ParserException(mark, "more than " + std::to_string(limits_.values) + " values");
        auto value = std::make_shared<Value>();
        value->line = static_cast<std::uint32_t>(mark.line + 1);
        value->column = static_cast<std::uint32_t>(mark.column + 1);
        return value;
    }

    static void resolve_tagged(Value& value, const std::string& tag, const YAML::Mark& mark) {
        constexpr std::string_view prefix = "tag:yaml.org,2002:";
        const std::string_view name =
            tag.starts_with(prefix) ? std::string_view(tag).substr(prefix.size()) : std::string_view(tag);
        value.kind = Value::Kind::text;
        if (name == "!" || name == "str") return;
        if (!is_one_of(name, {"int", "bool", "float", "null"}))
            throw YAML::ParserException(mark, "the tag " + tag + " is not read");
        resolve_plain(value);
    }

    void open(const YAML::Mark& mark, Value::Kind kind, YAML::anchor_t anchor) {
        if (open_.size() >= limits_.depth)
            throw YAML::ParserException(mark,
                                        "nested deeper than " + std::to_string(limits_.depth) + " levels");
        Open o;
        o.value = make(mark);
        o.value->kind = kind;
        o.anchor = anchor;
        open_.push_back(std::move(o));
    }

    void close() {
        Open done = std::move(open_.back());
        open_.pop_back();
        for (const auto& [source, mark] : done.merged) merge(done, *source, mark);
        weigh(*done.value);
        if (done.value->weight > limits_.expanded)
            throw YAML::ParserException(YAML::Mark::null_mark(),
                                        "aliases expand to more than " + std::to_string(limits_.expanded) +
                                            " values (line " + std::to_string(done.value->line) + ")");
        YAML::Mark mark;
        mark.line = static_cast<int>(done.value->line) - 1;
        mark.column = static_cast<int>(done.value->column) - 1;
        if (done.anchor != 0) anchors_[done.anchor] = done.value;
        add_finished(done.value, mark, false);
    }

    void add(std::shared_ptr<Value> value, YAML::anchor_t anchor, bool plain = false) {
        if (anchor != 0) anchors_[anchor] = value;
        YAML::Mark mark;
        mark.line = static_cast<int>(value->line) - 1;
        mark.column = static_cast<int>(value->column) - 1;
        add_finished(std::move(value), mark, plain);
    }

    void add_finished(ValuePtr value, const YAML::Mark& mark, bool plain) {
        if (open_.empty()) {
            root_ = std::move(value);
            return;
        }
        Open& top = open_.back();
        if (top.value->kind == Value::Kind::list) {
            top.value->items.push_back(std::move(value));
        } else if (!top.key) {
            take_key(top, *value, mark, plain);
        } else if (top.merge) {
            top.merged.emplace_back(std::move(value), mark);
            top.key.reset();
        } else {
            top.key->value = std::move(value);
            if (top.keys.insert(top.key->key).second)
                top.value->members.push_back(std::move(*top.key));
            else
                diagnostics_.error({file_, top.key->line, top.key->column},
                                   "the key \"" + top.key->key + "\" is given twice");
            top.key.reset();
        }
    }

    void take_key(Open& top, const Value& key, const YAML::Mark& mark, bool plain) {
        if (key.kind == Value::Kind::list || key.kind == Value::Kind::map)
            throw YAML::ParserException(mark, "a key must be text, not " + key.shown());
        top.key = Value::Member{key.text, static_cast<std::uint32_t>(mark.line + 1),
                                static_cast<std::uint32_t>(mark.column + 1), nullptr};
        top.merge = plain && key.text == "<<";
    }

    // YAML 1.1 merge key: adds the members that the map itself, or an earlier source, does not have.
    void merge(Open& target, const Value& source, const YAML::Mark& mark) {
        if (source.kind == Value::Kind::list) {
            for (const ValuePtr& item : source.items) {
                if (item->kind != Value::Kind::map)
                    throw YAML::ParserException(mark, "<< takes a mapping or a list of mappings");
                merge(target, *item, mark);
            }
            return;
        }
        if (source.kind != Value::Kind::map)
            throw YAML::ParserException(mark, "<< takes a mapping or a list of mappings");
        for (const Value::Member& m : source.members) {
            if (!target.keys.insert(m.key).second) continue;
            if (++values_ > limits_.values)
                throw YAML::ParserException(mark, "more than " + std::to_string(limits_.values) + " values");
            target.value->members.push_back(m);
        }
    }

    const std::string& file_;
    const ParseLimits& limits_;
    Diagnostics& diagnostics_;
    ValuePtr root_;
    std::vector<Open> open_;
    std::map<YAML::anchor_t, ValuePtr> anchors_;
    std::uint64_t values_ = 0;
};

}  // namespace

std::vector<ValuePtr> parse_yaml(const std::string& text, const std::string& file, const ParseLimits& limits,
                                 Diagnostics& diagnostics) {
    std::vector<ValuePtr> out;
    std::istringstream in(text);
    Builder builder(file, limits, diagnostics);
    try {
        YAML::Parser parser(in);
        while (parser.HandleNextDocument(builder))
            if (ValuePtr root = builder.take_root()) out.push_back(std::move(root));
    } catch (const YAML::Exception& e) {
        Position where{file, 0, 0};
        if (!e.mark.is_null()) {
            where.line = static_cast<std::uint32_t>(e.mark.line + 1);
            where.column = static_cast<std::uint32_t>(e.mark.column + 1);
        }
        diagnostics.error(where, "YAML: " + e.msg);
    } catch (const std::exception& e) {
        // yaml-cpp lets a few exceptions of the standard library through (bad escapes).
        diagnostics.error({file, 0, 0}, std::string("YAML: ") + e.what());
    }
    return out;
}

}  // namespace hawser::manifest
