// SPDX-License-Identifier: Apache-2.0
#include "control/log.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <boost/json.hpp>
#include <cerrno>
#include <mutex>
#include <utility>

#include "net/fd.h"

namespace hawser::control {

namespace {

constexpr const char* time_pattern = "%Y-%m-%dT%H:%M:%S.%e%z";

spdlog::level::level_enum level_of(gateway::LogLevel level) {
    switch (level) {
        case gateway::LogLevel::debug:
            return spdlog::level::debug;
        case gateway::LogLevel::info:
            return spdlog::level::info;
        case gateway::LogLevel::warning:
            return spdlog::level::warn;
        case gateway::LogLevel::error:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

std::string quoted(std::string_view text) { return boost::json::serialize(boost::json::string(text)); }

class JsonFormatter final : public spdlog::formatter {
  public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        spdlog::memory_buf_t time;
        time_.format(message, time);
        const auto level = spdlog::level::to_string_view(message.level);
        const std::string line = "{\"time\":\"" + std::string(time.data(), time.size()) + "\",\"level\":\"" +
                                 std::string(level.data(), level.size()) + "\"," +
                                 json_members({message.payload.data(), message.payload.size()}) + "}\n";
        out.append(line.data(), line.data() + line.size());
    }
    [[nodiscard]] std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<JsonFormatter>();
    }

  private:
    spdlog::pattern_formatter time_{time_pattern, spdlog::pattern_time_type::local, ""};
};

// A line must stay a line, whatever a client put into a header that is quoted in it.
std::string one_line(std::string_view text) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= ' ' && byte != 0x7f) {
            out += c;
        } else {
            out += "\\x";
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
    return out;
}

}  // namespace

class Log::Sink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit Sink(std::string file) : file_(std::move(file)) {}

    net::Result<void> open() {
        if (file_.empty()) return {};
        net::Fd fd(::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
        if (!fd.valid()) return net::system_error("open the log " + file_, errno);
        const std::lock_guard lock(mutex_);
        fd_ = std::move(fd);
        return {};
    }

  private:
    // A log that cannot be written (full disk, a reader that sleeps) must not stop the workers that write it:
    // the line is lost, and before the next one that can be written stands how many were.
    void sink_it_(const spdlog::details::log_msg& message) override {
        if (!has_room()) {
            ++lost_;
            return;
        }
        if (const auto lost = std::exchange(lost_, 0); lost != 0) {
            const std::string words = std::to_string(lost) + " log line(s) were lost";
            put({message.time, {}, message.logger_name, spdlog::level::warn, words});
        }
        put(message);
    }
    void put(const spdlog::details::log_msg& message) {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        [[maybe_unused]] const auto written = ::write(descriptor(), line.data(), line.size());
    }
    void flush_() override {}

    [[nodiscard]] int descriptor() const { return file_.empty() ? STDERR_FILENO : fd_.get(); }

    // For a pipe: room for PIPE_BUF. Waits a little for a reader that is only slow, but not for each line of
    // one that sleeps.
    [[nodiscard]] bool has_room() const {
        pollfd wanted{descriptor(), POLLOUT, 0};
        return ::poll(&wanted, 1, lost_ == 0 ? 100 : 0) != 0;
    }

    std::string file_;
    net::Fd fd_;
    std::uint64_t lost_ = 0;
};

net::Result<std::shared_ptr<Log>> Log::open(const Options& options) {
    auto sink = std::make_shared<Sink>(options.file);
    if (auto opened = sink->open(); !opened) return opened.error();
    return std::shared_ptr<Log>(new Log(std::move(sink), options));
}

Log::Log(std::shared_ptr<Sink> sink, const Options& options)
    : sink_(std::move(sink)), logger_(std::make_unique<spdlog::logger>("hawser", sink_)) {
    if (options.json)
        logger_->set_formatter(std::make_unique<JsonFormatter>());
    else
        logger_->set_pattern(std::string(time_pattern) + " %l %v");
    logger_->set_level(level_of(options.level));
}

Log::~Log() = default;

void Log::write(gateway::LogLevel level, std::string_view line) {
    const auto to = level_of(level);
    if (!logger_->should_log(to)) return;
    const std::string safe = one_line(line);
    logger_->log(to, spdlog::string_view_t(safe.data(), safe.size()));
}

bool Log::wants(gateway::LogLevel level) const { return logger_->should_log(level_of(level)); }

net::Result<void> Log::reopen() { return sink_->open(); }

std::string json_members(std::string_view message) {
    if (!message.starts_with("tunnel open ") && !message.starts_with("tunnel close "))
        return "\"message\":" + quoted(message);
    const auto words = message.find(' ', std::string_view("tunnel ").size());
    std::string out = "\"message\":" + quoted(message.substr(0, words));
    std::string_view rest = message.substr(words);
    while (!rest.empty()) {
        rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
        const auto equals = rest.find('=');
        if (equals == std::string_view::npos) break;
        const auto key = rest.substr(0, equals);
        rest.remove_prefix(equals + 1);
        const bool in_quotes = rest.starts_with('"');
        if (in_quotes) rest.remove_prefix(1);
        const auto value = rest.substr(0, rest.find(in_quotes ? '"' : ' '));
        rest.remove_prefix(std::min(value.size() + 1, rest.size()));
        out += "," + quoted(key) + ":" + quoted(value);
    }
    return out;
}

}  // namespace hawser::control
