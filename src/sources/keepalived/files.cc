// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/files.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hawser::keepalived {

namespace {

void remember(std::vector<std::string>& list, const std::string& text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

// The comma-separated parts between a '{' and its '}'; `end` is left behind the '}'. Empty: no '}'.
std::vector<std::string> alternatives(std::string_view text, std::size_t open, std::size_t& end) {
    std::vector<std::string> out(1);
    std::size_t depth = 0;
    for (std::size_t i = open + 1; i < text.size(); ++i) {
        const char c = text[i];
        if (depth == 0 && c == '}') {
            end = i + 1;
            return out;
        }
        if (depth == 0 && c == ',') {
            out.emplace_back();
            continue;
        }
        if (c == '{') ++depth;
        if (c == '}') --depth;
        out.back() += c;
    }
    return {};
}

}  // namespace

std::string directory_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

bool has_wildcard(std::string_view path) { return path.find_first_of("*?[") != std::string_view::npos; }

bool has_braces(std::string_view path) { return path.find('{') != std::string_view::npos; }

std::vector<std::string> expand_braces(const std::string& pattern, std::size_t most) {
    std::vector<std::string> done;
    std::vector<std::string> open{pattern};
    for (std::size_t steps = 0; !open.empty() && done.size() < most && steps < 2 * most; ++steps) {
        const std::string text = std::move(open.back());
        open.pop_back();
        const std::size_t brace = text.find('{');
        std::size_t end = 0;
        const auto parts =
            brace == std::string::npos ? std::vector<std::string>{} : alternatives(text, brace, end);
        if (parts.empty()) {
            done.push_back(text);
            continue;
        }
        for (auto part = parts.rbegin(); part != parts.rend(); ++part)
            open.push_back(text.substr(0, brace) + *part + text.substr(end));
    }
    return done;
}

std::string Files::read_all(int fd, const std::string& path, std::string& text) {
    struct stat info {};
    if (::fstat(fd, &info) != 0) return "cannot read \"" + path + "\": " + std::strerror(errno);
    if (!S_ISREG(info.st_mode)) return "\"" + path + "\" is not a regular file";
    const auto size = static_cast<std::size_t>(info.st_size);
    if (size > bounds_.file_bytes || (total_bytes_ += size) > bounds_.total_bytes)
        return "\"" + path + "\" is too large";
    text.resize(size);
    std::size_t got = 0;
    while (got < text.size()) {
        const ssize_t n = ::read(fd, text.data() + got, text.size() - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return "cannot read \"" + path + "\": " + std::strerror(errno);
        if (n == 0) break;
        got += static_cast<std::size_t>(n);
    }
    text.resize(got);
    return {};
}

bool Files::read(const std::string& path, const catalog::Position& asked_at, bool may_be_missing,
                 std::string& text) {
    remember(names_, path);
    if (++opened_ > bounds_.files) {
        if (opened_ == bounds_.files + 1)
            diagnostics_.error(asked_at,
                               "more than " + std::to_string(bounds_.files) + " files are included");
        return false;
    }
    // O_NONBLOCK: a named pipe in conf.d must not hang the daemon.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        const std::string trouble = "cannot open \"" + path + "\": " + std::strerror(errno);
        diagnostics_.add(may_be_missing ? catalog::Severity::warning : catalog::Severity::error, asked_at,
                         trouble);
        return false;
    }
    const std::string trouble = read_all(fd, path, text);
    ::close(fd);
    if (!trouble.empty()) diagnostics_.error(asked_at, trouble);
    return trouble.empty();
}

std::vector<std::string> Files::match(const std::string& pattern) {
    remember(patterns_, pattern);
    std::vector<std::string> out;
    glob_t found{};
    if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
        out.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
        ::globfree(&found);
    }
    return out;
}

}  // namespace hawser::keepalived
