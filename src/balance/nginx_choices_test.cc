// SPDX-License-Identifier: Apache-2.0
// What nginx 1.22.1 (Debian 12) picks, and what we pick. The rows were asked of a real one: servers "N" are
// 127.0.0.1:3848N with a listener, "dN" are 127.0.0.1:3849N without; $upstream_addr of each request, its
// tries separated by spaces; proxy_next_upstream error; ip_hash by set_real_ip_from, the keys by `hash
// $arg_k`.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "balance/testing_group.h"

namespace hawser::balance {
namespace {

using catalog::Endpoint;
using catalog::Scheduler;
using Endpoints = std::vector<Endpoint>;

Endpoint live(int number, std::uint32_t weight = 1) {
    return endpoint("127.0.0.1:3848" + std::to_string(number), weight);
}
Endpoint dead(int number, std::uint32_t weight = 1, std::uint32_t max_fails = 0) {
    Endpoint out = endpoint("127.0.0.1:3849" + std::to_string(number), weight);
    out.max_fails = max_fails;
    return out;
}
Endpoint down(Endpoint endpoint) {
    endpoint.down = true;
    return endpoint;
}
Endpoint backup(Endpoint endpoint) {
    endpoint.backup = true;
    return endpoint;
}
Endpoint named(Endpoint endpoint, std::string name) {
    endpoint.name = std::move(name);
    return endpoint;
}

// One request: picks until a live endpoint comes.
std::string ask(Picker& picker, const PickRequest& request) {
    std::string out;
    Tried tried;
    while (const auto index = picker.pick(request, tried)) {
        const std::string address = picker.group().endpoints[*index].address.text();
        const bool is_dead = address.find(":3849") != std::string::npos;
        if (!out.empty()) out += ' ';
        out += (is_dead ? "d" : "") + address.substr(address.size() - 1);
        if (!is_dead) {
            picker.succeeded(*index, request);
            break;
        }
        picker.failed(*index, request);
    }
    return out;
}

const std::string_view addresses[] = {
    "10.0.0.1",    "10.0.1.1",    "10.0.2.9",   "192.168.0.150",        "192.168.1.7",
    "172.16.5.4",  "8.8.8.8",     "1.2.3.4",    "203.0.113.9",          "100.64.3.3",
    "2001:db8::1", "2001:db8::2", "fe80::1234", "2001:db8:1:2:3:4:5:6",
};

TEST(Picker, picks_what_nginx_picks) {
    const Endpoints three{live(1), live(2, 2), live(3, 3)};
    const Endpoints mixed{dead(1), live(1), down(live(2, 2)), live(3, 3), dead(2, 2)};
    const Endpoints five{dead(1, 5), live(1, 2), live(2)};
    const Endpoints bk{dead(1), dead(2), backup(live(1)), backup(live(2, 2))};
    const Endpoints names{named(live(1), "localhost:38481"), live(2, 2), named(live(3), "127.0.0.2:38483")};
    struct Row {
        const Endpoints& endpoints;
        Scheduler scheduler;
        std::string_view input;
        std::string picks;
    };
    const Row rows[] = {
        {three, Scheduler::rr, "", "3, 2, 1, 3, 2, 3, 3, 2, 1, 3, 2, 3, 3, 2"},
        {three, Scheduler::least_connected, "", "3, 2, 1, 3, 2, 3, 3, 2, 1, 3, 2, 3, 3, 2"},
        {mixed, Scheduler::rr, "", "3, d2 d1 3, 1, 3, 3, d2 d1 3, 1, 3, d2 3, 3, d1 1, 3, d2 3, 3"},
        {mixed, Scheduler::least_connected, "",
         "3, d2 d1 3, 1, 3, 3, d2 d1 3, 1, 3, d2 3, 3, d1 1, 3, d2 3, 3"},
        {five, Scheduler::rr, "", "d1 1, 1, d1 2, d1 2, 1, d1 2, d1 1, 1, d1 2, 2, d1 1, 1, d1 1, d1 2"},
        {five, Scheduler::least_connected, "",
         "d1 1, 1, d1 2, d1 2, 1, d1 2, d1 1, 1, d1 2, 2, d1 1, 1, d1 1, d1 2"},
        {bk, Scheduler::rr, "",
         "d1 d2 2, d2 d1 1, d1 d2 2, d2 d1 2, d1 d2 1, d2 d1 2, d1 d2 2, d2 d1 1, d1 d2 2, d2 d1 2, d1 d2 1, "
         "d2 d1 2, d1 d2 2, d2 d1 1"},
        {bk, Scheduler::least_connected, "",
         "d1 d2 2, d2 d1 1, d1 d2 2, d2 d1 2, d1 d2 1, d2 d1 2, d1 d2 2, d2 d1 1, d1 d2 2, d2 d1 2, d1 d2 1, "
         "d2 d1 2, d1 d2 2, d2 d1 1"},
        {three, Scheduler::ip_hash, "addresses", "3, 3, 3, 3, 3, 3, 3, 2, 1, 3, 2, 3, 3, 3"},
        {mixed, Scheduler::ip_hash, "addresses",
         "d1 d2 3, 1, d1 3, d1 1, 1, d2 3, d2 d1 3, 3, d1 3, d2 3, d2 3, d1 3, 3, 3"},
        {five, Scheduler::ip_hash, "addresses",
         "1, 1, 2, d1 1, d1 1, 1, 2, 2, d1 1, d1 2, d1 1, d1 2, d1 2, 1"},
        {three, Scheduler::hash, "keys",
         "2, 1, 2, 1, 3, 3, 1, 3, 1, 3, 3, 1, 3, 1, 2, 2, 2, 3, 3, 3, 2, 3, 3, 3, 3, 1, 2, 3, 3, 2"},
        {three, Scheduler::hash_consistent, "keys",
         "3, 2, 3, 2, 2, 2, 3, 3, 2, 3, 3, 3, 2, 3, 3, 2, 2, 2, 3, 2, 3, 1, 2, 3, 1, 3, 3, 2, 2, 3"},
        {mixed, Scheduler::hash, "keys",
         "1, 1, 3, d2 1, 3, 3, d2 3, 3, 3, d1 3, 1, 3, 3, d1 d2 3, 3, 1, 3, 3, 1, 3, 3, 1, 3, 3, 3, d1 1, 1, "
         "3, 3, d1 d2 3"},
        {mixed, Scheduler::hash_consistent, "keys",
         "3, d2 3, 3, 1, 3, d2 d1 3, 3, 3, d1 3, 3, 3, d1 3, d2 3, 3, 3, d2 1, 1, d2 3, d2 d1 3, d2 3, 3, 1, "
         "d1 d2 3, 3, 1, d2 d1 3, d2 3, d1 3, 3, 3"},
        {five, Scheduler::hash, "keys",
         "d1 2, 1, 2, d1 1, d1 1, d1 1, d1 1, 1, d1 1, 1, 2, d1 1, d1 1, 1, d1 2, 1, d1 1, d1 2, d1 1, d1 2, "
         "d1 2, 1, d1 1, d1 2, 2, d1 1, d1 1, 1, d1 1, 1"},
        {five, Scheduler::hash_consistent, "keys",
         "d1 2, 1, d1 1, d1 2, d1 1, d1 1, d1 1, 1, d1 2, d1 1, d1 2, d1 1, d1 1, d1 1, d1 2, d1 1, d1 2, d1 "
         "1, d1 1, 1, 1, d1 1, d1 1, d1 1, 1, 1, d1 1, d1 2, 1, 2"},
        {names, Scheduler::hash_consistent, "keys",
         "1, 2, 2, 3, 2, 2, 3, 1, 2, 3, 3, 3, 1, 2, 2, 2, 3, 2, 3, 3, 2, 2, 2, 1, 1, 3, 3, 2, 2, 2"},
    };
    for (const Row& row : rows) {
        Picker picker(group_of(row.scheduler, row.endpoints), nullptr, 1);
        std::string picks;
        const int count = static_cast<int>(std::count(row.picks.begin(), row.picks.end(), ',')) + 1;
        for (int i = 0; i < count; ++i) {
            const std::string key = "k" + std::to_string(i);
            PickRequest request = from(client(1));
            if (row.input == "addresses") request.client = *net::IpAddress::parse(addresses[i]);
            if (row.input == "keys") request.hash_key = key;
            if (i > 0) picks += ", ";
            picks += ask(picker, request);
        }
        EXPECT_EQ(picks, row.picks) << to_string(row.scheduler) << " " << row.endpoints.size();
    }
}

TEST(Picker, goes_round_for_an_empty_key_as_nginx_does) {
    for (const Scheduler scheduler : {Scheduler::hash, Scheduler::hash_consistent}) {
        Picker picker(group_of(scheduler, {live(1), live(2, 2), live(3, 3)}), nullptr, 1);
        std::string picks;
        for (int i = 0; i < 8; ++i) picks += ask(picker, from(client(1)));
        EXPECT_EQ(picks, "32132332") << to_string(scheduler);
    }
}

// weight=3 max_fails=2 fail_timeout=3s: out after the second failure, tried once after 3 s, out again.
TEST(Picker, takes_a_failing_server_out_and_probes_it_as_nginx_does) {
    Endpoint failing = dead(1, 3, 2);
    failing.fail_timeout = std::chrono::seconds(3);
    Picker picker(group_of(Scheduler::rr, {failing, live(1, 2), live(2)}), nullptr, 1);
    const auto run = [&](Time now, int count) {
        std::string picks;
        for (int i = 0; i < count; ++i) picks += (i > 0 ? ", " : "") + ask(picker, from(client(1), now));
        return picks;
    };
    const Time start{std::chrono::seconds(100)};
    EXPECT_EQ(run(start, 14), "d1 1, 1, 2, d1 1, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1");
    EXPECT_EQ(run(start + std::chrono::milliseconds(4200), 10), "1, d1 2, 1, 2, 1, 1, 2, 1, 1, 2");
}

}  // namespace
}  // namespace hawser::balance
