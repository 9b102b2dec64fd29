// SPDX-License-Identifier: Apache-2.0
#pragma once

// For the tests of this folder: a server whose templates are written as in nginx.conf, and exchanges made
// from requests as they stand on the wire.

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "gateway/http/rules.h"
#include "gateway/http1/parser.h"

namespace hawser::gateway::testing {

namespace http = catalog::http;

class Site {
  public:
    std::shared_ptr<http::VariableTable> table = std::make_shared<http::VariableTable>();
    std::shared_ptr<http::Settings> settings = std::make_shared<http::Settings>();
    std::shared_ptr<http::VirtualServer> server = std::make_shared<http::VirtualServer>();

    Site() {
        server->name = "a.test";
        server->variables = table;
        server->settings = settings;
    }

    http::VariableIndex variable(std::string_view name) {
        for (std::size_t i = 0; i < table->variables.size(); ++i) {
            if (table->variables[i].name == name) return static_cast<http::VariableIndex>(i);
        }
        http::Variable made;
        made.name = name;
        if (const auto* builtin = http::find_builtin(name)) {
            made.kind = http::VariableKind::builtin;
            made.builtin = *builtin;
        } else {
            const auto prefixed = [&](std::string_view prefix, http::VariableKind kind) {
                if (!name.starts_with(prefix) || !made.argument.empty()) return;
                made.kind = kind;
                made.argument = name.substr(prefix.size());
            };
            prefixed("http_", http::VariableKind::request_header);
            prefixed("sent_http_", http::VariableKind::response_header);
            prefixed("upstream_http_", http::VariableKind::upstream_header);
            prefixed("upstream_cookie_", http::VariableKind::upstream_cookie);
            prefixed("cookie_", http::VariableKind::cookie);
            prefixed("arg_", http::VariableKind::argument);
        }
        table->variables.push_back(std::move(made));
        return static_cast<http::VariableIndex>(table->variables.size() - 1);
    }

    http::Template text(std::string_view source) {
        http::Template out;
        out.source = source;
        std::string literal;
        const auto flush = [&] {
            if (!literal.empty()) out.parts.push_back({http::Template::Part::Kind::literal, literal, 0, 0});
            literal.clear();
        };
        for (std::size_t i = 0; i < source.size(); ++i) {
            if (source[i] != '$') {
                literal += source[i];
                continue;
            }
            flush();
            if (const char digit = source[i + 1]; digit >= '1' && digit <= '9') {
                out.parts.push_back(
                    {http::Template::Part::Kind::capture, "", 0, static_cast<std::uint8_t>(digit - '0')});
                ++i;
                continue;
            }
            std::size_t end = i + 1;
            while (end < source.size() &&
                   (std::isalnum(static_cast<unsigned char>(source[end])) != 0 || source[end] == '_')) {
                ++end;
            }
            out.parts.push_back(
                {http::Template::Part::Kind::variable, "", variable(source.substr(i + 1, end - i - 1)), 0});
            i = end - 1;
        }
        flush();
        return out;
    }

    static std::shared_ptr<const catalog::Regex> regex(std::string_view pattern, bool ignore_case = false) {
        return catalog::Regex::compile(pattern, ignore_case).value();
    }
    std::vector<std::pair<std::uint32_t, http::VariableIndex>> named(const catalog::Regex& pattern) {
        std::vector<std::pair<std::uint32_t, http::VariableIndex>> out;
        for (const auto& [name, number] : pattern.names()) out.emplace_back(number, variable(name));
        return out;
    }

    http::Instruction set(std::string_view name, std::string_view value) {
        return {{}, http::SetVariable{variable(name), text(value)}};
    }
    http::Instruction give(std::uint16_t status, std::string_view value = "") {
        return {{}, http::Return{status, text(value)}};
    }
    http::Instruction rewrite(std::string_view pattern, std::string_view to,
                              http::Rewrite::Flag flag = http::Rewrite::Flag::none) {
        http::Rewrite out;
        out.regex = regex(pattern);
        out.named = named(*out.regex);
        out.keep_arguments = !to.ends_with('?');
        if (!out.keep_arguments) to.remove_suffix(1);
        out.replacement = text(to);
        out.flag = flag;
        return {{}, std::move(out)};
    }
    http::Instruction when(std::string_view name, http::Condition::Test test, std::string_view operand,
                           http::Script then) {
        http::If out;
        out.condition.test = test;
        out.condition.variable = variable(name);
        if (test == http::Condition::Test::matches || test == http::Condition::Test::not_matches) {
            out.condition.regex = regex(operand);
            out.condition.named = named(*out.condition.regex);
        } else {
            out.condition.operand = text(operand);
        }
        out.then = std::make_shared<const http::Script>(std::move(then));
        return {{}, std::move(out)};
    }

    // "= /a", "^~ /a", "~ pattern", "/a". The location proxies (to nothing in particular).
    std::shared_ptr<http::Location> location(std::string_view name, http::Script script = {}) {
        auto made = std::make_shared<http::Location>();
        made->route_id = name;
        made->settings = settings;
        made->script = std::move(script);
        made->proxy.emplace();
        made->proxy->host_header = "backend";
        http::LocationMatch& match = made->match;
        if (name.starts_with("= ")) {
            match.kind = http::LocationMatch::Kind::exact;
            match.text = name.substr(2);
        } else if (name.starts_with("^~ ")) {
            match.kind = http::LocationMatch::Kind::prefix_final;
            match.text = name.substr(3);
        } else if (name.starts_with("~ ")) {
            match.kind = http::LocationMatch::Kind::regex;
            match.text = name.substr(2);
            match.regex = regex(match.text);
            match.named = named(*match.regex);
        } else {
            match.text = name;
        }
        return made;
    }
    std::shared_ptr<http::Location> add(std::string_view name, http::Script script = {}) {
        auto made = location(name, std::move(script));
        server->locations.push_back(made);
        return made;
    }

    // GET with these further lines ("Name: value\r\n").
    Exchange get(std::string_view target, std::string_view lines = "") {
        return exchange("GET " + std::string(target) + " HTTP/1.1\r\nHost: A.test:18801\r\n" +
                        std::string(lines) + "\r\n");
    }
    Exchange exchange(const std::string& head) {
        Exchange x;
        http1::RequestParser parser(http1::RequestLimits{});
        auto parsed = parser.parse(head);
        if (!std::holds_alternative<http1::RequestHead>(parsed))
            throw std::runtime_error("bad head: " + head);
        x.request = std::get<http1::RequestHead>(std::move(parsed));
        x.server = server;
        x.request_line = x.request.request_line;
        x.uri = x.request.path;
        x.args = x.request.query;
        for (const char c : x.request.host) x.host += static_cast<char>(std::tolower(c));
        if (x.host.empty()) x.host = server->name;
        x.peer = net::SocketAddress::parse("127.0.0.1:40000").value();
        x.client = x.peer;
        x.local = net::SocketAddress::parse("127.0.0.1:18801").value();
        x.request_length = head.size();
        return x;
    }

    // Runs the phases, with zones of its own.
    std::variant<GoProxy, Answer, Delay> run(Exchange& x) {
        LimitHold hold;
        return run_phases(x, *zones, hold, SteadyTime{} + std::chrono::hours(1));
    }
    std::shared_ptr<LimitZones> zones = make_limit_zones();
};

// "proxy", "delay 100", "404", "200 text", "302 -> URL".
inline std::string verdict(const std::variant<GoProxy, Answer, Delay>& outcome) {
    if (std::holds_alternative<GoProxy>(outcome)) return "proxy";
    if (const auto* delay = std::get_if<Delay>(&outcome))
        return "delay " + std::to_string(delay->time.count());
    const auto& answer = std::get<Answer>(outcome);
    std::string out = std::to_string(answer.status);
    if (!answer.location.empty()) return out + " -> " + answer.location;
    if (answer.is_text) out += ' ' + answer.body;
    return out;
}

inline std::string joined(const std::vector<std::pair<std::string, std::string>>& fields) {
    std::string out;
    for (const auto& [name, value] : fields) out += name + ": " + value + "\n";
    return out;
}

}  // namespace hawser::gateway::testing
