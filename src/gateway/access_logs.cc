// SPDX-License-Identifier: Apache-2.0
#include "gateway/access_logs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "gateway/http/rules.h"

namespace hawser::gateway {

namespace http = catalog::http;

net::Result<std::shared_ptr<const LogFile>> LogFile::open(const std::string& path) {
    std::error_code ignored;  // open() tells what is wrong
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
    net::Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!fd.valid()) return net::system_error("open " + path, errno);
    return std::shared_ptr<const LogFile>(new LogFile(std::move(fd)));
}

void LogFile::append(std::string_view lines) const {
    while (!lines.empty()) {
        const ssize_t n = ::write(fd_.get(), lines.data(), lines.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;  // a full disk loses log lines, never service
        lines.remove_prefix(static_cast<std::size_t>(n));
    }
}

void AccessLogs::use(std::shared_ptr<const LogFiles> files) {
    flush();
    files_ = std::move(files);
}

void AccessLogs::write(const std::string& path, std::string_view line) {
    std::string& lines = lines_[path];
    lines += line;
    lines += '\n';
}

void AccessLogs::flush() {
    if (lines_.empty()) return;
    for (const auto& [path, lines] : lines_) {
        if (files_ == nullptr) continue;
        const auto at = files_->find(path);
        if (at != files_->end()) at->second->append(lines);
    }
    lines_.clear();
}

namespace {

// Builtins whose value a tunnel still changes.
bool is_open_until_the_end(http::Builtin builtin) {
    switch (builtin) {
        case http::Builtin::body_bytes_sent:
        case http::Builtin::bytes_sent:
        case http::Builtin::connection_time:
        case http::Builtin::msec:
        case http::Builtin::request_completion:
        case http::Builtin::request_time:
        case http::Builtin::time_iso8601:
        case http::Builtin::time_local:
        case http::Builtin::upstream_bytes_received:
        case http::Builtin::upstream_bytes_sent:
        case http::Builtin::upstream_response_time:
            return true;
        default:
            return false;
    }
}

}  // namespace

FrozenLog::FrozenLog(const http::AccessLog& log, const Exchange& exchange)
    : path_(log.path), escape_(log.format->escape), attempts_(exchange.attempts) {
    const auto& variables = exchange.server->variables->variables;
    std::string known;
    const auto end_literal = [&] {
        if (known.empty()) return;
        format_.parts.push_back({http::Template::Part::Kind::literal, std::move(known), 0, 0});
        known.clear();
    };
    for (const auto& part : log.format->format.parts) {
        const bool is_variable = part.kind == http::Template::Part::Kind::variable;
        if (is_variable && variables[part.variable].kind == http::VariableKind::builtin &&
            is_open_until_the_end(variables[part.variable].builtin)) {
            end_literal();
            http::Template::Part late = part;
            late.variable = static_cast<http::VariableIndex>(open_.size());
            open_.push_back(variables[part.variable].builtin);
            format_.parts.push_back(std::move(late));
            continue;
        }
        http::LogFormat one;
        one.escape = escape_;
        one.format.parts.push_back(part);
        known += render_log_line(one, exchange);
    }
    end_literal();
}

std::string FrozenLog::render(const End& end) const {
    auto variables = std::make_shared<http::VariableTable>();
    for (const http::Builtin builtin : open_) {
        http::Variable variable;
        variable.kind = http::VariableKind::builtin;
        variable.builtin = builtin;
        variables->variables.push_back(std::move(variable));
    }
    auto server = std::make_shared<http::VirtualServer>();
    server->variables = std::move(variables);

    Exchange exchange;
    exchange.server = std::move(server);
    exchange.values.resize(open_.size());
    exchange.status = 101;
    exchange.bytes_sent = end.bytes_sent;
    exchange.body_bytes_sent = end.bytes_sent - end.head_sent;
    exchange.completed = end.completed;
    exchange.now = end.now;
    exchange.now_steady = end.now_steady;
    exchange.started_steady = end.now_steady - end.duration;
    exchange.started = end.now - end.duration;
    exchange.connection_started = exchange.started;
    exchange.attempts = attempts_;
    if (!exchange.attempts.empty()) {
        UpstreamAttempt& last = exchange.attempts.back();
        last.response_time = end.endpoint_duration;
        last.bytes_received += end.endpoint_received;
        last.bytes_sent += end.endpoint_sent;
    }
    http::LogFormat format;
    format.escape = escape_;
    format.format = format_;
    return render_log_line(format, exchange);
}

}  // namespace hawser::gateway
