// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>
#include <sys/epoll.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hawser::bench {

// A file descriptor that is closed with its owner.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd();

    [[nodiscard]] int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// "10.0.0.1:9080" or "10.0.0.1" (port 0). Throws std::invalid_argument: these come from the command line
// only.
sockaddr_in parse_endpoint(const std::string& text);

// All sockets here are non-blocking with TCP_NODELAY. Failures throw std::system_error.
Fd listen_on(const sockaddr_in& address);  // SO_REUSEPORT, so that each thread has its own
// The connection is under way on return. `source` with port 0 leaves the port to the kernel at connect time.
Fd connect_to(const sockaddr_in& target, const sockaddr_in* source);
// An empty Fd when nobody waits, or when the one who did has gone.
Fd accept_from(const Fd& listener);
std::uint16_t local_port(const Fd& socket);
void reset_when_closed(const Fd& socket);  // instead of a FIN

// The readiness of many sockets, level-triggered; a pointer stands for each.
class Poller {
  public:
    Poller();
    void add(const Fd& fd, std::uint32_t events, void* tag);
    void change(const Fd& fd, std::uint32_t events, void* tag);
    // Waits for at most `timeout_ms` (-1: without end). The events are valid until the next call.
    std::span<const epoll_event> wait(int timeout_ms);

  private:
    Fd epoll_;
    std::vector<epoll_event> events_;
};

// CLOCK_MONOTONIC in nanoseconds.
std::uint64_t now_ns();

}  // namespace hawser::bench
