// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"

namespace hawser::manifest {

// One node of a parsed document, YAML or JSON, with the place where it stands. Immutable once built; an alias
// shares its anchor's node, so the tree is a DAG: `weight` tells what it would be written out.
struct Value {
    enum class Kind : std::uint8_t { null, boolean, integer, number, text, list, map };
    struct Member {
        std::string key;
        std::uint32_t line = 0, column = 0;  // of the key
        std::shared_ptr<const Value> value;
    };

    Kind kind = Kind::null;
    bool boolean = false;
    std::int64_t integer = 0;  // Kind::integer
    std::uint32_t line = 0, column = 0;
    std::string text;  // a scalar as written, a text without its quotes
    std::vector<std::shared_ptr<const Value>> items;
    std::vector<Member> members;  // in the order of the file; no key twice
    std::uint64_t weight = 1;     // this node and all below it, aliases written out; saturates

    [[nodiscard]] const Value* find(std::string_view key) const;  // null when absent
    [[nodiscard]] bool is_null() const { return kind == Kind::null; }
    // For messages: `90000`, `"http"`, `a list`; shortened to 60 bytes.
    [[nodiscard]] std::string shown() const;
};
using ValuePtr = std::shared_ptr<const Value>;

// What a document may cost before it is refused.
struct ParseLimits {
    std::uint32_t depth = 64;            // nested lists and maps
    std::uint64_t values = 1'000'000;    // nodes in one file, as written
    std::uint64_t expanded = 4'000'000;  // nodes in one document with every alias written out
};

// All documents of a YAML file, as Kubernetes' tools read them: YAML 1.1 scalars (yes and on are booleans,
// 010 is eight), merge keys, aliases; a key given twice is an error. Errors go to `diagnostics` with their
// place in `file`; documents before the error are returned.
std::vector<ValuePtr> parse_yaml(const std::string& text, const std::string& file, const ParseLimits& limits,
                                 catalog::Diagnostics& diagnostics);

// The values of a JSON text: one, or several after one another (as `kubectl` and `jq` write them). Strict
// RFC 8259; a key given twice is an error.
std::vector<ValuePtr> parse_json(std::string_view text, const std::string& file, const ParseLimits& limits,
                                 catalog::Diagnostics& diagnostics);

// A parsed JSON value without places, for what comes from the Kubernetes API.
ValuePtr from_json(const boost::json::value& json);

// Adds up the weights of the children; called when a list or map is complete.
void weigh(Value& value);

}  // namespace hawser::manifest
