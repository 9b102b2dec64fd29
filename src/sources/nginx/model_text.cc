// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/model_text.h"

#include <sstream>

namespace hawser::nginx {

namespace http = catalog::http;

namespace {

class Printer {
  public:
    std::string text() const { return out_.str(); }

    void listener(const http::Listener& l) {
        out_ << "listen " << l.address.text();
        if (l.backlog != 511) out_ << " backlog=" << l.backlog;
        if (!l.ipv6_only) out_ << " ipv6only=off";
        out_ << "\n";
        for (std::size_t i = 0; i < l.servers.size(); ++i) server(*l.servers[i], i == l.default_server);
    }

  private:
    void line(int depth, const std::string& text) { out_ << std::string(2 * depth, ' ') << text << "\n"; }

    void server(const http::VirtualServer& s, bool is_default) {
        table_ = s.variables.get();
        std::string names;
        for (const http::ServerName& n : s.names) names += " " + name(n);
        line(1, "server" + names + (is_default ? " (default)" : ""));
        script(2, s.script);
        settings(2, *s.settings);
        for (const auto& l : s.locations) location(2, *l);
    }

    static std::string name(const http::ServerName& n) {
        using Kind = http::ServerName::Kind;
        switch (n.kind) {
            case Kind::exact:
                return "\"" + n.text + "\"";
            case Kind::leading_wildcard:
                return n.also_bare ? n.text : "*" + n.text;
            case Kind::trailing_wildcard:
                return n.text + "*";
            case Kind::regex:
                return "~" + n.text;
        }
        return "?";
    }

    void location(int depth, const http::Location& l) {
        using Kind = http::LocationMatch::Kind;
        const char* kind = l.match.kind == Kind::exact          ? "= "
                           : l.match.kind == Kind::prefix_final ? "^~ "
                           : l.match.kind == Kind::regex ? (l.match.regex->ignores_case() ? "~* " : "~ ")
                                                         : "";
        line(depth, std::string("location ") + kind + l.match.text + (l.internal ? " internal" : "") +
                        (l.auto_redirect ? " auto_redirect" : "") + " [" + l.route_id + "]");
        script(depth + 1, l.script);
        settings(depth + 1, *l.settings);
        if (l.proxy) proxy(depth + 1, *l.proxy);
        for (const auto& inner : l.nested) location(depth + 1, *inner);
    }

    std::string text_of(const http::Template& t) const {
        using Kind = http::Template::Part::Kind;
        std::string out;
        for (const auto& p : t.parts) {
            if (p.kind == Kind::literal) out += p.text;
            if (p.kind == Kind::capture) out += "$" + std::to_string(p.capture);
            if (p.kind == Kind::variable) out += "${" + table_->variables[p.variable].name + "}";
        }
        return "\"" + out + "\"";
    }

    void script(int depth, const http::Script& s) {
        for (const http::Instruction& i : s)
            std::visit([&](const auto& what) { instruction(depth, what); }, i.what);
    }
    void instruction(int depth, const http::SetVariable& s) {
        line(depth, "set $" + table_->variables[s.variable].name + " " + text_of(s.value));
    }
    void instruction(int depth, const http::Return& r) {
        line(depth, "return " + std::to_string(r.status) + " " + text_of(r.text));
    }
    void instruction(int depth, const http::Rewrite& r) {
        static constexpr const char* flags[] = {"", " last", " break", " redirect", " permanent"};
        line(depth, "rewrite \"" + r.regex->pattern() + "\" " + text_of(r.replacement) +
                        flags[static_cast<int>(r.flag)] + (r.keep_arguments ? "" : " (no arguments)"));
    }
    void instruction(int depth, const http::Break&) { line(depth, "break"); }
    void instruction(int depth, const http::If& i) {
        static constexpr const char* tests[] = {"", " = ", " != ", " ~ ", " !~ "};
        const http::Condition& c = i.condition;
        line(depth, "if $" + table_->variables[c.variable].name + tests[static_cast<int>(c.test)] +
                        (c.regex ? "\"" + c.regex->pattern() + "\"" : text_of(c.operand)));
        script(depth + 1, *i.then);
    }

    void settings(int depth, const http::Settings& s) {
        const http::Settings nginx;
        if (s.client_max_body_size != nginx.client_max_body_size)
            line(depth, "client_max_body_size " + std::to_string(s.client_max_body_size));
        if (s.keepalive_timeout != nginx.keepalive_timeout)
            line(depth, "keepalive_timeout " + std::to_string(s.keepalive_timeout.count()) + "ms");
        for (const auto& h : s.add_headers)
            line(depth, "add_header " + h.name + " " + text_of(h.value) + (h.always ? " always" : ""));
        for (const auto& a : s.access_logs)
            line(depth, "access_log " + a.path + " " + a.format->name +
                            (a.condition ? " if=" + text_of(*a.condition) : ""));
        for (const auto& r : s.access)
            line(depth, (r.allow ? "allow " : "deny ") + (r.cidr ? r.cidr->text() : std::string("all")));
        for (const auto& l : s.limit_connections)
            line(depth, "limit_conn " + l.zone->name + " " + std::to_string(l.limit));
        for (const auto& l : s.limit_requests)
            line(depth, "limit_req " + l.zone->name + " burst=" + std::to_string(l.burst) +
                            " delay=" + (l.no_delay ? "none" : std::to_string(l.no_delay_after)));
        for (const auto& c : s.real_ip.trusted) line(depth, "set_real_ip_from " + c.text());
    }

    void proxy(int depth, const http::Proxy& p) {
        line(depth, p.group ? "proxy " + p.group->id + (p.uri ? " uri " + *p.uri : "")
                            : "proxy " + text_of(*p.dynamic));
        ++depth;
        if (p.group) group(depth, *p.group);
        if (p.http_1_1) line(depth, "http 1.1");
        for (const auto& h : p.set_headers) line(depth, "set " + h.name + ": " + text_of(h.value));
        for (const auto& r : p.redirects) {
            const auto* from = std::get_if<http::Template>(&r.from);
            const std::string pattern =
                from != nullptr ? text_of(*from)
                                : "~" + std::get<std::shared_ptr<const catalog::Regex>>(r.from)->pattern();
            line(depth, "redirect " + pattern + " -> " + text_of(r.to));
        }
        line(depth, "read_timeout " + std::to_string(p.read_timeout.count()) + "ms tunnel " +
                        std::to_string(p.tunnel_idle_timeout.count()) + "ms");
    }

    void group(int depth, const catalog::EndpointGroup& g) {
        line(depth, "balance " + std::string(to_string(g.balancing.scheduler)) +
                        (g.balancing.hash_key.empty() ? "" : " " + text_of(g.balancing.hash_key)) +
                        (g.keepalive != 0 ? " keepalive " + std::to_string(g.keepalive) : ""));
        for (const catalog::Endpoint& e : g.endpoints)
            line(depth, "endpoint " + e.address.text() + " weight " + std::to_string(e.weight) +
                            (e.backup ? " backup" : "") + (e.down ? " down" : ""));
    }

    std::ostringstream out_;
    const http::VariableTable* table_ = nullptr;
};

}  // namespace

std::string model_text(const std::vector<http::Listener>& listeners) {
    Printer printer;
    for (const http::Listener& l : listeners) printer.listener(l);
    return printer.text();
}

}  // namespace hawser::nginx
