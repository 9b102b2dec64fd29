// SPDX-License-Identifier: Apache-2.0
#include "balance/maglev.h"

#include <gtest/gtest.h>

#include <map>

#include "balance/testing_group.h"

namespace hawser::balance {
namespace {

MaglevTable table_of(std::vector<catalog::Endpoint> endpoints) {
    return MaglevTable(*group_of(catalog::Scheduler::maglev, std::move(endpoints)));
}

TEST(MaglevTable, has_a_prime_size_with_a_hundred_entries_for_each_endpoint) {
    struct Row {
        std::size_t endpoints, size;
    };
    const Row rows[] = {{1, 251},   {2, 251},     {3, 509},       {40, 4093},
                        {41, 8191}, {163, 16381}, {1310, 131071}, {5000, 131071}};
    for (const Row& row : rows) EXPECT_EQ(MaglevTable::size_for(row.endpoints), row.size) << row.endpoints;
}

TEST(MaglevTable, gives_each_endpoint_its_share_of_entries) {
    auto endpoints = pods(8);
    endpoints[0].weight = 4;
    endpoints[1].weight = 2;
    endpoints[2].down = true;
    endpoints[3].backup = true;
    const MaglevTable table = table_of(endpoints);
    std::map<std::uint32_t, double> share;
    for (const std::uint32_t entry : table.entries())
        share[entry] += 1.0 / static_cast<double>(table.entries().size());
    EXPECT_NEAR(share[0], 0.4, 0.01);
    EXPECT_NEAR(share[1], 0.2, 0.01);
    for (const std::uint32_t index : {4U, 5U, 6U, 7U}) EXPECT_NEAR(share[index], 0.1, 0.01);
    EXPECT_EQ(share.size(), 6U);
}

TEST(MaglevTable, changes_few_entries_beyond_those_of_an_endpoint_that_goes) {
    auto endpoints = pods(50);
    const MaglevTable before = table_of(endpoints);
    const auto last = static_cast<std::uint32_t>(endpoints.size() - 1);
    endpoints.pop_back();  // the indices of the others stay
    const MaglevTable after = table_of(endpoints);
    ASSERT_EQ(before.entries().size(), after.entries().size());
    std::size_t changed = 0;
    for (std::size_t i = 0; i < before.entries().size(); ++i) {
        if (before.entries()[i] != last && before.entries()[i] != after.entries()[i]) ++changed;
    }
    EXPECT_LT(static_cast<double>(changed) / static_cast<double>(before.entries().size()), 0.02);
}

TEST(MaglevTable, of_nothing_finds_nothing) {
    EXPECT_FALSE(table_of({}).find(client(1)));
    auto backups = pods(2);
    backups[0].backup = backups[1].backup = backups[0].down = true;
    EXPECT_EQ(table_of(backups).find(client(1)), 1U);
}

TEST(Rendezvous, weighs_by_share_over_many_keys) {
    auto endpoints = pods(3);
    endpoints[0].weight = 8;
    const auto group = group_of(catalog::Scheduler::source_hash, endpoints);
    std::map<std::size_t, int> counts;
    for (std::uint64_t key = 0; key < 20'000; ++key)
        ++counts[*rendezvous(*group, key, [](std::size_t) { return true; })];
    EXPECT_NEAR(counts[0], 16'000, 250);
    EXPECT_NEAR(counts[1], 2'000, 200);
    EXPECT_FALSE(rendezvous(*group, 1, [](std::size_t) { return false; }));
}

}  // namespace
}  // namespace hawser::balance
