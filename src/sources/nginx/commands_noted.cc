// SPDX-License-Identifier: Apache-2.0
// Directives that are read and have no effect on what hawser answers: about nginx's process, its buffers and
// its files. Each leaves a note.

#include <algorithm>

#include "sources/nginx/slots.h"

namespace hawser::nginx {

namespace {

void note(Reading& reading, const Directive& d, const Scope&) {
    reading.diagnostics.note(d.position(), "\"" + d.name() + "\" has no effect");
}

void note_flag(Reading& reading, const Directive& d, const Scope& scope) {
    if (read_flag(reading, d)) note(reading, d, scope);
}
void note_number(Reading& reading, const Directive& d, const Scope& scope) {
    if (!parse_number(d.argument(1))) return reading.directive_error(d, "invalid number");
    note(reading, d, scope);
}
void note_size(Reading& reading, const Directive& d, const Scope& scope) {
    if (!parse_size(d.argument(1))) return reading.directive_error(d, "invalid value");
    note(reading, d, scope);
}
void note_time(Reading& reading, const Directive& d, const Scope& scope) {
    if (!parse_time_ms(d.argument(1))) return reading.directive_error(d, "invalid value");
    note(reading, d, scope);
}

void note_process(Reading& reading, const Directive& d, const Scope& scope) {
    ProcessSetting setting{d.name(), {}, d.position()};
    for (std::size_t i = 1; i <= d.argument_count(); ++i) setting.arguments.push_back(d.argument(i));
    reading.process.push_back(std::move(setting));
    note(reading, d, scope);
}
void note_process_number(Reading& reading, const Directive& d, const Scope& scope) {
    if (!parse_number(d.argument(1))) return reading.directive_error(d, "invalid number");
    note_process(reading, d, scope);
}

void note_connections(Reading& reading, const Directive& d, const Scope& scope) {
    if (!parse_number(d.argument(1)))
        return reading.error(d.position(1), "invalid number \"" + d.argument(1) + "\"");
    note_process(reading, d, scope);
}

// Judged when it is known who answers in this location.
void read_file_use(Reading& reading, const Directive& d, const Scope& scope) {
    if (d.name() == "autoindex" || d.name() == "random_index") {
        const auto on = read_flag(reading, d);
        if (!on) return;
        if (!*on) return note(reading, d, scope);
    }
    scope.location->files.push_back({d.name(), d.position()});
}

void read_error_log(Reading& reading, const Directive& d, const Scope& scope) {
    static constexpr std::string_view levels[] = {"debug",      "info",        "notice",      "warn",
                                                  "error",      "crit",        "alert",       "emerg",
                                                  "debug_core", "debug_alloc", "debug_mutex", "debug_event",
                                                  "debug_http", "debug_mail",  "debug_stream"};
    for (std::size_t i = 2; i <= d.argument_count(); ++i)
        if (std::find(std::begin(levels), std::end(levels), d.argument(i)) == std::end(levels))
            return reading.error(d.position(i), "invalid log level \"" + d.argument(i) + "\"");
    note_process(reading, d, scope);
}

void read_resolver(Reading& reading, const Directive& d, const Scope& scope) {
    reading.http.uses_resolver = true;
    note(reading, d, scope);
}

void read_satisfy(Reading& reading, const Directive& d, const Scope& scope) {
    const std::string value = lower(d.argument(1));
    if (value != "all" && value != "any")
        return reading.error(d.position(1), "invalid value \"" + d.argument(1) + "\"");
    note(reading, d, scope);
}

constexpr Command commands[] = {
    {"daemon", where::main, takes::flag, note_process},
    {"master_process", where::main, takes::flag, note_process},
    {"timer_resolution", where::main, takes::one, note_process},
    {"pid", where::main, takes::one, note_process},
    {"lock_file", where::main, takes::one, note_process},
    {"worker_processes", where::main, takes::one, note_process},
    {"debug_points", where::main, takes::one, note_process},
    {"user", where::main, takes::one_or_two, note_process},
    {"worker_priority", where::main, takes::one, note_process},
    {"worker_cpu_affinity", where::main, takes::one_or_more, note_process},
    {"worker_rlimit_nofile", where::main, takes::one, note_process_number},
    {"worker_rlimit_core", where::main, takes::one, note_process},
    {"worker_shutdown_timeout", where::main, takes::one, note_process},
    {"working_directory", where::main, takes::one, note_process},
    {"env", where::main, takes::one, note_process},
    {"load_module", where::main, takes::one, note_process},
    {"error_log", where::main, takes::one_or_more, read_error_log},
    {"worker_connections", where::events, takes::one, note_connections},
    {"use", where::events, takes::one, note_process},
    {"multi_accept", where::events, takes::flag, note_process},
    {"accept_mutex", where::events, takes::flag, note_process},
    {"accept_mutex_delay", where::events, takes::one, note_process},
    {"debug_connection", where::events, takes::one, note_process},
    {"epoll_events", where::events, takes::one, note_process},
    {"worker_aio_requests", where::events, takes::one, note_process_number},
    {"thread_pool", where::main, takes::two_or_three, note_process},
    {"ssl_engine", where::main, takes::one, note_process},
    {"pcre_jit", where::main, takes::flag, note_process},
    {"max_headers", where::http | where::server, takes::one, note},
    {"variables_hash_max_size", where::http, takes::one, note_number},
    {"variables_hash_bucket_size", where::http, takes::one, note_number},
    {"server_names_hash_max_size", where::http, takes::one, note_number},
    {"server_names_hash_bucket_size", where::http, takes::one, note_number},
    {"connection_pool_size", where::http | where::server, takes::one, note_size},
    {"request_pool_size", where::http | where::server, takes::one, note_size},
    {"types_hash_max_size", where::anything, takes::one, note_number},
    {"types_hash_bucket_size", where::anything, takes::one, note_number},
    {"root", where::anything | where::location_if, takes::one, read_file_use},
    {"alias", where::location, takes::one, read_file_use},
    {"client_body_buffer_size", where::anything, takes::one, note_size},
    {"client_body_temp_path", where::anything, takes::one_to_four, note},
    {"client_body_in_file_only", where::anything, takes::one, note},
    {"client_body_in_single_buffer", where::anything, takes::flag, note_flag},
    {"sendfile", where::anything | where::location_if, takes::flag, note_flag},
    {"sendfile_max_chunk", where::anything, takes::one, note_size},
    {"subrequest_output_buffer_size", where::anything, takes::one, note},
    {"aio", where::anything, takes::one, note},
    {"aio_write", where::anything, takes::flag, note_flag},
    {"read_ahead", where::anything, takes::one, note},
    {"directio", where::anything, takes::one, note},
    {"directio_alignment", where::anything, takes::one, note},
    {"tcp_nopush", where::anything, takes::flag, note_flag},
    {"tcp_nodelay", where::anything, takes::flag, note_flag},
    {"send_lowat", where::anything, takes::one, note},
    {"postpone_output", where::anything, takes::one, note},
    {"limit_rate_after", where::anything | where::location_if, takes::one, note_size},
    {"keepalive_disable", where::anything, takes::one_or_two, note},
    {"satisfy", where::anything, takes::one, read_satisfy},
    {"lingering_close", where::anything, takes::one, note},
    {"lingering_time", where::anything, takes::one, note_time},
    {"lingering_timeout", where::anything, takes::one, note_time},
    {"msie_padding", where::anything, takes::flag, note_flag},
    {"log_not_found", where::anything, takes::flag, note_flag},
    {"log_subrequest", where::anything, takes::flag, note_flag},
    {"recursive_error_pages", where::anything, takes::flag, note_flag},
    {"if_modified_since", where::anything, takes::one, note},
    {"max_ranges", where::anything, takes::one, note},
    {"etag", where::anything, takes::flag, note_flag},
    {"error_log", where::anything, takes::one_or_more, read_error_log},
    {"open_file_cache", where::anything, takes::one_or_two, note},
    {"open_file_cache_valid", where::anything, takes::one, note},
    {"open_file_cache_min_uses", where::anything, takes::one, note},
    {"open_file_cache_errors", where::anything, takes::flag, note_flag},
    {"open_file_cache_events", where::anything, takes::flag, note_flag},
    {"resolver", where::anything, takes::one_or_more, read_resolver},
    {"resolver_timeout", where::anything, takes::one, note_time},
    {"gzip_vary", where::anything, takes::flag, note_flag},
    {"gzip_http_version", where::anything, takes::one, note},
    {"gzip_proxied", where::anything, takes::one_or_more, note},
    {"gzip_disable", where::anything, takes::one_or_more, note},
    {"disable_symlinks", where::anything, takes::one_or_two, note},
    {"open_log_file_cache", where::anything, takes::one_to_four, note},
    {"gzip_buffers", where::anything, takes::two, note},
    {"gzip_types", where::anything, takes::one_or_more, note},
    {"gzip_comp_level", where::anything, takes::one, note},
    {"gzip_window", where::anything, takes::one, note},
    {"gzip_hash", where::anything, takes::one, note},
    {"postpone_gzipping", where::anything, takes::one, note},
    {"gzip_no_buffer", where::anything, takes::flag, note_flag},
    {"gzip_min_length", where::anything, takes::one, note},
    {"ssi_silent_errors", where::anything, takes::flag, note_flag},
    {"ssi_ignore_recycled_buffers", where::anything, takes::flag, note_flag},
    {"ssi_min_file_chunk", where::anything, takes::one, note},
    {"ssi_value_length", where::anything, takes::one, note},
    {"ssi_types", where::anything, takes::one_or_more, note},
    {"ssi_last_modified", where::anything, takes::flag, note_flag},
    {"source_charset", where::anything | where::location_if, takes::one, note},
    {"override_charset", where::anything | where::location_if, takes::flag, note_flag},
    {"charset_types", where::anything, takes::one_or_more, note},
    {"sub_filter_types", where::anything, takes::one_or_more, note},
    {"sub_filter_once", where::anything, takes::flag, note_flag},
    {"sub_filter_last_modified", where::anything, takes::flag, note_flag},
    {"addition_types", where::anything, takes::one_or_more, note},
    {"gunzip_buffers", where::anything, takes::two, note},
    {"userid_service", where::anything, takes::one, note},
    {"userid_name", where::anything, takes::one, note},
    {"userid_domain", where::anything, takes::one, note},
    {"userid_path", where::anything, takes::one, note},
    {"userid_expires", where::anything, takes::one, note},
    {"userid_flags", where::anything, takes::one_to_three, note},
    {"userid_p3p", where::anything, takes::one, note},
    {"userid_mark", where::anything, takes::one, note},
    {"output_buffers", where::anything, takes::two, note},
    {"http2_recv_buffer_size", where::http, takes::one, note},
    {"http2_pool_size", where::http | where::server, takes::one, note},
    {"http2_max_concurrent_streams", where::http | where::server, takes::one, note},
    {"http2_max_concurrent_pushes", where::http | where::server, takes::one, note},
    {"http2_max_requests", where::http | where::server, takes::one, note},
    {"http2_max_field_size", where::http | where::server, takes::one, note},
    {"http2_max_header_size", where::http | where::server, takes::one, note},
    {"http2_body_preread_size", where::http | where::server, takes::one, note},
    {"http2_streams_index_size", where::http | where::server, takes::one, note},
    {"http2_recv_timeout", where::http | where::server, takes::one, note},
    {"http2_idle_timeout", where::http | where::server, takes::one, note},
    {"http2_chunk_size", where::anything, takes::one, note},
    {"http2_push_preload", where::anything, takes::flag, note_flag},
    {"http2_push", where::anything, takes::one, note},
    {"gzip_static", where::anything, takes::one, note},
    {"create_full_put_path", where::anything, takes::flag, note_flag},
    {"min_delete_depth", where::anything, takes::one, note},
    {"dav_access", where::anything, takes::one_to_three, note},
    {"autoindex", where::anything, takes::flag, read_file_use},
    {"autoindex_format", where::anything, takes::one, note},
    {"autoindex_localtime", where::anything, takes::flag, note_flag},
    {"autoindex_exact_size", where::anything, takes::flag, note_flag},
    {"index", where::anything, takes::one_or_more, read_file_use},
    {"random_index", where::location, takes::flag, read_file_use},
    {"mirror_request_body", where::anything, takes::flag, note_flag},
    {"auth_basic_user_file", where::anything | where::limit_except, takes::one, note},
    {"map_hash_max_size", where::http, takes::one, note_number},
    {"map_hash_bucket_size", where::http, takes::one, note_number},
    {"referer_hash_max_size", where::server | where::location, takes::one, note_number},
    {"referer_hash_bucket_size", where::server | where::location, takes::one, note_number},
    {"rewrite_log", where::anything | where::server_if | where::location_if, takes::flag, note_flag},
    {"uninitialized_variable_warn", where::anything | where::server_if | where::location_if, takes::flag,
     note_flag},
    {"proxy_store_access", where::anything, takes::one_to_three, note},
    {"proxy_socket_keepalive", where::anything, takes::flag, note_flag},
    {"proxy_send_lowat", where::anything, takes::one, note},
    {"proxy_intercept_errors", where::anything, takes::flag, note_flag},
    {"proxy_headers_hash_max_size", where::anything, takes::one, note_number},
    {"proxy_headers_hash_bucket_size", where::anything, takes::one, note_number},
    {"proxy_temp_path", where::anything, takes::one_to_four, note},
    {"proxy_max_temp_file_size", where::anything, takes::one, note_size},
    {"proxy_temp_file_write_size", where::anything, takes::one, note_size},
    {"modern_browser", where::anything, takes::one_or_two, note},
    {"ancient_browser", where::anything, takes::one_or_more, note},
    {"modern_browser_value", where::anything, takes::one, note},
    {"ancient_browser_value", where::anything, takes::one, note},
    {"flv", where::location, takes::none, read_file_use},
    {"mp4", where::location, takes::none, read_file_use},
    {"mp4_buffer_size", where::anything, takes::one, note},
    {"mp4_max_buffer_size", where::anything, takes::one, note},
    {"mp4_start_key_frame", where::anything, takes::flag, note_flag},
};

}  // namespace

std::span<const Command> noted_commands() { return commands; }

}  // namespace hawser::nginx
