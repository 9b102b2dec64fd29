// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/diagnostic.h"
#include "gateway/http/exchange.h"
#include "net/error.h"
#include "net/fd.h"

namespace hawser::gateway {

// An open log file, shared by the workers. Appended to with one write(2) of whole lines, so that lines of
// several workers do not mix.
class LogFile {
  public:
    // Creates the file (mode 0644) and the directory it stands in (0755).
    static net::Result<std::shared_ptr<const LogFile>> open(const std::string& path);
    void append(std::string_view lines) const;

  private:
    explicit LogFile(net::Fd fd) : fd_(std::move(fd)) {}
    net::Fd fd_;
};

using LogFiles = std::map<std::string, std::shared_ptr<const LogFile>>;  // by path

// The access logs of one worker: lines are gathered during a turn of its loop and written at its end.
class AccessLogs {
  public:
    void use(std::shared_ptr<const LogFiles> files);
    void write(const std::string& path, std::string_view line);  // a newline is added
    void flush();

  private:
    std::shared_ptr<const LogFiles> files_;
    std::map<std::string, std::string> lines_;
};

// What of an access log line is known when a tunnel begins, with the rest left open, so that the request
// itself need not be kept for the life of the tunnel.
class FrozenLog {
  public:
    FrozenLog(const catalog::http::AccessLog& log, const Exchange& exchange);

    // What a tunnel adds at its end.
    struct End {
        std::uint64_t bytes_sent = 0;      // to the client, the 101 included
        std::uint64_t bytes_received = 0;  // from the client, the request included
        std::uint64_t head_sent = 0;       // bytes of the 101
        std::uint64_t endpoint_sent = 0, endpoint_received = 0;
        std::chrono::milliseconds duration{0};  // since the request began
        std::chrono::milliseconds endpoint_duration{0};
        SystemTime now;
        SteadyTime now_steady;
        bool completed = true;
    };
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string render(const End& end) const;

  private:
    std::string path_;
    catalog::http::LogFormat::Escape escape_;
    catalog::http::Template format_;            // known values are literals now
    std::vector<catalog::http::Builtin> open_;  // format_'s variables, in its order of parts
    std::vector<UpstreamAttempt> attempts_;
};

}  // namespace hawser::gateway
