// SPDX-License-Identifier: Apache-2.0
// What nginx 1.22.1 can do and hawser cannot, and what would change an answer: errors by name.

#include <algorithm>

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace {

void refuse(Reading& reading, const Directive& d, const Scope&) {
    reading.error(d.position(), "\"" + d.name() + "\" is not supported");
}

// The value that switches a directive off is harmless.
void refuse_unless(Reading& reading, const Directive& d, const Scope& scope, std::string_view harmless) {
    if (lower(d.argument(1)) != harmless) return refuse(reading, d, scope);
    reading.diagnostics.note(d.position(), "\"" + d.name() + " " + d.argument(1) + "\" has no effect");
}
void refuse_unless_off(Reading& reading, const Directive& d, const Scope& scope) {
    refuse_unless(reading, d, scope, "off");
}
void refuse_unless_on(Reading& reading, const Directive& d, const Scope& scope) {
    refuse_unless(reading, d, scope, "on");
}
void refuse_unless_zero(Reading& reading, const Directive& d, const Scope& scope) {
    refuse_unless(reading, d, scope, "0");
}

constexpr Command commands[] = {
    {"stream", where::main, takes::none | takes::block, refuse},
    {"mail", where::main, takes::none | takes::block, refuse},
    {"limit_except", where::location, takes::one_or_more | takes::block, refuse},
    {"limit_rate", where::anything | where::location_if, takes::one, refuse_unless_zero},
    {"auth_delay", where::anything, takes::one, refuse_unless_zero},
    {"msie_refresh", where::anything, takes::flag, refuse_unless_off},
    {"chunked_transfer_encoding", where::anything, takes::flag, refuse_unless_on},
    {"error_page", where::anything | where::location_if, takes::two_or_more, refuse},
    {"post_action", where::anything | where::location_if, takes::one, refuse_unless_off},
    {"gzip", where::anything | where::location_if, takes::flag, refuse_unless_off},
    {"ssi", where::anything | where::location_if, takes::flag, refuse_unless_off},
    {"charset", where::anything | where::location_if, takes::one, refuse_unless_off},
    {"charset_map", where::http, takes::two | takes::block, refuse},
    {"sub_filter", where::anything, takes::two, refuse},
    {"add_before_body", where::anything, takes::one, refuse},
    {"add_after_body", where::anything, takes::one, refuse},
    {"gunzip", where::anything, takes::flag, refuse_unless_off},
    {"userid", where::anything, takes::one, refuse_unless_off},
    {"expires", where::anything | where::location_if, takes::one_or_two, refuse_unless_off},
    {"add_trailer", where::anything | where::location_if, takes::two_or_three, refuse},
    {"slice", where::anything, takes::one, refuse_unless_zero},
    {"dav_methods", where::anything, takes::one_or_more, refuse_unless_off},
    {"mirror", where::anything, takes::one, refuse_unless_off},
    {"try_files", where::server | where::location, takes::two_or_more, refuse},
    {"auth_request", where::anything, takes::one, refuse_unless_off},
    {"auth_request_set", where::anything, takes::two, refuse},
    {"auth_basic", where::anything | where::limit_except, takes::one, refuse_unless_off},
    {"geo", where::http, takes::one_or_two | takes::block, refuse},
    {"split_clients", where::http, takes::two | takes::block, refuse},
    {"valid_referers", where::server | where::location, takes::one_or_more, refuse},
    {"ssl", where::http | where::server, takes::flag, refuse_unless_off},
    {"proxy_cookie_domain", where::anything, takes::one_or_two, refuse_unless_off},
    {"proxy_cookie_path", where::anything, takes::one_or_two, refuse_unless_off},
    {"proxy_cookie_flags", where::anything, takes::one_to_four, refuse_unless_off},
    {"proxy_store", where::anything, takes::one, refuse_unless_off},
    {"proxy_ignore_client_abort", where::anything, takes::flag, refuse_unless_off},
    {"proxy_bind", where::anything, takes::one_or_two, refuse_unless_off},
    {"proxy_set_body", where::anything, takes::one, refuse},
    {"proxy_force_ranges", where::anything, takes::flag, refuse_unless_off},
    {"proxy_limit_rate", where::anything, takes::one, refuse_unless_zero},
    {"proxy_cache", where::anything, takes::one, refuse_unless_off},
    {"fastcgi_pass", where::location | where::location_if, takes::one, refuse},
    {"uwsgi_pass", where::location | where::location_if, takes::one, refuse},
    {"scgi_pass", where::location | where::location_if, takes::one, refuse},
    {"grpc_pass", where::location | where::location_if, takes::one, refuse},
    {"memcached_pass", where::location | where::location_if, takes::one, refuse},
    {"empty_gif", where::location, takes::none, refuse},
    {"secure_link", where::anything, takes::one, refuse},
    {"secure_link_md5", where::anything, takes::one, refuse},
    {"secure_link_secret", where::anything, takes::one, refuse},
    {"stub_status", where::server | where::location, takes::none | takes::one, refuse},
};

}  // namespace

std::span<const Command> refused_commands() { return commands; }

}  // namespace hawser::nginx
