// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "balance/testing_group.h"

namespace hawser::balance {
namespace {

using catalog::Scheduler;
using std::chrono::seconds;

const Time start{seconds(1000)};

std::shared_ptr<catalog::EndpointGroup> sticky(std::vector<catalog::Endpoint> endpoints,
                                               seconds timeout = seconds(10800),
                                               Scheduler scheduler = Scheduler::rr) {
    auto group = group_of(scheduler, std::move(endpoints));
    group->balancing.affinity_timeout = timeout;
    return group;
}

net::SocketAddress pick_one(Picker& picker, std::uint32_t number, Time now) {
    Tried tried;
    return picker.group().endpoints[picker.pick(from(client(number), now), tried).value()].address;
}

TEST(Affinity, A_02_binds_a_client_per_service_port_and_over_workers) {
    AffinityTable table;
    Picker one(sticky(pods(5)), &table, 1), two(sticky(pods(5)), &table, 2);
    const auto first = pick_one(one, 1, start);
    EXPECT_NE(pick_one(one, 2, start), first) << "round robin still decides for others";
    EXPECT_EQ(pick_one(two, 1, start), first);
    auto other_port = sticky(pods(5));
    other_port->id = "default/im-service:9081/TCP";
    Picker other(other_port, &table, 1);
    pick_one(other, 7, start);
    EXPECT_NE(pick_one(other, 1, start), first) << "another port of the service is bound on its own";
}

TEST(Affinity, A_03_lasts_for_its_timeout_from_the_last_new_connection) {
    AffinityTable table;
    Picker picker(sticky(pods(5), seconds(120)), &table, 1);
    const auto first = pick_one(picker, 1, start);
    EXPECT_EQ(pick_one(picker, 1, start + seconds(100)), first);
    EXPECT_EQ(pick_one(picker, 1, start + seconds(220)), first) << "refreshed, exactly at the timeout";
    EXPECT_NE(pick_one(picker, 1, start + seconds(341)), first);
}

TEST(Affinity, A_04_holds_for_fifteen_connections_in_a_row) {
    for (const Scheduler scheduler :
         {Scheduler::rr, Scheduler::random, Scheduler::least_connected, Scheduler::maglev}) {
        AffinityTable table;
        Picker picker(sticky(pods(5), seconds(10800), scheduler), &table, 1);
        std::set<net::SocketAddress> seen;
        std::vector<Hold> holds;
        for (int i = 0; i < 15; ++i) {
            seen.insert(pick_one(picker, 1, start + seconds(i)));
            holds.emplace_back(picker.group().endpoints[0].state);
        }
        EXPECT_EQ(seen.size(), 1U) << to_string(scheduler);
    }
}

TEST(Affinity, A_05_takes_effect_when_it_is_switched_on_and_off) {
    AffinityTable table;
    Picker off(group_of(Scheduler::rr, pods(5)), &table, 1);
    EXPECT_NE(pick_one(off, 1, start), pick_one(off, 1, start));
    EXPECT_EQ(table.size(), 0U);
    Picker on(sticky(pods(5)), &table, 1, &off);
    EXPECT_EQ(pick_one(on, 1, start), pick_one(on, 1, start));
    Picker off_again(group_of(Scheduler::rr, pods(5)), &table, 1, &on);
    EXPECT_NE(pick_one(off_again, 1, start), pick_one(off_again, 1, start));
}

TEST(Affinity, A_06_binds_anew_when_the_endpoint_leaves_the_group) {
    AffinityTable table;
    auto endpoints = pods(3);
    Picker before(sticky(endpoints), &table, 1);
    const auto first = pick_one(before, 1, start);
    ASSERT_EQ(first, endpoints[0].address);
    endpoints.erase(endpoints.begin());
    Picker after(sticky(endpoints), &table, 1, &before);
    const auto second = pick_one(after, 1, start);
    EXPECT_NE(second, first);
    // And does not run back when the endpoint returns.
    Picker back(sticky(pods(3)), &table, 1, &after);
    EXPECT_EQ(pick_one(back, 1, start), second);
}

TEST(Affinity, A_06_binds_anew_when_the_endpoint_fails_to_connect) {
    AffinityTable table;
    Picker picker(sticky(pods(3)), &table, 1);
    const PickRequest request = from(client(1), start);
    Tried tried;
    const auto first = picker.pick(request, tried);
    const auto of_another = pick_one(picker, 2, start);
    picker.failed(*first, request);
    const auto second = picker.pick(request, tried);
    ASSERT_NE(second, first);
    picker.succeeded(*second, request);
    EXPECT_EQ(pick_one(picker, 1, start + seconds(60)), picker.group().endpoints[*second].address);
    EXPECT_EQ(pick_one(picker, 2, start), of_another);
}

TEST(Affinity, A_06_keeps_the_other_clients_of_an_endpoint_that_failed_once) {
    AffinityTable table;
    Picker picker(sticky(pods(2)), &table, 1);
    const auto bound = pick_one(picker, 1, start);
    ASSERT_EQ(bound, picker.group().endpoints[0].address);
    picker.failed(0, from(client(99), start));
    EXPECT_EQ(pick_one(picker, 1, start), bound);
    EXPECT_NE(pick_one(picker, 3, start), bound) << "new clients are kept away";
}

TEST(Affinity, A_07_agrees_on_every_node_when_hashing_makes_the_first_choice) {
    AffinityTable node_one, node_two;
    auto reversed = pods(5);
    std::reverse(reversed.begin(), reversed.end());
    Picker one(sticky(pods(5), seconds(10800), Scheduler::source_hash), &node_one, 1);
    Picker two(sticky(reversed, seconds(10800), Scheduler::source_hash), &node_two, 2);
    for (std::uint32_t number = 0; number < 200; ++number) {
        EXPECT_EQ(pick_one(one, number, start), pick_one(two, number, start));
    }
}

TEST(AffinityTable, drops_the_least_recently_used_entry_when_it_is_full) {
    AffinityTable table(3);
    const auto pod = *net::SocketAddress::parse("10.244.1.1:9080");
    for (const std::uint32_t number : {1U, 2U, 3U, 1U, 4U}) table.put("g", client(number), pod, start);
    EXPECT_EQ(table.size(), 3U);
    EXPECT_TRUE(table.find("g", client(1), start, seconds(1)));
    EXPECT_FALSE(table.find("g", client(2), start, seconds(1)));
    EXPECT_FALSE(table.find("h", client(1), start, seconds(1)));
    table.erase("g", client(1));
    EXPECT_FALSE(table.find("g", client(1), start, seconds(1)));
}

TEST(AffinityTable, stays_within_its_bound_over_all_shards) {
    AffinityTable table(8192);
    const auto pod = *net::SocketAddress::parse("10.244.1.1:9080");
    for (std::uint32_t number = 0; number < 50'000; ++number) table.put("g", client(number), pod, start);
    EXPECT_LE(table.size(), 8192U);
    EXPECT_GE(table.size(), 8000U);
}

TEST(AffinityTable, serves_threads_at_once) {
    AffinityTable table(5000);
    auto endpoints = pods(5);
    for (auto& endpoint : endpoints) endpoint.max_fails = 0;
    std::vector<std::thread> threads;
    for (std::uint32_t worker = 0; worker < 4; ++worker) {
        threads.emplace_back([&, worker] {
            Picker picker(sticky(endpoints, seconds(10), Scheduler::least_connected), &table, worker);
            for (std::uint32_t i = 0; i < 5000; ++i) {
                const PickRequest request =
                    from(client(i * (worker + 1) % 3000), start + std::chrono::milliseconds(i));
                Tried tried;
                const auto index = picker.pick(request, tried);
                const Hold hold(endpoints[*index].state);
                if (i % 7 == 0) picker.failed(*index, request);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& endpoint : endpoints) EXPECT_EQ(endpoint.state->active, 0);
    EXPECT_LE(table.size(), 5000U);
}

}  // namespace
}  // namespace hawser::balance
