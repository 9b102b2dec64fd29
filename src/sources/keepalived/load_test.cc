// SPDX-License-Identifier: Apache-2.0
// Good configurations, and the plan that they make.

#include "sources/keepalived/load.h"

#include <gmock/gmock.h>

#include "sources/keepalived/testing_host.h"

namespace hawser::keepalived {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* line_1 = "router A: eth0 id 51 IPv4 version 2 priority 100 every 1s";
constexpr const char* address_1 = "  address 10.0.0.1/24\n";

TEST(Load, the_configuration_of_the_tutorials_is_read_unchanged) {
    const Result r = read(R"(global_defs { router_id LVS_1  script_user root  enable_script_security }
vrrp_script chk_nginx { script "killall -0 nginx"   # or pidof nginx, /etc/keepalived/check_nginx.sh, curl -f localhost
  interval 2  weight -20  fall 2  rise 2 }          # seen: interval 1-3, weight -5 -20 -30 +2, fall 2-3, rise 1-2
vrrp_instance VI_1 { state MASTER  interface eth0  virtual_router_id 51  priority 100  advert_int 1
  authentication { auth_type PASS  auth_pass 1111 }
  unicast_src_ip 10.0.0.11  unicast_peer { 10.0.0.12 }
  virtual_ipaddress { 10.0.0.100/24 dev eth0 label eth0:1 }
  track_script { chk_nginx }  notify_master "/etc/keepalived/master.sh" }
)");
    EXPECT_THAT(r.errors(), ElementsAre());
    EXPECT_EQ(r.plan(), R"(router_id LVS_1
router VI_1: eth0 id 51 IPv4 version 2 priority 100 every 1s master password 1111
  source 10.0.0.11
  peer 10.0.0.12 ttl 0-255
  unicast ttl 255
  address 10.0.0.100/24 dev eth0 label eth0:1
  track script chk_nginx weight -20 every 2s rise 2 fall 2: [/usr/bin/killall] [-0] [nginx] as 0:0
  notify master: [/etc/keepalived/master.sh] as 0:0
)");
    // keepalived takes one statement from a line and leaves the others out: that is told, statement by
    // statement.
    EXPECT_THAT(r.warnings(),
                testing::Contains(
                    "f:5:36: warning: \"auth_pass\" stands behind \"auth_type\" on one line: it is read as "
                    "a statement of its own, keepalived ignores it"));
    EXPECT_THAT(r.warnings(),
                testing::Contains(HasSubstr("\"killall\" looks for nginx, which hawser replaces")));
}

struct Row {
    const char* what;
    std::string text, plan;
};
class Plans : public testing::TestWithParam<Row> {};

TEST_P(Plans, are_made_as_the_manual_says) {
    const Result r = read(GetParam().text);
    EXPECT_THAT(r.errors(), ElementsAre());
    EXPECT_EQ(r.plan(), GetParam().plan);
}

std::string with(const std::string& line, const std::string& more = "") {
    return std::string(line_1) + line + "\n" + address_1 + more;
}

INSTANTIATE_TEST_SUITE_P(
    Instance, Plans,
    testing::Values(
        Row{"the least", instance(""), with("")},
        Row{"state", instance("state MASTER\npriority 100"), with(" master")},
        Row{"MASTER without a priority", instance("state MASTER"),
            "router A: eth0 id 51 IPv4 version 2 priority 255 every 1s master\n  address 10.0.0.1/24\n"},
        Row{"a password without a type", instance("authentication { auth_pass x }"), with("")},
        Row{"nopreempt", instance("state BACKUP\nnopreempt"), with(" nopreempt")},
        Row{"preempt_delay", instance("preempt_delay 4.12"), with(" preempt_delay 4120ms")},
        Row{"words",
            instance("no_accept\ndown_timer_adverts 5\nlower_prio_no_advert\nhigher_prio_send_advert yes\n"
                     "skip_check_adv_addr on\nv3_checksum_as_v2\npromote_secondaries\ndont_track_primary"),
            with(" no_accept down_timer_adverts 5 lower_prio_no_advert higher_prio_send_advert "
                 "skip_check_adv_addr v3_checksum_as_v2 "
                 "promote_secondaries dont_track_primary")},
        Row{"password", instance("authentication {\nauth_type PASS\nauth_pass secret\n}"),
            with(" password secret")},
        Row{"a brace on the next line",
            "vrrp_instance A\n{\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress\n{\n"
            "10.0.0.1/24 } }",
            with("")},
        Row{"braces without blanks",
            "vrrp_instance A{interface eth0\nvirtual_router_id 51\nvirtual_ipaddress{10.0.0.1/24}}",
            with("")},
        Row{"carriage returns",
            "vrrp_instance A {\r\ninterface eth0\r\nvirtual_router_id 51\r\nvirtual_ipaddress { 10.0.0.1/24 "
            "}\r\n}\r\n",
            with("")},
        Row{"the last one counts", instance("state MASTER\nstate BACKUP"), with("")},
        Row{"a block twice adds", instance("virtual_ipaddress { 10.0.0.2/24 }"),
            with("", "  address 10.0.0.2/24\n")},
        Row{"use_vmac", instance("use_vmac"), std::string(line_1) + "\n  vmac \"\"\n" + address_1},
        Row{"use_vmac with a name", instance("use_vmac vrrp.51\nvmac_xmit_base"),
            std::string(line_1) + "\n  vmac \"vrrp.51\" xmit_base\n" + address_1},
        Row{"multicast", instance("mcast_src_ip 10.0.0.9\nmcast_dst_ip 224.0.0.19"),
            std::string(line_1) + "\n  source 10.0.0.9\n  group 224.0.0.19\n" + address_1},
        Row{"unicast",
            instance(
                "unicast_src_ip 10.0.0.11\nunicast_ttl 64\nunicast_peer {\n10.0.0.12 min_ttl 60 max_ttl 64\n"
                "10.0.0.13\n}"),
            std::string(line_1) +
                "\n  source 10.0.0.11\n  peer 10.0.0.12 ttl 60-64\n  peer 10.0.0.13 ttl 0-255\n"
                "  unicast ttl 64\n" +
                address_1}));

INSTANTIATE_TEST_SUITE_P(
    Versions, Plans,
    testing::Values(
        Row{"version 3", instance("version 3\nadvert_int 0.05\npriority 255"),
            "router A: eth0 id 51 IPv4 version 3 priority 255 every 50ms\n  address 10.0.0.1/24\n"},
        Row{"rounded in version 2", instance("advert_int 1.5"),
            "router A: eth0 id 51 IPv4 version 2 priority 100 every 2s\n  address 10.0.0.1/24\n"},
        Row{"rounded up to a second", instance("advert_int 0.1"), with("")},
        Row{"rounded in version 3", instance("version 3\nadvert_int 0.015"),
            "router A: eth0 id 51 IPv4 version 3 priority 100 every 20ms\n  address 10.0.0.1/24\n"},
        Row{"the most of version 3", instance("version 3\nadvert_int 41"),
            "router A: eth0 id 51 IPv4 version 3 priority 100 every 40950ms\n  address 10.0.0.1/24\n"},
        Row{"IPv6",
            "global_defs {\nvrrp_version 2\n}\nvrrp_instance B {\ninterface eth0\nvirtual_router_id 7\n"
            "virtual_ipaddress {\nfe80::7/64\nfd00::7/64\n}\n}",
            "router B: eth0 id 7 IPv6 version 3 priority 100 every 1s\n  address fe80::7/64\n  address "
            "fd00::7/64\n"},
        Row{"the defaults of global_defs, wherever it stands",
            instance(
                "",
                "global_defs {\nvrrp_version 3\nvrrp_lower_prio_no_advert\nvrrp_higher_prio_send_advert\n"
                "vrrp_skip_check_adv_addr\nvrrp_down_timer_adverts 4\nvrrp_mcast_group4 224.0.0.20\n"
                "vrrp_startup_delay 5.5\nrouter_id \"a b\"\n}"),
            "router_id a b\nstartup_delay 5500ms\nrouter A: eth0 id 51 IPv4 version 3 priority 100 every 1s "
            "down_timer_adverts 4 lower_prio_no_advert higher_prio_send_advert skip_check_adv_addr\n"
            "  group 224.0.0.20\n  address 10.0.0.1/24\n"}));

INSTANTIATE_TEST_SUITE_P(
    Addresses, Plans,
    testing::Values(
        Row{"options",
            instance("virtual_ipaddress {\n10.0.0.5/24 brd + dev eth1 scope link label eth1:x\n"
                     "10.0.0.6/24 brd 10.0.0.99\n10.0.0.8/24 home -nodad mngtmpaddr noprefixroute autojoin "
                     "no_track\n10.0.0.9 peer 10.1.1.1\n10.0.0.7/24 broadcast -\n10.0.0.10\n}"),
            with("",
                 "  address 10.0.0.5/24 dev eth1 label eth1:x scope 253 brd 10.0.0.255\n"
                 "  address 10.0.0.6/24 brd 10.0.0.99\n"
                 "  address 10.0.0.8/24 -nodad home mngtmpaddr noprefixroute autojoin\n"
                 "  address 10.0.0.9/32 peer 10.1.1.1\n"
                 "  address 10.0.0.7/24 brd 10.0.0.0\n"
                 "  address 10.0.0.10/32\n")},
        Row{"excluded ones of any family", instance("virtual_ipaddress_excluded {\nfd00::1\n10.0.0.2/24\n}"),
            with("", "  excluded fd00::1/128\n  excluded 10.0.0.2/24\n")},
        Row{"unicast without an interface",
            "global_defs {\ndefault_interface eth7\n}\nvrrp_instance A {\nvirtual_router_id "
            "51\nvirtual_ipaddress {\n"
            "10.0.0.1/24 dev eth0\n10.0.0.2/24\n}\nunicast_peer { 10.0.0.5 }\n}",
            "router A: - id 51 IPv4 version 2 priority 100 every 1s\n  peer 10.0.0.5 ttl 0-255\n  unicast "
            "ttl 255\n"
            "  address 10.0.0.1/24 dev eth0\n  address 10.0.0.2/24 dev eth7\n"},
        Row{"routes",
            instance("virtual_routes {\nsrc 10.0.0.1 to 192.168.109.0/24 via 10.0.0.254 dev eth1\n"
                     "192.168.111.0/24 dev eth2 no_track metric 5 scope link\nblackhole 192.168.114.0/24\n"
                     "0.0.0.0/0 gw 10.0.0.1 table 100\ndefault via 10.0.0.254 onlink\n"
                     "default via fe80::1 dev eth0\n192.168.7.1/24 via 10.0.0.254\n}"),
            with("",
                 "  route 192.168.109.0/24 via 10.0.0.254 src 10.0.0.1 dev eth1\n"
                 "  route 192.168.111.0/24 dev eth2 scope 253 metric 5\n"
                 "  route blackhole 192.168.114.0/24\n"
                 "  route 0.0.0.0/0 via 10.0.0.1 table 100\n"
                 "  route 0.0.0.0/0 via 10.0.0.254 onlink\n"
                 "  route ::/0 via fe80::1 dev eth0\n"
                 "  route 192.168.7.0/24 via 10.0.0.254\n")}));

INSTANTIATE_TEST_SUITE_P(
    Announcing, Plans,
    testing::Values(
        Row{"of an instance",
            instance("garp_master_delay 10\ngarp_master_repeat 1\ngarp_master_refresh 60\n"
                     "garp_master_refresh_repeat 2\ngarp_lower_prio_delay 3\ngarp_lower_prio_repeat 0"),
            with("",
                 "  announcing delay 10s repeat 1 refresh 60s refresh_repeat 2 lower_prio_delay 3s "
                 "lower_prio_repeat 0\n")},
        Row{"what lower priorities cause follows the others",
            instance("garp_master_delay 1\ngarp_master_repeat 2"),
            with("", "  announcing delay 1s repeat 2 lower_prio_delay 1s lower_prio_repeat 2\n")},
        Row{"of all, and the least",
            instance("garp_master_repeat 3",
                     "global_defs {\nvrrp_garp_interval 0.001\n"
                     "vrrp_gna_interval 0.000002\nvrrp_min_garp\n}"),
            with("",
                 "  announcing delay 0s repeat 3 lower_prio_delay 0s lower_prio_repeat 3 arp_interval 1ms "
                 "na_interval 2us\n")},
        Row{"of some interfaces",
            instance("", "garp_group {\ngarp_interval 0.5\ngna_interval 1\ninterfaces {\neth1\neth0\n}\n}"),
            with("", "  announcing arp_interval 500ms na_interval 1s\n")}));

constexpr const char* trackables = R"(
global_defs {
    script_user ops
}
vrrp_script s {
    script "/etc/keepalived/check.sh 'a b' c"
    interval 2
    timeout 3
    weight -20 reverse
    rise 2
    fall 3
    user root staff
    init_fail
}
track_file f {
    file /run/f
    weight 2
    init_file 5 overwrite
}
vrrp_track_process p {
    process nginx -g "a b"
    param_match initial
    weight 10
    quorum 2
    quorum_max 4
    delay 0.5
    full_command
}
)";

INSTANTIATE_TEST_SUITE_P(
    Tracking, Plans,
    testing::Values(
        Row{"with the weights of the definitions",
            instance("track_script { s }\ntrack_file { f }\ntrack_process { p }\ntrack_interface { eth1 }",
                     trackables),
            with("",
                 "  track interface eth1 weight 0\n"
                 "  track script s weight -20 reverse every 2s rise 2 fall 3 timeout 3s init_fail: "
                 "[/etc/keepalived/check.sh] [a b] [c] as 0:50\n"
                 "  track file f /run/f weight 2 initial 5 overwrite\n"
                 "  track process p weight 10 quorum 2 quorum_max 4 fork_delay 500ms terminate_delay 500ms "
                 "full_command initial: [nginx] [-g] [a b]\n")},
        Row{"with weights of one's own",
            instance("track_script { s weight 5 noreverse }\ntrack_file {\nf weight 3 reverse\n}\n"
                     "track_interface { eth1 weight 7 reverse }",
                     trackables),
            with("",
                 "  track interface eth1 weight 7 reverse\n"
                 "  track script s weight 5 every 2s rise 2 fall 3 timeout 3s init_fail: "
                 "[/etc/keepalived/check.sh] [a b] [c] as 0:50\n"
                 "  track file f /run/f weight 3 reverse initial 5 overwrite\n")},
        Row{"at priority 255 only without weight",
            instance("priority 255\ntrack_file {\nf weight 3\n}\ntrack_interface {\neth1 weight 7\neth2\n}",
                     trackables),
            "router A: eth0 id 51 IPv4 version 2 priority 255 every 1s\n  address 10.0.0.1/24\n"
            "  track interface eth2 weight 0\n"},
        Row{"without weight in a group, but for that of the group",
            instance("track_file { f }", std::string(trackables) +
                                             "vrrp_sync_group G {\ngroup { A }\ntrack_interface { eth1 "
                                             "weight 7 }\nnotify \"/bin/true x\"\n}"),
            with("", "  track file f /run/f weight 0 initial 5 overwrite\n") +
                "group G: A\n  track interface eth1 weight 7\n  notify any: [/bin/true] [x] as 1000:1000\n"},
        Row{"of a group without weight where an instance owns its addresses",
            instance("priority 255",
                     "vrrp_sync_group G {\ngroup { A }\ntrack_interface { eth1 weight 7 }\n}"),
            "router A: eth0 id 51 IPv4 version 2 priority 255 every 1s\n  address 10.0.0.1/24\n"
            "group G: A\n  track interface eth1 weight 0\n"},
        Row{"of a process without weight",
            instance("track_process { q }", "vrrp_track_process q {\nprocess a b\n}"),
            with("", "  track process q weight 0 quorum 1 exact: [a] [b]\n")},
        Row{"with weight in a group that asks for it",
            instance("track_file { f }",
                     std::string(trackables) +
                         "vrrp_sync_group G {\ngroup { A }\nsync_group_tracking_weight\n}"),
            with("", "  track file f /run/f weight 2 initial 5 overwrite\n") + "group G: A keep_weights\n"},
        Row{"a process that must not run",
            instance("track_process { q }", "vrrp_track_process q {\nprocess a\nquorum_max 0\nweight 0\n}"),
            with("", "  track process q weight 0 quorum 0 quorum_max 0: [a]\n")}));

INSTANTIATE_TEST_SUITE_P(
    Strict, Plans,
    testing::Values(
        Row{"what it sets", instance("strict_mode"),
            with(" no_accept lower_prio_no_advert",
                 "  announcing lower_prio_delay 0s lower_prio_repeat 0\n")},
        Row{"what it undoes",
            instance("authentication {\nauth_type PASS\nauth_pass x\n}\nstate MASTER\npriority "
                     "100\npreempt_delay 5\n"
                     "higher_prio_send_advert\nlower_prio_no_advert off\ngarp_master_refresh 9\naccept",
                     "global_defs {\nvrrp_strict\n}"),
            with(" no_accept lower_prio_no_advert",
                 "  announcing lower_prio_delay 0s lower_prio_repeat 0\n")},
        Row{"for the owner", instance("version 3\npriority 255", "global_defs {\nvrrp_strict\n}"),
            "router A: eth0 id 51 IPv4 version 3 priority 255 every 1s master lower_prio_no_advert\n"
            "  address 10.0.0.1/24\n  announcing lower_prio_delay 0s lower_prio_repeat 0\n"},
        Row{"accept in version 3", instance("version 3\naccept\nstrict_mode on"),
            "router A: eth0 id 51 IPv4 version 3 priority 100 every 1s lower_prio_no_advert\n"
            "  address 10.0.0.1/24\n  announcing lower_prio_delay 0s lower_prio_repeat 0\n"},
        Row{"not for this instance", instance("strict_mode off", "global_defs {\nvrrp_strict\n}"),
            with("")}));

}  // namespace
}  // namespace hawser::keepalived
