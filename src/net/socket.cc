// SPDX-License-Identifier: Apache-2.0
#include "net/socket.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace hawser::net {

Socket::Socket(Loop& loop, Fd fd, bool writable) : loop_(loop), fd_(std::move(fd)), writable_(writable) {}

Result<void> Socket::open() { return loop_.watch(fd_.get(), *this, EPOLLIN | EPOLLOUT | EPOLLRDHUP); }

void Socket::close() {
    if (!fd_.valid()) return;
    loop_.unwatch(-1, *this);  // closing takes the descriptor out of epoll
    fd_.reset();
    readable_ = writable_ = false;
}

void Socket::close_with_reset() {
    if (!fd_.valid()) return;
    set_reset_on_close(fd_.get());
    close();
}

void Socket::on_events(std::uint32_t events) {
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) writable_ = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hangup_ = true;
    if ((events & EPOLLERR) != 0) error_ = true;
    if (listener_ != nullptr) listener_->on_readiness(*this);
}

ssize_t Socket::read(void* to, std::size_t size) {
    for (;;) {
        const ssize_t n = ::recv(fd_.get(), to, size, 0);
        if (n > 0) {
            // A short read means that the queue is empty; with EPOLLRDHUP watched, a FIN that follows brings
            // an event of its own, so that the EAGAIN need not be fetched.
            if (static_cast<std::size_t>(n) < size && !hangup_) readable_ = false;
            return n;
        }
        if (n == 0) return 0;
        if (errno == EINTR) continue;
        if (errno == EAGAIN) readable_ = false;
        return -errno;
    }
}

ssize_t Socket::write(const void* from, std::size_t size) {
    for (;;) {
        const ssize_t n = ::send(fd_.get(), from, size, MSG_NOSIGNAL);
        if (n >= 0) {
            if (static_cast<std::size_t>(n) < size) writable_ = false;
            return n;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN) writable_ = false;
        return -errno;
    }
}

ssize_t Socket::write(std::span<const iovec> parts) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    std::size_t size = 0;
    for (const iovec& part : parts) size += part.iov_len;
    for (;;) {
        const ssize_t n = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
        if (n >= 0) {
            if (static_cast<std::size_t>(n) < size) writable_ = false;
            return n;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN) writable_ = false;
        return -errno;
    }
}

void Socket::finish_writing() { ::shutdown(fd_.get(), SHUT_WR); }

int Socket::take_error() const {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
}

bool Wait::is_ready(const Interest& interest) {
    if (interest.socket == nullptr) return false;
    return ((interest.what & reading) != 0 && interest.socket->readable()) ||
           ((interest.what & writing) != 0 && interest.socket->writable()) ||
           ((interest.what & hangup) != 0 && interest.socket->peer_finished());
}

void Wait::await_suspend(std::coroutine_handle<> handle) {
    handle_ = handle;
    if (first_.socket != nullptr) first_.socket->set_listener(this);
    if (second_.socket != nullptr) second_.socket->set_listener(this);
    Loop& loop = (first_.socket != nullptr ? first_ : second_).socket->loop();
    if (deadline_ != TimePoint::max()) loop.timers().set(*this, deadline_);
}

void Wait::leave() {
    if (first_.socket != nullptr) first_.socket->set_listener(nullptr);
    if (second_.socket != nullptr) second_.socket->set_listener(nullptr);
    cancel();
}

void Wait::on_readiness(Socket&) {
    if (!is_ready(first_) && !is_ready(second_)) return;
    leave();
    handle_.resume();
}

void Wait::on_timer() {
    timed_out_ = true;
    leave();
    handle_.resume();
}

void set_no_delay(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void set_keep_alive(int fd, const KeepAlive& keep_alive) {
    const auto set = [fd](int level, int option, int value) {
        setsockopt(fd, level, option, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(keep_alive.idle.count()));
    set(IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(keep_alive.interval.count()));
    set(IPPROTO_TCP, TCP_KEEPCNT, keep_alive.probes);
    set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(keep_alive.user_timeout.count()));
}

void set_reset_on_close(int fd) {
    const linger now{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

SocketAddress local_address(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
    return SocketAddress::from_sockaddr(storage);
}

SocketAddress peer_address(int fd) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &size);
    return SocketAddress::from_sockaddr(storage);
}

namespace {
Result<Fd> connect_from(const SocketAddress& to, const SocketAddress* from, int mss) {
    sockaddr_storage storage;
    const socklen_t size = to.to_sockaddr(storage);
    Fd fd(::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    const auto failed = [&to](int code, Party party) {
        Error error = system_error("connect to " + to.text(), code, party);
        error.retry_is_safe = true;
        return error;
    };
    if (!fd.valid()) return failed(errno, Party::ourselves);
    set_no_delay(fd.get());
    if (mss != 0) setsockopt(fd.get(), IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
    if (from != nullptr) {
        const int yes = 1;
        setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        sockaddr_storage local;
        const socklen_t local_size = from->to_sockaddr(local);
        if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&local), local_size) != 0)
            return failed(errno, Party::ourselves);
    }
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0 && errno != EINPROGRESS)
        return failed(errno, Party::endpoint);
    return fd;
}
}  // namespace

Result<Fd> start_connect(const SocketAddress& to) { return connect_from(to, nullptr, 0); }

Result<Fd> start_connect(const SocketAddress& to, const SocketAddress& from, int mss) {
    return connect_from(to, &from, mss);
}

}  // namespace hawser::net
