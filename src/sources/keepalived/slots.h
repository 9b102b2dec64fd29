// SPDX-License-Identifier: Apache-2.0
#pragma once

// Handlers of keywords that only set a field.

#include <cstdint>
#include <type_traits>

#include "sources/keepalived/command.h"
#include "sources/keepalived/values.h"

namespace hawser::keepalived {

namespace slots {

template <class Member>
struct Parts;
template <class Class, class Type>
struct Parts<Type Class::*> {
    using Owner = Class;
    using Value = Type;
};

inline GlobalConf& owner(const Scope& scope, GlobalConf*) { return *scope.global; }
inline InstanceConf& owner(const Scope& scope, InstanceConf*) { return *scope.instance; }
inline vip::VirtualRouter& owner(const Scope& scope, vip::VirtualRouter*) { return scope.instance->router; }
inline ScriptConf& owner(const Scope& scope, ScriptConf*) { return *scope.script; }
inline GroupConf& owner(const Scope& scope, GroupConf*) { return *scope.group; }
inline GarpGroupConf& owner(const Scope& scope, GarpGroupConf*) { return *scope.garp_group; }
inline vip::Process& owner(const Scope& scope, vip::Process*) { return scope.process->process; }
inline AnnouncingConf& owner(const Scope& scope, AnnouncingConf*) {
    return scope.instance != nullptr ? scope.instance->announcing : scope.global->announcing;
}

template <auto Member>
auto& field(const Scope& scope) {
    using Owner = typename Parts<decltype(Member)>::Owner;
    return owner(scope, static_cast<Owner*>(nullptr)).*Member;
}

template <class Type>
struct Plain {
    using type = Type;
};
template <class Type>
struct Plain<std::optional<Type>> {
    using type = Type;
};

}  // namespace slots

// The word stands for "true".
template <auto Member>
void set_flag(Reading&, const Call& call) {
    slots::field<Member>(call.scope) = true;
}

// No parameter is "true".
template <auto Member>
void set_bool(Reading& reading, const Call& call) {
    const auto value = call.count() == 0 ? std::optional(true) : parse_bool(call.text(1));
    if (!value) return reading.invalid(call, 1);
    slots::field<Member>(call.scope) = *value;
}

template <auto Member, std::int64_t Least, std::int64_t Most>
void set_number(Reading& reading, const Call& call) {
    auto& slot = slots::field<Member>(call.scope);
    const auto value = parse_integer(call.text(1), Least, Most);
    if (!value) return reading.invalid(call, 1);
    slot = static_cast<typename slots::Plain<std::remove_reference_t<decltype(slot)>>::type>(*value);
}

// Whole seconds.
template <auto Member>
void set_whole_seconds(Reading& reading, const Call& call) {
    const auto value = parse_integer(call.text(1), 0, 4'294'967);
    if (!value) return reading.invalid(call, 1);
    slots::field<Member>(call.scope) = std::chrono::seconds(*value);
}

// Seconds with a fraction, at most Most.
template <auto Member, std::int64_t Most>
void set_seconds(Reading& reading, const Call& call) {
    const auto value = parse_seconds(call.text(1));
    if (!value || *value > std::chrono::seconds(Most)) return reading.invalid(call, 1);
    slots::field<Member>(call.scope) = *value;
}

inline constexpr std::string_view is_bool = "nothing, or on, off, true, false, yes or no";

}  // namespace hawser::keepalived
