// SPDX-License-Identifier: Apache-2.0
// Files that nobody wrote: pieces of configuration cut, doubled and spoiled by a fixed sequence of accidents.

#include "catalog/testing_spoiler.h"
#include "sources/keepalived/testing_host.h"

namespace hawser::keepalived {
namespace {

constexpr std::string_view seed = R"(# comment
$NUM=1
$BODY= \
    priority 1${NUM}0 \
    @main advert_int 2 \
    virtual_routes { \
        src 10.0.0.1 to 192.168.9.0/24 via 10.0.0.254 dev eth1 \
    }
global_defs {
    router_id "a 'b' \x41" ! comment
    vrrp_version 3
    script_user ops staff
    enable_script_security
    vrrp_garp_interval 0.001
    notification_email { a@b.c
    }
}
vrrp_script s { script "/etc/keepalived/check.sh 'a b'"
    interval 2  weight -20 reverse  fall 2  rise 2 }
track_file f { file "/run/f"
    weight 2
}
vrrp_track_process p {
    process nginx -g "x y"
    quorum_max 4
}
vrrp_instance A
{
    state BACKUP
    interface eth0
    virtual_router_id 51
    $BODY
    authentication { auth_type PASS auth_pass 1111 }
    unicast_src_ip 10.0.0.11
    unicast_peer { 10.0.0.12 min_ttl 1
        10.0.0.13 }
    virtual_ipaddress {
        10.0.0.100/24 brd + dev eth0 label eth0:1 scope link
        ~SEQ(N, 1, 3) ~LST({A, B}, {1, 2}, {3, 4}) 10.${A}.${B}.${N}/32 no_track
    }
    virtual_ipaddress_excluded { fd00::1/64 }
    track_script { s weight 5 }
    track_interface { eth1 weight 7 reverse }
    track_file { f }
    track_process { p }
    notify_master "/etc/keepalived/master.sh x" root
    use_vmac vrrp.51
}
vrrp_sync_group G { group { A }
    notify /etc/keepalived/notify.sh
}
)";

LoadOptions options_for(const Machine& machine) {
    LoadOptions out = machine.options();
    // An accident may turn a sequence of 3 into one of millions.
    out.bounds.lines = 5'000;
    out.bounds.total_bytes = 200'000;
    return out;
}

void read_without_harm(std::string_view text, const LoadOptions& options) {
    catalog::Diagnostics diagnostics;
    const Loaded loaded = load_text(text, "f", options, diagnostics);
    EXPECT_TRUE(loaded.plan.empty() || !diagnostics.has_errors());
    plan_text(loaded.plan);
}

TEST(Robustness, the_seed_is_good) {
    const Result r = read(std::string(seed));
    EXPECT_EQ(r.errors(), std::vector<std::string>{});
    ASSERT_EQ(r.loaded.plan.routers.size(), 1U);
    EXPECT_EQ(r.loaded.plan.routers[0].addresses.size(), 7U);
}

TEST(Robustness, every_beginning_of_a_good_file_is_read_without_harm) {
    const Machine machine;
    const LoadOptions options = options_for(machine);
    for (std::size_t length = 0; length < seed.size(); ++length)
        read_without_harm(seed.substr(0, length), options);
}

TEST(Robustness, spoiled_files_are_read_without_harm) {
    catalog::testing::Spoiler spoiler(20261128, "{};\"'\\$#!~@^()[]=.,:/ \n\t0aZ");
    const Machine machine;
    const LoadOptions options = options_for(machine);
    for (int round = 0; round < 2000; ++round) {
        const std::string text = spoiler.spoil(seed);
        // An accident may write a path; nothing of this machine is to be read.
        if (text.find("include") == std::string::npos) read_without_harm(text, options);
    }
}

TEST(Robustness, reading_stops_after_many_errors) {
    std::string text;
    for (int i = 0; i < 10'000; ++i) text += "bogus\n";
    EXPECT_EQ(read(text).errors().size(), 501U);
}

}  // namespace
}  // namespace hawser::keepalived
