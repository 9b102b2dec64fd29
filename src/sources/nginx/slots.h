// SPDX-License-Identifier: Apache-2.0
#pragma once

// Handlers for directives that set one value, as nginx's ngx_conf_set_*_slot. `Slot` names the field: a
// functor that takes the scope and returns the std::optional to fill.

#include <string>

#include "sources/nginx/command.h"

namespace hawser::nginx {

// Fields of the innermost level, of its proxy settings, of the server, of the upstream.
template <auto Member>
struct OfLocation {
    static auto& in(const Scope& s) { return s.location->*Member; }
};
template <auto Member>
struct OfProxy {
    static auto& in(const Scope& s) { return s.location->proxy.*Member; }
};
template <auto Member>
struct OfServer {
    static auto& in(const Scope& s) { return s.server->*Member; }
};
template <auto Member>
struct OfUpstream {
    static auto& in(const Scope& s) { return s.upstream->*Member; }
};

// nothing after an error, which was reported.
std::optional<bool> read_flag(Reading& reading, const Directive& d);

template <class Slot, class Parse>
void set_slot(Reading& reading, const Directive& d, const Scope& scope, Parse parse, const char* complaint) {
    auto& slot = Slot::in(scope);
    if (slot) return reading.directive_error(d, "is duplicate");
    const auto value = parse(d.argument(1));
    if (!value) return reading.directive_error(d, complaint);
    slot = *value;
}

template <class Slot>
void set_flag(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = Slot::in(scope);
    if (slot) return reading.directive_error(d, "is duplicate");
    if (const auto value = read_flag(reading, d)) slot = *value;
}
template <class Slot>
void set_milliseconds(Reading& reading, const Directive& d, const Scope& scope) {
    set_slot<Slot>(reading, d, scope, parse_time_ms, "invalid value");
}
template <class Slot>
void set_size(Reading& reading, const Directive& d, const Scope& scope) {
    set_slot<Slot>(reading, d, scope, parse_size, "invalid value");
}
template <class Slot>
void set_offset(Reading& reading, const Directive& d, const Scope& scope) {
    set_slot<Slot>(reading, d, scope, parse_offset, "invalid value");
}
template <class Slot>
void set_number(Reading& reading, const Directive& d, const Scope& scope) {
    set_slot<Slot>(reading, d, scope, parse_number, "invalid number");
}
template <class Slot>
void set_string(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = Slot::in(scope);
    if (slot) return reading.directive_error(d, "is duplicate");
    slot = d.argument(1);
}
// A status that a limit answers with: 400..599.
template <class Slot>
void set_status(Reading& reading, const Directive& d, const Scope& scope) {
    auto& slot = Slot::in(scope);
    if (slot) return reading.directive_error(d, "is duplicate");
    const auto value = parse_number(d.argument(1));
    if (!value) return reading.directive_error(d, "invalid number");
    if (*value < 400 || *value > 599)
        return reading.error(d.position(1), "value must be between 400 and 599");
    slot = *value;
}

}  // namespace hawser::nginx
