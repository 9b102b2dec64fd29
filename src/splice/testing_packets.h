// SPDX-License-Identifier: Apache-2.0
#pragma once

// Packets as tests write and read them, and a network namespace in which the program can be run on them
// (BPF_PROG_TEST_RUN): routes and neighbours are real, so the expected output is whole, MAC addresses
// included.

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "splice/address.h"
#include "splice/names.h"
#include "splice/program.h"
#include "net/testing_directory.h"

namespace hawser::splice::testing {

using Bytes = std::vector<std::uint8_t>;

// Settings with these ports.
inline layout::settings ports(std::uint16_t low, std::uint16_t high) {
    layout::settings out{};
    out.port_low = low;
    out.port_high = high;
    return out;
}

enum Flags : std::uint8_t { fin = 1, syn = 2, rst = 4, psh = 8, ack = 16, urg = 32 };
// Verdicts of tc.
inline constexpr std::uint32_t passed = static_cast<std::uint32_t>(-1), dropped = 2, redirected = 7;

struct Packet {
    net::SocketAddress source, destination;
    std::uint8_t protocol = IPPROTO_TCP;
    std::uint32_t sequence = 0, acknowledgment = 0;
    std::uint8_t flags = ack;
    std::uint16_t window = 1000, urgent = 0;
    Bytes options;  // a multiple of 4
    Bytes payload;
    std::uint8_t ttl = 64, tos = 0;
    std::array<std::uint8_t, 12> macs{0xa, 0, 0, 0, 0, 1, 0xa, 0, 0, 0, 0, 2};  // destination, source

    bool operator==(const Packet&) const = default;
    [[nodiscard]] std::string text() const {
        std::string out = source.text() + ">" + destination.text() + " proto " + std::to_string(protocol) +
                          " seq " + std::to_string(sequence) + " ack " + std::to_string(acknowledgment) +
                          " flags " + std::to_string(flags) + " win " + std::to_string(window) + " ttl " +
                          std::to_string(ttl) + " tos " + std::to_string(tos) + " opt";
        for (const auto byte : options) out += " " + std::to_string(byte);
        out += " macs";
        for (const auto byte : macs) out += " " + std::to_string(byte);
        return out + " payload " + std::to_string(payload.size());
    }
};
inline void PrintTo(const Packet& p, std::ostream* out) { *out << p.text(); }

inline Bytes timestamps(std::uint32_t value, std::uint32_t echo) {
    Bytes out{1, 1, 8, 10};
    for (const std::uint32_t v : {value, echo})
        for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(v >> shift));
    return out;
}

namespace detail {
inline void put16(Bytes& to, std::size_t at, unsigned value) {
    to[at] = static_cast<std::uint8_t>(value >> 8);
    to[at + 1] = static_cast<std::uint8_t>(value);
}
inline void put32(Bytes& to, std::size_t at, std::uint32_t value) {
    put16(to, at, value >> 16);
    put16(to, at + 2, value & 0xffff);
}
inline std::uint32_t get16(const Bytes& from, std::size_t at) {
    return static_cast<std::uint32_t>(from[at] << 8 | from[at + 1]);
}
inline std::uint32_t get32(const Bytes& from, std::size_t at) {
    return get16(from, at) << 16 | get16(from, at + 2);
}
// RFC 1071, from scratch.
inline std::uint32_t sum(const Bytes& bytes, std::size_t from, std::size_t to) {
    std::uint32_t out = 0;
    for (std::size_t i = from; i < to; ++i) out += (i - from) % 2 == 0 ? bytes[i] << 8 : bytes[i];
    return out;
}
inline std::uint16_t fold(std::uint32_t sum) {
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(sum);
}
inline std::uint32_t pseudo(const Bytes& b, bool v4, std::uint8_t protocol, std::size_t l4) {
    return sum(b, v4 ? 26 : 22, v4 ? 34 : 54) + protocol + static_cast<std::uint32_t>(b.size() - l4);
}
}  // namespace detail

inline std::size_t check_at(std::uint8_t protocol) {
    return protocol == IPPROTO_TCP ? 16 : protocol == IPPROTO_UDP ? 6 : 2;
}

// An Ethernet frame with correct checksums.
inline Bytes bytes_of(const Packet& p) {
    const bool v4 = p.destination.ip.is_v4();
    const std::size_t l3 = 14, l4 = v4 ? 34 : 54;
    const std::size_t header = p.protocol == IPPROTO_TCP ? 20 + p.options.size() : 8;
    Bytes out(l4 + header + p.payload.size());
    std::copy(p.macs.begin(), p.macs.end(), out.begin());
    detail::put16(out, 12, v4 ? 0x0800 : 0x86dd);
    const auto& source = p.source.ip.bytes();
    const auto& destination = p.destination.ip.bytes();
    const auto size = static_cast<unsigned>(header + p.payload.size());
    if (v4) {
        out[l3] = 0x45;
        out[l3 + 1] = p.tos;
        detail::put16(out, l3 + 2, 20 + size);
        detail::put16(out, l3 + 6, 0x4000);
        out[l3 + 8] = p.ttl;
        out[l3 + 9] = p.protocol;
        std::copy(source.begin() + 12, source.end(), out.begin() + 26);
        std::copy(destination.begin() + 12, destination.end(), out.begin() + 30);
        detail::put16(out, l3 + 10, 0xffffU & ~detail::fold(detail::sum(out, l3, l4)));
    } else {
        detail::put32(out, l3, 6U << 28 | static_cast<std::uint32_t>(p.tos) << 20);
        detail::put16(out, l3 + 4, size);
        out[l3 + 6] = p.protocol;
        out[l3 + 7] = p.ttl;
        std::copy(source.begin(), source.end(), out.begin() + 22);
        std::copy(destination.begin(), destination.end(), out.begin() + 38);
    }
    detail::put16(out, l4, p.source.port);
    detail::put16(out, l4 + 2, p.destination.port);
    if (p.protocol == IPPROTO_TCP) {
        detail::put32(out, l4 + 4, p.sequence);
        detail::put32(out, l4 + 8, p.acknowledgment);
        out[l4 + 12] = static_cast<std::uint8_t>(header / 4 << 4);
        out[l4 + 13] = p.flags;
        detail::put16(out, l4 + 14, p.window);
        detail::put16(out, l4 + 18, p.urgent);
        std::copy(p.options.begin(), p.options.end(), out.begin() + static_cast<std::ptrdiff_t>(l4 + 20));
    } else {
        detail::put16(out, l4 + 4, size);
    }
    std::copy(p.payload.begin(), p.payload.end(), out.begin() + static_cast<std::ptrdiff_t>(l4 + header));
    const std::size_t check = l4 + check_at(p.protocol);
    detail::put16(
        out, check,
        0xffffU & ~detail::fold(detail::pseudo(out, v4, p.protocol, l4) + detail::sum(out, l4, out.size())));
    return out;
}

// What a frame says; its checksums are verified from scratch ("" = right).
inline Packet packet_of(const Bytes& b, std::string& wrong) {
    Packet p;
    wrong.clear();
    const bool v4 = detail::get16(b, 12) == 0x0800;
    const std::size_t l4 = v4 ? 34 : 54;
    std::copy_n(b.begin(), 12, p.macs.begin());
    const auto address = [&](std::size_t at) {
        if (v4) return net::IpAddress::v4(detail::get32(b, at));
        std::array<std::uint8_t, 16> bytes{};
        std::copy_n(b.begin() + static_cast<std::ptrdiff_t>(at), 16, bytes.begin());
        return net::IpAddress::v6(bytes);
    };
    p.source.ip = address(v4 ? 26 : 22);
    p.destination.ip = address(v4 ? 30 : 38);
    p.protocol = v4 ? b[23] : b[20];
    p.ttl = v4 ? b[22] : b[21];
    p.tos = v4 ? b[15] : static_cast<std::uint8_t>(detail::get16(b, 14) >> 4);
    if (v4 && detail::fold(detail::sum(b, 14, 34)) != 0xffff) wrong += "IP checksum; ";
    const std::uint32_t own = v4 && p.protocol == IPPROTO_ICMP ? 0 : detail::pseudo(b, v4, p.protocol, l4);
    if (detail::fold(own + detail::sum(b, l4, b.size())) != 0xffff) wrong += "L4 checksum; ";
    if (p.protocol != IPPROTO_TCP && p.protocol != IPPROTO_UDP) {
        p.payload.assign(b.begin() + static_cast<std::ptrdiff_t>(l4), b.end());
        return p;
    }
    p.source.port = static_cast<std::uint16_t>(detail::get16(b, l4));
    p.destination.port = static_cast<std::uint16_t>(detail::get16(b, l4 + 2));
    std::size_t header = 8;
    if (p.protocol == IPPROTO_TCP) {
        p.sequence = detail::get32(b, l4 + 4);
        p.acknowledgment = detail::get32(b, l4 + 8);
        header = static_cast<std::size_t>(b[l4 + 12] >> 4) * 4;
        p.flags = b[l4 + 13];
        p.window = static_cast<std::uint16_t>(detail::get16(b, l4 + 14));
        p.urgent = static_cast<std::uint16_t>(detail::get16(b, l4 + 18));
        p.options.assign(b.begin() + static_cast<std::ptrdiff_t>(l4 + 20),
                         b.begin() + static_cast<std::ptrdiff_t>(l4 + header));
    }
    p.payload.assign(b.begin() + static_cast<std::ptrdiff_t>(l4 + header), b.end());
    return p;
}

// What a program made of a packet.
struct Outcome {
    std::uint32_t verdict = 0;
    Bytes bytes;
};

// How a packet meets a program.
struct Arrival {
    const char* interface = "client0";
    Hook hook = Hook::ingress;
    std::uint32_t gso_size = 0;  // of a super-packet; CHECKSUM_PARTIAL cannot be had in a test run
    std::uint32_t mark = 0;
    bool forwarded = false;   // at egress: it came in by an interface
    std::uint32_t flags = 0;  // of the test run
};

// BPF_F_TEST_SKB_CHECKSUM_COMPLETE, Linux 6.16: the device has summed up the packet, and the run fails if
// that sum is wrong when the program has ended.
inline constexpr std::uint32_t summed_by_device = 1 << 2;

// A node: client side (10.1.0.0/24, fd01::/64) and pod side (10.2.0.0/24, fd02::/64), with neighbours that
// are known.
class Node {
  public:
    // Null where the kernel or the privileges do not allow it: `why` says so.
    static std::unique_ptr<Node> make(std::string& why) {
        std::unique_ptr<Node> out(new Node);
        why = out->set_up();
        return why.empty() ? std::move(out) : nullptr;
    }
    ~Node() {
        program_.reset();
        if (mounted_) ::umount(directory_.path().c_str());
    }
    Program& program() { return *program_; }
    const Tables& tables() { return program_->tables(); }
    // Empty tables. (Loading a program takes half a second: the verifier.)
    void reset() {
        if (!program_) {
            auto loaded = Program::load({directory_.path() / "t", 4096});
            if (!loaded) throw std::runtime_error(loaded.error().text());
            program_ = std::move(*loaded);
        }
        const Tables& t = tables();
        const auto clear = [](const auto& table) {
            table.each([&table](const auto& key, const auto&) { table.erase(key); });
        };
        for (const auto* table : {&t.flows, &t.nascent}) clear(*table);
        for (const auto* table : {&t.records, &t.nascent_records}) clear(*table);
        for (const auto* table : {&t.node_addresses, &t.cluster_addresses}) clear(*table);
        for (const auto* table : {&t.pod_ranges, &t.service_ranges}) clear(*table);
        clear(t.names);
        clear(t.frontends);
        clear(t.groups);
        clear(t.endpoints);
        clear(t.hash_parts);
        clear(t.entry_parts);
        clear(t.members);
        clear(t.loads);
        clear(t.port_counters);
        clear(t.affinities);
        clear(t.interfaces);
        clear(t.source_ranges);
        clear(t.places);
        const std::vector<std::uint64_t> zeros(1024);
        for (std::uint32_t i = 0; i < layout::counters; ++i)
            bpf_map_update_elem(t.counts, &i, zeros.data(), BPF_ANY);
        events();
        put_interface("client0", "10.1.0.1", "fd01::1");
        put_interface("pod0", "10.2.0.1", "fd02::1");
        tables().settings.put(0, ports(20'000, 29'999));
        for (const char* ip : {"10.1.0.1", "10.2.0.1", "fd01::1", "fd02::1"})
            tables().node_addresses.put(to_table(*net::IpAddress::parse(ip)), 1);
    }
    Outcome run(const Bytes& packet, const Arrival& arrival) {
        __sk_buff context{};
        context.ifindex = if_nametoindex(arrival.interface);
        context.ingress_ifindex = arrival.forwarded ? if_nametoindex(arrival.interface) : 0;
        context.mark = arrival.mark;
        context.gso_size = arrival.gso_size;
        if (arrival.gso_size != 0)
            context.gso_segs = static_cast<std::uint32_t>(packet.size()) / arrival.gso_size + 1;
        Outcome out;
        out.bytes.resize(packet.size() + 256);
        LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.data(), .data_out = out.bytes.data(),
                    .data_size_in = static_cast<std::uint32_t>(packet.size()),
                    .data_size_out = static_cast<std::uint32_t>(out.bytes.size()), .ctx_in = &context,
                    .ctx_size_in = sizeof context, .repeat = 1, .flags = arrival.flags);
        const int failed = bpf_prog_test_run_opts(program_->program(arrival.hook), &options);
        if (failed != 0) throw std::runtime_error("test run: " + std::to_string(failed));
        out.verdict = options.retval;
        out.bytes.resize(options.data_size_out);
        return out;
    }
    Outcome run(const Bytes& packet, const char* interface = "client0", Hook hook = Hook::ingress,
                std::uint32_t gso_size = 0) {
        return run(packet, Arrival{.interface = interface, .hook = hook, .gso_size = gso_size});
    }
    // What the program has told through the ring buffer since the last call.
    std::vector<layout::event> events() {
        std::vector<layout::event> out;
        const auto take = [](void* to, void* data, std::size_t) {
            static_cast<std::vector<layout::event>*>(to)->push_back(*static_cast<layout::event*>(data));
            return 0;
        };
        ring_buffer* ring = ring_buffer__new(tables().events, take, &out, nullptr);
        if (ring == nullptr) throw std::runtime_error(std::string("ring buffer: ") + std::strerror(errno));
        ring_buffer__consume(ring);
        ring_buffer__free(ring);
        return out;
    }
    [[nodiscard]] static std::array<std::uint8_t, 6> mac(const char* interface) {
        std::array<std::uint8_t, 6> out{};
        std::FILE* file = std::fopen((std::string("/sys/class/net/") + interface + "/address").c_str(), "r");
        std::array<unsigned, 6> read{};
        if (file != nullptr) {
            if (std::fscanf(file, "%x:%x:%x:%x:%x:%x", &read[0], &read[1], &read[2], &read[3], &read[4],
                            &read[5]) == 6)
                for (std::size_t i = 0; i < 6; ++i) out[i] = static_cast<std::uint8_t>(read[i]);
            std::fclose(file);
        }
        return out;
    }
    // MACs of a packet that leaves by an interface to neighbour number n.
    [[nodiscard]] static std::array<std::uint8_t, 12> towards(const char* interface, std::uint8_t n) {
        const auto own = mac(interface);
        std::array<std::uint8_t, 12> out{2, 0, 0, 0, 0, n};
        std::copy(own.begin(), own.end(), out.begin() + 6);
        return out;
    }

  private:
    Node() = default;
    static bool command(const std::string& words) {
        return std::system((words + " >/dev/null 2>&1").c_str()) == 0;
    }
    void put_interface(const char* name, const char* v4, const char* v6) {
        layout::interface entry {};
        entry.v4 = to_table(*net::IpAddress::parse(v4));
        entry.v6 = to_table(*net::IpAddress::parse(v6));
        const auto own = mac(name);
        std::copy(own.begin(), own.end(), entry.mac);
        tables().interfaces.put(if_nametoindex(name), entry);
    }
    std::string set_up() {
        if (::geteuid() != 0) return "network namespaces and eBPF need root";
        if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return "unshare is forbidden";
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
        // The sysfs of this namespace: names of interfaces are looked up there.
        ::umount2("/sys", MNT_DETACH);
        if (::mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) return "mounting sysfs is forbidden";
        if (::mount("bpf", directory_.path().c_str(), "bpf", 0, nullptr) != 0)
            return "mounting a bpffs is forbidden";
        mounted_ = true;
        bool good = command("ip link set lo up");
        for (const std::string side : {"client0 1", "pod0 2"}) {
            const std::string name = side.substr(0, side.find(' ')), n = side.substr(side.find(' ') + 1);
            good = good && command("ip link add " + name + " type veth peer name " + name + "x") &&
                   command("ip addr add 10." + n + ".0.1/24 dev " + name) &&
                   command("ip -6 addr add fd0" + n + "::1/64 dev " + name + " nodad") &&
                   command("ip link set " + name + " up") && command("ip link set " + name + "x up");
            for (int i = 2; i < 8; ++i) {
                const std::string host = std::to_string(i);
                good = good &&
                       command("ip neigh replace 10." + n + ".0." + host + " lladdr 02:00:00:00:00:0" + host +
                               " dev " + name + " nud permanent") &&
                       command("ip neigh replace fd0" + n + "::" + host + " lladdr 02:00:00:00:00:0" + host +
                               " dev " + name + " nud permanent");
            }
        }
        good = good && command("sysctl -w net.ipv4.ip_forward=1") &&
               command("sysctl -w net.ipv6.conf.all.forwarding=1");
        if (!good) return "ip (iproute2) could not make the interfaces";
        try {
            reset();
        } catch (const std::exception& e) {
            return e.what();
        }
        return "";
    }

    net::testing::TemporaryDirectory directory_{"packets"};
    bool mounted_ = false;
    std::unique_ptr<Program> program_;
};

// Frames that an interface sees, those that go out by it too.
class Wire {
  public:
    explicit Wire(const char* interface)
        : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    // Those of TCP and of one port, within a moment.
    std::vector<Bytes> take(std::uint16_t port, int milliseconds = 50) {
        std::vector<Bytes> out;
        Bytes buffer(70'000);
        pollfd poll{fd_.get(), POLLIN, 0};
        while (::poll(&poll, 1, milliseconds) > 0) {
            const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
            if (size < 54) continue;
            const bool v4 = detail::get16(buffer, 12) == 0x0800;
            const std::size_t l4 = v4 ? 34 : 54;
            if (buffer[v4 ? 23 : 20] != IPPROTO_TCP || static_cast<std::size_t>(size) < l4 + 20) continue;
            if (detail::get16(buffer, l4) != port && detail::get16(buffer, l4 + 2) != port) continue;
            out.emplace_back(buffer.begin(), buffer.begin() + size);
            milliseconds = 0;
        }
        return out;
    }

  private:
    net::Fd fd_;
};

// One node for all tests of a program: made at the first use.
inline Node* shared_node(std::string& why) {
    static std::string reason;
    static const std::unique_ptr<Node> node = Node::make(reason);
    why = reason;
    return node.get();
}

class PacketTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string why;
        node_ = shared_node(why);
        if (node_ == nullptr) GTEST_SKIP() << why;
        node_->reset();
    }
    Node* node_ = nullptr;
};

}  // namespace hawser::splice::testing
