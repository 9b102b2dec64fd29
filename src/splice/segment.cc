// SPDX-License-Identifier: Apache-2.0
#include "splice/segment.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <span>

#include "net/fd.h"
#include "splice/address.h"

namespace hawser::splice {

namespace {

constexpr std::uint8_t flag_reset = 4, flag_ack = 16;

class Writer {
  public:
    void u8(std::uint8_t value) { bytes_.push_back(value); }
    void u16(std::uint16_t value) {
        u8(static_cast<std::uint8_t>(value >> 8));
        u8(static_cast<std::uint8_t>(value));
    }
    void u32(std::uint32_t value) {
        u16(static_cast<std::uint16_t>(value >> 16));
        u16(static_cast<std::uint16_t>(value));
    }
    void ip(const net::IpAddress& address) {
        const auto& bytes = address.bytes();
        bytes_.insert(bytes_.end(), bytes.begin() + (address.is_v4() ? 12 : 0), bytes.end());
    }
    void put_u16(std::size_t at, std::uint16_t value) {
        bytes_[at] = static_cast<std::uint8_t>(value >> 8);
        bytes_[at + 1] = static_cast<std::uint8_t>(value);
    }
    std::vector<std::uint8_t>& bytes() { return bytes_; }

  private:
    std::vector<std::uint8_t> bytes_;
};

// RFC 1071, of an even number of bytes.
std::uint32_t sum_of(std::span<const std::uint8_t> bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
        sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
    return sum;
}

std::uint16_t checksum(std::uint32_t sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

int raw_socket(int family) {
    thread_local net::Fd v4, v6;
    net::Fd& fd = family == AF_INET ? v4 : v6;
    if (fd.valid()) return fd.get();
    fd = net::Fd(::socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW));
    const int yes = 1;
    if (family == AF_INET6)
        ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_HDRINCL, &yes, sizeof yes);
    else
        ::setsockopt(fd.get(), IPPROTO_IP, IP_HDRINCL, &yes, sizeof yes);
    return fd.get();
}

Segment to_sender(const layout::flow_key& key) {
    Segment out;
    out.source = from_table(key.destination, key.destination_port);
    out.destination = from_table(key.source, key.source_port);
    return out;
}

}  // namespace

std::vector<std::uint8_t> bytes_of(const Segment& segment) {
    const bool v4 = segment.destination.ip.is_v4();
    const std::uint16_t size = segment.timestamps ? 32 : 20;
    Writer out;
    if (v4) {
        out.u16(0x4500);
        out.u16(static_cast<std::uint16_t>(20 + size));
        out.u32(0x00004000);  // DF
        out.u16(static_cast<std::uint16_t>(64 << 8 | IPPROTO_TCP));
        out.u16(0);
    } else {
        out.u32(6U << 28);
        out.u16(size);
        out.u16(static_cast<std::uint16_t>(IPPROTO_TCP << 8 | 64));
    }
    out.ip(segment.source.ip);
    out.ip(segment.destination.ip);
    if (v4) out.put_u16(10, checksum(sum_of(out.bytes())));
    const std::size_t l4 = out.bytes().size();
    const std::size_t addresses = v4 ? 8 : 32;
    const std::uint32_t pseudo =
        sum_of(std::span(out.bytes()).subspan(l4 - addresses, addresses)) + IPPROTO_TCP + size;
    out.u16(segment.source.port);
    out.u16(segment.destination.port);
    out.u32(segment.sequence);
    out.u32(segment.acknowledgment);
    out.u16(static_cast<std::uint16_t>(size / 4 << 12 | segment.flags));
    out.u16(segment.window);
    out.u32(0);
    if (segment.timestamps) {
        out.u32(0x0101080a);
        out.u32(segment.timestamps->value);
        out.u32(segment.timestamps->echo);
    }
    out.put_u16(l4 + 16, checksum(pseudo + sum_of(std::span(out.bytes()).subspan(l4))));
    return std::move(out.bytes());
}

void send(const Segment& segment) {
    const auto bytes = bytes_of(segment);
    sockaddr_storage to{};
    const socklen_t size = net::SocketAddress{segment.destination.ip, 0}.to_sockaddr(to);
    ::sendto(raw_socket(to.ss_family), bytes.data(), bytes.size(), MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&to), size);
}

std::vector<Segment> resets_for(const layout::flow_key& key, const layout::flow& flow,
                                const layout::flow& other) {
    Segment first = to_sender(key);
    first.flags = flag_reset | flag_ack;
    first.acknowledgment = static_cast<std::uint32_t>(flow.sequence_end);
    first.sequence = flow.acknowledged;
    Segment second = first;
    second.sequence = static_cast<std::uint32_t>(other.sequence_end) + other.sequence_delta;
    if (second.sequence == first.sequence) return {first};
    return {first, second};
}

Segment probe_for(const layout::flow_key& key, const layout::flow& flow, const layout::flow& other) {
    Segment out = to_sender(key);
    out.flags = flag_ack;
    out.sequence = flow.acknowledged - 1;
    out.acknowledgment = static_cast<std::uint32_t>(flow.sequence_end);
    // As the other end last said it: nothing that this end must wait for, or act upon.
    const auto shift = other.window_shift + 0;
    const std::uint32_t field = other.window >> other.window_scale;
    const std::uint32_t shifted = shift >= 0 ? field << shift : field >> -shift;
    out.window = static_cast<std::uint16_t>(shifted > 0xffff ? 0xffff : shifted);
    if ((flow.flags & layout::flow_timestamps) != 0)
        out.timestamps = Segment::Timestamps{other.tsval + other.tsval_delta, flow.tsval};
    return out;
}

void send_reset(const layout::flow_key& key, const layout::flow& flow, const layout::flow& other) {
    for (const Segment& segment : resets_for(key, flow, other)) send(segment);
}

void send_probe(const layout::flow_key& key, const layout::flow& flow, const layout::flow& other) {
    send(probe_for(key, flow, other));
}

}  // namespace hawser::splice
