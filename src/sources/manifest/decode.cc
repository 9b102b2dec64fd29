// SPDX-License-Identifier: Apache-2.0
#include "sources/manifest/decode.h"

#include <algorithm>

namespace hawser::manifest {
namespace {

std::string_view type_of(const Value& value) {
    switch (value.kind) {
        case Value::Kind::null:
            return "null";
        case Value::Kind::boolean:
            return "a boolean";
        case Value::Kind::integer:
        case Value::Kind::number:
            return "a number";
        case Value::Kind::text:
            return "text";
        case Value::Kind::list:
            return "a list";
        case Value::Kind::map:
            return "a mapping";
    }
    return "?";
}

}  // namespace

void report_type(const Path& path, const Value& value, std::string_view needed, Report& report) {
    const bool scalar = value.kind != Value::Kind::list && value.kind != Value::Kind::map;
    std::string message = scalar && !report.secret ? value.shown() + " is " + std::string(type_of(value))
                                                   : std::string(type_of(value));
    message += scalar && !report.secret ? ", " : " stands where ";
    message += std::string(needed) + " is needed";
    if (needed == "text" && scalar && !value.is_null()) message += " (put it in quotes)";
    report.error(path, message);
}

void decode(const Value& value, const Path& path, std::string& out, Report& report) {
    if (value.kind != Value::Kind::text) return report_type(path, value, "text", report);
    out = value.text;
}

void decode(const Value& value, const Path& path, bool& out, Report& report) {
    if (value.kind != Value::Kind::boolean) return report_type(path, value, "true or false", report);
    out = value.boolean;
}

void decode(const Value& value, const Path& path, std::int32_t& out, Report& report) {
    if (value.kind != Value::Kind::integer) return report_type(path, value, "a whole number", report);
    if (value.integer < std::numeric_limits<std::int32_t>::min() ||
        value.integer > std::numeric_limits<std::int32_t>::max())
        return report.error(path, value.shown() + " does not fit into 32 bits");
    out = static_cast<std::int32_t>(value.integer);
}

void decode(const Value& value, const Path& path, catalog::IntOrString& out, Report& report) {
    if (value.kind == Value::Kind::text) {
        out.value = value.text;
        return;
    }
    std::int32_t number = 0;
    if (value.kind != Value::Kind::integer)
        return report_type(path, value, "a number or a port's name", report);
    decode(value, path, number, report);
    out.value = number;
}

void decode(const Value& value, const Path& path, catalog::StringMap& out, Report& report) {
    if (value.kind != Value::Kind::map) return report_type(path, value, "a mapping", report);
    out.clear();
    for (const Value::Member& member : value.members) {
        std::string text;
        // `key:` with nothing behind it is the empty text in the API's maps.
        if (!member.value->is_null())
            decode(*member.value, Path::keyed(path, member.key, member.value.get()), text, report);
        out.emplace(member.key, std::move(text));
    }
}

}  // namespace hawser::manifest
