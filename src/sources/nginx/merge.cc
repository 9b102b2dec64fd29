// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/merge.h"

namespace hawser::nginx {

namespace {

// Optionals, lists and pointers alike: what is empty here comes from the parent.
template <class T>
void take(std::optional<T>& mine, const std::optional<T>& parent) {
    if (!mine) mine = parent;
}
template <class T>
void take(std::vector<T>& mine, const std::vector<T>& parent) {
    if (mine.empty()) mine = parent;
}
template <class T>
void take(std::shared_ptr<T>& mine, const std::shared_ptr<T>& parent) {
    if (!mine) mine = parent;
}

void inherit(ProxyConf& mine, const ProxyConf& parent) {
    take(mine.http_1_1, parent.http_1_1);
    take(mine.set_headers, parent.set_headers);
    take(mine.hide_headers, parent.hide_headers);
    take(mine.pass_headers, parent.pass_headers);
    take(mine.ignored_headers, parent.ignored_headers);
    take(mine.redirect, parent.redirect);
    if (mine.redirect.value_or(true)) take(mine.redirects, parent.redirects);
    take(mine.connect_timeout, parent.connect_timeout);
    take(mine.read_timeout, parent.read_timeout);
    take(mine.send_timeout, parent.send_timeout);
    take(mine.next_upstream, parent.next_upstream);
    take(mine.next_upstream_tries, parent.next_upstream_tries);
    take(mine.next_upstream_timeout, parent.next_upstream_timeout);
    take(mine.buffering, parent.buffering);
    take(mine.request_buffering, parent.request_buffering);
    take(mine.pass_request_headers, parent.pass_request_headers);
    take(mine.pass_request_body, parent.pass_request_body);
    take(mine.splice, parent.splice);
    take(mine.method, parent.method);
    take(mine.buffer_size, parent.buffer_size);
    take(mine.buffers, parent.buffers);
    take(mine.busy_buffers_size, parent.busy_buffers_size);
}

}  // namespace

void inherit(LocationConf& mine, const LocationConf& parent) {
    take(mine.client_max_body_size, parent.client_max_body_size);
    take(mine.client_body_timeout, parent.client_body_timeout);
    take(mine.send_timeout, parent.send_timeout);
    take(mine.keepalive_time, parent.keepalive_time);
    // nginx inherits the two arguments of keepalive_timeout apart from each other.
    if (mine.keepalive_timeout && parent.keepalive_timeout)
        take(mine.keepalive_timeout->header, parent.keepalive_timeout->header);
    take(mine.keepalive_timeout, parent.keepalive_timeout);
    take(mine.keepalive_requests, parent.keepalive_requests);
    take(mine.add_headers, parent.add_headers);
    if (mine.access_logs.empty() && !mine.access_log_off) {
        mine.access_logs = parent.access_logs;
        mine.access_log_off = parent.access_log_off;
    }
    take(mine.access, parent.access);
    take(mine.real_ip_from, parent.real_ip_from);
    take(mine.real_ip_header, parent.real_ip_header);
    take(mine.real_ip_recursive, parent.real_ip_recursive);
    take(mine.limit_connections, parent.limit_connections);
    take(mine.limit_connections_status, parent.limit_connections_status);
    take(mine.limit_connections_dry_run, parent.limit_connections_dry_run);
    take(mine.limit_requests, parent.limit_requests);
    take(mine.limit_requests_status, parent.limit_requests_status);
    take(mine.limit_requests_dry_run, parent.limit_requests_dry_run);
    take(mine.default_type, parent.default_type);
    take(mine.types, parent.types);
    take(mine.server_tokens, parent.server_tokens);
    take(mine.absolute_redirect, parent.absolute_redirect);
    take(mine.port_in_redirect, parent.port_in_redirect);
    take(mine.server_name_in_redirect, parent.server_name_in_redirect);
    take(mine.reset_timedout_connection, parent.reset_timedout_connection);
    inherit(mine.proxy, parent.proxy);
}

void inherit(ServerConf& mine, const ServerConf& parent) {
    take(mine.client_header_timeout, parent.client_header_timeout);
    take(mine.client_header_buffer_size, parent.client_header_buffer_size);
    take(mine.large_header_buffers, parent.large_header_buffers);
    take(mine.ignore_invalid_headers, parent.ignore_invalid_headers);
    take(mine.underscores_in_headers, parent.underscores_in_headers);
    take(mine.merge_slashes, parent.merge_slashes);
    inherit(mine.location, parent.location);
}

void add_default_redirect(LocationConf& mine) {
    ProxyConf& proxy = mine.proxy;
    if (!mine.pass || mine.pass->dynamic || !proxy.redirect.value_or(true) || !proxy.redirects.empty())
        return;
    using catalog::http::Template;
    const bool has_uri = !mine.pass->target.uri.empty();
    catalog::http::ProxyRedirect redirect;
    redirect.from = Template::from_literal(has_uri ? mine.pass->url : mine.pass->url + "/");
    redirect.to = Template::from_literal(has_uri ? mine.pass->location : "/");
    proxy.redirects.push_back(std::move(redirect));
}

}  // namespace hawser::nginx
