// SPDX-License-Identifier: Apache-2.0
#include "splice/connection.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace hawser::splice {

namespace {

constexpr std::uint32_t timestamp_option = 12;  // bytes, with its two NOPs
// States of a connection, which linux/tcp.h keeps to itself.
constexpr int established = 1, fin_wait_2 = 5;

bool set(int fd, int option, int value) {
    return ::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value) == 0;
}

bool get(int fd, int option, std::uint32_t& value) {
    socklen_t size = sizeof value;
    return ::getsockopt(fd, IPPROTO_TCP, option, &value, &size) == 0;
}

// The kernel takes SO_REUSEADDR away when repair mode ends. A connection without it that is still closing
// would keep the next process from its port.
void leave_repair_mode(int fd, int how) {
    set(fd, TCP_REPAIR, how);
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
}

int ask(int fd, unsigned long request) {
    int value = 0;
    return ::ioctl(fd, request, &value) == 0 ? value : -1;
}

}  // namespace

std::optional<ConnectionFacts> facts_of(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
    ConnectionFacts out;
    out.established = info.tcpi_state == established;
    // Its own FIN changes a connection's state too: FIN_WAIT_1 and 2 still hear the peer.
    out.peer_finished = info.tcpi_state > fin_wait_2;
    out.timestamps = (info.tcpi_options & TCPI_OPT_TIMESTAMPS) != 0;
    out.sack = (info.tcpi_options & TCPI_OPT_SACK) != 0;
    out.window_scaling = (info.tcpi_options & TCPI_OPT_WSCALE) != 0;
    if (out.window_scaling) {
        out.peer_window_scale = info.tcpi_snd_wscale;
        out.our_window_scale = info.tcpi_rcv_wscale;
    }
    out.send_mss = info.tcpi_snd_mss + (out.timestamps ? timestamp_option : 0);
    out.advertised_mss = info.tcpi_advmss + (out.timestamps ? timestamp_option : 0);
    out.round_trip_us = info.tcpi_rtt;
    return out;
}

std::optional<ConnectionNumbers> numbers_of(int fd) {
    ConnectionNumbers out;
    if (!set(fd, TCP_REPAIR, TCP_REPAIR_ON)) return std::nullopt;
    const bool read = set(fd, TCP_REPAIR_QUEUE, TCP_SEND_QUEUE) && get(fd, TCP_QUEUE_SEQ, out.send_next) &&
                      set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE) && get(fd, TCP_QUEUE_SEQ, out.receive_next) &&
                      get(fd, TCP_TIMESTAMP, out.timestamp);
    set(fd, TCP_REPAIR_QUEUE, TCP_NO_QUEUE);
    leave_repair_mode(fd, TCP_REPAIR_OFF_NO_WP);
    if (!read) return std::nullopt;
    return out;
}

void probe(int fd) {
    if (set(fd, TCP_REPAIR, TCP_REPAIR_ON)) leave_repair_mode(fd, TCP_REPAIR_OFF);
}

void close_silently(int fd) {
    if (!set(fd, TCP_REPAIR, TCP_REPAIR_ON)) return;
    // Disconnecting in repair mode sends nothing. The descriptor is its owner's to close.
    sockaddr nobody{};
    nobody.sa_family = AF_UNSPEC;
    ::connect(fd, &nobody, sizeof nobody);
}

void narrow_window(int fd, int bytes) { set(fd, TCP_WINDOW_CLAMP, bytes == 0 ? 1 << 30 : bytes); }

int unread(int fd) { return ask(fd, SIOCINQ); }
int unsent(int fd) { return ask(fd, SIOCOUTQNSD); }
int unacknowledged(int fd) { return ask(fd, SIOCOUTQ); }

}  // namespace hawser::splice
