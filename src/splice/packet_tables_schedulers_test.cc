// SPDX-License-Identifier: Apache-2.0
// Which endpoint a client gets.
#include <map>
#include <set>

#include "balance/hash.h"
#include "balance/maglev.h"
#include "balance/picker.h"
#include "splice/testing_services.h"

namespace hawser::splice::testing {
namespace {

class Schedulers : public ServiceTest {};
INSTANTIATE_TEST_SUITE_P(Families, Schedulers, ::testing::Values(true, false), family_of_services);

net::IpAddress numbered(bool v4, unsigned n) {
    return *net::IpAddress::parse(v4 ? "10.2." + std::to_string(n / 250) + "." + std::to_string(n % 250 + 2)
                                     : "fd02::1:" + std::to_string(n));
}
net::IpAddress far_client(bool v4, unsigned n) {
    return *net::IpAddress::parse(v4 ? "10.200." + std::to_string(n / 250) + "." + std::to_string(n % 250 + 1)
                                     : "fd20::" + std::to_string(n + 1));
}

class Choices : public Schedulers {
  protected:
    void SetUp() override {
        Schedulers::SetUp();
        if (node_ == nullptr) return;
        // Wide routes, so that all of them are on the way.
        ASSERT_EQ(std::system("ip route replace 10.2.0.0/16 dev pod0; ip route replace 10.200.0.0/16 dev "
                              "client0; ip -6 route replace fd20::/64 dev client0"),
                  0);
    }
    std::shared_ptr<catalog::EndpointGroup> of(unsigned count, Scheduler scheduler) {
        std::vector<net::IpAddress> pods;
        for (unsigned n = 0; n < count; ++n) pods.push_back(numbered(GetParam(), n));
        auto out = group(pods, scheduler);
        node_->reset();
        remake();
        apply({frontend(FrontendKind::external_ip, external_ip(), 80, out)});
        return out;
    }
};
INSTANTIATE_TEST_SUITE_P(Families, Choices, ::testing::Values(true, false), family_of_services);

TEST_P(Choices, OfHashesAreThoseOfUserSpaceForAThousandClients) {
    for (const Scheduler scheduler :
         {Scheduler::source_hash, Scheduler::destination_hash, Scheduler::maglev}) {
        for (const unsigned count : {1U, 2U, 33U, 1'024U}) {
            SCOPED_TRACE(std::string(catalog::to_string(scheduler)) + " of " + std::to_string(count));
            const auto endpoints = of(count, scheduler);
            balance::Picker picker(endpoints, nullptr, 1);
            const balance::MaglevTable table(*endpoints);
            std::set<std::size_t> chosen;
            for (unsigned n = 0; n < 1'000; ++n) {
                const auto from = far_client(GetParam(), n);
                balance::Tried tried;
                const auto wanted = picker.pick({from, external_ip(), {}, {}}, tried);
                if (scheduler == Scheduler::maglev) {
                    ASSERT_EQ(*wanted, *table.find(from));
                }
                chosen.insert(*wanted);
                ASSERT_EQ(reached({from, 999}, {external_ip(), 80}), endpoints->endpoints[*wanted].address)
                    << from.text();
            }
            if (scheduler != Scheduler::destination_hash) {
                EXPECT_GE(chosen.size(), std::min(count, 500U));
            }
        }
    }
}

TEST_P(Choices, OfGroupsTooLargeToScanAreThoseOfTheMaglevTable) {
    const std::pair<Scheduler, std::uint64_t> rows[] = {{Scheduler::source_hash, 0x6861777365720005},
                                                        {Scheduler::destination_hash, 0x6861777365720006},
                                                        {Scheduler::maglev, 0x6861777365720003}};
    for (const auto& [scheduler, seed] : rows) {
        SCOPED_TRACE(catalog::to_string(scheduler));
        const auto endpoints = of(1'500, scheduler);
        const balance::MaglevTable table(*endpoints);
        const auto& entries = table.entries();
        for (unsigned n = 0; n < 300; ++n) {
            const auto from = far_client(GetParam(), n);
            const net::IpAddress key = scheduler == Scheduler::destination_hash ? external_ip() : from;
            const auto wanted = entries[balance::stable_hash(key, seed) % entries.size()];
            ASSERT_EQ(reached({from, 999}, {external_ip(), 80}), endpoints->endpoints[wanted].address);
        }
    }
}

TEST_P(Choices, OfTurnsAndOfTheFreestReachEveryEndpointOnce) {
    for (const Scheduler scheduler : {Scheduler::rr, Scheduler::least_connected}) {
        for (const unsigned count : {1U, 2U, 33U, 1'024U, 1'500U}) {
            SCOPED_TRACE(std::string(catalog::to_string(scheduler)) + " of " + std::to_string(count));
            of(count, scheduler);
            std::map<net::SocketAddress, unsigned> hits;
            for (unsigned n = 0; n < count; ++n)
                ++hits[reached({client(2), static_cast<std::uint16_t>(1'000 + n)}, {external_ip(), 80})];
            EXPECT_EQ(hits.size(), count);
        }
    }
}

TEST_P(Choices, AtRandomAreSpread) {
    of(33, Scheduler::random);
    std::map<net::SocketAddress, unsigned> hits;
    for (std::uint16_t n = 0; n < 3'300; ++n)
        ++hits[reached({client(2), static_cast<std::uint16_t>(1'000 + n)}, {external_ip(), 80})];
    EXPECT_EQ(hits.size(), 33U);
    for (const auto& [address, count] : hits) {  // of a hundred: eight deviations
        EXPECT_GT(count, 20U) << address.text();
        EXPECT_LT(count, 180U) << address.text();
    }
}

TEST_P(Schedulers, RoundRobinKeepsItsWeights) {
    const std::vector<std::vector<std::uint32_t>> rows = {{1, 1, 1}, {3, 1}, {5, 1, 1}, {2, 4}, {100, 1}};
    std::uint16_t port = 1'000;
    for (const auto& weights : rows) {
        auto pods = group({}, Scheduler::rr);
        std::uint32_t total = 0;
        for (std::size_t n = 0; n < weights.size(); ++n) {
            pods->endpoints.push_back(group({pod(3 + static_cast<int>(n))})->endpoints[0]);
            pods->endpoints.back().weight = weights[n];
            total += weights[n];
        }
        node_->reset();
        remake();
        apply({frontend(FrontendKind::external_ip, external_ip(), 80, pods)});
        std::map<net::SocketAddress, unsigned> hits;
        for (std::uint32_t n = 0; n < 3 * total; ++n)
            ++hits[reached({client(2), port++}, {external_ip(), 80})];
        for (std::size_t n = 0; n < weights.size(); ++n)
            EXPECT_EQ(hits[pods->endpoints[n].address], 3 * weights[n]) << n << " of " << weights.size();
    }
    auto weighted = group({pod(3), pod(4), pod(5)}, Scheduler::rr);
    EXPECT_EQ(weighted_turns(*weighted), std::vector<std::uint32_t>{});
    weighted->endpoints[0].weight = 5;
    EXPECT_EQ(weighted_turns(*weighted), (std::vector<std::uint32_t>{0, 0, 1, 0, 2, 0, 0}))
        << "nginx's order";
}

TEST_P(Schedulers, LeastConnectedCountsSettledTunnels) {
    const auto pods = group({pod(3), pod(4), pod(5)}, Scheduler::least_connected);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, pods)});
    const auto load = [&](std::size_t n) {
        return *node_->tables().loads.find(name_key(endpoint_name(pods->endpoints[n])));
    };
    const auto set = [&](std::size_t n, std::uint64_t value) {
        node_->tables().loads.put(name_key(endpoint_name(pods->endpoints[n])), value);
    };
    set(0, 7);
    set(1, 5);
    set(2, 6);
    for (std::uint16_t n = 0; n < 5; ++n)
        EXPECT_EQ(reached({client(2), static_cast<std::uint16_t>(2'000 + n)}, {external_ip(), 80}),
                  pods->endpoints[1].address)
            << "SYNs alone do not count";
    const Seen there = open({client(2), 3'000}, {external_ip(), 80});
    EXPECT_EQ(there.packet.destination, pods->endpoints[1].address);
    EXPECT_EQ(load(1), 6U);
    std::set<net::SocketAddress> seen;
    for (std::uint16_t n = 0; n < 12; ++n)
        seen.insert(reached({client(2), static_cast<std::uint16_t>(4'000 + n)}, {external_ip(), 80}));
    EXPECT_EQ(seen.size(), 2U) << "equals take turns";
    Packet reset = segment(there.packet.destination, there.packet.source, rst);
    reset.sequence = 7'001;
    run(reset, "pod0");
    run(reset, "pod0");
    EXPECT_EQ(load(1), 5U) << "and is given back once";
    set(1, ~std::uint64_t{0});  // a count that went below nothing is nothing
    EXPECT_EQ(reached({client(2), 5'000}, {external_ip(), 80}), pods->endpoints[1].address);
}

}  // namespace
}  // namespace hawser::splice::testing
