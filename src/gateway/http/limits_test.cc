// SPDX-License-Identifier: Apache-2.0
#include "gateway/http/limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "gateway/http/testing_site.h"

namespace hawser::gateway {
namespace {

using catalog::http::LimitRequests;
using catalog::http::LimitZone;
using std::chrono::milliseconds;
using testing::Site;
using testing::verdict;

std::shared_ptr<LimitZone> zone(Site& site, const char* name, const char* key, double rate = 0,
                                std::uint64_t size = 1 << 20) {
    auto made = std::make_shared<LimitZone>();
    made->name = name;
    made->key = site.text(key);
    made->rate_per_second = rate;
    made->size = size;
    return made;
}

// The verdicts of requests at these milliseconds.
std::string verdicts(Site& site, std::initializer_list<int> times, std::string_view target = "/?k=1") {
    std::string out;
    for (const int time : times) {
        Exchange x = site.get(target);
        LimitHold hold;
        if (!out.empty()) out += ", ";
        out += verdict(
            run_phases(x, *site.zones, hold, SteadyTime{} + std::chrono::hours(1) + milliseconds(time)));
    }
    return out;
}

TEST(LimitRequests, leaks_by_the_millisecond_in_thousandths_of_a_request) {
    struct Row {
        const char* what;
        double rate;
        LimitRequests limit;
        std::initializer_list<int> times;
        const char* expected;
    };
    const Row rows[] = {
        {"no burst", 10, {nullptr, 0, 0, false}, {0, 0, 99, 100, 200}, "proxy, 503, 503, proxy, proxy"},
        {"burst delays",
         10,
         {nullptr, 3, 0, false},
         {0, 0, 0, 0, 0},
         "proxy, delay 100, delay 200, delay 300, 503"},
        {"nodelay", 10, {nullptr, 2, 0, true}, {0, 0, 0, 0, 100}, "proxy, proxy, proxy, 503, proxy"},
        {"delay=2", 10, {nullptr, 3, 2, false}, {0, 0, 0, 0, 0}, "proxy, proxy, proxy, delay 100, 503"},
        {"10r/m is 166 thousandths", 10 / 60.0, {nullptr, 0, 0, false}, {0, 6000, 6025}, "proxy, 503, proxy"},
        {"part of a request stays", 10, {nullptr, 1, 0, false}, {0, 50, 100}, "proxy, delay 50, delay 100"},
    };
    for (const Row& row : rows) {
        Site site;
        site.add("/");
        LimitRequests limit = row.limit;
        limit.zone = zone(site, "one", "$arg_k", row.rate);
        site.settings->limit_requests = {limit};
        EXPECT_EQ(verdicts(site, row.times), row.expected) << row.what;
    }
}

TEST(LimitRequests, the_strictest_of_several_zones_decides_and_a_refusal_counts_in_none) {
    Site site;
    site.add("/");
    LimitRequests slow;
    slow.zone = zone(site, "slow", "$arg_k", 1);
    slow.burst = 5;
    LimitRequests fast;
    fast.zone = zone(site, "fast", "$arg_k", 10);
    fast.burst = 1;
    site.settings->limit_requests = {slow, fast};
    EXPECT_EQ(verdicts(site, {0, 0, 0, 100}), "proxy, delay 1000, 503, delay 1900");
}

TEST(LimitRequests, tells_zone_and_excess_and_sets_its_variable) {
    Site site;
    site.add("/");
    LimitRequests limit;
    limit.zone = zone(site, "z", "$arg_k", 10);
    site.settings->limit_requests = {limit};
    site.settings->limit_requests_status = 429;
    EXPECT_EQ(verdicts(site, {0}), "proxy");
    Exchange x = site.get("/?k=1");
    const auto outcome = site.run(x);
    EXPECT_EQ(verdict(outcome), "429");
    EXPECT_EQ(std::get<Answer>(outcome).reason, "limiting requests, excess: 1.000 by zone \"z\"");
    EXPECT_STREQ(x.limit_req_status, "REJECTED");

    site.settings->limit_requests_dry_run = true;
    Exchange dry = site.get("/?k=1");
    EXPECT_EQ(verdict(site.run(dry)), "proxy");
    EXPECT_STREQ(dry.limit_req_status, "REJECTED_DRY_RUN");
}

TEST(LimitRequests, an_empty_key_is_not_limited) {
    Site site;
    site.add("/");
    LimitRequests limit;
    limit.zone = zone(site, "z", "$arg_k", 1);
    site.settings->limit_requests = {limit};
    EXPECT_EQ(verdicts(site, {0, 0, 0}, "/"), "proxy, proxy, proxy");
}

TEST(LimitRequests, a_full_zone_forgets_the_key_that_was_used_longest_ago) {
    Site site;
    site.add("/");
    LimitRequests limit;
    limit.zone = zone(site, "z", "$arg_k", 1, 256);  // two keys of 128 bytes
    site.settings->limit_requests = {limit};
    EXPECT_EQ(verdicts(site, {0}, "/?k=1"), "proxy");
    EXPECT_EQ(verdicts(site, {1}, "/?k=2"), "proxy");
    EXPECT_EQ(verdicts(site, {2}, "/?k=1"), "503");
    EXPECT_EQ(verdicts(site, {3}, "/?k=3"), "proxy");  // 2 goes
    EXPECT_EQ(verdicts(site, {4}, "/?k=1"), "503");
    EXPECT_EQ(verdicts(site, {5}, "/?k=2"), "proxy");
}

TEST(LimitConnections, counts_until_the_hold_goes) {
    Site site;
    site.add("/");
    site.settings->limit_connections = {{zone(site, "c", "$arg_k"), 2}};
    std::vector<LimitHold> holds(3);
    std::string out;
    for (auto& hold : holds) {
        Exchange x = site.get("/?k=1");
        out += verdict(run_phases(x, *site.zones, hold, SteadyTime{})) + ' ';
        out += std::string(x.limit_conn_status) + ' ';
    }
    EXPECT_EQ(out, "proxy PASSED proxy PASSED 503 REJECTED ");
    holds.erase(holds.begin());
    Exchange x = site.get("/?k=1");
    LimitHold hold;
    EXPECT_EQ(verdict(run_phases(x, *site.zones, hold, SteadyTime{})), "proxy");
}

TEST(LimitConnections, a_refusal_by_the_second_zone_gives_back_the_first) {
    Site site;
    site.add("/");
    site.settings->limit_connections = {{zone(site, "a", "$arg_k"), 1}, {zone(site, "b", "$arg_j"), 1}};
    LimitHold first;
    Exchange x = site.get("/?k=1&j=1");
    EXPECT_EQ(verdict(run_phases(x, *site.zones, first, SteadyTime{})), "proxy");
    LimitHold second;
    Exchange y = site.get("/?k=2&j=1");
    EXPECT_EQ(verdict(run_phases(y, *site.zones, second, SteadyTime{})), "503");
    Exchange z = site.get("/?k=2&j=2");
    EXPECT_EQ(verdict(run_phases(z, *site.zones, second, SteadyTime{})), "proxy");
}

TEST(LimitConnections, never_exceeds_the_limit_under_many_threads) {
    Site site;
    site.add("/");
    site.settings->limit_connections = {{zone(site, "c", "$arg_k"), 3}};
    site.variable("arg_k");
    std::atomic<int> inside{0};
    std::atomic<int> worst{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 300; ++i) {
                Exchange x = site.get("/?k=1");
                LimitHold hold;
                if (verdict(run_phases(x, *site.zones, hold, SteadyTime{})) != "proxy") continue;
                const int now = ++inside;
                int seen = worst.load();
                while (now > seen && !worst.compare_exchange_weak(seen, now)) {
                }
                --inside;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_LE(worst.load(), 3);
    EXPECT_GT(worst.load(), 0);
}

}  // namespace
}  // namespace hawser::gateway
