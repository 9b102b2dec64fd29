// SPDX-License-Identifier: Apache-2.0
#include "bench/generator/socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <ctime>
#include <stdexcept>
#include <system_error>

namespace hawser::bench {

namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

void set_option(const Fd& fd, int level, int option, int value, const char* what) {
    if (setsockopt(fd.get(), level, option, &value, sizeof value) != 0) fail(what);
}

Fd tcp_socket() {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) fail("socket");
    return fd;
}

const sockaddr* generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

}  // namespace

Fd::~Fd() {
    if (fd_ >= 0) ::close(fd_);
}

sockaddr_in parse_endpoint(const std::string& text) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    const auto colon = text.find(':');
    if (inet_pton(AF_INET, text.substr(0, colon).c_str(), &out.sin_addr) != 1)
        throw std::invalid_argument("'" + text + "' is not ADDRESS[:PORT] with an IPv4 address");
    if (colon != std::string::npos) {
        std::uint16_t port = 0;
        const char* end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
        if (parsed.ec != std::errc{} || parsed.ptr != end)
            throw std::invalid_argument("'" + text + "' has no port from 0 to 65535 after the colon");
        out.sin_port = htons(port);
    }
    return out;
}

Fd listen_on(const sockaddr_in& address) {
    Fd fd = tcp_socket();
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
    if (bind(fd.get(), generic(address), sizeof address) != 0) fail("bind");
    if (listen(fd.get(), 65535) != 0) fail("listen");
    return fd;
}

Fd connect_to(const sockaddr_in& target, const sockaddr_in* source) {
    Fd fd = tcp_socket();
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    if (source != nullptr) {
        set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT");
        if (bind(fd.get(), generic(*source), sizeof *source) != 0) fail("bind");
    }
    if (connect(fd.get(), generic(target), sizeof target) != 0 && errno != EINPROGRESS) fail("connect");
    return fd;
}

Fd accept_from(const Fd& listener) {
    Fd fd(accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        fail("accept");
    }
    return fd;
}

std::uint16_t local_port(const Fd& socket) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) fail("getsockname");
    return ntohs(address.sin_port);
}

void reset_when_closed(const Fd& socket) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    if (setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0) fail("SO_LINGER");
}

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)), events_(512) {
    if (!epoll_) fail("epoll_create1");
}

void Poller::add(const Fd& fd, std::uint32_t events, void* tag) {
    epoll_event event{.events = events, .data = {.ptr = tag}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) fail("epoll_ctl");
}

void Poller::change(const Fd& fd, std::uint32_t events, void* tag) {
    epoll_event event{.events = events, .data = {.ptr = tag}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd.get(), &event) != 0) fail("epoll_ctl");
}

std::span<const epoll_event> Poller::wait(int timeout_ms) {
    const int count = epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    return {events_.data(), static_cast<std::size_t>(count < 0 ? 0 : count)};
}

std::uint64_t now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace hawser::bench
