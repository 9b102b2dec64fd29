// SPDX-License-Identifier: Apache-2.0
#include "gateway/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace hawser::gateway {

namespace {
constexpr int most_per_turn = 64;
constexpr net::Duration retry_after{100};
}  // namespace

Acceptor::Acceptor(Worker& worker, net::Fd fd, PurposeSlot purpose)
    : worker_(worker), fd_(std::move(fd)), purpose_(std::move(purpose)) {}

Acceptor::~Acceptor() {
    worker_.loop().unwatch(-1, *this);
    *purpose_ = {};  // idle keep-alive connections of this listener find nothing to serve
}

net::Result<void> Acceptor::open() {
    follow_mss();
    return worker_.loop().watch(fd_.get(), *this, EPOLLIN);
}

void Acceptor::on_events(std::uint32_t) {
    if (suspended_) return;
    for (int i = 0; i < most_per_turn; ++i) {
        sockaddr_storage storage{};
        socklen_t size = sizeof storage;
        net::Fd fd(
            accept4(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!fd.valid()) {
            if (errno == EAGAIN) return;
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                suspend(errno);
                return;
            }
            continue;  // ECONNABORTED and network errors of that one connection
        }
        worker_.accepted(std::move(fd), net::SocketAddress::from_sockaddr(storage), purpose_);
    }
    worker_.loop().again(*this);
}

void Acceptor::follow_mss() {
    const auto& ask = worker_.shared().options.splicing.listener_mss;
    if (!ask) return;
    const auto mss = static_cast<int>(ask());
    if (mss >= mss_) return;
    mss_ = mss;
    ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
}

void Acceptor::suspend(int error) {
    suspended_ = true;
    ++worker_.stats().out_of_descriptors;
    worker_.out_of_descriptors(error);
    worker_.loop().timers().set(*this, worker_.loop().now() + retry_after);
}

void Acceptor::on_timer() {
    suspended_ = false;
    on_events(0);
    if (!suspended_) worker_.descriptors_are_back();
}

}  // namespace hawser::gateway
