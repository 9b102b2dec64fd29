// SPDX-License-Identifier: Apache-2.0
#include "catalog/ingress_template.h"

#include <cctype>
#include <optional>
#include <stdexcept>

namespace hawser::catalog {
namespace {

using http::Template;
using http::Variable;
using http::VariableKind;

// ingress-nginx's own variables, by what they hold.
std::string_view plain_name(std::string_view name) {
    static constexpr std::pair<std::string_view, std::string_view> aliases[] = {
        {"best_http_host", "http_host"},
        {"the_real_ip", "remote_addr"},
        {"req_id", "request_id"},
        {"pass_access_scheme", "scheme"},
        {"pass_port", "server_port"},
        {"pass_server_port", "server_port"},
        {"proxy_upstream_name", "proxy_host"},
    };
    for (const auto& [alias, plain] : aliases)
        if (alias == name) return plain;
    return name;
}

std::optional<Variable> describe(std::string_view name) {
    Variable out;
    out.name = name;
    if (const http::Builtin* builtin = http::find_builtin(name)) {
        out.kind = VariableKind::builtin;
        out.builtin = *builtin;
        return out;
    }
    static constexpr std::pair<std::string_view, VariableKind> prefixes[] = {
        {"http_", VariableKind::request_header},
        {"sent_http_", VariableKind::response_header},
        {"upstream_http_", VariableKind::upstream_header},
        {"upstream_cookie_", VariableKind::upstream_cookie},
        {"arg_", VariableKind::argument},
        {"cookie_", VariableKind::cookie},
    };
    for (const auto& [prefix, kind] : prefixes) {
        if (!name.starts_with(prefix) || name.size() == prefix.size()) continue;
        out.kind = kind;
        for (const char c : name.substr(prefix.size()))
            out.argument += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        return out;
    }
    return std::nullopt;
}

net::Error unreadable(std::string message) {
    net::Error out;
    out.message = std::move(message);
    return out;
}

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

}  // namespace

net::Result<http::VariableIndex> TemplateMaker::variable(std::string_view written) {
    const std::string_view name = plain_name(written);
    if (const auto found = known_.find(name); found != known_.end()) return found->second;
    auto made = describe(name);
    if (!made) return unreadable("the variable $" + std::string(written) + " is not known");
    const auto index = static_cast<http::VariableIndex>(table_->variables.size());
    table_->variables.push_back(std::move(*made));
    known_.emplace(name, index);
    return index;
}

net::Result<Template> TemplateMaker::parse(std::string_view text) {
    Template out;
    out.source = text;
    std::string literal;
    const auto flush = [&] {
        if (!literal.empty()) out.parts.push_back({Template::Part::Kind::literal, std::move(literal), 0, 0});
        literal.clear();
    };
    for (std::size_t i = 0; i < text.size();) {
        if (text[i] != '$') {
            literal += text[i++];
            continue;
        }
        ++i;
        if (i < text.size() && text[i] >= '1' && text[i] <= '9') {
            flush();
            out.parts.push_back(
                {Template::Part::Kind::capture, "", 0, static_cast<std::uint8_t>(text[i++] - '0')});
            continue;
        }
        const bool braced = i < text.size() && text[i] == '{';
        if (braced) ++i;
        std::size_t end = i;
        while (end < text.size() && is_name_char(text[end])) ++end;
        if (end == i || (braced && (end == text.size() || text[end] != '}')))
            return unreadable("\"$\" without a variable's name");
        const auto index = variable(text.substr(i, end - i));
        if (!index) return index.error();
        flush();
        out.parts.push_back({Template::Part::Kind::variable, "", *index, 0});
        i = braced ? end + 1 : end;
    }
    flush();
    return out;
}

Template TemplateMaker::parse_known(std::string_view text) {
    auto out = parse(text);
    if (!out) throw std::logic_error(out.error().text());
    return std::move(*out);
}

}  // namespace hawser::catalog
