// SPDX-License-Identifier: Apache-2.0
#pragma once

// L4 services in the tables, for packet tables.

#include <algorithm>

#include "splice/services.h"
#include "splice/testing_packets.h"

namespace hawser::splice::testing {

using catalog::Frontend;
using catalog::FrontendKind;
using catalog::Scheduler;

// Of both families: clients are 10.1.0.n, pods 10.2.0.n.
class ServiceTest : public PacketTest, public ::testing::WithParamInterface<bool> {
  protected:
    void SetUp() override {
        PacketTest::SetUp();
        if (node_ == nullptr) return;
        names_ = std::make_unique<Names>(node_->tables());
        remake();
    }
    void remake(Services::Options options = {}) {
        services_ = std::make_unique<Services>(node_->tables(), *names_, std::move(options));
    }
    [[nodiscard]] static net::IpAddress ip(const char* v4, const char* v6) {
        return *net::IpAddress::parse(GetParam() ? v4 : v6);
    }
    [[nodiscard]] static net::IpAddress client(int n) {
        return ip(("10.1.0." + std::to_string(n)).c_str(), ("fd01::" + std::to_string(n)).c_str());
    }
    [[nodiscard]] static net::IpAddress pod(int n) {
        return ip(("10.2.0." + std::to_string(n)).c_str(), ("fd02::" + std::to_string(n)).c_str());
    }
    [[nodiscard]] static net::Cidr pods() {
        return *net::Cidr::parse(GetParam() ? "10.2.0.0/24" : "fd02::/64");
    }
    [[nodiscard]] static net::IpAddress any() {
        return GetParam() ? net::IpAddress::any_v4() : net::IpAddress::any_v6();
    }
    [[nodiscard]] static net::IpAddress node() { return ip("10.1.0.1", "fd01::1"); }
    [[nodiscard]] static net::IpAddress cluster_ip() { return ip("10.96.0.9", "fd96::9"); }
    [[nodiscard]] static net::IpAddress external_ip() { return ip("203.0.113.250", "2001:db8::250"); }

    static std::shared_ptr<catalog::EndpointGroup> group(const std::vector<net::IpAddress>& pods,
                                                         Scheduler scheduler = Scheduler::rr,
                                                         const char* id = "default/web:80/TCP") {
        auto out = std::make_shared<catalog::EndpointGroup>();
        out->id = id;
        out->service = "default/web";
        out->balancing.scheduler = scheduler;
        for (const auto& address : pods) {
            catalog::Endpoint e;
            e.address = {address, 9080};
            e.name = "default/pod-" + address.text();
            e.max_fails = 0;
            e.state = std::make_shared<catalog::EndpointState>();
            out->endpoints.push_back(std::move(e));
        }
        return out;
    }
    static Frontend frontend(FrontendKind kind, const net::IpAddress& address, std::uint16_t port,
                             std::shared_ptr<const catalog::EndpointGroup> endpoints) {
        Frontend f;
        f.id = "default/web:80/TCP@" + std::string(catalog::to_string(kind)) + address.text() +
               std::to_string(port);
        f.kind = kind;
        f.address = {address, port};
        f.service = "default/web";
        f.group = endpoints;
        f.cluster_group = std::move(endpoints);
        return f;
    }
    static Frontend udp(Frontend f) {
        f.protocol = catalog::Protocol::udp;
        f.id += "/UDP";
        return f;
    }
    Services::Result apply(std::vector<Frontend> frontends) {
        auto snapshot = std::make_shared<catalog::Snapshot>();
        std::sort(frontends.begin(), frontends.end(),
                  [](const auto& a, const auto& b) { return a.id < b.id; });
        snapshot->frontends = std::move(frontends);
        for (const char* text : {"10.1.0.1", "10.2.0.1", "fd01::1", "fd02::1"})
            snapshot->node_addresses.push_back(*net::IpAddress::parse(text));
        return services_->apply(snapshot);
    }
    static Packet segment(const net::SocketAddress& from, const net::SocketAddress& to,
                          std::uint8_t flags = syn) {
        Packet p;
        p.source = from;
        p.destination = to;
        p.flags = flags;
        p.sequence = 1'000;
        return p;
    }
    static Packet datagram(const net::SocketAddress& from, const net::SocketAddress& to) {
        Packet p;
        p.source = from;
        p.destination = to;
        p.protocol = IPPROTO_UDP;
        p.payload = {'a', 's', 'k'};
        p.flags = 16;
        p.window = 1000;
        return p;
    }
    struct Seen {
        std::uint32_t verdict = 0;
        Packet packet;
    };
    Seen run(const Packet& p, const char* interface = "client0", Hook hook = Hook::ingress) {
        const Outcome outcome = node_->run(bytes_of(p), interface, hook);
        std::string wrong;
        Seen out{outcome.verdict, packet_of(outcome.bytes, wrong)};
        EXPECT_EQ(wrong, "");
        return out;
    }
    // A handshake through to its third segment; what the SYN became.
    Seen open(const net::SocketAddress& from, const net::SocketAddress& to) {
        const Seen there = run(segment(from, to));
        Packet answer = segment(there.packet.destination, there.packet.source, syn | ack);
        answer.sequence = 7'000;
        answer.acknowledgment = 1'001;
        EXPECT_EQ(run(answer, "pod0").verdict, redirected);
        Packet last = segment(from, to, ack);
        last.sequence = 1'001;
        last.acknowledgment = 7'001;
        EXPECT_EQ(run(last).verdict, redirected);
        return there;
    }
    // Where a new client's SYN goes.
    net::SocketAddress reached(const net::SocketAddress& from, const net::SocketAddress& to) {
        const Seen seen = run(segment(from, to));
        EXPECT_EQ(seen.verdict, redirected);
        return seen.packet.destination;
    }
    std::unique_ptr<Names> names_;
    std::unique_ptr<Services> services_;
};

inline std::string family_of_services(const ::testing::TestParamInfo<bool>& each) {
    return each.param ? "IPv4" : "IPv6";
}

}  // namespace hawser::splice::testing
