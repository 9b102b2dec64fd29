// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "gateway/gateway.h"
#include "net/error.h"

namespace spdlog {
class logger;
}

namespace hawser::control {

// The daemon's own words: one line each, on stderr or in a file. Thread-safe.
//   text: 2026-11-22T12:00:00.123+00:00 info tunnel open id=1 proto=websocket ...
//   json: {"time":"2026-11-22T12:00:00.123+00:00","level":"info","message":"tunnel open","id":"1",...}
// In JSON the key=value words of tunnel lines become members.
class Log final : public gateway::LogSink {
  public:
    struct Options {
        bool json = false;
        gateway::LogLevel level = gateway::LogLevel::info;  // and above
        std::string file;                                   // "" = stderr
    };
    static net::Result<std::shared_ptr<Log>> open(const Options& options);
    ~Log() override;

    void write(gateway::LogLevel level, std::string_view line) override;
    [[nodiscard]] bool wants(gateway::LogLevel level) const override;
    void debug(std::string_view line) { write(gateway::LogLevel::debug, line); }
    void info(std::string_view line) { write(gateway::LogLevel::info, line); }
    void warning(std::string_view line) { write(gateway::LogLevel::warning, line); }
    void error(std::string_view line) { write(gateway::LogLevel::error, line); }

    // Opens the file anew (after logrotate). On an error lines go on into the old one.
    net::Result<void> reopen();

  private:
    class Sink;
    Log(std::shared_ptr<Sink> sink, const Options& options);
    std::shared_ptr<Sink> sink_;
    std::unique_ptr<spdlog::logger> logger_;
};

// The members of the JSON line for a message, without braces: "\"message\":\"tunnel open\",\"id\":\"1\"".
std::string json_members(std::string_view message);

}  // namespace hawser::control
