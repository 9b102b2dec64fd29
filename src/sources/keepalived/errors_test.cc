// SPDX-License-Identifier: Apache-2.0
// Bad lines, and what is said about them, word for word.

#include <gmock/gmock.h>

#include "sources/keepalived/testing_host.h"

namespace hawser::keepalived {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

struct Row {
    std::string text;
    std::vector<std::string> messages;
};

class Errors : public testing::TestWithParam<Row> {};
TEST_P(Errors, are_told_with_their_place) {
    const Result r = read(GetParam().text);
    EXPECT_THAT(r.errors(), ElementsAreArray(GetParam().messages)) << GetParam().text;
    EXPECT_TRUE(r.loaded.plan.empty());
}

class Warnings : public testing::TestWithParam<Row> {};
TEST_P(Warnings, are_told_with_their_place) {
    const Result r = read(GetParam().text);
    EXPECT_THAT(r.errors(), ElementsAre()) << GetParam().text;
    EXPECT_THAT(r.warnings(), ElementsAreArray(GetParam().messages)) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, Errors,
    testing::Values(
        Row{"bogus 1 2 {\nx\n}", {"f:1:1: error: unknown keyword \"bogus\""}},
        Row{instance("priorty 3"), {"f:5:1: error: unknown keyword \"priorty\"; did you mean \"priority\"?"}},
        Row{"global_defs {\npriority 3\n}",
            {"f:2:1: error: \"priority\" cannot stand here, but in vrrp_instance"}},
        Row{instance("priority"), {"f:5:1: error: \"priority\" needs a parameter: a number from 1 to 255"}},
        Row{instance("virtual_ipaddress"), {"f:5:1: error: \"virtual_ipaddress\" has no block in { }"}},
        Row{instance("priority 5 {\n5\n}"), {"f:5:12: error: \"priority\" has no block"}},
        Row{instance("virtual_ipaddress {\n10.0.0.2 {\nx\n}\n}"),
            {"f:6:10: error: \"virtual_ipaddress\" has no blocks inside"}},
        Row{"vrrp_instance {\n}", {"f:1:1: error: \"vrrp_instance\" needs a parameter: a name"}},
        Row{"\n{\n}", {"f:2:1: error: unexpected {: no keyword before it"}},
        Row{instance("") + "}\n", {"f:7:1: error: unexpected }: no block is open"}},
        Row{"global_defs {\n", {"f:1:13: error: the block of \"global_defs\" has no closing }"}},
        Row{"global_defs {\nrouter_id \"a\n}", {"f:2:11: error: the string has no closing \""}},
        Row{instance("@main include /x"),
            {"f:5:7: error: \"include\" has to begin a line, without a condition or a parameter"}},
        Row{instance("state master\npriority 0\nadvert_int 256\nversion 4"),
            {"f:5:7: error: \"master\" is not valid for \"state\": expected MASTER or BACKUP",
             "f:6:10: error: \"0\" is not valid for \"priority\": expected a number from 1 to 255",
             "f:7:12: error: \"256\" is not valid for \"advert_int\": expected seconds from 0.01 to 255",
             "f:8:9: error: \"4\" is not valid for \"version\": expected 2 or 3"}}));

INSTANTIATE_TEST_SUITE_P(
    Instance, Errors,
    testing::Values(
        Row{"vrrp_instance A {\n}",
            {"f:1:1: error: vrrp_instance \"A\" has no \"interface\"",
             "f:1:1: error: vrrp_instance \"A\" has no \"virtual_router_id\"",
             "f:1:1: error: vrrp_instance \"A\" has no address in \"virtual_ipaddress\""}},
        Row{instance("") + instance(""),
            {"f:7:15: error: vrrp_instance \"A\" is defined twice, first at f:1:1",
             "f:9:23: error: virtual_router_id 51 is that of vrrp_instance \"A\" already, on interface eth0 "
             "with IPv4"}},
        Row{instance("virtual_router_id 256"),
            {"f:5:19: error: \"256\" is not valid for \"virtual_router_id\": expected a number from 1 to "
             "255"}},
        Row{instance("interface lo"),
            {"f:5:11: error: \"lo\" cannot carry adverts: it is the loopback interface"}},
        Row{instance("interface abcdefghijklmnop"),
            {"f:5:11: error: \"abcdefghijklmnop\" is not valid for \"interface\": expected an interface"}},
        Row{instance("preempt_delay 1001"),
            {"f:5:15: error: \"1001\" is not valid for \"preempt_delay\": expected seconds from 0 to 1000"}},
        Row{instance("preempt_delay 1.2345678"),
            {"f:5:15: error: \"1.2345678\" is not valid for \"preempt_delay\": expected seconds from 0 to "
             "1000"}},
        Row{instance("lower_prio_no_advert foo"),
            {"f:5:22: error: \"foo\" is not valid for \"lower_prio_no_advert\": expected nothing, or on, "
             "off, true, false, "
             "yes or no"}},
        Row{instance("garp_master_delay 1.5"),
            {"f:5:19: error: \"1.5\" is not valid for \"garp_master_delay\": expected seconds, a whole "
             "number"}},
        Row{instance("authentication {\nauth_type AH\n}"),
            {"f:6:11: error: auth_type AH (IPsec) is not supported; only PASS is",
             "f:5:1: error: \"authentication\" has no \"auth_pass\""}},
        Row{instance("use_vmac v 00:00:5e:00:01:05"),
            {"f:5:12: error: a MAC address of one's own is not supported in \"use_vmac\"; the one of the RFC "
             "is used: "
             "00:00:5e:00:01:ID"}},
        Row{instance("mcast_src_ip fd00::1"),
            {"f:5:14: error: \"fd00::1\" is IPv6, but vrrp_instance \"A\" is IPv4"}},
        Row{instance("mcast_src_ip x"), {"f:5:14: error: \"x\" is not an address"}},
        Row{instance("mcast_dst_ip 10.0.0.1"),
            {"f:5:14: error: \"10.0.0.1\" is not an IPv4 multicast address"}},
        Row{instance("strict_mode\nunicast_peer { 10.0.0.5 }"),
            {"f:6:1: error: strict mode does not allow \"unicast_peer\""}},
        Row{"vrrp_instance B {\nstrict_mode\ninterface eth0\nvirtual_router_id 7\nvirtual_ipaddress { "
            "fd00::1 }\n}",
            {"f:5:21: error: strict mode: the first IPv6 address has to be link-local (fe80::)"}}));

INSTANTIATE_TEST_SUITE_P(
    Addresses, Errors,
    testing::Values(
        Row{instance("virtual_ipaddress {\n10.0.0.300/24\n10.0.0.5/33\n10.0.0.6/24 dev\n10.0.0.7 scope foo\n"
                     "10.0.0.9 label abcdefghijklmnop\n10.0.0.10 foo\n10.0.0.11 10.0.0.12\ndev eth0 "
                     "10.0.0.13\n0.0.0.0\n}"),
            {"f:6:1: error: \"10.0.0.300/24\" is not an address: expected IP or IP/LENGTH, one on each line",
             "f:7:1: error: \"10.0.0.5/33\" is not an address: expected IP or IP/LENGTH, one on each line",
             "f:8:13: error: \"dev\" needs a parameter: an interface",
             "f:9:16: error: \"foo\" is not valid here: expected global, site, link, host, nowhere or a "
             "number",
             "f:10:16: error: \"abcdefghijklmnop\" is not valid here: expected at most 15 characters",
             "f:11:11: error: \"foo\" is not an option of an address",
             "f:12:11: error: \"10.0.0.12\" stands behind an address: each needs a line of its own",
             "f:13:1: error: \"dev\" is not an address: expected IP or IP/LENGTH, one on each line",
             "f:14:1: error: \"0.0.0.0\" cannot be the address of a host"}},
        Row{instance("virtual_ipaddress { fd00::1 }"),
            {"f:5:21: error: \"fd00::1\" is IPv6, but the first address is IPv4; it can stand in "
             "\"virtual_ipaddress_excluded\""}},
        Row{instance("native_ipv6"), {"f:4:25: error: \"10.0.0.1\" is IPv4, but \"native_ipv6\" is set"}},
        Row{instance("virtual_ipaddress_excluded { fd00::1 brd 10.0.0.1 }"),
            {"f:5:38: error: \"brd\" is not an option of an IPv6 address"}},
        Row{instance("virtual_ipaddress { 10.0.0.2 use_vmac }"),
            {"f:5:30: error: \"use_vmac\" is not supported for an address"}},
        Row{instance("unicast_peer {\n10.0.0.x\n10.0.0.6 min_ttl 300\n10.0.0.7 ttl 5\nfd00::1\n10.0.0.8 "
                     "max_ttl\n}"),
            {"f:6:1: error: \"10.0.0.x\" is not the address of a peer",
             "f:7:18: error: \"300\" is not valid for \"min_ttl\": expected a number from 0 to 255",
             "f:8:10: error: \"ttl\" is not an option of a peer",
             "f:10:10: error: \"max_ttl\" needs a parameter: a number from 0 to 255",
             "f:9:1: error: peer \"fd00::1\" is IPv6, but vrrp_instance \"A\" is IPv4"}},
        Row{"vrrp_instance B {\nvirtual_router_id 7\nunicast_peer { 10.0.0.5 }\nvirtual_ipaddress { "
            "10.0.0.1/24 }\n}",
            {"f:4:21: error: \"10.0.0.1\" needs \"dev\": vrrp_instance \"B\" has no \"interface\""}},
        Row{instance("virtual_routes {\n192.168.5.0/24 foo\n192.168.6.0/33 via 10.0.0.254\n192.168.8.0/24 "
                     "via fd00::1\n"
                     "192.168.9.0/24\n192.168.4.0/24 nexthop via 10.0.0.254 weight 1\nvia 10.0.0.1\n"
                     "blackhole 10.1.0.0/16 dev eth0\n10.2.0.0/16 dev eth0 table 0\n}"),
            {"f:6:16: error: \"foo\" is not supported in a route",
             "f:7:1: error: \"192.168.6.0/33\" is not the destination of a route",
             "f:8:1: error: \"192.168.8.0/24\" begins a route that mixes IPv4 and IPv6 addresses",
             "f:9:1: error: \"192.168.9.0/24\" begins a route with neither \"via\" nor \"dev\"",
             "f:10:16: error: \"nexthop\" is not supported in a route",
             "f:11:1: error: \"via\" begins a route without a destination",
             "f:12:1: error: \"blackhole\" begins a route that leads nowhere: it has no \"via\" and no "
             "\"dev\"",
             "f:13:28: error: \"0\" is not valid here: expected main, local, default or a number from 1 to "
             "4294967295"}}));

INSTANTIATE_TEST_SUITE_P(
    Tracking, Errors,
    testing::Values(
        Row{instance("track_script { chek }\ntrack_file { f }\ntrack_process { p }\ntrack_interface { a/b }",
                     "vrrp_script check {\nscript /bin/true\n}\n"),
            {"f:8:19: error: \"a/b\" cannot be the name of an interface",
             "f:5:16: error: there is no vrrp_script \"chek\"; did you mean \"check\"?",
             "f:6:14: error: there is no track_file \"f\"",
             "f:7:17: error: there is no vrrp_track_process \"p\""}},
        Row{instance("track_interface {\neth1 weight 254\neth2 weight\neth3 foo\neth4 weight 5 "
                     "foo\neth1\neth1\n}"),
            {"f:6:13: error: \"254\" is not valid for \"weight\": expected a number from -253 to 253",
             "f:7:6: error: \"weight\" needs a parameter: a number from -253 to 253",
             "f:8:6: error: \"foo\" is not valid here: expected weight, or the next name on a line of its "
             "own",
             "f:9:15: error: \"foo\" is not valid here: expected weight, or the next name on a line of its "
             "own",
             "f:10:1: error: \"eth1\" stands twice in \"track_interface\"",
             "f:11:1: error: \"eth1\" stands twice in \"track_interface\""}},
        Row{"vrrp_script s {\ninterval 0.5\ntimeout 0\nrise x\nweight 300\n}",
            {"f:2:10: error: \"0.5\" is not valid for \"interval\": expected a whole number of seconds from "
             "1 to 4294",
             "f:3:9: error: \"0\" is not valid for \"timeout\": expected a whole number of seconds from 1 to "
             "4294",
             "f:4:6: error: \"x\" is not valid for \"rise\": expected a number from 1",
             "f:5:8: error: \"300\" is not valid for \"weight\": expected a number from -253 to 253"}},
        Row{"vrrp_script s {\n}\ntrack_file f {\n}\nvrrp_track_process p {\n}",
            {"f:1:1: error: vrrp_script \"s\" has no \"script\"",
             "f:3:1: error: track_file \"f\" has no \"file\"",
             "f:5:1: error: vrrp_track_process \"p\" has no \"process\""}},
        Row{"vrrp_script s {\nscript /bin/true\n}\nvrrp_script s {\nscript /bin/true\n}",
            {"f:4:13: error: vrrp_script \"s\" is defined twice"}},
        Row{"track_file f {\nfile run/x\ninit_file 5 foo\n}",
            {"f:2:6: error: \"run/x\" is not valid for \"file\": expected an absolute path",
             "f:3:13: error: \"foo\" is not valid for \"init_file\": expected a number or overwrite"}},
        Row{"vrrp_track_process p {\nprocess a\nquorum 3\nquorum_max 2\n}",
            {"f:1:1: error: vrrp_track_process \"p\": \"quorum_max\" is less than \"quorum\""}},
        Row{instance("",
                     "vrrp_sync_group G {\ngroup {\nA\nB\n}\n}\nvrrp_sync_group H {\ngroup { A }\n}\n"
                     "vrrp_sync_group G {\n}"),
            {"f:16:17: error: vrrp_sync_group \"G\" is defined twice, first at f:7:1",
             "f:10:1: error: there is no vrrp_instance \"B\"",
             "f:14:9: error: vrrp_instance \"A\" is in vrrp_sync_group \"G\" already",
             "f:16:1: error: vrrp_sync_group \"G\" has no \"group\" with instances"}}));

INSTANTIATE_TEST_SUITE_P(
    Refused, Errors,
    testing::Values(
        Row{"virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.2 80 {\n}\n}",
            {"f:1:1: error: \"virtual_server\" is not supported: write a Service instead"}},
        Row{"bfd_instance b {\nneighbor_ip 10.0.0.2\n}", {"f:1:1: error: \"bfd_instance\" is not supported"}},
        Row{instance("track_bfd { b }\nuse_ipvlan\nvirtual_rules {\nfrom 10.0.0.0/8 table 1\n}\nvrf x"),
            {"f:5:1: error: \"track_bfd\" is not supported", "f:6:1: error: \"use_ipvlan\" is not supported",
             "f:7:1: error: \"virtual_rules\" is not supported", "f:10:1: error: \"vrf\" is not supported"}},
        Row{"global_defs {\nvrrp_notify_fifo /run/x\n}",
            {"f:2:1: error: \"vrrp_notify_fifo\" is not supported: write \"notify\" instead"}},
        Row{"static_ipaddress {\n10.0.0.1\n}",
            {"f:1:1: error: \"static_ipaddress\" is not supported: addresses, routes and rules that stay "
             "belong to the "
             "machine's network configuration"}}));

INSTANTIATE_TEST_SUITE_P(
    Of, Warnings,
    testing::Values(
        Row{instance("state BACKUP foo"),
            {"f:5:14: warning: \"foo\" is one parameter too many for \"state\"; it is ignored, as keepalived "
             "does"}},
        Row{instance("priority 10\npriority 20"),
            {"f:6:1: warning: \"priority\" is given twice; the last one counts, as in keepalived"}},
        Row{instance("state MASTER\npriority 100\nnopreempt"),
            {"f:7:1: warning: \"nopreempt\" has no effect with \"state MASTER\"; write \"state BACKUP\" on "
             "all nodes"}},
        Row{instance("priority 255\nnopreempt"),
            {"f:6:1: warning: \"nopreempt\" has no effect with priority 255: the owner of the addresses "
             "takes them"}},
        Row{instance("state MASTER\npriority 100\npreempt_delay 5"),
            {"f:7:1: warning: \"preempt_delay\" has no effect with \"state MASTER\"; write \"state "
             "BACKUP\""}},
        Row{instance("state MASTER"),
            {"f:5:1: warning: \"state MASTER\" without \"priority\" is priority 255, as in keepalived: the "
             "owner of the "
             "addresses"}},
        Row{instance("authentication { auth_pass x }"),
            {"f:5:1: warning: \"authentication\" has no \"auth_type\": there is none, as in keepalived"}},
        Row{instance("version 3\nauthentication {\nauth_type PASS\nauth_pass 1111\n}"),
            {"f:6:1: warning: version 3 of VRRP has no authentication; it is ignored, as keepalived does"}},
        Row{instance("authentication {\nauth_type PASS\nauth_pass 123456789\n}"),
            {"f:7:11: warning: only the first 8 characters of \"auth_pass\" are used"}},
        Row{instance("unicast_src_ip 10.0.0.11"),
            {"f:5:1: warning: vrrp_instance \"A\" has words about unicast, but no \"unicast_peer\": it uses "
             "multicast"}},
        Row{instance("unicast_src_ip 10.0.0.11\nunicast_peer { 10.0.0.11 }"),
            {"f:6:16: warning: peer \"10.0.0.11\" is this node's own \"unicast_src_ip\""}},
        Row{instance("use_vmac\nunicast_peer { 10.0.0.11 }"),
            {"f:5:1: warning: \"use_vmac\" with unicast peers needs \"vmac_xmit_base\"; it is set, as "
             "keepalived does"}},
        Row{instance("track_interface {\neth0\neth1 weight 200\neth2 weight -100\n}"),
            {"f:6:1: warning: \"eth0\" is the instance's own interface, which is tracked anyhow; it is "
             "ignored, as "
             "keepalived does",
             "f:7:1: warning: the weight 200 of \"eth1\" leads from priority 100 out of 1 to 254: the "
             "priority stays at 254",
             "f:8:1: warning: the weight -100 of \"eth2\" leads from priority 100 out of 1 to 254: the "
             "priority stays at 1"}},
        Row{instance("strict_mode"),
            {"f:1:1: warning: strict mode: packets to the addresses of vrrp_instance \"A\" are dropped on "
             "this host, which "
             "does not own them (priority 255); \"version 3\" and \"accept\" let them in"}},
        Row{instance("virtual_ipaddress_excluded { 10.0.0.1 }"),
            {"f:5:30: warning: \"10.0.0.1\" stands twice in vrrp_instance \"A\"; the first one counts"}},
        Row{instance("",
                     "vrrp_instance B {\ninterface eth0\nvirtual_router_id 52\nvirtual_ipaddress { "
                     "10.0.0.1/24 }\n}"),
            {"f:10:21: warning: \"10.0.0.1\" is an address of vrrp_instance \"A\" too"}},
        Row{instance("notify_master /bin/true\nnotify_master /bin/true"),
            {"f:6:1: warning: \"notify_master\" is given twice; the first one counts, as in keepalived"}},
        Row{instance("", "vrrp_sync_group G {\ngroup { A }\n}"),
            {"f:7:1: warning: vrrp_sync_group \"G\" has only one instance"}},
        Row{instance("mcast_src_ip $IP").replace(0, 0, "$IP=10.0.0.9\n"), {}}));

TEST(Notes, tell_what_has_no_effect) {
    const Result r = read("global_defs {\nnotification_email {\na@b.c\n}\nvrrp_priority -20\n}\n" +
                          instance("debug 3\nvirtual_ipaddress { 10.0.0.2 }\nsmtp_alert"));
    EXPECT_THAT(r.errors(), ElementsAre());
    EXPECT_THAT(
        r.notes(),
        ElementsAre(
            "f:2:1: note: \"notification_email\" has no effect: hawser sends no mail",
            "f:5:1: note: \"vrrp_priority\" has no effect: how keepalived's processes are scheduled",
            "f:11:1: note: \"debug\" has no effect: hawser has --log-level",
            "f:13:1: note: \"smtp_alert\" has no effect: hawser sends no mail",
            "f:12:21: note: \"10.0.0.2\" gets the length 32, as in keepalived: the interface needs an "
            "address of the same network"));
}

TEST(Duplicates, of_a_vrid_need_one_wire) {
    const auto two = [](const std::string& first, const std::string& second) {
        return read(instance(first,
                             "vrrp_instance B {\ninterface eth0\nvirtual_router_id 51\n"
                             "virtual_ipaddress { 10.0.0.2/24 }\n" +
                                 second + "\n}"))
            .errors()
            .size();
    };
    EXPECT_EQ(two("", ""), 1U);
    EXPECT_EQ(two("", "interface eth1"), 0U);
    EXPECT_EQ(two("", "mcast_dst_ip 224.0.0.77"), 0U);
    EXPECT_EQ(two("", "unicast_peer { 10.0.0.6 }"), 0U);
    EXPECT_EQ(two("unicast_peer { 10.0.0.5 }", "unicast_peer { 10.0.0.6 }"), 0U);
    EXPECT_EQ(two("unicast_peer { 10.0.0.6 }", "unicast_peer { 10.0.0.6 }"), 1U);
}

}  // namespace
}  // namespace hawser::keepalived
