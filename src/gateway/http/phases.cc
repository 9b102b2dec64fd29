// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/escape.h"
#include "gateway/http/limits.h"
#include "gateway/http/location.h"
#include "gateway/http/real_ip.h"
#include "gateway/http/rules.h"
#include "gateway/http/script.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::AccessRule;
using catalog::http::Location;
using catalog::http::Settings;

namespace {

constexpr unsigned max_uri_changes = 10;  // as nginx: the eleventh is a cycle

Answer refuse(std::uint16_t status, std::string reason) {
    Answer answer;
    answer.status = status;
    answer.reason = std::move(reason);
    return answer;
}

Answer add_slash(const Exchange& x, const Location& location) {
    std::string target;
    append_escaped(target, location.match.text, EscapeSet::uri);
    if (!x.args.empty()) {
        target += '?';
        target += x.args;
    }
    Answer answer;
    answer.status = 301;
    answer.location = absolute_location(x, std::move(target));
    return answer;
}

// find-config, rewrite and post-rewrite, until a location stands or an answer is there.
std::optional<Answer> settle_location(Exchange& x) {
    while (true) {
        x.uri_changed = false;
        FoundLocation found = find_location(x.server->locations, x);
        if (found.location && found.location->internal && !x.internal) {
            return refuse(404, "the location is internal");
        }
        x.location = std::move(found.location);
        const Settings& settings = settings_of(x);
        const auto& framing = x.request.framing;
        if (framing.kind == http1::Framing::Kind::length && settings.client_max_body_size != 0 &&
            framing.length > settings.client_max_body_size) {
            return refuse(
                413, "client intended to send too large body: " + std::to_string(framing.length) + " bytes");
        }
        if (!x.location) return std::nullopt;
        if (found.add_slash) return add_slash(x, *x.location);
        if (auto answer = run_script(x.location->script, x)) return answer;
        if (!x.uri_changed) return std::nullopt;
        if (++x.uri_changes > max_uri_changes) {
            return refuse(500, "rewrite or internal redirection cycle while processing \"" + x.uri + '"');
        }
        x.location = nullptr;
    }
}

bool is_allowed(const Settings& settings, const net::IpAddress& client) {
    for (const AccessRule& rule : settings.access) {
        if (!rule.cidr || rule.cidr->contains(client)) return rule.allow;
    }
    return true;
}

std::variant<GoProxy, Answer, Delay> go_on_from_location(Exchange& x, LimitZones& zones, LimitHold& hold,
                                                         SteadyTime now) {
    if (auto answer = settle_location(x)) return *std::move(answer);
    const Settings& settings = settings_of(x);
    if (x.client == x.peer) apply_real_ip(settings.real_ip, x);

    RequestVerdict verdict = limit_requests(x, zones, now);
    if (verdict.refusal) return *std::move(verdict.refusal);
    if (auto answer = limit_connections(x, zones, hold)) return *std::move(answer);
    if (!is_allowed(settings, x.client.ip)) return refuse(403, "access forbidden by rule");
    if (!x.location || !x.location->proxy) return refuse(404, "no location answers \"" + x.uri + '"');
    if (verdict.delay.count() > 0) return Delay{verdict.delay};
    return GoProxy{};
}

}  // namespace

std::variant<GoProxy, Answer, Delay> run_phases(Exchange& x, LimitZones& zones, LimitHold& hold,
                                                SteadyTime now) {
    x.client = x.peer;
    apply_real_ip(x.server->settings->real_ip, x);
    if (x.request.method == "TRACE" || x.request.method == "CONNECT") {
        return refuse(405, "client sent " + std::string(x.request.method) + " method");
    }
    if (auto answer = run_script(x.server->script, x)) return *std::move(answer);
    return go_on_from_location(x, zones, hold, now);
}

std::variant<GoProxy, Answer, Delay> redirect_internally(Exchange& x, std::string_view target,
                                                         LimitZones& zones, LimitHold& hold, SteadyTime now) {
    if (++x.uri_changes > max_uri_changes) {
        return refuse(500, "rewrite or internal redirection cycle while internally redirecting to \"" +
                               std::string(target) + '"');
    }
    const std::size_t mark = target.find('?');
    x.uri = std::string(target.substr(0, mark));
    x.args = mark == std::string_view::npos ? std::string() : std::string(target.substr(mark + 1));
    x.internal = true;
    x.uri_as_sent = false;
    x.valid_location = true;
    x.location = nullptr;
    if (auto answer = run_script(x.server->script, x)) return *std::move(answer);
    return go_on_from_location(x, zones, hold, now);
}

}  // namespace hawser::gateway
