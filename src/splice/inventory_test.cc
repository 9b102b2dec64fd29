// SPDX-License-Identifier: Apache-2.0
#include "splice/inventory.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/socket.h>

#include "splice/testing_packets.h"

namespace hawser::splice::testing {
namespace {

std::uint64_t monotonic_ns() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// What the node sends to its client, seen at the other end of the cable.
class Cable {
  public:
    explicit Cable(const char* interface)
        : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    // TCP segments that have come so far.
    std::vector<Packet> take() {
        std::vector<Packet> out;
        Bytes buffer(2048);
        for (ssize_t size = 0; (size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0)) > 0;) {
            Bytes frame(buffer.begin(), buffer.begin() + size);
            std::string wrong;
            if (frame.size() < 54 || detail::get16(frame, 12) != 0x0800 || frame[23] != IPPROTO_TCP) continue;
            out.push_back(packet_of(frame, wrong));
            EXPECT_EQ(wrong, "");
        }
        return out;
    }

  private:
    net::Fd fd_;
};

class InventoryTest : public PacketTest {
  protected:
    void SetUp() override {
        PacketTest::SetUp();
        if (node_ == nullptr) return;
        names_ = std::make_unique<Names>(node_->tables());
        vips_ = std::make_unique<Vips>(node_->tables(), ports(20'000, 29'999), true);
        make({});
    }
    void make(Inventory::Limits limits) {
        inventory_ = std::make_unique<Inventory>(
            loop_, node_->program(), *names_, *vips_,
            Inventory::Callbacks{{}, [this](const tunnel::Tunnel& t) { closed_.push_back(t); }}, limits);
    }
    // So many probes, one in each sweep.
    void make_probing(int probes) {
        Inventory::Limits limits;
        limits.probe_interval = std::chrono::seconds(0);
        limits.probes = probes;
        make(limits);
    }
    // A spliced tunnel whose ends were last heard of so long ago.
    void add(std::uint64_t id, std::chrono::seconds silent = {}, std::uint32_t idle_seconds = 3600) {
        const auto port = static_cast<std::uint16_t>(10'000 + id);
        const net::SocketAddress client{*net::IpAddress::parse("10.1.0.2"), port},
            frontend{*net::IpAddress::parse("10.1.0.1"), 80};
        const net::SocketAddress upstream{*net::IpAddress::parse("10.2.0.1"), port},
            endpoint{*net::IpAddress::parse("10.2.0.3"), 9080};
        const std::uint64_t seen =
            monotonic_ns() - static_cast<std::uint64_t>(silent.count()) * 1'000'000'000;
        const auto flow = [&](const auto& from, const auto& to, std::uint32_t flags) {
            layout::flow f{};
            f.source = to_table(from.ip);
            f.source_port = htons(from.port);
            f.destination = to_table(to.ip);
            f.destination_port = htons(to.port);
            f.state = layout::state_spliced;
            f.flags = flags;
            f.id = id;
            f.idle_seconds = idle_seconds;
            f.sequence_end = (1ULL << 32) + 5'100;
            f.sequence_base = (1ULL << 32) + 5'000;
            f.acknowledged = 9'000;
            f.last_seen = f.last_data = seen;
            return f;
        };
        node_->tables().flows.put(make_key(client, frontend, IPPROTO_TCP),
                                  flow(upstream, endpoint, layout::flow_from_client));
        node_->tables().flows.put(make_key(endpoint, upstream, IPPROTO_TCP), flow(frontend, client, 0));
        layout::record record{};
        record.state = layout::state_spliced;
        record.route = names_->put("/chat");
        record.service = names_->put("default/chat");
        record.endpoint = names_->put("default/pod-1");
        record.protocol = names_->put("websocket");
        record.client = to_table(client.ip);
        record.client_port = client.port;
        record.idle_seconds = idle_seconds;
        record.bytes_in = 11;
        record.bytes_out = 22;
        node_->tables().records.put(id, record);
    }
    net::Loop loop_;
    std::unique_ptr<Names> names_;
    std::unique_ptr<Vips> vips_;
    std::unique_ptr<Inventory> inventory_;
    std::vector<tunnel::Tunnel> closed_;
};

TEST_F(InventoryTest, ListsTunnelsByIdInPagesWithEverythingThatIsKnown) {
    for (std::uint64_t id = 1; id <= 20; ++id) add(id);
    EXPECT_EQ(inventory_->highest_id(), 20U);
    const auto page = inventory_->list(5, 3);
    ASSERT_EQ(page.size(), 3U);
    EXPECT_EQ(page[0].id, 6U);
    EXPECT_EQ(page[2].id, 8U);
    const tunnel::Tunnel& t = page[0];
    EXPECT_EQ(t.route, "/chat");
    EXPECT_EQ(t.service, "default/chat");
    EXPECT_EQ(t.endpoint_name, "default/pod-1");
    EXPECT_EQ(t.protocol, "websocket");
    EXPECT_EQ(t.client.text(), "10.1.0.2:10006");
    EXPECT_EQ(t.frontend.text(), "10.1.0.1:80");
    EXPECT_EQ(t.endpoint.text(), "10.2.0.3:9080");
    EXPECT_EQ(t.from_client.bytes, 111U);
    EXPECT_EQ(t.from_endpoint.bytes, 122U);
    EXPECT_STREQ(t.splice, "spliced");
    EXPECT_EQ(inventory_->list(0, 1000).size(), 20U);
    EXPECT_TRUE(inventory_->find(20));
    EXPECT_FALSE(inventory_->find(21));
}

TEST_F(InventoryTest, ASilentPeerIsProbedAndADeadOneResetsBothEnds) {
    make_probing(2);
    add(7, std::chrono::seconds(61));
    Cable client("client0x"), pod("pod0x");
    inventory_->sweep();
    auto seen = client.take();
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].flags, ack);
    EXPECT_EQ(seen[0].sequence, 8'999U);
    EXPECT_EQ(seen[0].acknowledgment, 5'100U);
    EXPECT_EQ(seen[0].source.text(), "10.1.0.1:80");
    EXPECT_EQ(pod.take().size(), 1U);
    EXPECT_TRUE(closed_.empty());
    loop_.turn(net::Duration{1});
    inventory_->sweep();
    loop_.turn(net::Duration{1});
    inventory_->sweep();
    ASSERT_EQ(closed_.size(), 1U);
    EXPECT_EQ(closed_[0].reason, tunnel::CloseReason::timed_out);
    seen = client.take();
    ASSERT_FALSE(seen.empty());
    EXPECT_NE(seen.back().flags & rst, 0);
    EXPECT_EQ(inventory_->list(0, 10).size(), 0U);
}

// The last acknowledgement has been lost, and both ends are gone: nobody repeats it.
TEST_F(InventoryTest, ATunnelOfTwoFinsIsProbedTooAndHasFinishedWhenNobodyAnswers) {
    make_probing(1);
    add(7, std::chrono::seconds(61));
    node_->tables().flows.each([this](const layout::flow_key& key, layout::flow flow) {
        flow.flags |= layout::flow_fin | layout::flow_peer_fin;
        node_->tables().flows.put(key, flow);
    });
    Cable client("client0x");
    inventory_->sweep();
    EXPECT_EQ(client.take().size(), 1U);
    EXPECT_TRUE(closed_.empty());
    loop_.turn(net::Duration{1});
    inventory_->sweep();
    ASSERT_EQ(closed_.size(), 1U);
    EXPECT_EQ(closed_[0].reason, tunnel::CloseReason::finished);
    EXPECT_TRUE(client.take().empty()) << "no RST for what has ended well";
}

TEST_F(InventoryTest, APeerThatAnswersAProbeLives) {
    make_probing(1);
    add(7, std::chrono::seconds(61));
    inventory_->sweep();
    // Both answer: the program notes when.
    node_->tables().flows.each([this](const layout::flow_key& key, layout::flow flow) {
        flow.last_seen = monotonic_ns();
        node_->tables().flows.put(key, flow);
    });
    loop_.turn(net::Duration{1});
    inventory_->sweep();
    EXPECT_TRUE(closed_.empty());
    EXPECT_EQ(inventory_->list(0, 10).size(), 1U);
}

TEST_F(InventoryTest, ProbesOfManyTunnelsAreSpread) {
    Inventory::Limits limits;
    limits.probes_per_second = 3;
    make(limits);
    for (std::uint64_t id = 1; id <= 5; ++id) add(id, std::chrono::seconds(61));
    Cable client("client0x"), pod("pod0x");
    for (const std::size_t wanted : {3U, 3U, 3U, 1U, 0U}) {
        inventory_->sweep();
        EXPECT_EQ(client.take().size() + pod.take().size(), wanted);
    }
    EXPECT_TRUE(closed_.empty());
}

TEST_F(InventoryTest, TheIdleLimitEndsATunnelOnce) {
    add(7, std::chrono::seconds(5), 3);
    add(8, std::chrono::seconds(5), 3600);
    Cable client("client0x");
    inventory_->sweep();
    inventory_->sweep();
    ASSERT_EQ(closed_.size(), 1U);
    EXPECT_EQ(closed_[0].id, 7U);
    EXPECT_EQ(closed_[0].reason, tunnel::CloseReason::idle);
    EXPECT_FALSE(closed_[0].closed_by);
    EXPECT_FALSE(client.take().empty());
}

TEST_F(InventoryTest, AKilledTunnelIsToldToItsRelaysTailAndNobodyElse) {
    add(7);
    struct : tunnel::Home {
        std::vector<std::uint64_t> told;
        void ended(const tunnel::Tunnel& t, std::unique_ptr<tunnel::Epilogue>) override {
            told.push_back(t.id);
        }
    } home;
    inventory_->take_over(7, home, nullptr);
    EXPECT_TRUE(inventory_->kill(7));
    loop_.turn(net::Duration{0});
    EXPECT_EQ(home.told, std::vector<std::uint64_t>{7});
    EXPECT_TRUE(closed_.empty());
    EXPECT_FALSE(inventory_->kill(7));
    EXPECT_FALSE(inventory_->kill(99));
}

TEST_F(InventoryTest, ATunnelThatItsRelayGivesUpEndsAsTheRelaySaysOrAsItHasEndedAlready) {
    const auto client_key = [this](std::uint64_t id) {
        layout::flow_key found{};
        node_->tables().flows.each([&](const layout::flow_key& key, const layout::flow& flow) {
            if (flow.id == id && (flow.flags & layout::flow_from_client) != 0) found = key;
        });
        return found;
    };
    add(7);
    add(8);
    auto ended = *node_->tables().flows.find(client_key(8));
    ended.flags |= layout::flow_closed;
    node_->tables().flows.put(client_key(8), ended);
    Cable client("client0x");
    inventory_->end_soon(client_key(7), 7, tunnel::CloseReason::reset, tunnel::Side::endpoint);
    loop_.turn(net::Duration{0});
    ASSERT_EQ(closed_.size(), 1U);
    EXPECT_EQ(closed_[0].reason, tunnel::CloseReason::reset);
    EXPECT_EQ(closed_[0].closed_by, tunnel::Side::endpoint);
    EXPECT_FALSE(client.take().empty());
    inventory_->end_soon(client_key(8), 8, tunnel::CloseReason::reset, tunnel::Side::endpoint);
    loop_.turn(net::Duration{0});
    ASSERT_EQ(closed_.size(), 2U);
    EXPECT_EQ(closed_[1].reason, tunnel::CloseReason::finished);
    EXPECT_FALSE(closed_[1].closed_by);
    EXPECT_TRUE(client.take().empty());
    inventory_->end_soon(client_key(7), 9, tunnel::CloseReason::reset, {});
    loop_.turn(net::Duration{0});
    EXPECT_EQ(closed_.size(), 2U);
}

TEST_F(InventoryTest, HalfOfAnOldTunnelGoesAloneWhenAnotherHasItsOtherHalf) {
    add(7);
    std::optional<layout::flow_key> client, endpoint;
    node_->tables().flows.each([&](const layout::flow_key& key, const layout::flow& flow) {
        ((flow.flags & layout::flow_from_client) != 0 ? client : endpoint) = key;
    });
    ASSERT_TRUE(client && endpoint);
    auto taken = *node_->tables().flows.find(*endpoint);
    taken.id = 8;  // of a new tunnel with the same port to the endpoint
    node_->tables().flows.put(*endpoint, taken);
    auto old = *node_->tables().flows.find(*client);
    old.last_seen = old.last_data = 1;
    node_->tables().flows.put(*client, old);
    inventory_->sweep();
    EXPECT_FALSE(node_->tables().flows.has(*client));
    EXPECT_TRUE(node_->tables().flows.has(*endpoint));
}

TEST_F(InventoryTest, AnIdIsNotGivenAgainAfterItsTunnelsEnd) {
    struct : tunnel::Home {
        void ended(const tunnel::Tunnel&, std::unique_ptr<tunnel::Epilogue>) override {}
    } home;
    for (const std::uint64_t id : {41U, 43U, 42U}) {
        inventory_->take_over(id, home, nullptr);
        inventory_->give_back(id);
    }
    EXPECT_EQ(inventory_->highest_id(), 43U) << "an earlier process's last one, too: the table outlives it";
}

TEST_F(InventoryTest, NamesOfItsTunnelsAreInUse) {
    add(7);
    const auto record = *node_->tables().records.find(7);
    std::unordered_set<std::uint64_t> keys;
    inventory_->add_names_in_use(keys);
    for (const std::uint64_t key : {record.route, record.service, record.endpoint, record.protocol})
        EXPECT_TRUE(keys.contains(key));
}

TEST_F(InventoryTest, WhatEndedWhileNobodyRanIsFoundByTheSweep) {
    add(7);
    auto record = *node_->tables().records.find(7);
    record.flags = layout::record_closed | layout::record_by_endpoint;
    record.bytes_in = 1'000;
    record.bytes_out = 2'000;
    node_->tables().records.put(7, record);
    inventory_->sweep();
    ASSERT_EQ(closed_.size(), 1U);
    EXPECT_EQ(closed_[0].from_client.bytes, 1'000U);
    EXPECT_EQ(closed_[0].from_endpoint.bytes, 2'000U);
    EXPECT_EQ(closed_[0].closed_by, tunnel::Side::endpoint);
    EXPECT_EQ(closed_[0].reason, tunnel::CloseReason::finished);
    EXPECT_FALSE(node_->tables().records.has(7));
}

TEST_F(InventoryTest, ARecordWhoseFlowsANewConnectionTookGetsItsLastWord) {
    add(7);
    node_->tables().flows.each(
        [this](const layout::flow_key& key, const layout::flow&) { node_->tables().flows.erase(key); });
    for (int i = 0; i < 25; ++i) inventory_->sweep();
    ASSERT_EQ(closed_.size(), 1U);
    EXPECT_EQ(closed_[0].id, 7U);
    EXPECT_EQ(node_->tables().records.size(), 0U);
}

TEST_F(InventoryTest, AfterLostEventsEveryRecordIsAskedWhetherItsTunnelHasEnded) {
    for (const std::uint64_t id : {7U, 8U}) {
        add(id);
        auto record = *node_->tables().records.find(id);
        if (id == 7) record.flags = layout::record_closed | layout::record_by_client;
        node_->tables().records.put(id, record);
    }
    // The client's next connections have replaced them.
    node_->tables().flows.each(
        [this](const layout::flow_key& key, const layout::flow&) { node_->tables().flows.erase(key); });
    inventory_->sweep();
    EXPECT_TRUE(closed_.empty());
    const std::uint32_t which = layout::counter_event_lost;
    const std::vector<std::uint64_t> lost(static_cast<std::size_t>(libbpf_num_possible_cpus()), 1);
    ASSERT_EQ(bpf_map_update_elem(node_->tables().counts, &which, lost.data(), BPF_ANY), 0);
    inventory_->sweep();
    ASSERT_EQ(closed_.size(), 1U);
    EXPECT_EQ(closed_[0].id, 7U);
    EXPECT_EQ(closed_[0].closed_by, tunnel::Side::client);
    EXPECT_TRUE(node_->tables().records.has(8));
}

TEST_F(InventoryTest, HalfATunnelIsForgottenOnceItIsOld) {
    add(7, std::chrono::seconds(10));
    node_->tables().records.erase(7);
    add(8);
    node_->tables().records.erase(8);
    inventory_->sweep();
    EXPECT_EQ(node_->tables().flows.size(), 2U) << "the young one may be in the making";
}

TEST_F(InventoryTest, ManyTunnelsAreSweptInSlices) {
    Inventory::Limits limits;
    limits.slice = std::chrono::milliseconds(0);
    make(limits);
    constexpr std::size_t tunnels = 2'000;
    for (std::uint64_t id = 1; id <= tunnels; ++id) add(id);
    ASSERT_TRUE(inventory_->open());
    int turns = 0;
    while (inventory_->counts().l7 == 0 && turns < 100) {
        loop_.turn(net::Duration{1'000});
        ++turns;
    }
    EXPECT_GT(turns, 2) << "the loop has had its turns meanwhile";
    EXPECT_EQ(inventory_->counts().l7, tunnels) << "counts of a part are nobody's";
    EXPECT_EQ(inventory_->counts().by_service.at("default/chat"), tunnels);
}

class Loads : public InventoryTest {
  protected:
    void add_counted(std::uint64_t tunnels) {
        for (std::uint64_t id = 1; id <= tunnels; ++id) add(id);
        node_->tables().flows.each([this](const layout::flow_key& key, layout::flow flow) {
            flow.flags |= layout::flow_counted;
            node_->tables().flows.put(key, flow);
        });
    }
    [[nodiscard]] std::optional<std::uint64_t> load() const { return node_->tables().loads.find(endpoint_); }
    void set_load(std::uint64_t value) const { node_->tables().loads.put(endpoint_, value); }
    const std::uint64_t endpoint_ = name_key("default/pod-1");
};

TEST_F(Loads, AreCorrectedByCounting) {
    add_counted(1);
    for (const std::uint64_t wrong : {std::uint64_t{40}, std::uint64_t{0}, ~std::uint64_t{0}}) {
        set_load(wrong);
        inventory_->sweep();
        EXPECT_EQ(load(), 1U) << wrong;
    }
}

TEST_F(Loads, MayChangeWhileTheyAreCounted) {
    struct Case {
        std::uint64_t before, after, right;
        const char* sentence;
    };
    for (const Case& c : {Case{2'000, 2'100, 2'100, "a hundred tunnels have opened behind the count"},
                          Case{2'000, 1'900, 1'900, "a hundred that were counted have ended"},
                          Case{2'000, 2'000, 2'000, "none has"},
                          Case{2'600, 2'700, 2'050, "six hundred too many from before, beside a hundred new ones"},
                          Case{1'000, 900, 1'950, "a thousand too few"}}) {
        SCOPED_TRACE(c.sentence);
        SetUp();
        Inventory::Limits limits;
        limits.slice = std::chrono::milliseconds(0);
        make(limits);
        add_counted(2'000);
        set_load(c.before);
        ASSERT_TRUE(inventory_->open());
        loop_.turn(net::Duration{1'000});  // the first slice
        ASSERT_EQ(inventory_->counts().l7, 0U);
        set_load(c.after);
        for (int turns = 0; inventory_->counts().l7 == 0 && turns < 100; ++turns) loop_.turn(net::Duration{1'000});
        EXPECT_EQ(load(), c.right);
    }
}

}  // namespace
}  // namespace hawser::splice::testing
