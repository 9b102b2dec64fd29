// SPDX-License-Identifier: Apache-2.0
#include "sources/nginx/upstreams.h"

#include <algorithm>

namespace hawser::nginx {

namespace {
std::uint32_t clamp32(std::uint64_t value) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX));
}
}  // namespace

Upstreams::Upstreams(Reading& reading) : reading_(reading) {
    auto blocks = std::make_shared<Groups>();
    for (const auto& conf : reading.http.upstreams) blocks->emplace(lower(conf->name), make(*conf));
    blocks_ = std::move(blocks);
}

std::shared_ptr<const catalog::EndpointGroup> Upstreams::make(const UpstreamConf& conf) {
    auto group = std::make_shared<catalog::EndpointGroup>();
    group->id = "nginx:" + conf.name;
    group->service = conf.name;
    group->balancing = conf.balancing;
    group->keepalive = clamp32(conf.keepalive.value_or(0));
    group->keepalive_requests = clamp32(conf.keepalive_requests.value_or(1000));
    group->keepalive_timeout = conf.keepalive_timeout.value_or(milliseconds(60'000));
    group->keepalive_time = conf.keepalive_time.value_or(milliseconds(3'600'000));
    for (const UpstreamServer& server : conf.servers) {
        for (const net::SocketAddress& address : server.addresses) {
            catalog::Endpoint endpoint;
            endpoint.address = address;
            endpoint.name = server.name;
            endpoint.weight = server.weight;
            endpoint.max_fails = server.max_fails;
            endpoint.fail_timeout = server.fail_timeout;
            endpoint.max_conns = server.max_conns;
            endpoint.backup = server.backup;
            endpoint.down = server.down;
            endpoint.state = std::make_shared<catalog::EndpointState>();
            group->endpoints.push_back(std::move(endpoint));
        }
    }
    const bool only_backups = std::all_of(group->endpoints.begin(), group->endpoints.end(),
                                          [](const catalog::Endpoint& e) { return e.backup; });
    if (!group->endpoints.empty() && only_backups)
        reading_.error(conf.position, "no servers in upstream \"" + conf.name + "\"");
    return group;
}

std::shared_ptr<const catalog::EndpointGroup> Upstreams::find(const ProxyPass& pass) {
    const Url& target = pass.target;
    if (const auto block = blocks_->find(lower(target.host)); block != blocks_->end()) {
        if (!target.port) return block->second;
        reading_.error(pass.position,
                       "upstream \"" + target.host + "\" may not have port " + std::to_string(*target.port));
        return nullptr;
    }
    const std::uint16_t port = target.port.value_or(80);
    const std::string key = lower(target.host) + ":" + std::to_string(port);
    if (const auto known = implicit_.find(key); known != implicit_.end()) return known->second;

    auto group = std::make_shared<catalog::EndpointGroup>();
    group->id = "nginx:http://" + key;
    group->service = key;
    std::vector<net::IpAddress> addresses;
    if (target.ip) {
        addresses.push_back(*target.ip);
    } else if (auto resolved = reading_.options.resolve(target.host)) {
        addresses = std::move(*resolved);
    } else {
        reading_.error(pass.position, "host not found in upstream \"" + target.host + "\"");
        return nullptr;
    }
    for (const net::IpAddress& ip : addresses) {
        catalog::Endpoint endpoint;
        endpoint.address = {ip, port};
        endpoint.name = key;
        endpoint.state = std::make_shared<catalog::EndpointState>();
        group->endpoints.push_back(std::move(endpoint));
    }
    implicit_.emplace(key, group);
    return group;
}

}  // namespace hawser::nginx
