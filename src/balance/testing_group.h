// SPDX-License-Identifier: Apache-2.0
#pragma once

// Groups for the tests of this folder.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "balance/picker.h"

namespace hawser::balance {

inline catalog::Endpoint endpoint(std::string_view address, std::uint32_t weight = 1) {
    catalog::Endpoint out;
    out.address = *net::SocketAddress::parse(address);
    out.name = address;
    out.weight = weight;
    out.state = std::make_shared<catalog::EndpointState>();
    return out;
}

inline std::shared_ptr<catalog::EndpointGroup> group_of(catalog::Scheduler scheduler,
                                                        std::vector<catalog::Endpoint> endpoints) {
    auto group = std::make_shared<catalog::EndpointGroup>();
    group->id = "default/im-service:9080/TCP";
    group->endpoints = std::move(endpoints);
    group->balancing.scheduler = scheduler;
    return group;
}

// `count` pods 10.244.1.1:9080, 10.244.1.2:9080 ...
inline std::vector<catalog::Endpoint> pods(int count) {
    std::vector<catalog::Endpoint> out;
    for (int i = 1; i <= count; ++i) {
        out.push_back(
            endpoint("10.244." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) + ":9080"));
    }
    return out;
}

inline net::IpAddress client(std::uint32_t number) { return net::IpAddress::v4(0x0a000000U + number * 7); }

inline PickRequest from(const net::IpAddress& ip, Time now = Time{}) {
    return {.client = ip, .destination = ip, .hash_key = {}, .now = now};
}

}  // namespace hawser::balance
