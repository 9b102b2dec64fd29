// SPDX-License-Identifier: Apache-2.0
// nginx's map module.

#include <algorithm>

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace http = catalog::http;

namespace {

// One row of a map block at a time.
class MapReader {
  public:
    MapReader(Reading& reading, http::Map& map) : reading_(reading), map_(map) {}

    void read(const Directive& row) {
        if (row.has_block) return reading_.error(row.end(), "unexpected \"{\"");
        if (row.argument_count() == 0 && row.name() == "hostnames") {
            map_.hostnames = true;
        } else if (row.argument_count() == 0 && row.name() == "volatile") {
            map_.is_volatile = true;
        } else if (row.argument_count() != 1) {
            reading_.error(row.position(), "invalid number of the map parameters");
        } else if (auto value = reading_.variables.compile(row.argument(1), row.position(1))) {
            add(row, row.name(), std::move(*value));
        }
    }

  private:
    void add(const Directive& row, std::string key, http::Template value) {
        if (key == "default") {
            if (has_default_) return reading_.error(row.position(), "duplicate default map parameter");
            has_default_ = true;
            map_.default_value = std::move(value);
            return;
        }
        if (key.starts_with("~")) {
            const bool no_case = key.starts_with("~*");
            auto regex = reading_.variables.compile_regex(std::string_view(key).substr(no_case ? 2 : 1),
                                                          no_case, row.position());
            if (regex)
                map_.regexes.push_back({std::move(regex->regex), std::move(regex->named), std::move(value)});
            return;
        }
        // A backslash before a word that would mean something: \default, \hostnames, \~text.
        if (key.starts_with("\\")) key.erase(0, 1);
        key = lower(key);
        if (!map_.hostnames) return put(row, map_.exact, key, std::move(value));
        add_host(row, key, std::move(value));
    }

    void add_host(const Directive& row, const std::string& key, http::Template value) {
        const auto stars = std::count(key.begin(), key.end(), '*');
        const bool leading = key.starts_with("*.") && key.size() > 2;
        const bool dot = key.starts_with(".") && key.size() > 1;
        const bool trailing = key.ends_with(".*") && key.size() > 2;
        if (stars > 1 || (stars == 1 && !leading && !trailing) || (dot && stars == 1) ||
            key.find("..") != std::string::npos)
            return reading_.error(row.position(), "invalid hostname or wildcard \"" + row.name() + "\"");
        if (leading) return put(row, map_.suffix, key.substr(1), std::move(value));
        if (trailing) return put(row, map_.prefix, key.substr(0, key.size() - 1), std::move(value));
        if (dot) {
            put(row, map_.exact, key.substr(1), value);
            return put(row, map_.suffix, key, std::move(value));
        }
        put(row, map_.exact, key, std::move(value));
    }

    void put(const Directive& row, std::map<std::string, http::Template>& into, const std::string& key,
             http::Template value) {
        if (!into.emplace(key, std::move(value)).second)
            reading_.error(row.position(), "conflicting parameter \"" + row.name() + "\"");
    }

    Reading& reading_;
    http::Map& map_;
    bool has_default_ = false;
};

void read_map(Reading& reading, const Directive& d, const Scope&) {
    auto map = std::make_shared<http::Map>();
    auto source = reading.variables.compile(d.argument(1), d.position(1));
    MapReader reader(reading, *map);
    for (const Directive& row : d.children) reader.read(row);
    const std::string& target = d.argument(2);
    if (!target.starts_with("$"))
        return reading.error(d.position(2), "invalid variable name \"" + target + "\"");
    if (!source) return;
    map->source = std::move(*source);
    reading.variables.define_map(std::string_view(target).substr(1), std::move(map), d.position(2));
}

constexpr Command commands[] = {
    {"map", where::http, takes::two | takes::block, read_map},
};

}  // namespace

std::span<const Command> map_commands() { return commands; }

}  // namespace hawser::nginx
