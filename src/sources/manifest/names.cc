// SPDX-License-Identifier: Apache-2.0
#include "sources/manifest/names.h"

#include <algorithm>

namespace hawser::manifest {
namespace {

constexpr bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
constexpr bool is_alnum(char c) { return is_lower_alnum(c) || (c >= 'A' && c <= 'Z'); }

std::string too_long(std::size_t most) {
    return "must be no more than " + std::to_string(most) + " characters";
}

bool is_label_text(std::string_view text) {
    return !text.empty() && is_lower_alnum(text.front()) && is_lower_alnum(text.back()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_subdomain_text(std::string_view text) {
    while (true) {
        const std::size_t dot = text.find('.');
        if (!is_label_text(text.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

// Label values and the names of label keys: alphanumerics with - _ . between them.
bool is_name_text(std::string_view text) {
    return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

constexpr const char* name_rule =
    "must consist of letters, digits, \"-\", \"_\" or \".\", and must start and end with a letter or digit";
}  // namespace

std::string check_dns_label(std::string_view text) {
    if (text.size() > 63) return too_long(63);
    if (is_label_text(text)) return {};
    return "must consist of lower case letters, digits or \"-\", and must start and end with a letter or "
           "digit";
}

std::string check_dns_subdomain(std::string_view text) {
    if (text.size() > 253) return too_long(253);
    if (is_subdomain_text(text)) return {};
    return "must consist of lower case letters, digits, \"-\" or \".\", and must start and end with a letter "
           "or "
           "digit";
}

std::string check_wildcard_host(std::string_view text) {
    if (text.size() > 253) return too_long(253);
    if (text.starts_with("*.") && is_subdomain_text(text.substr(2))) return {};
    return "a wildcard host must be \"*.\" and a name: *.example.com";
}

std::string check_port_name(std::string_view text) {
    if (text.size() > 15) return too_long(15);
    if (text.empty() ||
        !std::all_of(text.begin(), text.end(), [](char c) { return is_lower_alnum(c) || c == '-'; }))
        return "must consist of lower case letters, digits or \"-\"";
    if (!std::any_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
        return "must have at least one letter (a port's number stands without quotes)";
    if (text.find("--") != std::string_view::npos) return "must not have \"--\"";
    if (text.front() == '-' || text.back() == '-') return "must not begin or end with \"-\"";
    return {};
}

std::string check_qualified_name(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash != std::string_view::npos) {
        if (const std::string wrong = check_dns_subdomain(text.substr(0, slash)); !wrong.empty())
            return "the part before \"/\" " + wrong;
        text.remove_prefix(slash + 1);
    }
    if (text.size() > 63) return "the name part " + too_long(63);
    return is_name_text(text) ? "" : std::string("the name part ") + name_rule;
}

std::string check_label_value(std::string_view text) {
    if (text.size() > 63) return too_long(63);
    return text.empty() || is_name_text(text) ? "" : name_rule;
}

std::string check_data_key(std::string_view text) {
    if (text.size() > 253) return too_long(253);
    if (text == "." || text.starts_with("..")) return "must not be \".\" or begin with \"..\"";
    const bool good = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return is_alnum(c) || c == '-' || c == '_' || c == '.';
    });
    return good ? "" : "must consist of letters, digits, \"-\", \"_\" or \".\"";
}

}  // namespace hawser::manifest
