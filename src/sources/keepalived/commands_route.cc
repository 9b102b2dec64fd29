// SPDX-License-Identifier: Apache-2.0
// virtual_routes: the forms of ip-route(8) that need no more than a destination, a gateway, an interface and
// a table.

#include "sources/keepalived/word_reader.h"

namespace hawser::keepalived {

namespace {

std::optional<std::uint32_t> parse_table(std::string_view text) {
    if (text == "main") return 254;
    if (text == "local") return 255;
    if (text == "default") return 253;
    const auto number = parse_integer(text, 1, 0xffffffff);
    if (!number) return std::nullopt;
    return static_cast<std::uint32_t>(*number);
}

struct RouteReader : WordReader {
    vip::Route out;
    bool has_destination = false, is_default = false, v6 = false, has_v6 = false;

    bool read() {
        out.position = words[0].position;
        while (at < words.size()) option(words[at].text);
        if (ok && !has_destination) wrong(0, "begins a route without a destination");
        if (ok) finish();
        return ok;
    }

  private:
    static std::optional<vip::Route::Kind> kind_of(std::string_view name) {
        if (name == "unicast") return vip::Route::Kind::unicast;
        if (name == "blackhole") return vip::Route::Kind::blackhole;
        if (name == "unreachable") return vip::Route::Kind::unreachable;
        if (name == "prohibit") return vip::Route::Kind::prohibit;
        return std::nullopt;
    }

    void option(const std::string& name) {
        if (const auto kind = has_destination ? std::nullopt : kind_of(name)) {
            out.kind = *kind;
            ++at;
        } else if (name == "inet" || name == "inet6") {
            has_v6 = true;
            v6 = name == "inet6";
            ++at;
        } else if (name == "to") {
            if (const Word* word = parameter("a destination")) destination(*word);
        } else if (name == "via" || name == "gw") {
            if (name == "gw") reading.warning(words[at].position, "\"gw\" is deprecated; write \"via\"");
            address(out.via);
        } else if (name == "src") {
            address(out.source);
        } else if (name == "dev" || name == "oif") {
            if (const Word* word = parameter("an interface")) {
                if (!is_interface_name(word->text)) return invalid("an interface");
                out.interface = word->text;
            }
        } else if (name == "onlink") {
            out.onlink = true;
            ++at;
        } else if (name == "no_track") {
            reading.note(words[at++].position, "\"no_track\" has no effect: routes are not tracked");
        } else if (!numbers(name)) {
            other(name);
        }
    }

    bool numbers(const std::string& name) {
        if (name == "scope") {
            const Word* word = parameter("global, site, link, host or nowhere");
            const auto value = word == nullptr ? std::nullopt : parse_scope(word->text);
            if (value) out.scope = *value;
            if (word != nullptr && !value) invalid("global, site, link, host, nowhere or a number");
        } else if (name == "table") {
            const Word* word = parameter("a table");
            const auto value = word == nullptr ? std::nullopt : parse_table(word->text);
            if (value) out.table = *value;
            if (word != nullptr && !value) invalid("main, local, default or a number from 1 to 4294967295");
        } else if (name == "metric" || name == "preference" || name == "priority") {
            const Word* word = parameter("a number");
            const auto value = word == nullptr ? std::nullopt : parse_integer(word->text, 0, 0xffffffff);
            if (value) out.metric = static_cast<std::uint32_t>(*value);
            if (word != nullptr && !value) invalid("a number from 0 to 4294967295");
        } else {
            return false;
        }
        return true;
    }

    void other(const std::string& name) {
        if (!has_destination && (name == "default" || parse_prefix(name))) {
            destination(words[at++]);
        } else if (!has_destination && name.find_first_of("./:") != std::string::npos) {
            wrong(at++, "is not the destination of a route");
        } else {
            wrong(at, "is not supported in a route");
            at = words.size();  // what follows may be its parameters
        }
    }

    void destination(const Word& word) {
        has_destination = true;
        is_default = word.text == "default";
        if (is_default) return;
        const auto prefix = parse_prefix(word.text);
        if (!prefix) return wrong(at - 1, "is not the destination of a route");
        // Cidr clears host bits; the kernel would refuse the route.
        out.destination = *net::Cidr::parse(word.text);
        if (out.destination.network != prefix->ip)
            reading.warning(word.position, "\"" + word.text + "\" has bits behind its length; " +
                                               out.destination.text() + " is meant");
    }

    void address(std::optional<net::IpAddress>& into) {
        const Word* word = parameter("an address");
        if (word == nullptr) return;
        into = net::IpAddress::parse(word->text);
        if (!into) invalid("an address");
    }

    void finish() {
        if (is_default) {
            const bool of_v6 = has_v6 ? v6 : (out.via ? out.via->is_v6() : out.source && out.source->is_v6());
            out.destination = *net::Cidr::parse(of_v6 ? "::/0" : "0.0.0.0/0");
        }
        const bool v4 = out.destination.v4;
        for (const auto* ip : {&out.via, &out.source})
            if (*ip && (*ip)->is_v4() != v4) wrong(0, "begins a route that mixes IPv4 and IPv6 addresses");
        if (out.kind == vip::Route::Kind::unicast && !out.via && out.interface.empty())
            wrong(0, "begins a route with neither \"via\" nor \"dev\"");
        if (out.kind != vip::Route::Kind::unicast && (out.via || !out.interface.empty()))
            wrong(0, "begins a route that leads nowhere: it has no \"via\" and no \"dev\"");
    }
};

void read_routes(Reading& reading, const Call& call) {
    for (const auto& item : items_of(reading, call)) {
        RouteReader reader{{reading, item}, {}};
        if (reader.read()) call.scope.instance->router.routes.push_back(std::move(reader.out));
    }
}

constexpr Command commands[] = {block("virtual_routes", where::instance, read_routes, "", 0)};

}  // namespace

std::span<const Command> route_commands() { return commands; }

}  // namespace hawser::keepalived
