// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/variables.h"

#include <algorithm>
#include <array>
#include <limits>

#include "sources/nginx/values.h"

namespace hawser::nginx {

namespace http = catalog::http;

namespace {
struct Prefix {
    std::string_view text;
    http::VariableKind kind;
};
constexpr Prefix prefixes[] = {
    {"http_", http::VariableKind::request_header},
    {"sent_http_", http::VariableKind::response_header},
    {"upstream_http_", http::VariableKind::upstream_header},
    {"upstream_cookie_", http::VariableKind::upstream_cookie},
    {"arg_", http::VariableKind::argument},
    {"cookie_", http::VariableKind::cookie},
};

// Names that nginx defines one by one, so that neither `set` nor `map` may take them.
constexpr std::string_view fixed_headers[] = {
    "http_host",
    "http_user_agent",
    "http_referer",
    "http_via",
    "http_x_forwarded_for",
    "http_cookie",
    "sent_http_location",
    "sent_http_connection",
    "sent_http_content_type",
    "sent_http_link",
    "sent_http_keep_alive",
    "sent_http_content_length",
    "sent_http_last_modified",
    "sent_http_cache_control",
    "sent_http_transfer_encoding",
};

// What nginx 1.22.1 has and hawser has not.
constexpr std::string_view unsupported[] = {
    "ancient_browser",
    "connections_active",
    "connections_reading",
    "connections_waiting",
    "connections_writing",
    "date_gmt",
    "date_local",
    "document_root",
    "fastcgi_path_info",
    "fastcgi_script_name",
    "gzip_ratio",
    "http2",
    "invalid_referer",
    "limit_rate",
    "memcached_key",
    "modern_browser",
    "msie",
    "realpath_root",
    "request_body",
    "request_body_file",
    "request_filename",
    "secure_link",
    "secure_link_expires",
    "slice_range",
    "uid_got",
    "uid_reset",
    "uid_set",
    "upstream_cache_status",
};
constexpr std::string_view unsupported_prefixes[] = {"ssl_", "proxy_protocol_", "sent_trailer_",
                                                     "upstream_trailer_", "upstream_cache_"};

bool is_unsupported(std::string_view name) {
    return std::find(std::begin(unsupported), std::end(unsupported), name) != std::end(unsupported) ||
           std::any_of(std::begin(unsupported_prefixes), std::end(unsupported_prefixes),
                       [name](std::string_view p) { return name.starts_with(p); });
}

bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void add_literal(http::Template& out, std::string_view text) {
    using Kind = http::Template::Part::Kind;
    if (text.empty()) return;
    if (!out.parts.empty() && out.parts.back().kind == Kind::literal) {
        out.parts.back().text += text;
    } else {
        out.parts.push_back({Kind::literal, std::string(text), 0, 0});
    }
}
}  // namespace

http::VariableIndex Variables::use(std::string_view name, const catalog::Position& where) {
    const std::string key = lower(name);
    if (const auto known = by_name_.find(key); known != by_name_.end()) return known->second;
    if (entries_.size() > std::numeric_limits<http::VariableIndex>::max()) {
        if (!full_) diagnostics_.error(where, "more than 65536 variables");
        full_ = true;
        return 0;
    }
    const auto index = static_cast<http::VariableIndex>(entries_.size());
    entries_.push_back({key, where, false, nullptr});
    by_name_.emplace(key, index);
    return index;
}

bool Variables::may_change(const std::string& name, const catalog::Position& where) {
    const bool fixed =
        std::find(std::begin(fixed_headers), std::end(fixed_headers), name) != std::end(fixed_headers);
    if (fixed || (http::find_builtin(name) != nullptr && name != "args")) {
        diagnostics_.error(where, "the duplicate \"" + name + "\" variable");
        return false;
    }
    if (is_unsupported(name)) {
        diagnostics_.error(where, "the variable $" + name + " cannot be set: hawser does not support it");
        return false;
    }
    return true;
}

std::optional<http::VariableIndex> Variables::assign(std::string_view name, const catalog::Position& where) {
    const std::string key = lower(name);
    if (key.empty()) {
        diagnostics_.error(where, "invalid variable name \"$\"");
        return std::nullopt;
    }
    if (!may_change(key, where)) return std::nullopt;
    const http::VariableIndex index = use(key, where);
    entries_[index].assigned = true;
    return index;
}

bool Variables::define_map(std::string_view name, std::shared_ptr<const http::Map> map,
                           const catalog::Position& where) {
    const std::string key = lower(name);
    if (key.empty()) {
        diagnostics_.error(where, "invalid variable name \"$\"");
        return false;
    }
    if (!may_change(key, where)) return false;
    if (key == "args") {
        diagnostics_.error(where, "a map for $args is not supported");
        return false;
    }
    entries_[use(key, where)].map = std::move(map);
    return true;
}

// `at` stands behind the '$'.
std::optional<std::string> Variables::take_name(std::string_view text, std::size_t& at,
                                                const catalog::Position& where) {
    const bool bracket = at < text.size() && text[at] == '{';
    if (bracket) ++at;
    const std::size_t start = at;
    while (at < text.size() && is_name(text[at])) ++at;
    std::string name(text.substr(start, at - start));
    if (bracket) {
        if (at == text.size() || text[at] != '}') {
            diagnostics_.error(where, start == text.size()
                                          ? "invalid variable name"
                                          : "the closing bracket in \"" + name + "\" variable is missing");
            return std::nullopt;
        }
        ++at;
    }
    if (name.empty()) {
        diagnostics_.error(where, "invalid variable name");
        return std::nullopt;
    }
    return name;
}

std::optional<http::Template> Variables::parse(std::string_view text, const catalog::Position& where,
                                               bool captures) {
    using Kind = http::Template::Part::Kind;
    http::Template out;
    out.source = text;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t dollar = std::min(text.find('$', at), text.size());
        add_literal(out, text.substr(at, dollar - at));
        if (dollar == text.size()) break;
        at = dollar + 1;
        if (captures && at < text.size() && text[at] >= '1' && text[at] <= '9') {
            out.parts.push_back({Kind::capture, {}, 0, static_cast<std::uint8_t>(text[at] - '0')});
            ++at;
            continue;
        }
        const auto name = take_name(text, at, where);
        if (!name) return std::nullopt;
        out.parts.push_back({Kind::variable, {}, use(*name, where), 0});
    }
    return out;
}

std::optional<http::Template> Variables::compile(std::string_view text, const catalog::Position& where) {
    return parse(text, where, true);
}

std::optional<http::Template> Variables::compile_log(std::string_view text, const catalog::Position& where) {
    return parse(text, where, false);
}

std::optional<CompiledRegex> Variables::compile_regex(std::string_view pattern, bool ignore_case,
                                                      const catalog::Position& where) {
    auto compiled = catalog::Regex::compile(pattern, ignore_case);
    if (!compiled) {
        // "what at offset N" becomes nginx's `what in "PATTERN" at "REST"`.
        std::string what = compiled.error().message;
        std::string rest;
        if (const std::size_t cut = what.rfind(" at offset "); cut != std::string::npos) {
            const auto offset =
                parse_number(std::string_view(what).substr(cut + 11)).value_or(pattern.size());
            if (offset < pattern.size()) rest = " at \"" + std::string(pattern.substr(offset)) + "\"";
            what.resize(cut);
        }
        diagnostics_.error(where,
                           "pcre2_compile() failed: " + what + " in \"" + std::string(pattern) + "\"" + rest);
        return std::nullopt;
    }
    CompiledRegex out{*compiled, {}};
    for (const auto& [name, group] : out.regex->names()) {
        const auto variable = assign(name, where);
        if (!variable) return std::nullopt;
        out.named.emplace_back(group, *variable);
    }
    return out;
}

http::Variable Variables::decide(const Entry& entry) {
    http::Variable out;
    out.name = entry.name;
    if (const http::Builtin* builtin = http::find_builtin(entry.name)) {
        out.kind = http::VariableKind::builtin;
        out.builtin = *builtin;
        return out;
    }
    if (entry.map) {
        out.kind = http::VariableKind::map;
        out.map = entry.map;
        return out;
    }
    if (entry.assigned) return out;
    for (const Prefix& prefix : prefixes) {
        // "$http_" alone is no variable in nginx.
        if (!entry.name.starts_with(prefix.text) || entry.name.size() == prefix.text.size()) continue;
        out.kind = prefix.kind;
        out.argument = entry.name.substr(prefix.text.size());
        return out;
    }
    diagnostics_.error(entry.first_use, is_unsupported(entry.name)
                                            ? "the variable $" + entry.name + " is not supported"
                                            : "unknown \"" + entry.name + "\" variable");
    return out;
}

std::shared_ptr<const http::VariableTable> Variables::finish() {
    auto table = std::make_shared<http::VariableTable>();
    for (const Entry& entry : entries_) table->variables.push_back(decide(entry));
    return table;
}

}  // namespace hawser::nginx
