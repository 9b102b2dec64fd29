// SPDX-License-Identifier: Apache-2.0
#include "bench/generator/packet_socket.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace hawser::bench {

namespace {

constexpr std::size_t ethernet_head = 14;
constexpr int receive_buffer = 256 << 20;  // for a burst while the process is not scheduled

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

void set_option(const Fd& fd, int level, int option, int value, const char* what) {
    if (setsockopt(fd.get(), level, option, &value, sizeof value) != 0) fail(what);
}

}  // namespace

MacAddress parse_mac(const std::string& text) {
    MacAddress out{};
    char rest = 0;
    if (std::sscanf(text.c_str(), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx%c", &out[0], &out[1], &out[2], &out[3],
                    &out[4], &out[5], &rest) != 6)
        throw std::invalid_argument("'" + text + "' is not a MAC address");
    return out;
}

PacketSocket::PacketSocket(const std::string& interface, MacAddress neighbour)
    : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      neighbour_(neighbour),
      in_(batch * frame_size),
      out_(batch * frame_size) {
    if (!fd_) fail("packet socket");
    ifreq request{};
    std::snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface.c_str());
    if (ioctl(fd_.get(), SIOCGIFHWADDR, &request) != 0) fail(interface.c_str());
    std::memcpy(own_.data(), request.ifr_hwaddr.sa_data, own_.size());
    set_option(fd_, SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer, "SO_RCVBUFFORCE");
    set_option(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
    set_option(fd_, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS");
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_IP);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
    packets_.reserve(batch);
}

std::span<const std::span<const std::uint8_t>> PacketSocket::receive(int timeout_ms, int other) {
    packets_.clear();
    pollfd waiting[] = {{fd_.get(), POLLIN, 0}, {other, POLLIN, 0}};
    if (poll(waiting, 2, timeout_ms) < 0 && errno != EINTR) fail("poll");
    if ((waiting[0].revents & POLLIN) == 0) return packets_;
    std::array<mmsghdr, batch> messages{};
    std::array<iovec, batch> parts{};
    for (std::size_t i = 0; i < batch; ++i) {
        parts[i] = {&in_[i * frame_size], frame_size};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = recvmmsg(fd_.get(), messages.data(), batch, 0, nullptr);
    if (count < 0 && errno != EAGAIN && errno != EINTR) fail("recvmmsg");
    for (std::size_t i = 0; static_cast<int>(i) < count; ++i)
        if (messages[i].msg_len > ethernet_head)
            packets_.emplace_back(&in_[i * frame_size + ethernet_head], messages[i].msg_len - ethernet_head);
    return packets_;
}

void PacketSocket::send(const Segment& segment) {
    if (queued_ == batch) flush();
    std::uint8_t* const frame = &out_[queued_ * frame_size];
    if (ethernet_head + largest_segment_head + segment.payload.size() > frame_size)
        throw std::length_error("a segment larger than an Ethernet frame");
    std::copy(neighbour_.begin(), neighbour_.end(), frame);
    std::copy(own_.begin(), own_.end(), frame + 6);
    frame[12] = ETH_P_IP >> 8;
    frame[13] = ETH_P_IP & 0xff;
    out_sizes_[queued_++] = ethernet_head + write_segment(segment, frame + ethernet_head);
}

void PacketSocket::flush() {
    std::array<mmsghdr, batch> messages{};
    std::array<iovec, batch> parts{};
    for (std::size_t i = 0; i < queued_; ++i) {
        parts[i] = {&out_[i * frame_size], out_sizes_[i]};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (std::size_t at = 0; at < queued_;) {
        const int sent = sendmmsg(fd_.get(), &messages[at], static_cast<unsigned>(queued_ - at), 0);
        if (sent > 0) {
            at += static_cast<std::size_t>(sent);
            continue;
        }
        if (errno == EAGAIN) {
            pollfd waiting{fd_.get(), POLLOUT, 0};
            poll(&waiting, 1, 10);
        } else if (errno == ENOBUFS) {
            ++at;  // lost, as on a wire
        } else if (errno != EINTR) {
            fail("sendmmsg");
        }
    }
    queued_ = 0;
}

std::uint64_t PacketSocket::lost() {
    tpacket_stats stats{};
    socklen_t size = sizeof stats;
    if (getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0) lost_ += stats.tp_drops;
    return lost_;
}

}  // namespace hawser::bench
