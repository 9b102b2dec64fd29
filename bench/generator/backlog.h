// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hawser::bench {

// What a socket did not take yet. Owns no memory while there is nothing to wait for.
class Backlog {
  public:
    [[nodiscard]] bool empty() const { return at_ == bytes_.size(); }

    // Sends `bytes` after what already waits, and keeps what is not taken. False when the connection is gone.
    bool send(int fd, std::span<const std::uint8_t> bytes) {
        if (!flush(fd)) return false;
        if (empty()) {
            const std::ptrdiff_t sent = send_some(fd, bytes);
            if (sent < 0) return false;
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
        }
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
        return true;
    }

    bool flush(int fd) {
        if (empty()) return true;
        const std::ptrdiff_t sent = send_some(fd, std::span(bytes_).subspan(at_));
        if (sent < 0) return false;
        at_ += static_cast<std::size_t>(sent);
        if (empty()) {
            bytes_ = {};
            at_ = 0;
        }
        return true;
    }

    // One send: the number of bytes taken, 0 when the socket is full, -1 when the connection is gone.
    static std::ptrdiff_t send_some(int fd, std::span<const std::uint8_t> bytes) {
        if (bytes.empty()) return 0;
        const std::ptrdiff_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) return sent;
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }

  private:
    std::vector<std::uint8_t> bytes_;
    std::size_t at_ = 0;
};

}  // namespace hawser::bench
