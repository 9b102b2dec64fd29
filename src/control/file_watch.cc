// SPDX-License-Identifier: Apache-2.0
#include "control/file_watch.h"

#include <fnmatch.h>
#include <glob.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <utility>

namespace hawser::control {

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t watched_events = IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM |
                                         IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr unsigned most_links = 40;  // as the kernel's limit on one path
constexpr unsigned deepest_tree = 16;

bool later(const timespec& a, const timespec& b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec >= b.tv_nsec;
}

// True when the name's own inode (of a link: the link and what it leads to) changed at or after the moment.
bool changed_at(const std::string& path, const timespec& moment) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && later(status.st_ctim, moment)) return true;
    return ::stat(path.c_str(), &status) == 0 && later(status.st_ctim, moment);
}

bool is_manifest_name(std::string_view name) {
    return name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
}

}  // namespace

FileWatch::FileWatch(boost::asio::io_context& io, std::function<void()> on_change, Duration quiet)
    : on_change_(std::move(on_change)), quiet_(quiet), inotify_(io), timer_(io) {}

FileWatch::~FileWatch() = default;

timespec FileWatch::changed_clock() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now;
}

net::Result<void> FileWatch::open() {
    const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return net::system_error("inotify", errno);
    inotify_.assign(fd);
    read_events();
    return {};
}

// Every directory in which a part of the path could be replaced: that of the last component, and that of each
// symbolic link. A component that is missing ends the walk: its directory will tell.
void FileWatch::add_path(Interests& interests, const std::string& path) {
    std::error_code ignored;
    std::vector<fs::path> parts;  // still to walk, the last one first
    const auto push = [&parts](const fs::path& more) {
        const std::vector<fs::path> in_order(more.begin(), more.end());
        parts.insert(parts.end(), in_order.rbegin(), in_order.rend());
    };
    push(fs::absolute(path, ignored));
    fs::path directory = "/";  // without links
    for (unsigned links = 0; !parts.empty() && links < most_links;) {
        const fs::path part = parts.back();
        parts.pop_back();
        if (part.is_absolute()) {
            directory = "/";
        } else if (part == "..") {
            directory = directory.parent_path();
        } else if (!part.empty() && part != ".") {
            const fs::path full = directory / part;
            const auto status = fs::symlink_status(full, ignored);
            if (parts.empty() || !fs::exists(status) || fs::is_symlink(status))
                interests[directory.string()].names.insert(part.string());
            if (!fs::exists(status)) return;
            if (fs::is_symlink(status)) {
                push(fs::read_symlink(full, ignored));
                ++links;
            } else {
                directory = full;
            }
        }
    }
}

void FileWatch::add_tree(Interests& interests, const std::string& directory, unsigned depth) {
    if (depth > deepest_tree) return;
    std::error_code ignored;
    const auto real = fs::canonical(directory, ignored);
    if (ignored || std::exchange(interests[real.string()].manifests, true)) return;  // a link led here before
    for (fs::directory_iterator entry(real, ignored), end; !ignored && entry != end;
         entry.increment(ignored)) {
        const std::string name = entry->path().filename().string();
        if (name.starts_with('.')) continue;
        std::error_code unreadable;
        if (entry->is_symlink(unreadable)) add_path(interests, entry->path().string());
        if (entry->is_directory(unreadable)) add_tree(interests, entry->path().string(), depth + 1);
    }
}

void FileWatch::add_pattern(Interests& interests, const std::string& pattern) {
    std::error_code ignored;
    const fs::path full = fs::absolute(pattern, ignored).lexically_normal();
    const std::string parent = full.parent_path().string();
    glob_t found{};
    // The directories of the files, which may themselves be wildcards; and where those could appear.
    if (::glob(parent.c_str(), 0, nullptr, &found) == 0) {
        for (std::size_t i = 0; i < found.gl_pathc; ++i) {
            const std::string directory = fs::canonical(found.gl_pathv[i], ignored).string();
            add_path(interests, found.gl_pathv[i]);
            if (!ignored) interests[directory].patterns.push_back(full.filename().string());
        }
    } else {
        add_path(interests, parent);
    }
    ::globfree(&found);
    if (parent.find_first_of("*?[") != std::string::npos) add_pattern(interests, parent);
}

net::Result<void> FileWatch::watch(const WatchList& list, timespec read_since) {
    Interests interests;
    for (const auto& file : list.files) add_path(interests, file);
    for (const auto& directory : list.directories) {
        add_path(interests, directory);
        add_tree(interests, directory, 0);
    }
    for (const auto& pattern : list.patterns) add_pattern(interests, pattern);

    net::Result<void> result;
    std::map<int, std::string> directories;
    for (const auto& [directory, interest] : interests) {
        const int watch = ::inotify_add_watch(inotify_.native_handle(), directory.c_str(), watched_events);
        if (watch >= 0)
            directories[watch] = directory;
        else if (errno != ENOENT && errno != ENOTDIR)
            result = net::system_error("watch " + directory, errno);
    }
    for (const auto& [watch, directory] : directories_)
        if (!directories.contains(watch)) ::inotify_rm_watch(inotify_.native_handle(), watch);
    directories_ = std::move(directories);
    interests_ = std::move(interests);
    if (changed_since(interests_, read_since)) changed();
    return result;
}

bool FileWatch::changed_since(const Interests& interests, const timespec& moment) {
    for (const auto& [directory, interest] : interests) {
        for (const auto& name : interest.names)
            if (changed_at(directory + "/" + name, moment)) return true;
        if ((interest.manifests || !interest.patterns.empty()) && changed_at(directory, moment)) return true;
        if (!interest.manifests && interest.patterns.empty()) continue;
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(directory, ignored))
            if (concerns(directory, interest, IN_CLOSE_WRITE, entry.path().filename().string()) &&
                changed_at(entry.path().string(), moment))
                return true;
    }
    return false;
}

bool FileWatch::concerns(const std::string& directory, const Interest& interest, std::uint32_t mask,
                         const std::string& name) {
    // A regular file that was just made is empty still: its IN_CLOSE_WRITE will come. Links have none.
    if ((mask & IN_CREATE) != 0 && (mask & IN_ISDIR) == 0) {
        struct stat status {};
        const std::string path = directory + "/" + name;
        if (::lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1)
            return false;
    }
    if (interest.names.contains(name)) return true;
    if (interest.manifests && !name.starts_with('.') &&
        ((mask & IN_ISDIR) != 0 || is_manifest_name(name) || name.find('.') == std::string::npos))
        return true;
    return std::any_of(interest.patterns.begin(), interest.patterns.end(), [&](const std::string& pattern) {
        return ::fnmatch(pattern.c_str(), name.c_str(), FNM_PERIOD) == 0;
    });
}

void FileWatch::read_events() {
    inotify_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                        [this](boost::system::error_code failed) {
                            if (failed) return;
                            on_readable();
                            read_events();
                        });
}

void FileWatch::on_readable() {
    alignas(inotify_event) std::array<char, 16 * 1024> buffer{};
    bool concerned = false;
    for (;;) {
        const ssize_t size = ::read(inotify_.native_handle(), buffer.data(), buffer.size());
        if (size <= 0) break;
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
            const auto directory = directories_.find(event->wd);
            if ((event->mask & IN_Q_OVERFLOW) != 0) concerned = true;  // something was lost
            if (directory == directories_.end()) continue;
            if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0) concerned = true;
            if (event->len != 0 &&
                concerns(directory->second, interests_[directory->second], event->mask, event->name))
                concerned = true;
            if ((event->mask & IN_IGNORED) != 0) directories_.erase(directory);
        }
    }
    if (concerned) changed();
}

void FileWatch::changed() {
    const auto now = std::chrono::steady_clock::now();
    if (!waiting_) first_event_ = now;
    waiting_ = true;
    timer_.expires_at(std::min(now + quiet_, first_event_ + 10 * quiet_));
    timer_.async_wait([this](boost::system::error_code failed) {
        if (failed) return;
        waiting_ = false;
        on_change_();
    });
}

}  // namespace hawser::control
