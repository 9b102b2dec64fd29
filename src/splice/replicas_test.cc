// SPDX-License-Identifier: Apache-2.0
#include "splice/replicas.h"

#include <atomic>
#include <thread>

#include "splice/testing_tunnel.h"

namespace hawser::splice::testing {
namespace {

using std::chrono::milliseconds;

struct Ears final : SharedTunnels::Listener {
    void on_carried(const Carried& tunnel) override { carried.push_back(tunnel); }
    void on_gone(const Gone& tunnel) override { gone.push_back(tunnel); }
    void on_missed() override { ++missed; }
    void on_vips_changed() override { ++changes; }
    std::vector<Carried> carried;
    std::vector<Gone> gone;
    int missed = 0, changes = 0;
};

class ReplicasTest : public PacketTest {
  protected:
    void SetUp() override {
        PacketTest::SetUp();
        if (node_ == nullptr) return;
        names_ = std::make_unique<Names>(node_->tables());
        vips_ = std::make_unique<Vips>(node_->tables(), ports(20'000, 29'999), true);
        interfaces_ = std::make_unique<Interfaces>(loop_, node_->program(), [](const std::string&) {});
        ASSERT_TRUE(interfaces_->open());
        inventory_ = std::make_unique<Inventory>(
            loop_, node_->program(), *names_, *vips_,
            Inventory::Callbacks{{}, [this](const tunnel::Tunnel& t) { closed_.push_back(t); }}, Inventory::Limits{});
        replicas_ = std::make_unique<Replicas>(loop_, node_->program(), *names_, *vips_, *interfaces_, *inventory_);
        Inventory::Sharing sharing;
        sharing.begun = [this](const auto& pair, auto id, const auto& record) { replicas_->begun(pair, id, record); };
        sharing.ended = [this](const auto& pair, auto id, const auto& record) { replicas_->ended(pair, id, record); };
        inventory_->share(std::move(sharing));
        std::atomic<bool> done = false;
        std::thread other([&] {
            replicas_->listen(&ears_);
            done = true;
        });
        while (!done) loop_.turn(milliseconds(1));
        other.join();
    }
    const Tables& tables() { return node_->tables(); }
    static net::IpAddress vip() { return *net::IpAddress::parse("10.9.0.9"); }

    // As another node tells it.
    static Carried foreign(std::uint64_t id, std::uint16_t port = 40'000) {
        Carried c;
        c.identity = {0xabcdef, id};
        c.protocol = IPPROTO_TCP;
        c.timestamps = true;
        c.client = c.told_client = {*net::IpAddress::parse("10.1.0.2"), port};
        c.frontend = {vip(), 80};
        c.towards_endpoint = {vip(), static_cast<std::uint16_t>(port - 20'000)};
        c.endpoint = {*net::IpAddress::parse("10.2.0.3"), 9080};
        c.from_client.sequence_delta = 1'000;
        c.from_client.acknowledgment_delta = 2'000;
        c.from_client.sequence_end = c.from_client.sequence_base = (1ULL << 32) + 77;
        c.from_endpoint.sequence_delta = 0U - 2'000;
        c.from_endpoint.acknowledgment_delta = 0U - 1'000;
        c.from_endpoint.largest_segment = 1'400;
        c.started = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
        c.idle = std::chrono::seconds(60);
        c.bytes_in = 5;
        c.route = "/chat";
        c.service = "default/chat";
        c.endpoint_name = "default/pod-3";
        c.kind = "websocket";
        return c;
    }
    SharedTunnels::Answer hear(SharedTunnels::Heard heard) {
        std::optional<SharedTunnels::Answer> answer;
        replicas_->hear(std::move(heard), [&](SharedTunnels::Answer a) { answer = std::move(a); });
        loop_.turn(milliseconds(0));
        EXPECT_TRUE(answer);
        return answer.value_or(SharedTunnels::Answer{});
    }
    SharedTunnels::Answer hear(const Carried& tunnel) { return hear({{tunnel}, nullptr, {}}); }
    std::vector<Carried> read() {
        std::vector<Carried> out;
        std::shared_ptr<SharedTunnels::Reading> reading;
        do {
            replicas_->read(reading, [&](auto piece, auto rest) {
                out.insert(out.end(), piece.begin(), piece.end());
                reading = rest;
            });
            loop_.turn(milliseconds(0));
        } while (reading);
        return out;
    }
    std::optional<layout::flow> flow_of(const Carried& c) {
        return tables().flows.find(make_key(c.client, c.frontend, c.protocol));
    }

    net::Loop loop_;
    std::unique_ptr<Names> names_;
    std::unique_ptr<Vips> vips_;
    std::unique_ptr<Interfaces> interfaces_;
    std::unique_ptr<Inventory> inventory_;
    std::unique_ptr<Replicas> replicas_;
    Ears ears_;
    std::vector<tunnel::Tunnel> closed_;
};

TEST_F(ReplicasTest, ATunnelOfAnotherNodeWaitsInTheTablesAndIsCarriedWhenItsVipComes) {
    EXPECT_EQ(hear(foreign(1)).refused, 0U);
    inventory_->sweep();
    EXPECT_EQ(inventory_->counts().standby, 1U);
    EXPECT_EQ(inventory_->counts().l7, 0U);
    EXPECT_TRUE(inventory_->list(0, 10).empty()) << "the other node has it";
    EXPECT_TRUE(read().empty()) << "nor is it this node's to tell";
    vips_->hold(vip(), milliseconds(60'000));
    inventory_->sweep();
    EXPECT_EQ(inventory_->counts().standby, 0U);
    EXPECT_EQ(inventory_->counts().l7, 1U);
    const auto list = inventory_->list(0, 10);
    ASSERT_EQ(list.size(), 1U);
    EXPECT_EQ(list[0].route, "/chat");
    EXPECT_EQ(list[0].endpoint_name, "default/pod-3");
    EXPECT_EQ(list[0].protocol, "websocket");
    EXPECT_EQ(list[0].from_client.bytes, 5U);
    EXPECT_EQ(list[0].started, foreign(1).started);
    // And what it tells is what it was told.
    const auto told = read();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0], foreign(1));
}

TEST_F(ReplicasTest, ATunnelThatIsToldTwiceIsThereOnce) {
    hear(foreign(1));
    const auto first = flow_of(foreign(1));
    hear(foreign(1));
    ASSERT_TRUE(first);
    EXPECT_EQ(flow_of(foreign(1))->id, first->id);
    EXPECT_EQ(tables().records.size(), 1U);
    EXPECT_EQ(tables().flows.size(), 2U);
}

TEST_F(ReplicasTest, AnEndElsewhereTakesItAway) {
    hear(foreign(1));
    hear(foreign(2, 40'001));
    const Carried one = foreign(1);
    hear({{Gone{{0xabcdef, 9}, one.protocol, one.client, one.frontend}}, nullptr, {}});
    EXPECT_TRUE(flow_of(one)) << "another tunnel's end";
    hear({{Gone{one.identity, one.protocol, one.client, one.frontend}}, nullptr, {}});
    EXPECT_FALSE(flow_of(one));
    EXPECT_EQ(tables().flows.size(), 2U);
    EXPECT_EQ(tables().records.size(), 1U);
    EXPECT_TRUE(closed_.empty()) << "it did not end here";
}

TEST_F(ReplicasTest, AnEndElsewhereIsNotBelievedOfATunnelThatTalksHere) {
    const Carried one = foreign(1);
    hear(one);
    vips_->hold(vip(), milliseconds(60'000));
    const Gone gone{one.identity, one.protocol, one.client, one.frontend};
    auto flow = *flow_of(one);
    flow.heard_in = vips_->find(vip()).term;
    tables().flows.put(make_key(one.client, one.frontend, one.protocol), flow);
    hear({{gone}, nullptr, {}});
    EXPECT_TRUE(flow_of(one));
    flow.heard_in = 0;
    tables().flows.put(make_key(one.client, one.frontend, one.protocol), flow);
    hear({{gone}, nullptr, {}});
    EXPECT_FALSE(flow_of(one)) << "of which nothing was heard";
}

TEST_F(ReplicasTest, WhoeverMissedAnEndIsToldOfIt) {
    const Carried one = foreign(1);
    hear(one);
    vips_->hold(vip(), milliseconds(60'000));
    auto flow = *flow_of(one);
    flow.term = vips_->find(vip()).term;
    tables().flows.put(make_key(one.client, one.frontend, one.protocol), flow);
    ASSERT_TRUE(inventory_->kill(flow.id));
    loop_.turn(milliseconds(0));
    ASSERT_EQ(ears_.gone.size(), 1U);
    EXPECT_EQ(ears_.gone[0], (Gone{one.identity, one.protocol, one.client, one.frontend}));
    EXPECT_EQ(closed_.size(), 1U);
    node_->program().forget(make_key(one.client, one.frontend, one.protocol), flow.id);
    const auto answer = hear(one);
    ASSERT_EQ(answer.gone.size(), 1U);
    EXPECT_EQ(answer.gone[0], ears_.gone[0]);
    EXPECT_FALSE(flow_of(one));
}

TEST_F(ReplicasTest, ATunnelOfWhichNothingWasHeardIsEndedInSilence) {
    // Both nodes may believe to have the VIP, and both ends the other one.
    const Carried one = foreign(1);
    hear(one);
    vips_->hold(vip(), milliseconds(60'000));
    inventory_->end_soon(make_key(one.client, one.frontend, one.protocol), flow_of(one)->id,
                         tunnel::CloseReason::timed_out, std::nullopt);
    loop_.turn(milliseconds(0));
    EXPECT_EQ(closed_.size(), 1U);
    EXPECT_TRUE(ears_.gone.empty());
    // One who is asked to end it does.
    const Carried two = foreign(2, 40'002);
    hear(two);
    ASSERT_TRUE(inventory_->kill(flow_of(two)->id));
    loop_.turn(milliseconds(0));
    EXPECT_EQ(ears_.gone.size(), 1U);
}

TEST_F(ReplicasTest, ATunnelThatThisNodeCarriesKeepsIts4TupleAndOneThatWaitsGivesItUp) {
    const Carried one = foreign(1), two = foreign(2);
    hear(one);
    hear(two);
    ASSERT_TRUE(flow_of(two));
    EXPECT_EQ(tables().records.find(flow_of(two)->id)->origin_id, 2U) << "the other node's newest word";
    EXPECT_EQ(tables().records.size(), 1U);
    vips_->hold(vip(), milliseconds(60'000));
    const auto answer = hear(one);
    ASSERT_EQ(answer.gone.size(), 1U) << "the 4-tuple is another tunnel's here, so that one is over";
    EXPECT_EQ(tables().records.find(flow_of(two)->id)->origin_id, 2U);
    // The endpoint's side alone.
    Carried three = foreign(3, 40'009);
    three.towards_endpoint = two.towards_endpoint;
    EXPECT_EQ(hear(three).gone.size(), 1U);
    EXPECT_FALSE(flow_of(three));
    EXPECT_EQ(tables().flows.size(), 2U);
}

TEST_F(ReplicasTest, ASnapshotTakesAwayWhatItDoesNotMention) {
    for (std::uint16_t i = 1; i <= 4; ++i) hear(foreign(i, static_cast<std::uint16_t>(40'000 + i)));
    auto mentioned = std::make_shared<boost::unordered_flat_set<std::uint64_t>>();
    hear({{foreign(2, 40'002), foreign(5, 40'005)}, mentioned, {}});
    hear({{foreign(3, 40'003)}, mentioned, {{*net::IpAddress::parse("10.9.0.77")}}});
    EXPECT_EQ(tables().records.size(), 5U) << "of another VIP";
    hear({{}, mentioned, {{vip()}}});
    EXPECT_EQ(tables().records.size(), 3U);
    EXPECT_FALSE(flow_of(foreign(1, 40'001)));
    EXPECT_TRUE(flow_of(foreign(2, 40'002)));
    EXPECT_TRUE(flow_of(foreign(5, 40'005)));
}

TEST_F(ReplicasTest, ASnapshotTakesNothingAwayThatWasCarriedHereAndIsNotTold) {
    hear(foreign(1));
    vips_->hold(vip(), milliseconds(60'000));
    vips_->leave(vip());
    EXPECT_EQ(read().size(), 1U) << "to be told, although the VIP is gone";
    auto nothing = std::make_shared<boost::unordered_flat_set<std::uint64_t>>();
    hear({{}, nothing, {{vip()}}});
    EXPECT_TRUE(flow_of(foreign(1)));
    vips_->told(vip());
    EXPECT_TRUE(read().empty());
    hear({{}, nothing, {{vip()}}});
    EXPECT_FALSE(flow_of(foreign(1)));
}

TEST_F(ReplicasTest, WhatThisNodeCannotCarryIsRefused) {
    Carried to_us = foreign(1);
    to_us.endpoint.ip = *net::IpAddress::parse("10.2.0.1");
    EXPECT_EQ(hear(to_us).refused, 1U);
    Carried from_us = foreign(2);
    from_us.client.ip = *net::IpAddress::parse("10.1.0.1");
    EXPECT_EQ(hear(from_us).refused, 1U);
    EXPECT_EQ(tables().records.size(), 0U);
}

TEST_F(ReplicasTest, ATunnelOfItsOwnComesBackUnderItsName) {
    Tunnel mine(true);
    mine.frontend.ip = mine.upstream.ip = vip();
    mine.up = Tunnel::flow(mine.upstream, mine.endpoint, layout::flow_from_client);
    mine.down = Tunnel::flow(mine.frontend, mine.client, 0);
    vips_->hold(vip(), milliseconds(60'000));
    mine.up.vip = mine.down.vip = vips_->find(vip()).index;
    mine.put(tables());
    inventory_->begun(mine.up_key(), tunnel_id);
    loop_.turn(milliseconds(0));
    ASSERT_EQ(ears_.carried.size(), 1U);
    const Carried told = ears_.carried[0];
    EXPECT_EQ(told.identity, (Identity{replicas_->origin(), tunnel_id}));
    vips_->leave(vip());
    hear(told);
    EXPECT_EQ(flow_of(told)->id, tunnel_id) << "it is there";
    // Lost, as by a restart of the machine, and told by the node that has it now.
    node_->program().forget(mine.up_key(), tunnel_id);
    tables().records.erase(tunnel_id);
    hear(told);
    ASSERT_TRUE(flow_of(told));
    vips_->hold(vip(), milliseconds(60'000));
    ASSERT_EQ(read().size(), 1U);
    EXPECT_EQ(read()[0].identity, told.identity);
}

TEST_F(ReplicasTest, IdsOfOtherNodesTunnelsGoOnAfterARestart) {
    const std::uint64_t highest = inventory_->highest_id();
    hear(foreign(1));
    const std::uint64_t first = flow_of(foreign(1))->id;
    EXPECT_EQ(inventory_->highest_id(), highest) << "not a relay's";
    Replicas again(loop_, node_->program(), *names_, *vips_, *interfaces_, *inventory_);
    again.hear({{foreign(2, 40'002)}, nullptr, {}}, [](auto) {});
    loop_.turn(milliseconds(0));
    EXPECT_EQ(flow_of(foreign(2, 40'002))->id, first + 1);
}

TEST_F(ReplicasTest, ItsListenerHearsOfVips) {
    vips_->hold(vip(), milliseconds(60'000));
    vips_->hold(vip(), milliseconds(60'000));
    loop_.turn(milliseconds(0));
    EXPECT_EQ(ears_.changes, 1) << "a refresh is none";
    vips_->leave(vip());
    loop_.turn(milliseconds(0));
    EXPECT_EQ(ears_.changes, 2);
}

TEST_F(ReplicasTest, AVipIsHereByLeaseAndItsTermsAreCounted) {
    vips_->hold(vip(), milliseconds(0));
    EXPECT_FALSE(vips_->find(vip()).here);
    EXPECT_EQ(vips_->find(vip()).term, 1U);
    vips_->hold(vip(), milliseconds(60'000));
    EXPECT_EQ(vips_->find(vip()).term, 2U);
    vips_->hold(vip(), milliseconds(60'000));
    EXPECT_EQ(vips_->find(vip()).term, 2U);
    // The next process: what the last one held is not here, and its terms are not begun anew.
    Vips next(tables(), ports(20'000, 29'999), true);
    EXPECT_FALSE(next.find(vip()).here);
    EXPECT_EQ(next.origin(), vips_->origin());
    next.hold(vip(), milliseconds(60'000));
    EXPECT_EQ(next.find(vip()).term, 3U);
    // One that shares nothing carries everything.
    Vips alone(tables(), ports(20'000, 29'999), false);
    EXPECT_TRUE(alone.find(vip()).here);
}

TEST_F(ReplicasTest, AVipIsQuietWhenItComesAndWhenAnotherNodeClaimsIt) {
    const auto quiet = [this] {
        const auto entry = tables().vips.find(vips_->find(vip()).index).value_or(layout::vip{});
        EXPECT_GE(tables().settings.find(0)->quiet_until, entry.quiet_until);
        return entry.quiet_until;
    };
    vips_->contest({vip()});
    EXPECT_EQ(vips_->find(vip()).index, 0U) << "it is not here";
    vips_->hold(vip(), milliseconds(60'000));
    const auto first = quiet();
    vips_->hold(vip(), milliseconds(60'000));
    EXPECT_EQ(quiet(), first);
    Vips impatient(tables(), ports(20'000, 29'999), true, milliseconds(1));
    impatient.hold(vip(), milliseconds(60'000));
    const auto short_one = quiet();
    EXPECT_LT(short_one, first);
    std::this_thread::sleep_for(milliseconds(2));
    impatient.contest({vip()});
    EXPECT_GT(quiet(), short_one);
}

TEST(PortPartTest, PartsDoNotMeet) {
    for (const unsigned parts : {1U, 2U, 3U, 16U}) {
        unsigned last = 9'999;
        for (unsigned part = 0; part < parts; ++part) {
            const PortPart mine = part_of(10'000, 19'999, part, parts);
            EXPECT_EQ(mine.low, last + 1);
            EXPECT_GE(mine.high, mine.low);
            last = mine.high;
        }
        EXPECT_LE(last, 19'999U);
    }
    EXPECT_GT(part_of(10, 11, 0, 3).low, part_of(10, 11, 0, 3).high) << "too few";
}

}  // namespace
}  // namespace hawser::splice::testing
