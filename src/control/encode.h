// SPDX-License-Identifier: Apache-2.0
#pragma once

// Described structs (catalog/objects.h) as the JSON that the Kubernetes API writes: absent and empty fields
// are left out, `namespace_` is "namespace". The counterpart of the decoder in sources/manifest.

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <boost/mp11.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "catalog/objects.h"

namespace hawser::control {

boost::json::value encode(const std::string& text);
boost::json::value encode(const catalog::IntOrString& value);
boost::json::value encode(const catalog::StringMap& map);
template <class T>
boost::json::value encode(const std::vector<T>& list);
template <class T>
requires std::is_arithmetic_v<T> boost::json::value encode(T number) { return number; }
template <class T>
requires(boost::describe::has_describe_members<T>::value) boost::json::value encode(const T& object);

namespace detail {
template <class T>
void add_member(boost::json::object& to, std::string_view name, const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
        if (value == T{}) return;
    } else if constexpr (requires { value.empty(); }) {
        if (value.empty()) return;
    }
    to[name] = encode(value);
}
template <class T>
void add_member(boost::json::object& to, std::string_view name, const std::optional<T>& value) {
    if (value) to[name] = encode(*value);
}
}  // namespace detail

template <class T>
boost::json::value encode(const std::vector<T>& list) {
    boost::json::array out;
    for (const T& item : list) out.push_back(encode(item));
    return out;
}

template <class T>
requires(boost::describe::has_describe_members<T>::value) boost::json::value encode(const T& object) {
    boost::json::object out;
    using Members = boost::describe::describe_members<T, boost::describe::mod_public>;
    boost::mp11::mp_for_each<Members>([&](auto member) {
        std::string_view name = member.name;
        if (name.ends_with('_')) name.remove_suffix(1);
        detail::add_member(out, name, object.*member.pointer);
    });
    return out;
}

inline boost::json::value encode(const std::string& text) { return boost::json::string(text); }
inline boost::json::value encode(const catalog::IntOrString& value) {
    return std::visit([](const auto& v) -> boost::json::value { return encode(v); }, value.value);
}
inline boost::json::value encode(const catalog::StringMap& map) {
    boost::json::object out;
    for (const auto& [key, value] : map) out[key] = boost::json::string(value);
    return out;
}

}  // namespace hawser::control
