// SPDX-License-Identifier: Apache-2.0
#include "sources/keepalived/host.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <vector>

namespace hawser::keepalived {

namespace {

constexpr std::size_t most_entry_bytes = std::size_t{1} << 20;

// getpwnam_r and getgrnam_r: the buffer grows until the entry fits.
template <class Entry, class Call>
bool look_up(Call call, Entry& entry, std::vector<char>& buffer) {
    for (std::size_t size = 1024; size <= most_entry_bytes; size *= 4) {
        buffer.resize(size);
        Entry* found = nullptr;
        const int code = call(&entry, buffer.data(), buffer.size(), &found);
        if (code != ERANGE) return code == 0 && found != nullptr;
    }
    return false;
}

std::optional<Host::User> system_user(const std::string& name) {
    passwd entry{};
    std::vector<char> buffer;
    const auto call = [&](auto... rest) { return ::getpwnam_r(name.c_str(), rest...); };
    if (!look_up(call, entry, buffer)) return std::nullopt;
    return Host::User{entry.pw_uid, entry.pw_gid};
}

std::optional<std::uint32_t> system_group(const std::string& name) {
    ::group entry{};
    std::vector<char> buffer;
    const auto call = [&](auto... rest) { return ::getgrnam_r(name.c_str(), rest...); };
    if (!look_up(call, entry, buffer)) return std::nullopt;
    return entry.gr_gid;
}

std::optional<Host::Status> system_status(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return std::nullopt;
    return Host::Status{info.st_mode, info.st_uid, info.st_gid};
}

std::optional<std::string> system_real_path(const std::string& path) {
    const std::unique_ptr<char, decltype(&std::free)> found(::realpath(path.c_str(), nullptr), &std::free);
    if (!found) return std::nullopt;
    return std::string(found.get());
}

std::string system_contents(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return {};
    std::string out(std::size_t{64} << 10, '\0');
    const ssize_t got = ::read(fd, out.data(), out.size());
    ::close(fd);
    out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return out;
}

}  // namespace

Host Host::system() {
    Host out;
    out.user = system_user;
    out.group = system_group;
    out.status = system_status;
    out.real_path = system_real_path;
    out.contents = system_contents;
    const char* path = std::getenv("PATH");
    out.search_path = path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin";
    return out;
}

}  // namespace hawser::keepalived
