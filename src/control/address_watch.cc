// SPDX-License-Identifier: Apache-2.0
#include "control/address_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "net/fd.h"
#include "net/listen.h"
#include "net/rtnetlink.h"

namespace hawser::control {

AddressWatch::AddressWatch(boost::asio::io_context& io, std::function<void()> on_change)
    : on_change_(std::move(on_change)), netlink_(io), timer_(io) {}

net::Result<void> AddressWatch::open() {
    auto fd = net::watch_rtnetlink(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
    if (!fd) return fd.error();
    auto now = net::interface_addresses();
    if (!now) return now.error();
    addresses_ = std::move(*now);
    netlink_.assign(fd->release());
    wait();
    return {};
}

// What a message says is not read further: any that is news, and a lost one (ENOBUFS) too, means "look at the interfaces".
void AddressWatch::wait() {
    netlink_.async_wait(
        boost::asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code failed) {
            if (failed) return;
            if (!is_news()) return wait();
            // Addresses come in bursts (an interface that goes up; VRRP taking over several).
            timer_.expires_after(std::chrono::milliseconds(50));
            timer_.async_wait([this](boost::system::error_code replaced) {
                if (!replaced) look();
            });
            wait();
        });
}

bool AddressWatch::is_news() {
    std::array<char, 8192> buffer{};
    bool news = false;
    for (;;) {
        const ssize_t size = ::recv(netlink_.native_handle(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno != ENOBUFS) return news;
        news = news || size < 0 ||
               !net::only_refreshes({buffer.data(), static_cast<std::size_t>(size)},
                                    [this](std::uint32_t, const net::IpAddress& ip) {
                                        return std::find(addresses_.begin(), addresses_.end(), ip) != addresses_.end();
                                    });
    }
}

void AddressWatch::look() {
    auto now = net::interface_addresses();
    if (!now || *now == addresses_) return;
    addresses_ = std::move(*now);
    on_change_();
}

}  // namespace hawser::control
