// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one decoder: a Value tree into any struct that Boost.Describe describes. A member `namespace_` is the
// field "namespace". Everything wrong is reported, with the field's path as the API server writes it.

#include <array>
#include <boost/describe.hpp>
#include <boost/mp11.hpp>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/nearest_name.h"
#include "catalog/objects.h"
#include "sources/manifest/path.h"
#include "sources/manifest/value.h"

namespace hawser::manifest {

// Fields of T that the Kubernetes API knows and hawser does not use (tolerated.h). A field neither described
// nor listed is an error.
template <class T>
struct Tolerated {
    static constexpr std::array<std::string_view, 0> names{};
};

// `namespace_` -> "namespace".
constexpr std::string_view field_name(std::string_view member) {
    if (!member.empty() && member.back() == '_') member.remove_suffix(1);
    return member;
}

// Reports a value of the wrong type: `spec.ports[0].port: "http" is text, a whole number is needed`.
void report_type(const Path& path, const Value& value, std::string_view needed, Report& report);

void decode(const Value& value, const Path& path, std::string& out, Report& report);
void decode(const Value& value, const Path& path, bool& out, Report& report);
void decode(const Value& value, const Path& path, std::int32_t& out, Report& report);
void decode(const Value& value, const Path& path, catalog::IntOrString& out, Report& report);
void decode(const Value& value, const Path& path, catalog::StringMap& out, Report& report);

template <class T>
void decode(const Value& value, const Path& path, std::optional<T>& out, Report& report) {
    decode(value, path, out.emplace(), report);
}

template <class T>
void decode(const Value& value, const Path& path, std::vector<T>& out, Report& report) {
    if (value.kind != Value::Kind::list) return report_type(path, value, "a list", report);
    out.clear();
    out.reserve(value.items.size());
    for (std::size_t i = 0; i < value.items.size(); ++i) {
        const Path item(path, i);
        T element{};
        if (value.items[i]->is_null())
            report.error(item, "null is not allowed in a list");
        else
            decode(*value.items[i], item, element, report);
        out.push_back(std::move(element));
    }
}

namespace detail {
template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public>;

template <class T>
void report_unknown(const Value::Member& member, const Path& path, Report& report) {
    std::vector<std::string_view> known(Tolerated<T>::names.begin(), Tolerated<T>::names.end());
    boost::mp11::mp_for_each<Members<T>>([&](auto d) { known.push_back(field_name(d.name)); });
    std::string message = "unknown field";
    const std::string_view meant = catalog::nearest_name(member.key, known);
    if (!meant.empty()) message += ", did you mean \"" + std::string(meant) + "\"?";
    report.error_at({report.file(), member.line, member.column}, Path(path, member.key, nullptr).text(),
                    message);
}
}  // namespace detail

template <class T>
requires boost::describe::has_describe_members<T>::value void decode(const Value& value, const Path& path,
                                                                     T& out, Report& report) {
    if (value.kind != Value::Kind::map) return report_type(path, value, "a mapping", report);
    for (const Value::Member& member : value.members) {
        bool known = false;
        boost::mp11::mp_for_each<detail::Members<T>>([&](auto d) {
            if (known || field_name(d.name) != member.key) return;
            known = true;
            // null is the same as leaving the field away.
            if (!member.value->is_null())
                decode(*member.value, Path(path, member.key, member.value.get()), out.*d.pointer, report);
        });
        for (const std::string_view name : Tolerated<T>::names) known = known || name == member.key;
        if (!known) detail::report_unknown<T>(member, path, report);
    }
}

}  // namespace hawser::manifest
