// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "catalog/allocation.h"
#include "catalog/build.h"
#include "sources/manifest/manifest.h"

namespace hawser::manifest {
namespace {

std::shared_ptr<const catalog::Snapshot> build_example(const std::string& folder) {
    catalog::Objects objects;
    catalog::Diagnostics diagnostics;
    const std::vector<std::string> paths{std::string(HAWSER_EXAMPLES) + "/" + folder};
    load(paths, LoadOptions{}, objects, diagnostics);
    EXPECT_EQ(diagnostics.text(), "");
    catalog::BuildOptions options;
    options.node_name = "node-a";
    options.ingress_listen = {*net::SocketAddress::parse("0.0.0.0:80")};
    catalog::Allocations allocations;
    const catalog::BuildResult result = catalog::build(objects, options, nullptr, allocations);
    EXPECT_EQ(result.diagnostics.text(), "");
    return result.snapshot;
}

const catalog::Frontend& frontend(const catalog::Snapshot& snapshot, const std::string& id) {
    for (const catalog::Frontend& f : snapshot.frontends)
        if (f.id == id) return f;
    throw std::out_of_range(id);
}

TEST(Examples, give_the_sites_frontends) {
    const auto snapshot = build_example("site");
    ASSERT_NE(snapshot, nullptr);
    const catalog::Frontend& node_port = frontend(*snapshot, "default/chat:9080/TCP@nodePort:30100");
    EXPECT_EQ(node_port.address.text(), "0.0.0.0:30100");
    ASSERT_EQ(node_port.group->endpoints.size(), 2u);
    EXPECT_EQ(node_port.group->endpoints[0].address.text(), "10.244.1.10:9080");
    EXPECT_TRUE(node_port.group->endpoints[0].local);

    const catalog::Frontend& lan = frontend(*snapshot, "default/chat-lan:9080/TCP@externalIP:192.168.0.150");
    EXPECT_EQ(lan.address.text(), "192.168.0.150:9080");
    EXPECT_EQ(lan.group->balancing.scheduler, catalog::Scheduler::source_hash);
    EXPECT_EQ(lan.group->balancing.affinity_timeout, std::chrono::seconds(10800));
    ASSERT_EQ(lan.group->endpoints.size(), 2u);
    EXPECT_EQ(lan.group->endpoints[1].address.text(), "10.244.2.20:9080");
}

TEST(Examples, give_the_ingress_route) {
    const auto snapshot = build_example("ingress");
    ASSERT_NE(snapshot, nullptr);
    ASSERT_EQ(snapshot->listeners.size(), 1u);
    const auto& server = *snapshot->listeners[0].servers.at(1);
    EXPECT_EQ(server.name, "chat.example.com");
    ASSERT_EQ(server.locations.size(), 1u);
    EXPECT_EQ(server.locations[0]->proxy->group->endpoints.size(), 2u);
}

}  // namespace
}  // namespace hawser::manifest
