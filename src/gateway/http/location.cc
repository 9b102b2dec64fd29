// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/location.h"

#include <string_view>

#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::Location;
using catalog::http::LocationMatch;
using Locations = std::vector<std::shared_ptr<const Location>>;

namespace {

enum class Search : unsigned char { none, inherited, final };

struct Static {
    const std::shared_ptr<const Location>* exact = nullptr;
    const std::shared_ptr<const Location>* prefix = nullptr;  // the longest
    const std::shared_ptr<const Location>* slash = nullptr;   // uri + "/" is its name
    bool has_regex = false;
};

Static find_static(const Locations& locations, std::string_view uri) {
    Static found;
    for (const auto& each : locations) {
        const LocationMatch& match = each->match;
        if (match.kind == LocationMatch::Kind::regex) {
            found.has_regex = true;
            continue;
        }
        const std::string_view name = match.text;
        if (each->auto_redirect && name.size() == uri.size() + 1 && name.back() == '/' &&
            name.starts_with(uri)) {
            found.slash = &each;
        } else if (match.kind == LocationMatch::Kind::exact) {
            if (name == uri) found.exact = &each;
        } else if (uri.starts_with(name) &&
                   (found.prefix == nullptr || (*found.prefix)->match.text.size() < name.size())) {
            found.prefix = &each;
        }
    }
    return found;
}

// `inherited`: only prefixes matched, the level above may still prefer one of its regexes.
Search search(const Locations& locations, Exchange& x, FoundLocation& result) {
    const Static found = find_static(locations, x.uri);
    if (found.exact != nullptr) {
        result.location = *found.exact;
        return Search::final;
    }
    const bool same_length = found.prefix != nullptr && (*found.prefix)->match.text.size() == x.uri.size();
    if (found.slash != nullptr && !same_length) {
        result = {*found.slash, true};
        return Search::final;
    }
    Search state = Search::none;
    bool no_regex = false;
    if (found.prefix != nullptr) {
        const Location& prefix = **found.prefix;
        result.location = *found.prefix;
        no_regex = prefix.match.kind == LocationMatch::Kind::prefix_final;
        state = Search::inherited;
        if (!prefix.nested.empty() && search(prefix.nested, x, result) == Search::final) {
            return Search::final;
        }
    }
    if (no_regex || !found.has_regex) return state;
    for (const auto& each : locations) {
        if (each->match.kind != LocationMatch::Kind::regex) continue;
        if (!match_and_keep(*each->match.regex, each->match.named, x.uri, x)) continue;
        result.location = each;
        if (!each->nested.empty()) search(each->nested, x, result);
        return Search::final;
    }
    return state;
}

}  // namespace

FoundLocation find_location(const Locations& locations, Exchange& exchange) {
    FoundLocation result;
    search(locations, exchange, result);
    return result;
}

}  // namespace hawser::gateway
