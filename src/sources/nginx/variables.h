// SPDX-License-Identifier: Apache-2.0
#pragma once

// The variables of one load and the texts and patterns that use them. One table for all servers: an index
// stays what it is wherever it is used.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/http_template.h"
#include "catalog/regex.h"

namespace hawser::nginx {

struct CompiledRegex {
    std::shared_ptr<const catalog::Regex> regex;
    std::vector<std::pair<std::uint32_t, catalog::http::VariableIndex>> named;
};

class Variables {
  public:
    explicit Variables(catalog::Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

    // The index of a variable that is read. What it is shows in finish(): nginx lets a configuration use a
    // variable before the `map` or `set` that makes it. Names are compared without case.
    catalog::http::VariableIndex use(std::string_view name, const catalog::Position& where);

    // A variable that `set` or a named capture writes. nullopt after an error (a built-in one but $args).
    std::optional<catalog::http::VariableIndex> assign(std::string_view name, const catalog::Position& where);

    // The target of a map block; a later block for the same name takes over, as in nginx.
    bool define_map(std::string_view name, std::shared_ptr<const catalog::http::Map> map,
                    const catalog::Position& where);

    // A text with variables and $1..$9 ("complex value"). nullopt after an error.
    std::optional<catalog::http::Template> compile(std::string_view text, const catalog::Position& where);
    // A log_format's text: no captures, and only ${ } and $ are special.
    std::optional<catalog::http::Template> compile_log(std::string_view text, const catalog::Position& where);

    // A pattern; its named groups become variables. nullopt after an error.
    std::optional<CompiledRegex> compile_regex(std::string_view pattern, bool ignore_case,
                                               const catalog::Position& where);

    // Decides what every used name is; unknown ones are errors where they were first used.
    std::shared_ptr<const catalog::http::VariableTable> finish();

    // True when text has a '$' in it: nginx's test for "with variables".
    static bool has_variables(std::string_view text) { return text.find('$') != std::string_view::npos; }

  private:
    struct Entry {
        std::string name;
        catalog::Position first_use;
        bool assigned = false;
        std::shared_ptr<const catalog::http::Map> map;
    };
    bool may_change(const std::string& name, const catalog::Position& where);
    std::optional<catalog::http::Template> parse(std::string_view text, const catalog::Position& where,
                                                 bool captures);
    std::optional<std::string> take_name(std::string_view text, std::size_t& at,
                                         const catalog::Position& where);
    catalog::http::Variable decide(const Entry& entry);

    catalog::Diagnostics& diagnostics_;
    std::vector<Entry> entries_;
    std::map<std::string, catalog::http::VariableIndex, std::less<>> by_name_;
    bool full_ = false;
};

}  // namespace hawser::nginx
