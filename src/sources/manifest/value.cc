// SPDX-License-Identifier: Apache-2.0
#include "sources/manifest/value.h"

#include <boost/json.hpp>

namespace hawser::manifest {

const Value* Value::find(std::string_view key) const {
    for (const Member& m : members)
        if (m.key == key) return m.value.get();
    return nullptr;
}

std::string Value::shown() const {
    constexpr std::size_t longest = 60;
    switch (kind) {
        case Kind::null:
            return "null";
        case Kind::list:
            return "a list";
        case Kind::map:
            return "a mapping";
        default:
            break;
    }
    std::string out;
    for (const char c : text.substr(0, longest)) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    if (text.size() > longest) {
        // Do not cut a UTF-8 sequence in two.
        while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80) out.pop_back();
        if (!out.empty() && static_cast<unsigned char>(out.back()) >= 0xC0) out.pop_back();
        out += "...";
    }
    return kind == Kind::text ? '"' + out + '"' : out;
}

void weigh(Value& value) {
    constexpr std::uint64_t most = UINT64_MAX / 2;
    std::uint64_t sum = 1;
    for (const ValuePtr& item : value.items) sum = std::min(most, sum + item->weight);
    for (const Value::Member& m : value.members) sum = std::min(most, sum + m.value->weight);
    value.weight = sum;
}

namespace {
ValuePtr from_scalar(const boost::json::value& json) {
    auto out = std::make_shared<Value>();
    if (const auto* b = json.if_bool()) {
        out->kind = Value::Kind::boolean;
        out->boolean = *b;
        out->text = *b ? "true" : "false";
    } else if (const auto* i = json.if_int64()) {
        out->kind = Value::Kind::integer;
        out->integer = *i;
        out->text = std::to_string(*i);
    } else if (json.is_number()) {
        out->kind = Value::Kind::number;
        out->text = boost::json::serialize(json);
    } else if (const auto* s = json.if_string()) {
        out->kind = Value::Kind::text;
        out->text.assign(s->data(), s->size());
    }
    return out;
}
}  // namespace

ValuePtr from_json(const boost::json::value& json) {
    auto out = std::make_shared<Value>();
    if (const auto* array = json.if_array()) {
        out->kind = Value::Kind::list;
        out->items.reserve(array->size());
        for (const auto& item : *array) out->items.push_back(from_json(item));
    } else if (const auto* object = json.if_object()) {
        out->kind = Value::Kind::map;
        out->members.reserve(object->size());
        for (const auto& [key, value] : *object)
            out->members.push_back({std::string(key), 0, 0, from_json(value)});
    } else {
        return from_scalar(json);
    }
    weigh(*out);
    return out;
}

}  // namespace hawser::manifest
