// SPDX-License-Identifier: Apache-2.0
#include "app/build_plan.h"

#include <algorithm>

#include "net/listen.h"

namespace hawser::app {

control::Inputs inputs_of(const Configuration& configuration) {
    control::Inputs inputs;
    inputs.manifests = configuration.manifests;
    inputs.nginx = configuration.nginx;
    inputs.keepalived = configuration.keepalived;
    inputs.keepalived_options.config_id = configuration.config_id;
    inputs.manifest_options.validation.node_port_min = configuration.node_port_min;
    inputs.manifest_options.validation.node_port_max = configuration.node_port_max;
    return inputs;
}

catalog::BuildOptions build_options(const Configuration& configuration, const catalog::Objects& objects) {
    catalog::BuildOptions options;
    options.node_name = configuration.node_name;
    if (auto addresses = net::interface_addresses()) options.node_addresses = std::move(*addresses);
    if (const auto networks = net::interface_networks())
        for (const auto& each : *networks) options.interface_networks.push_back({each.interface, each.network});
    for (const auto& cidr : configuration.service_cidrs) {
        if (cidr.v4)
            options.service_cidr_v4 = cidr;
        else
            options.service_cidr_v6 = cidr;
    }
    options.node_port_min = configuration.node_port_min;
    options.node_port_max = configuration.node_port_max;
    options.node_port_addresses = configuration.node_port_addresses;
    options.pod_cidrs = configuration.pod_cidrs;
    options.ingress_class = configuration.ingress_class;
    if (!configuration.http.empty()) {
        options.ingress_listen = configuration.http;
    } else if (!objects.ingresses.empty()) {
        options.ingress_listen = {{net::IpAddress::any_v4(), 80}};
        // A kernel without IPv6 could not bind [::].
        const auto& addresses = options.node_addresses;
        if (std::any_of(addresses.begin(), addresses.end(), [](const auto& ip) { return ip.is_v6(); }))
            options.ingress_listen.push_back({net::IpAddress::any_v6(), 80});
    }
    return options;
}

std::string allocations_file(const Configuration& configuration) {
    const auto directory = configuration.state_directory.value_or(default_state_directory());
    return directory.empty() ? "" : directory + "/allocations.json";
}

}  // namespace hawser::app
