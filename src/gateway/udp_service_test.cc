// SPDX-License-Identifier: Apache-2.0
#include "gateway/testing_gateway.h"

namespace hawser::gateway::testing {
namespace {

class Datagrams {
  public:
    Datagrams() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        Backend::bind_any_port(fd_.get());
        const timeval limit{patience.count(), 0};
        setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }
    void send(std::string_view bytes, const net::SocketAddress& to) {
        sockaddr_storage storage;
        const socklen_t size = to.to_sockaddr(storage);
        ::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&storage), size);
    }
    std::string receive() {
        char buffer[65536];
        sockaddr_storage storage{};
        socklen_t size = sizeof storage;
        const ssize_t n =
            ::recvfrom(fd_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&storage), &size);
        if (n < 0) throw std::runtime_error("no datagram came");
        from = net::SocketAddress::from_sockaddr(storage);
        return {buffer, static_cast<std::size_t>(n)};
    }
    [[nodiscard]] net::SocketAddress address() const { return net::local_address(fd_.get()); }

    net::SocketAddress from;  // of the last one received

  private:
    net::Fd fd_;
};

TEST(UdpService, carries_datagrams_of_each_client_in_a_flow_of_its_own) {
    Datagrams endpoint, ann, bob;
    Site site;
    site.use({frontend_of(group_of({endpoint.address()}), catalog::Protocol::udp)});
    const auto to = site.address("im");
    ann.send("ann", to);
    EXPECT_EQ(endpoint.receive(), "ann");
    const auto flow_of_ann = endpoint.from;
    bob.send("bob", to);
    EXPECT_EQ(endpoint.receive(), "bob");
    EXPECT_NE(endpoint.from, flow_of_ann);
    endpoint.send("to bob", endpoint.from);
    endpoint.send("to ann", flow_of_ann);
    EXPECT_EQ(bob.receive(), "to bob");
    EXPECT_EQ(bob.from, to);
    EXPECT_EQ(ann.receive(), "to ann");
    ann.send("again", to);
    EXPECT_EQ(endpoint.receive(), "again");
    EXPECT_EQ(endpoint.from, flow_of_ann);
    ann.send("", to);
    EXPECT_EQ(endpoint.receive(), "");
    EXPECT_EQ(site.stats().udp_flows, 2U);
    EXPECT_EQ(site.stats().udp_datagrams_in, 4U);
}

TEST(UdpService, answers_from_the_address_that_the_client_sent_to) {
    Datagrams endpoint, client;
    Site site;
    auto frontend = frontend_of(group_of({endpoint.address()}), catalog::Protocol::udp);
    frontend.address.ip = net::IpAddress::any_v4();
    site.use({frontend});
    for (const char* ip : {"127.0.0.1", "127.0.0.9"}) {
        const net::SocketAddress to{*net::IpAddress::parse(ip), site.address("im").port};
        client.send("hi", to);
        EXPECT_EQ(endpoint.receive(), "hi");
        endpoint.send("yes", endpoint.from);
        EXPECT_EQ(client.receive(), "yes");
        EXPECT_EQ(client.from, to);
    }
    EXPECT_EQ(site.stats().udp_flows, 2U);
}

TEST(UdpService, ends_the_flows_of_an_endpoint_that_is_gone_H_09) {
    Datagrams one, two, client;
    Site site;
    site.use({frontend_of(group_of({one.address()}), catalog::Protocol::udp)});
    const auto to = site.address("im");
    client.send("1", to);
    EXPECT_EQ(one.receive(), "1");
    site.use({frontend_of(group_of({two.address()}), catalog::Protocol::udp)});
    EXPECT_EQ(site.address("im"), to);
    client.send("2", to);
    EXPECT_EQ(two.receive(), "2");
    EXPECT_EQ(site.stats().udp_flows, 1U);
}

TEST(UdpService, picks_anew_after_port_unreachable) {
    Datagrams alive, client;
    net::SocketAddress dead;
    {
        const Datagrams gone;
        dead = gone.address();
    }
    Site site;
    site.use({frontend_of(group_of({dead, alive.address()}), catalog::Protocol::udp)});
    const auto to = site.address("im");
    // Round robin: one of two reaches the living, whichever is first.
    client.send("a", to);
    EXPECT_TRUE(eventually([&] {
        client.send("b", to);
        const auto stats = site.stats();
        return stats.udp_flows == 1 && alive.receive() != "";
    }));
}

TEST(UdpService, ends_idle_flows) {
    Datagrams endpoint, client;
    Site site;
    auto frontend = frontend_of(group_of({endpoint.address()}), catalog::Protocol::udp);
    frontend.udp_idle_timeout = std::chrono::milliseconds(100);
    site.use({frontend});
    client.send("a", site.address("im"));
    EXPECT_EQ(endpoint.receive(), "a");
    EXPECT_TRUE(eventually([&] { return site.stats().udp_flows == 0; }));
}

TEST(UdpService, goes_with_its_flows_while_they_are_busy) {
    Datagrams client;
    net::SocketAddress dead;
    {
        const Datagrams gone;
        dead = gone.address();
    }
    Site site;
    const auto frontend = frontend_of(group_of({dead}), catalog::Protocol::udp);
    for (int i = 0; i < 50; ++i) {
        site.use({frontend});
        for (int k = 0; k < 5; ++k) client.send("x", site.address("im"));
        site.use(std::vector<catalog::Frontend>{});
        EXPECT_EQ(site.stats().udp_flows, 0U);
    }
}

}  // namespace
}  // namespace hawser::gateway::testing
