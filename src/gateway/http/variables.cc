// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/variables.h"

#include <algorithm>
#include <charconv>

#include "gateway/http/escape.h"
#include "gateway/http/rules.h"

namespace hawser::gateway {

using catalog::http::Template;
using catalog::http::Variable;
using catalog::http::VariableIndex;
using catalog::http::VariableKind;

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
    return text.size() >= prefix.size() && http1::same_name(text.substr(0, prefix.size()), prefix);
}

// nginx 1.22 joins these when they are repeated, and shows the first of all others.
std::string_view request_separator(std::string_view name) {
    if (name == "cookie") return "; ";
    if (name == "x_forwarded_for") return ", ";
    return {};
}

bool append_fields(std::string& out, const http1::Fields& fields, std::string_view name,
                   std::string_view separator) {
    bool found = false;
    for (const http1::Field& field : fields.all()) {
        if (!is_variable_name_of(name, field.name)) continue;
        if (found) out += separator;
        out += field.value;
        found = true;
        if (separator.empty()) break;
    }
    return found;
}

// Server and Date that hawser makes are not seen by $sent_http_*: nginx writes its own past the list too.
bool is_own_field(const Exchange& x, std::string_view name, std::string_view value) {
    if (name == "server") return value == product_name;
    if (name != "date") return false;
    if (x.upstream_response.status == 0 || !x.location || !x.location->proxy) return true;
    const auto& hidden = x.location->proxy->hide_headers;
    return std::find(hidden.begin(), hidden.end(), "date") != hidden.end();
}

bool append_sent_field(std::string& out, const Exchange& x, std::string_view name) {
    const bool joined = name == "cache_control" || name == "link";
    bool found = false;
    for (const auto& [field, value] : x.sent_fields) {
        if (!is_variable_name_of(name, field) || is_own_field(x, name, value)) continue;
        if (found) out += ", ";
        out += value;
        found = true;
        if (!joined) break;
    }
    return found;
}

// $arg_NAME: the name is compared without case, the value is not decoded.
bool append_argument(std::string& out, std::string_view args, std::string_view name) {
    while (!args.empty()) {
        const std::size_t end = args.find('&');
        const std::string_view pair = args.substr(0, end);
        if (pair.size() > name.size() && pair[name.size()] == '=' && starts_with_ignoring_case(pair, name)) {
            out += pair.substr(name.size() + 1);
            return true;
        }
        if (end == std::string_view::npos) break;
        args.remove_prefix(end + 1);
    }
    return false;
}

void skip_spaces(std::string_view& text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
}

// "name = value; ..." at the start of text; the name without case, spaces around '=' allowed.
bool append_cookie_pair(std::string& out, std::string_view text, std::string_view name) {
    if (!starts_with_ignoring_case(text, name)) return false;
    text.remove_prefix(name.size());
    skip_spaces(text);
    if (text.empty() || text.front() != '=') return false;
    text.remove_prefix(1);
    skip_spaces(text);
    out += text.substr(0, text.find(';'));
    return true;
}

// Where nginx goes on looking for the end of a pair without a value: behind the byte that it took for '='. So
// in "b; b=5" the second pair goes with the first (seen with nginx 1.22.1).
std::size_t refused_name_end(std::string_view text, std::string_view name) {
    if (!starts_with_ignoring_case(text, name)) return 0;
    const std::size_t end = text.find_first_not_of(' ', name.size());
    return end == std::string_view::npos ? text.size() : end + 1;
}

bool append_cookie(std::string& out, const http1::Fields& fields, std::string_view name) {
    for (const http1::Field& field : fields.all()) {
        if (!http1::same_name(field.name, "cookie")) continue;
        std::string_view text = field.value;
        while (!text.empty()) {
            if (append_cookie_pair(out, text, name)) return true;
            const std::size_t end = text.find_first_of(";,", refused_name_end(text, name));
            if (end == std::string_view::npos) break;
            text.remove_prefix(end + 1);
            skip_spaces(text);
        }
    }
    return false;
}

bool append_set_cookie(std::string& out, const http1::Fields& fields, std::string_view name) {
    for (const http1::Field& field : fields.all()) {
        if (http1::same_name(field.name, "set-cookie") && append_cookie_pair(out, field.value, name)) {
            return true;
        }
    }
    return false;
}

bool append_mapped(std::string& out, VariableIndex index, const Variable& variable, const Exchange& x) {
    if (variable.map->is_volatile) {
        append_map(out, *variable.map, x);
        return true;
    }
    std::string value;
    append_map(value, *variable.map, x);
    out += value;
    assign(x, index, std::move(value));
    return true;
}

}  // namespace

std::string_view CaptureView::group(std::size_t number) const {
    if (number >= groups.size()) return {};
    const auto [start, end] = groups[number];
    return start == std::string::npos ? std::string_view{} : subject.substr(start, end - start);
}

bool is_variable_name_of(std::string_view variable_name, std::string_view field_name) {
    if (variable_name.size() != field_name.size()) return false;
    for (std::size_t i = 0; i < field_name.size(); ++i) {
        const char c = field_name[i] == '-' ? '_' : lower(field_name[i]);
        if (c != variable_name[i]) return false;
    }
    return true;
}

void append_number(std::string& out, std::uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

void append_seconds(std::string& out, std::chrono::milliseconds time) {
    const auto ms = static_cast<std::uint64_t>(std::max<std::chrono::milliseconds::rep>(time.count(), 0));
    append_number(out, ms / 1000);
    const unsigned rest = static_cast<unsigned>(ms % 1000);
    out += '.';
    out += static_cast<char>('0' + rest / 100);
    out += static_cast<char>('0' + rest / 10 % 10);
    out += static_cast<char>('0' + rest % 10);
}

bool append_value(std::string& out, VariableIndex index, const Exchange& x) {
    if (index < x.values.size() && x.values[index]) {
        out += *x.values[index];
        return true;
    }
    if (!x.server || index >= x.server->variables->variables.size()) return false;
    const Variable& variable = x.server->variables->variables[index];
    switch (variable.kind) {
        case VariableKind::builtin:
            return append_builtin(out, variable.builtin, x);
        case VariableKind::request_header:
            return append_fields(out, x.request.fields, variable.argument,
                                 request_separator(variable.argument));
        case VariableKind::response_header:
            return append_sent_field(out, x, variable.argument);
        case VariableKind::upstream_header:
            return append_fields(out, x.upstream_response.fields, variable.argument, {});
        case VariableKind::argument:
            return append_argument(out, x.args, variable.argument);
        case VariableKind::cookie:
            return append_cookie(out, x.request.fields, variable.argument);
        case VariableKind::upstream_cookie:
            return append_set_cookie(out, x.upstream_response.fields, variable.argument);
        case VariableKind::map:
            return append_mapped(out, index, variable, x);
        case VariableKind::assigned:
            return !variable.only_captured;  // a `set` that was not reached: found and empty, as in nginx
    }
    return false;
}

std::string value_of(VariableIndex variable, const Exchange& exchange) {
    std::string out;
    append_value(out, variable, exchange);
    return out;
}

void append_expanded(std::string& out, const Template& text, const Exchange& x, const CaptureView& captures) {
    for (const Template::Part& part : text.parts) {
        switch (part.kind) {
            case Template::Part::Kind::literal:
                out += part.text;
                break;
            case Template::Part::Kind::variable:
                append_value(out, part.variable, x);
                break;
            case Template::Part::Kind::capture:
                out += captures.group(part.capture);
                break;
        }
    }
}

void append_expanded(std::string& out, const Template& text, const Exchange& x) {
    append_expanded(out, text, x, CaptureView{x.captures, x.captured_subject});
}

std::string expand(const Template& text, const Exchange& exchange) {
    std::string out;
    append_expanded(out, text, exchange);
    return out;
}

bool is_false(std::string_view value) { return value.empty() || value == "0"; }

void assign(const Exchange& x, VariableIndex variable, std::string value) {
    if (variable >= x.values.size()) {
        const std::size_t known = x.server ? x.server->variables->variables.size() : 0;
        x.values.resize(std::max<std::size_t>(known, variable + std::size_t{1}));
    }
    x.values[variable] = std::move(value);
}

void assign_named(const Exchange& x, const NamedGroups& named, const CaptureView& captures) {
    for (const auto& [group, variable] : named) assign(x, variable, std::string(captures.group(group)));
}

bool match_and_keep(const catalog::Regex& regex, const NamedGroups& named, std::string_view subject,
                    Exchange& x) {
    if (regex.capture_count() == 0) {
        if (!regex.match(subject, nullptr)) return false;
        x.captures.clear();
        return true;
    }
    catalog::Regex::Captures captures;
    if (!regex.match(subject, &captures)) return false;
    // The subject may be the text that the old captures point into.
    x.captured_subject = std::string(subject);
    x.captures = std::move(captures);
    assign_named(x, named, CaptureView{x.captures, x.captured_subject});
    return true;
}

const catalog::http::Settings& settings_of(const Exchange& x) {
    return x.location ? *x.location->settings : *x.server->settings;
}

std::string_view target_as_sent(const Exchange& x) {
    const http1::RequestHead& r = x.request;
    if (r.scheme.empty()) return r.target;
    const char* path = r.raw_path.data();
    const bool inside =
        !r.raw_path.empty() && path >= r.target.data() && path < r.target.data() + r.target.size();
    if (inside) return r.target.substr(static_cast<std::size_t>(path - r.target.data()));
    const std::size_t query = r.target.find('?');
    return query == std::string_view::npos ? std::string_view("/") : r.target.substr(query);
}

std::string absolute_location(const Exchange& x, std::string location) {
    const auto& settings = settings_of(x);
    escape_controls(location);
    if (!settings.absolute_redirect || location.empty() || location.front() != '/') return location;
    std::string out = "http://";
    if (settings.server_name_in_redirect) {
        out += x.server->name;
    } else if (!x.request.host.empty()) {
        out += x.host;
    } else {
        const bool v6 = x.local.ip.is_v6();
        if (v6) out += '[';
        out += x.local.ip.text();
        if (v6) out += ']';
    }
    if (settings.port_in_redirect && x.local.port != 80) {
        out += ':';
        append_number(out, x.local.port);
    }
    return out += location;
}

}  // namespace hawser::gateway
