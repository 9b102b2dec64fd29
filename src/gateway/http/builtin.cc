// SPDX-License-Identifier: Apache-2.0
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include "gateway/http/rules.h"
#include "gateway/http/variables.h"

namespace hawser::gateway {

using catalog::http::Builtin;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

namespace {

// The release whose behaviour $nginx_version promises to those who ask for it.
constexpr std::string_view nginx_release = "1.22.1";

milliseconds since_epoch(SystemTime time) { return duration_cast<milliseconds>(time.time_since_epoch()); }

void append_time(std::string& out, SystemTime now, const char* format, bool colon_in_zone) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm parts{};
    localtime_r(&seconds, &parts);
    char text[64];
    std::size_t size = std::strftime(text, sizeof text, format, &parts);
    out.append(text, size);
    size = std::strftime(text, sizeof text, "%z", &parts);
    if (colon_in_zone && size == 5) {
        out.append(text, 3);
        out += ':';
        out.append(text + 3, 2);
    } else {
        out.append(text, size);
    }
}

bool append_tcp_info(std::string& out, Builtin which, int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
    switch (which) {
        case Builtin::tcpinfo_rtt:
            append_number(out, info.tcpi_rtt);
            break;
        case Builtin::tcpinfo_rttvar:
            append_number(out, info.tcpi_rttvar);
            break;
        case Builtin::tcpinfo_snd_cwnd:
            append_number(out, info.tcpi_snd_cwnd);
            break;
        default:
            append_number(out, info.tcpi_rcv_space);
    }
    return true;
}

const std::string& request_id_of(const Exchange& x) {
    if (!x.request_id.empty()) return x.request_id;
    std::array<unsigned char, 16> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return x.request_id;
    for (const unsigned char b : bytes) {
        x.request_id += "0123456789abcdef"[b >> 4];
        x.request_id += "0123456789abcdef"[b & 15];
    }
    return x.request_id;
}

int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    return c == '/' ? 63 : -1;
}

std::string decode_base64(std::string_view text) {
    std::string out;
    unsigned bits = 0;
    int count = 0;
    for (const char c : text) {
        const int value = base64_value(c);
        if (value < 0) break;
        bits = bits << 6 | static_cast<unsigned>(value);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        out += static_cast<char>(bits >> count & 0xff);
    }
    return out;
}

// $remote_user: the name in "Authorization: Basic", whether anybody checked it or not.
bool append_remote_user(std::string& out, const Exchange& x) {
    const auto field = x.request.fields.find("authorization");
    if (!field || field->size() < 6 || !http1::same_name(field->substr(0, 6), "basic ")) return false;
    std::string_view encoded = field->substr(6);
    while (!encoded.empty() && encoded.front() == ' ') encoded.remove_prefix(1);
    const std::string decoded = decode_base64(encoded);
    const std::size_t colon = decoded.find(':');
    if (colon == std::string::npos) return false;
    out.append(decoded, 0, colon);
    return true;
}

bool append_request_field(std::string& out, const Exchange& x, std::string_view name) {
    const auto value = x.request.fields.find(name);
    if (!value) return false;
    out += *value;
    return true;
}

void append_forwarded_for(std::string& out, const Exchange& x) {
    for (const http1::Field& field : x.request.fields.all()) {
        if (!http1::same_name(field.name, "x-forwarded-for")) continue;
        out += field.value;
        out += ", ";
    }
    out += x.client.ip.text();
}

bool append_port(std::string& out, std::uint16_t port) {
    if (port != 0) append_number(out, port);
    return true;
}

void append_address_bytes(std::string& out, const net::IpAddress& ip) {
    const auto& bytes = ip.bytes();
    out.append(reinterpret_cast<const char*>(bytes.data()) + (ip.is_v4() ? 12 : 0), ip.is_v4() ? 4 : 16);
}

bool append_text(std::string& out, std::string_view text) {
    out += text;
    return !text.empty();
}

bool append_optional(std::string& out, const char* text) {
    if (text == nullptr) return false;
    out += text;
    return true;
}

// Nothing before a proxy was chosen: an answer by an access rule has no $proxy_host (seen with nginx 1.22.1).
bool append_proxy_port(std::string& out, const Exchange& x) {
    if (x.proxy_port != 0) append_number(out, x.proxy_port);
    return x.proxy_port != 0;
}

bool append_hostname(std::string& out) {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    for (const char* c = name; *c != '\0'; ++c) {
        out += *c >= 'A' && *c <= 'Z' ? static_cast<char>(*c | 0x20) : *c;
    }
    return true;
}

bool append_protocol(std::string& out, const Exchange& x) {
    if (x.request.method.empty() || x.request.minor_version == 9) return false;
    out += x.request.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
    return true;
}

bool append_status(std::string& out, const Exchange& x) {
    if (x.request.minor_version == 9 && x.status == 0) return append_text(out, "009");
    if (x.status < 100) out += x.status < 10 ? "00" : "0";
    append_number(out, x.status);
    return true;
}

bool append_count(std::string& out, std::uint64_t number) {
    append_number(out, number);
    return true;
}

bool append_duration(std::string& out, milliseconds time) {
    append_seconds(out, time);
    return true;
}

}  // namespace

bool append_builtin(std::string& out, Builtin builtin, const Exchange& x) {
    switch (builtin) {
        case Builtin::args:
        case Builtin::query_string:
            // "/?" counts as no arguments, a rewrite to "/x?" as empty ones (seen with nginx 1.22.1).
            return append_text(out, x.args) || x.args_rewritten;
        case Builtin::binary_remote_addr:
            append_address_bytes(out, x.client.ip);
            return true;
        case Builtin::body_bytes_sent:
            return append_count(out, x.body_bytes_sent);
        case Builtin::bytes_sent:
            return append_count(out, x.bytes_sent);
        case Builtin::connection:
            return append_count(out, x.connection_number);
        case Builtin::connection_requests:
            return append_count(out, x.connection_requests);
        case Builtin::connection_time:
            return append_duration(out, duration_cast<milliseconds>(x.now - x.connection_started));
        case Builtin::content_length:
            return append_request_field(out, x, "content-length");
        case Builtin::content_type:
            return append_request_field(out, x, "content-type");
        case Builtin::uri:
        case Builtin::document_uri:
            return append_text(out, x.uri);
        case Builtin::host:
            out += x.host;
            return true;
        case Builtin::hostname:
            return append_hostname(out);
        case Builtin::https:
            return true;  // set, and empty for a plain connection
        case Builtin::is_args:
            if (!x.args.empty()) out += '?';
            return true;
        case Builtin::limit_conn_status:
            return append_optional(out, x.limit_conn_status);
        case Builtin::limit_req_status:
            return append_optional(out, x.limit_req_status);
        case Builtin::msec:
            return append_duration(out, since_epoch(x.now));
        case Builtin::nginx_version:
            return append_text(out, nginx_release);
        case Builtin::pid:
            return append_count(out, static_cast<std::uint64_t>(getpid()));
        case Builtin::pipe:
            out += x.pipelined ? 'p' : '.';
            return true;
        case Builtin::proxy_add_x_forwarded_for:
            append_forwarded_for(out, x);
            return true;
        case Builtin::proxy_host:
            return append_text(out, x.proxy_host);
        case Builtin::proxy_port:
            return append_proxy_port(out, x);
        case Builtin::realip_remote_addr:
            return append_text(out, x.peer.ip.text());
        case Builtin::realip_remote_port:
            return append_port(out, x.peer.port);
        case Builtin::remote_addr:
            return append_text(out, x.client.ip.text());
        case Builtin::remote_port:
            return append_port(out, x.client.port);
        case Builtin::remote_user:
            return append_remote_user(out, x);
        case Builtin::request:
            return append_text(out, x.request_line);
        case Builtin::request_completion:
            return append_text(out, x.completed ? "OK" : "") || true;
        case Builtin::request_id:
            return append_text(out, request_id_of(x));
        case Builtin::request_length:
            return append_count(out, x.request_length);
        case Builtin::request_method:
            return append_text(out, x.request.method);
        case Builtin::request_time:
            return append_duration(out, duration_cast<milliseconds>(x.now_steady - x.started_steady));
        case Builtin::request_uri:
            return append_text(out, target_as_sent(x));
        case Builtin::scheme:
            return append_text(out, "http");
        case Builtin::server_addr:
            return append_text(out, x.local.ip.text());
        case Builtin::server_name:
            out += x.server->name;
            return true;
        case Builtin::server_port:
            return append_port(out, x.local.port);
        case Builtin::server_protocol:
            return append_protocol(out, x);
        case Builtin::status:
            return append_status(out, x);
        case Builtin::tcpinfo_rtt:
        case Builtin::tcpinfo_rttvar:
        case Builtin::tcpinfo_snd_cwnd:
        case Builtin::tcpinfo_rcv_space:
            return append_tcp_info(out, builtin, x.fd);
        case Builtin::time_iso8601:
            append_time(out, x.now, "%Y-%m-%dT%H:%M:%S", true);
            return true;
        case Builtin::time_local:
            append_time(out, x.now, "%d/%b/%Y:%H:%M:%S ", false);
            return true;
        case Builtin::upstream_addr:
        case Builtin::upstream_bytes_received:
        case Builtin::upstream_bytes_sent:
        case Builtin::upstream_connect_time:
        case Builtin::upstream_header_time:
        case Builtin::upstream_response_length:
        case Builtin::upstream_response_time:
        case Builtin::upstream_status:
            return append_upstream_list(out, builtin, x);
    }
    return false;
}

namespace {

void append_optional_time(std::string& out, const std::optional<milliseconds>& time) {
    if (!time) {
        out += '-';
    } else {
        append_seconds(out, *time);
    }
}

void append_attempt(std::string& out, Builtin which, const UpstreamAttempt& attempt) {
    switch (which) {
        case Builtin::upstream_addr:
            out += attempt.endpoint;
            break;
        case Builtin::upstream_status:
            if (attempt.status == 0) {
                out += '-';
            } else {
                append_number(out, attempt.status);
            }
            break;
        case Builtin::upstream_connect_time:
            append_optional_time(out, attempt.connect_time);
            break;
        case Builtin::upstream_header_time:
            append_optional_time(out, attempt.header_time);
            break;
        case Builtin::upstream_response_time:
            append_optional_time(out, attempt.response_time);
            break;
        case Builtin::upstream_bytes_received:
            append_number(out, attempt.bytes_received);
            break;
        case Builtin::upstream_bytes_sent:
            append_number(out, attempt.bytes_sent);
            break;
        default:
            append_number(out, attempt.response_length);
    }
}

}  // namespace

bool append_upstream_list(std::string& out, Builtin which, const Exchange& x) {
    bool first = true;
    for (const UpstreamAttempt& attempt : x.attempts) {
        if (!first) out += attempt.other_group ? " : " : ", ";
        first = false;
        append_attempt(out, which, attempt);
    }
    return !first;
}

}  // namespace hawser::gateway
