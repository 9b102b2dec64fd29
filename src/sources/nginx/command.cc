// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/command.h"

#include <algorithm>
#include <unordered_map>

namespace hawser::nginx {

namespace {
using Index = std::unordered_multimap<std::string_view, const Command*>;

const Index& index() {
    static const Index all = [] {
        Index out;
        for (const auto group : all_commands())
            for (const Command& command : group) out.emplace(command.name, &command);
        return out;
    }();
    return all;
}

bool count_fits(const Command& command, std::size_t count) {
    if ((command.takes & takes::any) != 0) return true;
    if ((command.takes & takes::flag) != 0) return count == 1;
    if ((command.takes & takes::one_or_more) != 0) return count >= 1;
    if ((command.takes & takes::two_or_more) != 0) return count >= 2;
    return count < 8 && ((command.takes >> count) & 1U) != 0;
}

// What nginx's "if is evil" page calls safe; the others make half a location out of the `if`.
bool safe_in_if(std::string_view name) {
    static constexpr std::string_view safe[] = {"return", "rewrite",     "set",
                                                "break",  "rewrite_log", "uninitialized_variable_warn"};
    return std::find(std::begin(safe), std::end(safe), name) != std::end(safe);
}

void read_one(Reading& reading, const Directive& d, const Scope& scope) {
    const auto [first, last] = index().equal_range(d.name());
    if (first == last) {
        reading.error(d.position(), "unknown directive \"" + d.name() + "\"");
        return;
    }
    const Command* command = nullptr;
    for (auto at = first; at != last; ++at)
        if ((at->second->where & scope.kind) != 0) command = at->second;
    if (command == nullptr) {
        reading.error(d.position(), "\"" + d.name() + "\" directive is not allowed here");
        return;
    }
    const bool wants_block = (command->takes & takes::block) != 0;
    if (wants_block != d.has_block) {
        reading.error(d.end(),
                      "directive \"" + d.name() +
                          (wants_block ? "\" has no opening \"{\"" : "\" is not terminated by \";\""));
        return;
    }
    if ((scope.kind & (where::server_if | where::location_if)) != 0 && !safe_in_if(d.name())) {
        reading.error(d.position(), "\"" + d.name() + "\" inside \"if\" is not supported");
        return;
    }
    if (!count_fits(*command, d.argument_count())) {
        reading.error(d.position(), "invalid number of arguments in \"" + d.name() + "\" directive");
        return;
    }
    command->handler(reading, d, scope);
}
}  // namespace

std::span<const std::span<const Command>> all_commands() {
    static const std::span<const Command> groups[] = {
        structure_commands(), setting_commands(),  traffic_commands(), proxy_commands(), rewrite_commands(),
        map_commands(),       upstream_commands(), noted_commands(),   inert_commands(), refused_commands(),
    };
    return groups;
}

void read_directives(Reading& reading, const std::vector<Directive>& directives, const Scope& scope) {
    for (const Directive& directive : directives) {
        if (reading.diagnostics.errors() > reading.options.bounds.errors) return;
        read_one(reading, directive, scope);
    }
}

}  // namespace hawser::nginx
