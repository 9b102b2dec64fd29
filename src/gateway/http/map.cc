// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::Map;
using catalog::http::Template;

namespace {

// Longest suffix first, then longest prefix, as nginx's wildcard hashes answer.
const Template* find_wildcard(const Map& map, const std::string& key) {
    if (!map.suffix.empty()) {
        for (std::size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', dot + 1)) {
            const auto at = map.suffix.find(key.substr(dot));
            if (at != map.suffix.end()) return &at->second;
        }
    }
    if (!map.prefix.empty()) {
        for (std::size_t dot = key.rfind('.'); dot != std::string::npos && dot > 0;
             dot = key.rfind('.', dot - 1)) {
            const auto at = map.prefix.find(key.substr(0, dot + 1));
            if (at != map.prefix.end() && dot + 1 < key.size()) return &at->second;
        }
    }
    return nullptr;
}

}  // namespace

void append_map(std::string& out, const Map& map, const Exchange& x) {
    std::string source;
    append_expanded(source, map.source, x);
    if (map.hostnames && source.ends_with('.')) source.pop_back();

    std::string key = source;
    std::transform(key.begin(), key.end(), key.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    if (const auto at = map.exact.find(key); at != map.exact.end())
        return append_expanded(out, at->second, x);
    if (key.empty()) return append_expanded(out, map.default_value, x);
    if (const Template* value = find_wildcard(map, key)) return append_expanded(out, *value, x);

    // The captures of a map's pattern are for the map's own value. nginx lets them overwrite the request's
    // $1 in the middle of an evaluation; nobody can use that, so it is not copied.
    catalog::Regex::Captures captures;
    for (const Map::RegexCase& each : map.regexes) {
        if (!each.regex->match(source, &captures)) continue;
        const CaptureView view{captures, source};
        assign_named(x, each.named, view);
        return append_expanded(out, each.value, x, view);
    }
    append_expanded(out, map.default_value, x);
}

}  // namespace hawser::gateway
