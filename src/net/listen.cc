// SPDX-License-Identifier: Apache-2.0
#include "net/listen.h"

#include <ifaddrs.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace hawser::net {

namespace {

// Offsets of the source address from the start of the network header.
constexpr std::uint32_t ipv4_source = 12;
constexpr std::uint32_t ipv6_source = 8;

sock_filter statement(std::uint16_t code, std::uint32_t k) { return BPF_STMT(code, k); }
sock_filter jump(std::uint16_t code, std::uint32_t k, std::uint8_t yes, std::uint8_t no) {
    return BPF_JUMP(code, k, yes, no);
}

// A classic BPF program for a socket of one family: keeps packets whose source is in one of the ranges. The
// kernel runs it for a listening socket on the SYN itself, so that the sender sees silence, as from
// kube-proxy's DROP.
std::vector<sock_filter> source_filter(const std::vector<Cidr>& ranges, bool v4) {
    std::vector<sock_filter> program;
    const auto words = v4 ? 1U : 4U;
    for (const Cidr& range : ranges) {
        if (range.v4 != v4) continue;
        std::vector<sock_filter> test;
        const auto& bytes = range.network.bytes();
        const unsigned full = (range.bits + 31U) / 32U;
        for (unsigned w = 0; w < std::min(words, full); ++w) {
            const std::size_t at = (v4 ? 12U : 0U) + 4U * w;
            const std::uint32_t value = std::uint32_t{bytes[at]} << 24 | std::uint32_t{bytes[at + 1]} << 16 |
                                        std::uint32_t{bytes[at + 2]} << 8 | bytes[at + 3];
            const unsigned bits = std::min(32U, range.bits - 32U * w);
            const std::uint32_t mask = bits == 32 ? 0xffffffffU : ~(0xffffffffU >> bits);
            const auto offset =
                static_cast<std::uint32_t>(SKF_NET_OFF) + (v4 ? ipv4_source : ipv6_source) + 4U * w;
            test.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offset));
            test.push_back(statement(BPF_ALU | BPF_AND | BPF_K, mask));
            test.push_back(jump(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0));
        }
        // A mismatch leaves this range's test: over what is left of it and over its "keep".
        for (std::size_t i = 2; i < test.size(); i += 3)
            test[i].jf = static_cast<std::uint8_t>(test.size() - i);
        test.push_back(statement(BPF_RET | BPF_K, 0xffffffffU));
        program.insert(program.end(), test.begin(), test.end());
    }
    program.push_back(statement(BPF_RET | BPF_K, 0));
    return program;
}

Result<void> attach_filter(int fd, const ListenOptions& options, bool v4) {
    if (!options.drop_everything && options.source_ranges.empty()) return {};
    auto program = source_filter(options.drop_everything ? std::vector<Cidr>{} : options.source_ranges, v4);
    if (program.size() > BPF_MAXINSNS) return system_error("too many source ranges", E2BIG);
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
        return system_error("SO_ATTACH_FILTER", errno);
    return {};
}

// Past connections in TIME_WAIT are no obstacle, a listener is.
Result<void> check_port(const SocketAddress& address, bool udp) {
    sockaddr_storage storage;
    const socklen_t size = address.to_sockaddr(storage);
    const Fd probe(::socket(storage.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
    const auto set = [&probe](int level, int option) {
        const int on = 1;
        setsockopt(probe.get(), level, option, &on, sizeof on);
    };
    if (!udp) set(SOL_SOCKET, SO_REUSEADDR);
    if (address.ip.is_v4()) {
        set(IPPROTO_IP, IP_FREEBIND);
    } else {
        set(IPPROTO_IPV6, IPV6_V6ONLY);
        set(IPPROTO_IPV6, IPV6_FREEBIND);
    }
    if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0)
        return system_error("bind " + address.text() + (udp ? "/UDP" : "/TCP"), errno);
    return {};
}

Result<Fd> open_one(const SocketAddress& address, const ListenOptions& options) {
    sockaddr_storage storage;
    const socklen_t size = address.to_sockaddr(storage);
    const std::string where = address.text();
    Fd fd(::socket(storage.ss_family, (options.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
                   0));
    if (!fd.valid()) return system_error("socket for " + where, errno);
    const auto set = [&fd](int level, int option, int value) {
        return setsockopt(fd.get(), level, option, &value, sizeof value) == 0;
    };
    set(SOL_SOCKET, SO_REUSEADDR, 1);
    if (!set(SOL_SOCKET, SO_REUSEPORT, 1)) return system_error("SO_REUSEPORT for " + where, errno);
    const bool v4 = address.ip.is_v4();
    if (v4) {
        set(IPPROTO_IP, IP_FREEBIND, 1);
        if (options.udp) set(IPPROTO_IP, IP_PKTINFO, 1);
    } else {
        set(IPPROTO_IPV6, IPV6_V6ONLY, 1);
        set(IPPROTO_IPV6, IPV6_FREEBIND, 1);
        if (options.udp) set(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    // Before bind: no packet may get in between.
    if (auto attached = attach_filter(fd.get(), options, v4); !attached) return attached.error();
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0)
        return system_error("bind " + where + (options.udp ? "/UDP" : "/TCP"), errno);
    if (options.udp) return fd;
    if (::listen(fd.get(), options.backlog) != 0) return system_error("listen " + where, errno);
    return fd;
}

}  // namespace

Result<std::vector<Fd>> open_listeners(const SocketAddress& address, unsigned count,
                                       const ListenOptions& options) {
    if (options.must_be_free && address.port != 0) {
        if (auto is_free = check_port(address, options.udp); !is_free) return is_free.error();
    }
    std::vector<Fd> out;
    for (unsigned i = 0; i < count; ++i) {
        auto fd = open_one(address, options);
        if (!fd) return fd.error();
        out.push_back(std::move(*fd));
    }
    return out;
}

namespace {

IpAddress address_of(const sockaddr& address) {
    sockaddr_storage storage{};
    std::copy_n(reinterpret_cast<const char*>(&address),
                address.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6),
                reinterpret_cast<char*>(&storage));
    return SocketAddress::from_sockaddr(storage).ip;
}

// visit(entry) for each IPv4 and IPv6 address of an interface.
template <class Visit>
Result<void> each_address(Visit visit) {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return system_error("getifaddrs", errno);
    for (const ifaddrs* i = list; i != nullptr; i = i->ifa_next)
        if (i->ifa_addr != nullptr && (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6))
            visit(*i);
    freeifaddrs(list);
    return {};
}

}  // namespace

Result<std::vector<InterfaceNetwork>> interface_networks() {
    std::vector<InterfaceNetwork> out;
    const auto listed = each_address([&out](const ifaddrs& entry) {
        if (entry.ifa_netmask == nullptr) return;
        const IpAddress ip = address_of(*entry.ifa_addr);
        // A mask's family may be missing.
        sockaddr_storage mask{};
        std::copy_n(reinterpret_cast<const char*>(entry.ifa_netmask),
                    ip.is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6), reinterpret_cast<char*>(&mask));
        mask.ss_family = ip.is_v4() ? AF_INET : AF_INET6;
        int bits = 0;
        const IpAddress mask_ip = SocketAddress::from_sockaddr(mask).ip;
        const auto& bytes = mask_ip.bytes();
        for (std::size_t i = ip.is_v4() ? 12 : 0; i < bytes.size(); ++i) bits += __builtin_popcount(bytes[i]);
        const std::string name(entry.ifa_name);
        if (const auto network = Cidr::parse(ip.text() + "/" + std::to_string(bits)))
            out.push_back({name.substr(0, name.find(':')), *network});
    });
    if (!listed) return listed.error();
    return out;
}

Result<std::vector<IpAddress>> interface_addresses() {
    std::vector<IpAddress> out;
    const auto listed = each_address([&out](const ifaddrs& entry) { out.push_back(address_of(*entry.ifa_addr)); });
    if (!listed) return listed.error();
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

}  // namespace hawser::net
