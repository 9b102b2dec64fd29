// SPDX-License-Identifier: Apache-2.0
#include "gateway/body_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace hawser::gateway {

namespace {
constexpr std::size_t in_memory = 16 * 1024;
}

net::Result<void> BodySpool::append(std::string_view bytes) {
    const std::size_t room = in_memory - std::min(in_memory, memory_.size());
    memory_ += bytes.substr(0, room);
    std::string_view rest = bytes.substr(std::min(room, bytes.size()));
    if (!rest.empty() && !file_.valid()) {
        const std::string directory = std::filesystem::temp_directory_path().string();
        file_ = net::Fd(::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
        if (!file_.valid()) return net::system_error("temporary file in " + directory, errno);
    }
    while (!rest.empty()) {
        const ssize_t n = ::write(file_.get(), rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return net::system_error("write a request body to a temporary file", errno);
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    size_ += bytes.size();
    return {};
}

net::Result<std::string> BodySpool::read(std::uint64_t offset, std::size_t most) const {
    if (offset < memory_.size()) return memory_.substr(offset, most);
    std::string out(static_cast<std::size_t>(std::min<std::uint64_t>(most, size_ - offset)), '\0');
    if (out.empty()) return out;
    const ssize_t n =
        ::pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset - memory_.size()));
    if (n <= 0) return net::system_error("read a request body from a temporary file", n < 0 ? errno : EIO);
    out.resize(static_cast<std::size_t>(n));
    return out;
}

}  // namespace hawser::gateway
