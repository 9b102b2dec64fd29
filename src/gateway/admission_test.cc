// SPDX-License-Identifier: Apache-2.0
#include "gateway/admission.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace hawser::gateway {
namespace {

constexpr net::TimePoint at(int ms) { return net::TimePoint{} + std::chrono::milliseconds(ms); }
const net::IpAddress ann = *net::IpAddress::parse("10.0.0.1");
const net::IpAddress bob = *net::IpAddress::parse("10.0.0.2");

TEST(Admission, lets_in_as_many_as_allowed_and_the_next_when_one_leaves) {
    Admission admission({.max_connections = 2});
    auto a = admission.enter(ann, at(0));
    auto b = admission.enter(bob, at(0));
    EXPECT_EQ(admission.enter(bob, at(0)).refusal, Admission::Refusal::max_connections);
    EXPECT_EQ(admission.connections(), 2U);
    a.pass = {};
    EXPECT_FALSE(admission.enter(bob, at(0)).refusal);
}

TEST(Admission, counts_each_client_apart) {
    Admission admission({.max_connections_per_client = 1});
    auto a = admission.enter(ann, at(0));
    EXPECT_EQ(admission.enter(ann, at(0)).refusal, Admission::Refusal::per_client);
    auto b = admission.enter(bob, at(0));
    EXPECT_FALSE(b.refusal);
    a.pass = {};
    EXPECT_FALSE(admission.enter(ann, at(0)).refusal);
}

TEST(Admission, refills_its_rate_with_time) {
    Admission admission({.max_handshakes_per_second = 10});
    int in = 0;
    for (int i = 0; i < 20; ++i) in += admission.enter(ann, at(0)).refusal ? 0 : 1;
    EXPECT_EQ(in, 10);
    EXPECT_EQ(admission.enter(ann, at(50)).refusal, Admission::Refusal::rate);
    EXPECT_FALSE(admission.enter(ann, at(150)).refusal);
}

TEST(Admission, keeps_its_count_under_many_threads) {
    Admission admission({.max_connections = 50, .max_connections_per_client = 1000});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&admission] {
            for (int i = 0; i < 2000; ++i) auto decision = admission.enter(i % 2 == 0 ? ann : bob, at(i));
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(admission.connections(), 0U);
}

}  // namespace
}  // namespace hawser::gateway
