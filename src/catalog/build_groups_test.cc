// SPDX-License-Identifier: Apache-2.0
#include "catalog/build_groups.h"

#include <gtest/gtest.h>

#include <functional>

namespace hawser::catalog {
namespace {

EndpointGroup sample() {
    EndpointGroup group;
    group.id = "default/s:80/TCP";
    group.endpoints.resize(1);
    group.endpoints[0].address = *net::SocketAddress::parse("10.0.0.1:80");
    return group;
}

TEST(Groups, are_the_same_only_when_every_setting_is) {
    const std::function<void(EndpointGroup&)> changes[] = {
        [](EndpointGroup& g) { g.id += "x"; },
        [](EndpointGroup& g) { g.service = "x"; },
        [](EndpointGroup& g) { g.balancing.scheduler = Scheduler::maglev; },
        [](EndpointGroup& g) { g.balancing.hash_key = http::Template::from_literal("x"); },
        [](EndpointGroup& g) { g.balancing.affinity_timeout = std::chrono::seconds(1); },
        [](EndpointGroup& g) { ++g.keepalive; },
        [](EndpointGroup& g) { ++g.keepalive_requests; },
        [](EndpointGroup& g) { ++g.keepalive_timeout; },
        [](EndpointGroup& g) { ++g.keepalive_time; },
        [](EndpointGroup& g) { g.has_any_endpoint = false; },
        [](EndpointGroup& g) { g.endpoints.clear(); },
        [](EndpointGroup& g) { g.endpoints[0].address.port = 81; },
        [](EndpointGroup& g) { g.endpoints[0].terminating = true; },
        [](EndpointGroup& g) { g.endpoints[0].weight = 2; },
        [](EndpointGroup& g) { g.endpoints[0].down = true; },
    };
    EXPECT_TRUE(same_group(sample(), sample()));
    for (std::size_t i = 0; i < std::size(changes); ++i) {
        EndpointGroup changed = sample();
        changes[i](changed);
        EXPECT_FALSE(same_group(sample(), changed)) << i;
    }
}

TEST(Groups, share_live_states_by_service_port) {
    EXPECT_EQ(state_id("default/s:80/TCP/local"), "default/s:80/TCP");
    EXPECT_EQ(state_id("default/s:80/TCP@ingress:default/i"), "default/s:80/TCP");
    EXPECT_EQ(state_id("default/s:80/TCP/IPv6/local"), "default/s:80/TCP/IPv6");
    EXPECT_EQ(state_id("nginx:http://user@10.0.0.1:80/local"), "nginx:http://user@10.0.0.1:80/local");
}

}  // namespace
}  // namespace hawser::catalog
