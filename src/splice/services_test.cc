// SPDX-License-Identifier: Apache-2.0
// What snapshots make of the tables.
#include "splice/services.h"

#include "splice/testing_services.h"

namespace hawser::splice::testing {
namespace {

class ServicesTest : public ServiceTest {
  protected:
    const Tables& tables() { return node_->tables(); }
    std::vector<Frontend> many(std::uint16_t count) {
        std::vector<Frontend> out;
        for (std::uint16_t n = 0; n < count; ++n)
            out.push_back(frontend(FrontendKind::external_ip, external_ip(),
                                   static_cast<std::uint16_t>(1'000 + n),
                                   numbered_group(n, {pod(3), pod(4)})));
        return out;
    }
    static std::shared_ptr<catalog::EndpointGroup> numbered_group(std::uint16_t n,
                                                                  const std::vector<net::IpAddress>& pods) {
        return group(pods, Scheduler::maglev, ("default/web:" + std::to_string(n) + "/TCP").c_str());
    }
    void expect_empty() {
        const Tables& t = tables();
        const std::pair<const char*, std::size_t> sizes[] = {
            {"frontends", t.frontends.size()},         {"groups", t.groups.size()},
            {"endpoints", t.endpoints.size()},         {"entry_parts", t.entry_parts.size()},
            {"hash_parts", t.hash_parts.size()},       {"members", t.members.size()},
            {"source_ranges", t.source_ranges.size()}, {"cluster_addresses", t.cluster_addresses.size()}};
        for (const auto& [name, size] : sizes) EXPECT_EQ(size, 0U) << name;
    }
    layout::group group_of(const std::string& id) {
        return tables().groups.find(name_key(id)).value_or(layout::group{});
    }
};
INSTANTIATE_TEST_SUITE_P(Families, ServicesTest, ::testing::Values(true, false), family_of_services);

TEST_P(ServicesTest, OnlyWhatChangedIsWritten) {
    auto snapshot = many(200);
    EXPECT_GT(apply(snapshot).written, 800U);
    EXPECT_EQ(apply(snapshot).written, 0U);
    const auto before = group_of("default/web:17/TCP"), untouched = group_of("default/web:18/TCP");
    snapshot[17].group = snapshot[17].cluster_group = numbered_group(17, {pod(3), pod(5)});
    const auto change = apply(snapshot);
    // Two endpoints, a table of 251 entries in chunks of 64, the group, the frontend.
    EXPECT_EQ(change.written, 2U + 4 + 1 + 1);
    EXPECT_EQ(tables().endpoints.size(), 400U) << "the old generation is gone";
    EXPECT_EQ(tables().entry_parts.size(), 800U);
    EXPECT_EQ(group_of("default/web:17/TCP").generation, before.generation + 1);
    EXPECT_EQ(group_of("default/web:18/TCP").generation, untouched.generation);
    EXPECT_NE(reached({client(2), 5}, {external_ip(), 1'017}).ip, pod(4));
    EXPECT_EQ(change.diagnostics.all().size(), 0U);
}

TEST_P(ServicesTest, AGroupThatSeveralFrontendsUseIsWrittenOnceAndGoesWithTheLast) {
    const auto shared = group({pod(3), pod(4)});
    auto a = frontend(FrontendKind::external_ip, external_ip(), 80, shared);
    auto b = frontend(FrontendKind::cluster_ip, cluster_ip(), 80, shared);
    auto c = frontend(FrontendKind::node_port, any(), 30'100, shared);
    apply({a, b, c});
    EXPECT_EQ(tables().groups.size(), 1U);
    EXPECT_EQ(tables().endpoints.size(), 2U);
    EXPECT_EQ(group_of(shared->id).generation, 1U);
    apply({a});
    EXPECT_EQ(tables().frontends.size(), 1U);
    EXPECT_EQ(tables().endpoints.size(), 2U);
    apply({});
    expect_empty();
}

TEST_P(ServicesTest, WhatIsRemovedVanishes) {
    auto snapshot = many(10);
    snapshot[0].source_ranges = {*net::Cidr::parse("10.0.0.0/8"), *net::Cidr::parse("fd00::/8")};
    auto affine = numbered_group(1, {pod(3), pod(4)});
    affine->balancing.affinity_timeout = std::chrono::seconds(100);
    snapshot[1].group = snapshot[1].cluster_group = affine;
    snapshot.push_back(
        frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({pod(5)}, Scheduler::source_hash)));
    apply(snapshot);
    EXPECT_EQ(tables().members.size(), 2U);
    EXPECT_EQ(tables().hash_parts.size(), 1U);
    EXPECT_GE(tables().source_ranges.size(), 2U);
    EXPECT_EQ(tables().cluster_addresses.size(), 1U);
    snapshot.erase(snapshot.begin() + 5, snapshot.end());
    apply(snapshot);
    EXPECT_EQ(tables().frontends.size(), 5U);
    EXPECT_EQ(tables().groups.size(), 5U);
    EXPECT_EQ(tables().endpoints.size(), 10U);
    EXPECT_EQ(tables().hash_parts.size(), 0U);
    EXPECT_EQ(tables().cluster_addresses.size(), 0U);
    EXPECT_EQ(run(segment({client(2), 1}, {external_ip(), 1'006})).verdict, passed);
    apply({});
    expect_empty();
    EXPECT_EQ(tables().node_addresses.size(), 4U) << "the node stays";
}

TEST_P(ServicesTest, NodePortsAreServedAtAVipWhetherItIsHereOrNot) {
    auto plan = std::make_shared<catalog::vip::Plan>();
    plan->routers.emplace_back().addresses.emplace_back().ip = external_ip();
    auto snapshot = std::make_shared<catalog::Snapshot>();
    snapshot->vips = plan;
    snapshot->frontends = {frontend(FrontendKind::node_port, any(), 30'100, group({pod(3)}))};
    services_->apply(snapshot);
    EXPECT_EQ(reached({client(2), 5}, {external_ip(), 30'100}).ip, pod(3));
}

TEST_P(ServicesTest, AnAddressThatGoesFromOneServiceToAnotherIsServedAllTheTime) {
    const Frontend before = frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}));
    Frontend after = frontend(FrontendKind::external_ip, external_ip(), 80,
                              group({pod(4)}, Scheduler::rr, "default/other:80/TCP"));
    std::uint16_t port = 1'000;
    // To an id that sorts before, and to one that sorts behind.
    for (const char* id : {"aaa/other:80/TCP@externalIP", "zzz/other:80/TCP@externalIP"}) {
        after.id = id;
        apply({before});
        EXPECT_EQ(reached({client(2), ++port}, {external_ip(), 80}).ip, pod(3));
        apply({after});
        EXPECT_EQ(reached({client(2), ++port}, {external_ip(), 80}).ip, pod(4));
        EXPECT_EQ(tables().frontends.size(), 1U);
        EXPECT_EQ(tables().groups.size(), 1U);
        apply({before});
        EXPECT_EQ(reached({client(2), ++port}, {external_ip(), 80}).ip, pod(3));
    }
}

TEST_P(ServicesTest, TwoFrontendsThatExchangeTheirAddressesAreBothServed) {
    Frontend a = frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}));
    Frontend b = frontend(FrontendKind::external_ip, external_ip(), 81,
                          group({pod(4)}, Scheduler::rr, "default/other:80/TCP"));
    apply({a, b});
    std::swap(a.address, b.address);
    apply({a, b});
    EXPECT_EQ(tables().frontends.size(), 2U);
    EXPECT_EQ(reached({client(2), 1}, {external_ip(), 80}).ip, pod(4));
    EXPECT_EQ(reached({client(2), 2}, {external_ip(), 81}).ip, pod(3));
}

TEST_P(ServicesTest, AClusterIpStaysForAsLongAsAFrontendHasIt) {
    Frontend a = frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({pod(3)}));
    Frontend b = frontend(FrontendKind::cluster_ip, cluster_ip(), 81,
                          group({pod(4)}, Scheduler::rr, "default/b:81/TCP"));
    apply({a, b});
    EXPECT_EQ(tables().cluster_addresses.size(), 1U);
    b.group = b.cluster_group = group({pod(5)}, Scheduler::rr, "default/b:81/TCP");
    apply({a, b});
    EXPECT_EQ(tables().cluster_addresses.size(), 1U);
    apply({b});
    EXPECT_EQ(tables().cluster_addresses.size(), 1U);
    apply({});
    EXPECT_EQ(tables().cluster_addresses.size(), 0U);
}

TEST_P(ServicesTest, MoreThanOneSystemCallWritesAreAllThere) {
    std::vector<Frontend> all;
    for (std::uint16_t n = 0; n < 2'500; ++n)
        all.push_back(
            frontend(FrontendKind::external_ip, external_ip(), static_cast<std::uint16_t>(1'000 + n),
                     group({pod(3), pod(4)}, Scheduler::rr, ("default/web:" + std::to_string(n)).c_str())));
    EXPECT_EQ(apply(all).diagnostics.all().size(), 0U);
    EXPECT_EQ(tables().frontends.size(), 2'500U);
    EXPECT_EQ(tables().endpoints.size(), 5'000U);
    for (const std::uint16_t n : {0, 1'023, 1'024, 2'499})
        EXPECT_NE(reached({client(2), 7}, {external_ip(), static_cast<std::uint16_t>(1'000 + n)}).ip, node())
            << n;
    apply({});
    expect_empty();
}

TEST_P(ServicesTest, AFrontendThatChangesItsAddressOrItsGroupHasNoRemains) {
    Frontend f = frontend(FrontendKind::node_port, any(), 30'100, group({pod(3)}));
    apply({f});
    f.address.port = 30'200;  // under the same id
    apply({f});
    EXPECT_EQ(tables().frontends.size(), 1U);
    EXPECT_EQ(run(segment({client(2), 1}, {node(), 30'100})).verdict, passed);
    EXPECT_EQ(reached({client(2), 2}, {node(), 30'200}).ip, pod(3));
    f.group = f.cluster_group = group({pod(4)}, Scheduler::rr, "default/other:80/TCP");
    apply({f});
    EXPECT_EQ(tables().groups.size(), 1U);
    EXPECT_EQ(tables().endpoints.size(), 1U);
    EXPECT_EQ(reached({client(2), 3}, {node(), 30'200}).ip, pod(4));
}

TEST_P(ServicesTest, ASchedulerThatChangesLeavesNoTableBehind) {
    std::uint16_t port = 1'000;
    for (const Scheduler scheduler : {Scheduler::maglev, Scheduler::source_hash, Scheduler::least_connected,
                                      Scheduler::rr, Scheduler::random, Scheduler::maglev}) {
        SCOPED_TRACE(catalog::to_string(scheduler));
        apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3), pod(4)}, scheduler))});
        const bool hashed = scheduler == Scheduler::source_hash || scheduler == Scheduler::least_connected;
        EXPECT_EQ(tables().hash_parts.size(), hashed ? 1U : 0U);
        EXPECT_EQ(tables().entry_parts.size(), scheduler == Scheduler::maglev ? 4U : 0U);
        EXPECT_EQ(tables().endpoints.size(), 2U);
        reached({client(2), ++port}, {external_ip(), 80});
    }
}

TEST_P(ServicesTest, AffinityThatIsSwitchedOffLeavesNoMembers) {
    auto affine = group({pod(3), pod(4)});
    affine->balancing.affinity_timeout = std::chrono::seconds(100);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, affine)});
    EXPECT_EQ(tables().members.size(), 2U);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3), pod(4)}))});
    EXPECT_EQ(tables().members.size(), 0U);
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, affine)});
    auto fewer = group({pod(4)});
    fewer->balancing.affinity_timeout = affine->balancing.affinity_timeout;
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, fewer)});
    EXPECT_EQ(tables().members.size(), 1U);
    apply({});
    expect_empty();
}

TEST_P(ServicesTest, AnotherProcessCleansUpWhatItsSnapshotDoesNotHave) {
    auto snapshot = many(50);
    auto affine = numbered_group(1, {pod(3), pod(4)});
    affine->balancing.affinity_timeout = std::chrono::seconds(100);
    snapshot[1].group = snapshot[1].cluster_group = affine;
    snapshot[2].source_ranges = {*net::Cidr::parse("192.0.2.0/24")};
    snapshot.push_back(frontend(FrontendKind::cluster_ip, cluster_ip(), 80,
                                group({pod(5)}, Scheduler::least_connected, "default/lc:80/TCP")));
    remake({{pods()}, {pods()}});
    apply(snapshot);
    EXPECT_EQ(tables().pod_ranges.size(), 1U);
    const auto before = group_of("default/web:0/TCP");
    // What is half written when a process is killed.
    tables().endpoints.put({name_key("default/web:0/TCP"), before.generation + 1, 0}, {});
    tables().entry_parts.put({name_key("gone"), 1, 0}, {});

    remake();
    apply({snapshot[0]});
    EXPECT_EQ(tables().frontends.size(), 1U);
    EXPECT_EQ(tables().groups.size(), 1U);
    EXPECT_EQ(tables().endpoints.size(), 2U);
    EXPECT_EQ(tables().entry_parts.size(), 4U);
    EXPECT_EQ(tables().hash_parts.size(), 0U);
    EXPECT_EQ(tables().members.size(), 0U);
    EXPECT_EQ(tables().source_ranges.size(), 0U);
    EXPECT_EQ(tables().loads.size(), 0U);
    EXPECT_EQ(tables().port_counters.size(), 1U);
    EXPECT_EQ(tables().cluster_addresses.size(), 0U);
    EXPECT_EQ(tables().pod_ranges.size() + tables().service_ranges.size(), 0U);
    EXPECT_EQ(group_of("default/web:0/TCP").generation, before.generation + 1);
    EXPECT_EQ(reached({client(2), 6}, {external_ip(), 1'000}).port, 9080);
    remake();
    apply({});
    expect_empty();
}

TEST_P(ServicesTest, ThatTheProgramDoesNotServeAreNotInItsTables) {
    Frontend sctp = frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}));
    sctp.protocol = catalog::Protocol::sctp;
    apply({sctp});
    expect_empty();
    remake({{}, {}, true});
    apply({frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)})),
           frontend(FrontendKind::cluster_ip, cluster_ip(), 80, group({pod(3)}))});
    EXPECT_EQ(tables().frontends.size(), 1U);
    EXPECT_EQ(run(segment({client(2), 1}, {external_ip(), 80})).verdict, passed);
    EXPECT_EQ(reached({client(2), 1}, {cluster_ip(), 80}).ip, pod(3));
    apply({});
    expect_empty();
}

TEST_P(ServicesTest, AUdpServiceThatLosesAnEndpointIsToldAboutAndTheEndpointIsGone) {
    const auto of = [](const std::vector<net::IpAddress>& pods) {
        return udp(frontend(FrontendKind::cluster_ip, cluster_ip(), 53,
                            group(pods, Scheduler::rr, "default/web:53/UDP")));
    };
    const auto service = name_key("default/web");
    const auto endpoint = [](int n) { return name_key(endpoint_name(group({pod(n)})->endpoints[0])); };
    EXPECT_FALSE(services_->is_gone(service, endpoint(3))) << "nothing is known yet";
    EXPECT_FALSE(apply({of({pod(3), pod(4)})}).udp_changed);
    EXPECT_FALSE(services_->is_gone(service, endpoint(3)));
    EXPECT_FALSE(apply({of({pod(3), pod(4), pod(5)})}).udp_changed);
    EXPECT_TRUE(apply({of({pod(4), pod(5)})}).udp_changed);
    EXPECT_TRUE(services_->is_gone(service, endpoint(3)));
    EXPECT_FALSE(services_->is_gone(service, endpoint(4)));
    EXPECT_TRUE(apply({of({})}).udp_changed);
    EXPECT_FALSE(services_->is_gone(service, endpoint(4))) << "there is no other to go to";
}

TEST_P(ServicesTest, LoadsOfGoneEndpointsAreForgottenAndCountedAnewWhenTheyReturn) {
    const auto of = [](std::vector<net::IpAddress> pods) {
        return frontend(FrontendKind::external_ip, external_ip(), 80,
                        group(std::move(pods), Scheduler::least_connected));
    };
    const auto& loads = node_->tables().loads;
    const auto key = [](unsigned n) { return name_key(endpoint_name(group({pod(n)})->endpoints[0])); };
    apply({of({pod(3), pod(4), pod(5)})});
    loads.put(key(4), 1);  // a tunnel is still there
    apply({of({pod(5)})});
    services_->forget_loads();
    EXPECT_FALSE(loads.has(key(3)));
    EXPECT_TRUE(loads.has(key(4)));
    EXPECT_TRUE(loads.has(key(5)));
    apply({of({pod(3), pod(5)})});
    EXPECT_TRUE(loads.has(key(3)));
}

TEST_P(ServicesTest, NamesInUseAreThoseOfFrontendsServicesAndEndpoints) {
    const auto f = frontend(FrontendKind::external_ip, external_ip(), 80, group({pod(3)}));
    apply({f});
    const auto used = services_->names_in_use();
    EXPECT_EQ(used.size(), 3U);
    for (const std::string& name : {f.id, f.service, endpoint_name(f.group->endpoints[0])}) {
        EXPECT_TRUE(used.contains(name_key(name))) << name;
        EXPECT_EQ(names_->find(name_key(name)), name);
    }
    EXPECT_EQ(services_->frontends(), 1U);
}

}  // namespace
}  // namespace hawser::splice::testing
