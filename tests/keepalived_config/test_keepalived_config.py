# SPDX-License-Identifier: Apache-2.0
"""The same configurations before hawser's keepalived source and before Debian's `keepalived --config-test` (2.2.7): the
same verdict, and where keepalived complains of a line, an error or a warning of ours on that line.

keepalived's exit code is not 0 as soon as it has anything to say, also for what it puts right by itself; which of its
complaints are our warnings, which our errors, is told by the table in which a row stands.

The program under test, hawser_keepalived_dump, is looked for in HAWSER_BIN_DIR, or in build/bin."""

import os
import pathlib
import re
import resource
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DUMP = pathlib.Path(os.environ.get("HAWSER_BIN_DIR", ROOT / "build/bin")) / "hawser_keepalived_dump"
KEEPALIVED = shutil.which("keepalived") or "/usr/sbin/keepalived"
IFF_MULTICAST = 0x1000


def is_ordinary(name):
    return name != "lo" and int((pathlib.Path("/sys/class/net") / name / "flags").read_text(), 16) & IFF_MULTICAST


# keepalived looks for the interfaces that it is told of.
INTERFACES = sorted(name for name in os.listdir("/sys/class/net") if is_ordinary(name))

pytestmark = [
    pytest.mark.skipif(not os.path.exists(KEEPALIVED), reason="keepalived is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="keepalived --config-test needs root"),
    pytest.mark.skipif(not INTERFACES, reason="there is no interface but lo"),
    pytest.mark.skipif(not DUMP.exists(), reason=f"{DUMP} is not built"),
]

GLOBAL = "global_defs {\nscript_user root\nenable_script_security\n}\n"
SCRIPT = GLOBAL + "vrrp_script s {\nscript /bin/true\n}\n"


def instance(text, name="A", vrid=51, address="10.0.0.1/24", interface="IF"):
    """Its first four lines are keepalived's least; `text` begins on the fifth."""
    return (f"vrrp_instance {name} {{\ninterface {interface}\nvirtual_router_id {vrid}\n"
            f"virtual_ipaddress {{ {address} }}\n{text}\n}}\n")


def block(keyword, *lines):
    return keyword + " {\n" + "\n".join(lines) + "\n}"


OTHER = instance("", "B", 52, "10.0.0.2/24")

# Both take it, and keepalived has nothing to say.
GOOD = {
    "nothing": "",
    "only global_defs": "global_defs {\n}\n",
    "the least": instance(""),
    "brace on the next line": "vrrp_instance A\n{\ninterface IF\nvirtual_router_id 51\nvirtual_ipaddress\n{\n10.0.0.1 } }\n",
    "glued braces": "vrrp_instance A{\ninterface IF\nvirtual_router_id 51\nvirtual_ipaddress{10.0.0.1}\n}\n",
    "statement behind the brace": "vrrp_instance A { interface IF\nvirtual_router_id 51\nvirtual_ipaddress { 10.0.0.1 }\n}\n",
    "block behind a block": instance("").rstrip() + " " + OTHER,
    "comments": "# don't\n! it's\n" + instance("priority 1#50\nadvert_int 1!x"),
    "carriage returns": instance("priority 50").replace("\n", "\r\n"),
    "address with options on one line": instance("virtual_ipaddress { 10.0.0.9/24 dev IF label IF:1 }"),
    "all options of an address": instance(block("virtual_ipaddress", "10.0.0.5/24 brd + dev IF scope link label IF:x",
                                                "10.0.0.6/24 brd 10.0.0.255", "10.0.0.9/24 brd -",
                                                "10.0.0.8/24 home -nodad mngtmpaddr noprefixroute autojoin no_track")),
    "two blocks of addresses": instance("virtual_ipaddress { 10.0.0.2 }"),
    "excluded of both families": instance(block("virtual_ipaddress_excluded", "fd00::1", "10.0.0.7")),
    "words of an instance": instance("state BACKUP\npriority 150\nadvert_int 2\nnopreempt\nno_accept\npromote_secondaries\n"
                                     "lower_prio_no_advert\nhigher_prio_send_advert on\nskip_check_adv_addr\n"
                                     "dont_track_primary\ndown_timer_adverts 4\ndebug 2\nkernel_rx_buf_size 100000"),
    "preempt_delay": instance("preempt_delay 4.12\npreempt"),
    "version 3": instance("version 3\nadvert_int 0.05"),
    "password": instance(block("authentication", "auth_type PASS", "auth_pass 1111")),
    "MASTER without priority": instance("state MASTER"),
    "password without type": instance("authentication {\nauth_pass x\n}"),
    "multicast": instance("mcast_src_ip 10.0.0.9\nmcast_dst_ip 224.0.0.19"),
    "unicast": instance("unicast_src_ip 10.0.0.11\n" + block("unicast_peer", "10.0.0.5 min_ttl 255 max_ttl 255", "10.0.0.6") +
                        "\nunicast_ttl 5\ncheck_unicast_src"),
    "announcing": instance("garp_master_delay 10\ngarp_master_repeat 1\ngarp_master_refresh 60\n"
                           "garp_master_refresh_repeat 2\ngarp_lower_prio_delay 3\ngarp_lower_prio_repeat 0"),
    "garp_group": block("garp_group", "garp_interval 1", "gna_interval 0.5", "interface IF") + "\n" + instance(""),
    "use_vmac": instance("use_vmac vrrp.51\nvmac_xmit_base"),
    "IPv6": instance("", address="fe80::1/64").replace("{ fe80::1/64 }", "{\nfe80::1/64\nfd00::1/64\n}"),
    "owner": instance("priority 255\nstate MASTER"),
    "global words": block("global_defs", "router_id LVS", "vrrp_version 3", "vrrp_garp_master_delay 1",
                          "vrrp_garp_master_repeat 2", "vrrp_garp_master_refresh 60", "vrrp_garp_interval 0.001",
                          "vrrp_gna_interval 0.001", "vrrp_min_garp", "vrrp_lower_prio_no_advert",
                          "vrrp_higher_prio_send_advert true", "vrrp_skip_check_adv_addr", "vrrp_startup_delay 5.5",
                          "vrrp_mcast_group4 224.0.0.20", "vrrp_mcast_group6 ff02::13", "vrrp_down_timer_adverts 4",
                          "vrrp_check_unicast_src", "default_interface IF", "vmac_prefix va") + "\n" + instance(""),
    "global words without effect": block("global_defs", "notification_email {", "a@b.c", "}", "notification_email_from a@b.c",
                                         "smtp_server 127.0.0.1 25", "smtp_connect_timeout 30", "vrrp_priority -5",
                                         "vrrp_no_swap", "vrrp_rt_priority 20", "vrrp_rlimit_rttime 10000",
                                         "max_auto_priority", "dynamic_interfaces", "enable_traps",
                                         "smtp_helo_name x", "smtp_alert on", "checker_log_all_failures yes",
                                         "process_names", "log_unknown_vrids") + "\n" + instance(""),
    "script": SCRIPT + instance(block("track_script", "s weight 10 reverse")),
    "script with quotes": GLOBAL + "vrrp_script s {\nscript \"/bin/true # {a} 'b c'\"\ninterval 2\ntimeout 3\nweight -20\n"
                          "rise 2\nfall 3\nuser root\ninit_fail\n}\n" + instance("track_script { s }"),
    "notify": GLOBAL + instance("notify_master \"/bin/true a 'b c'\"\nnotify_backup /bin/true root root\nnotify_fault /bin/true\n"
                                "notify_stop /bin/true\nnotify_deleted\nnotify /bin/true\nnotify_master_rx_lower_pri /bin/true"),
    "track_interface": instance("track_interface { lo weight 10 reverse\n}"),
    "track_file": "track_file f {\nfile /tmp/hawser-test\nweight 2 reverse\ninit_file 5 overwrite\n}\n"
                  + instance("track_file { f weight 3 }"),
    "track_process": "vrrp_track_process p {\nprocess nginx a b\nparam_match initial\nquorum 2\nquorum_max 5\ndelay 1\n"
                     "weight 20\nfull_command\n}\n" + instance("track_process { p }"),
    "sync group": "vrrp_sync_group G {\ngroup {\nA\nB\n}\ntrack_interface { lo }\nsync_group_tracking_weight\n}\n" + instance("") + OTHER,
    "members on one line": "vrrp_sync_group G {\ngroup { A B }\n}\n" + instance("") + OTHER,
    "routes": instance(block("virtual_routes", "192.168.3.0/24 dev IF", "192.168.4.0/24 via 10.0.0.254 dev IF metric 5",
                             "src 10.0.0.1 to 192.168.109.0/24 via 10.0.0.254 dev IF scope link table 100 onlink no_track")),
    "strict and owner": "global_defs {\nvrrp_strict\n}\n" + instance("version 3\npriority 255"),
    "one VRID, other peers": instance("unicast_peer { 10.0.0.5 }") + instance("unicast_peer { 10.0.0.6 }", "B", 51, "10.0.0.2"),
    "one VRID, unicast and multicast": instance("") + instance("unicast_peer { 10.0.0.6 }", "B", 51, "10.0.0.2"),
    "one VRID, other group": instance("") + instance("mcast_dst_ip 224.0.0.77", "B", 51, "10.0.0.2"),
    "parameters": "$X=51\n$V= \\\nvirtual_ipaddress { \\\n10.0.0.${X} \\\n}\n$I= \\\nvrrp_instance VI_${X} { \\\n"
                  "interface IF \\\nvirtual_router_id $X \\\n$V \\\n}\n$I\n$X=52\n$I\n",
    "parameter with a brace": "$X={\nvrrp_instance A $X\ninterface IF\nvirtual_router_id 51\nvirtual_ipaddress { 10.0.0.1 }\n}\n",
    "conditions": instance("@main priority 10\n@other bogus\n@^main bogus\n@^other advert_int 2"),
    "sequence": instance(block("virtual_ipaddress", "~SEQ(N, 2, 4) 10.0.0.${N}", "~LST(M, 7, 8) 10.0.0.${M}",
                               "~LST({P, Q}, {1, 2}, {3, 4}) 10.1.${P}.${Q}")),
}

# keepalived complains, of a line where a number stands; ours is a warning, on that line if there is one.
WARNED = {
    "nopreempt and MASTER": (instance("state MASTER\npriority 100\nnopreempt"), None),
    "nopreempt and 255": (instance("priority 255\nnopreempt"), None),
    "preempt_delay and MASTER": (instance("state MASTER\npriority 100\npreempt_delay 5"), None),
    "password in version 3": (instance("version 3\n" + block("authentication", "auth_type PASS", "auth_pass 1")), None),
    "a long password": (instance(block("authentication", "auth_type PASS", "auth_pass 123456789")), 7),
    "half a second in version 2": (instance("advert_int 0.5"), None),
    "15 ms": (instance("version 3\nadvert_int 0.015"), None),
    "41 s": (instance("version 3\nadvert_int 41"), None),
    "version 2 and IPv6": (instance("version 2", address="fe80::1/64"), 5),
    "unicast without peers": (instance("unicast_src_ip 10.0.0.11"), None),
    "vmac and unicast": (instance("use_vmac v\nunicast_peer { 10.0.0.5 }"), None),
    "own interface": (instance("track_interface { IF }"), None),
    "label of IPv6": (instance("virtual_ipaddress_excluded { fd00::5/64 label x }"), 5),
    "length and peer": (instance("virtual_ipaddress { 10.0.0.7/24 peer 10.1.1.1 }"), 5),
    "gw": (instance("virtual_routes {\n0.0.0.0/0 gw 10.0.0.1 table 100\n}"), 6),
    "notify twice": (GLOBAL + instance("notify /bin/true\nnotify /bin/true"), 10),
    "one member": ("vrrp_sync_group G {\ngroup { A }\n}\n" + instance(""), None),
    "weight of the owner": (SCRIPT + instance("priority 255\ntrack_script { s weight 5 }"), None),
    "group of an owner": ("vrrp_sync_group G {\ngroup { A B }\ntrack_interface { lo weight 5 }\n}\n" + instance("priority 255")
                          + OTHER, None),
    "strict": ("global_defs {\nvrrp_strict\n}\n" + instance("higher_prio_send_advert\ngarp_master_refresh 10\n"
                                                          "lower_prio_no_advert no\n" +
                                                          block("authentication", "auth_type PASS", "auth_pass 1")), None),
}

# keepalived complains of a line; ours is an error on it. Rows whose line is None are judged when the block is complete.
BAD = {
    "unknown at the top": ("bogus {\nx\n}\n", 1),
    "unknown in an instance": (instance("bogus 1 2"), 5),
    "unknown in global_defs": ("global_defs {\nbogus\n}\n", 2),
    "unknown in a group": ("vrrp_sync_group G {\nbogus\ngroup { A B }\n}\n" + instance("") + OTHER, 2),
    "out of place": ("global_defs {\nvrrp_instance\n}\n", 2),
    "a brace too many": (instance("") + "}\n", 7),
    "a brace too few": ("global_defs {\n", None),
    "a lonely brace": ("\n{\n}\n", 2),
    "an open quote": ("global_defs {\nrouter_id \"a\n}\n", 2),
    "case": (instance("Priority 5"), 5),
    "priority 0": (instance("priority 0"), 5),
    "priority 256": (instance("priority 256"), 5),
    "priority in words": (instance("priority high"), 5),
    "no priority": (instance("priority"), 5),
    "vrid": (instance("virtual_router_id 256"), 5),
    "state": (instance("state master"), 5),
    "version": (instance("version 4"), 5),
    "advert_int": (instance("advert_int 256"), 5),
    "advert_int too short": (instance("version 3\nadvert_int 0.005"), 6),
    "negative": (instance("advert_int -1"), 5),
    "preempt_delay": (instance("preempt_delay 1001"), 5),
    "decimal places": (instance("preempt_delay 1.23456789"), 5),
    "two dots": (instance("preempt_delay 1.2.3"), 5),
    "debug": (instance("down_timer_adverts 0"), 5),
    "bool": (instance("lower_prio_no_advert foo"), 5),
    "garp": (instance("garp_master_delay 10.5"), 5),
    "garp repeat": (instance("garp_master_repeat 0"), 5),
    "auth_type": (instance(block("authentication", "auth_type FOO", "auth_pass 1")), 6),
    "no auth_pass": (instance(block("authentication", "auth_type PASS")), None),
    "authentication without block": (instance("authentication"), None),
    "loopback": (instance("interface lo"), 5),
    "no name": ("vrrp_instance {\ninterface IF\nvirtual_router_id 5\nvirtual_ipaddress { 10.0.0.1 }\n}\n", 1),
    "a name twice": (instance("") + instance("", vrid=52), 7),
    "a vrid twice": (instance("") + instance("", "B", 51, "10.0.0.2"), None),
    "no interface": ("vrrp_instance A {\nvirtual_router_id 5\nvirtual_ipaddress { 10.0.0.1 }\n}\n", None),
    "no vrid": ("vrrp_instance A {\ninterface IF\nvirtual_ipaddress { 10.0.0.1 }\n}\n", None),
    "no address": ("vrrp_instance A {\ninterface IF\nvirtual_router_id 5\n}\n", None),
    "address": (instance("virtual_ipaddress { 10.0.0.300 }"), 5),
    "length": (instance("virtual_ipaddress { 10.0.0.3/33 }"), 5),
    "two addresses on a line": (instance("virtual_ipaddress { 10.0.0.3 10.0.0.4 }"), 5),
    "dev without name": (instance("virtual_ipaddress { 10.0.0.3 dev }"), 5),
    "scope": (instance("virtual_ipaddress { 10.0.0.3 scope foo }"), 5),
    "label": (instance("virtual_ipaddress { 10.0.0.3 label abcdefghijklmnopqrst }"), 5),
    "option first": (instance("virtual_ipaddress { dev IF 10.0.0.3 }"), 5),
    "length of a peer": (instance("virtual_ipaddress { 10.0.0.3 peer 10.1.1.1/30 }"), 5),
    "family": (instance("virtual_ipaddress {\nfd00::1\n}"), 6),
    "broadcast of IPv6": (instance("virtual_ipaddress_excluded { fd00::1 brd 10.0.0.1 }"), 5),
    "native_ipv6": (instance("native_ipv6"), None),
    "peer": (instance("unicast_peer { 10.0.0.x }"), 5),
    "peer's ttl": (instance("unicast_peer { 10.0.0.6 min_ttl 300 }"), 5),
    "peer's option": (instance("unicast_peer { 10.0.0.6 ttl 3 }"), 5),
    "peer's family": (instance("unicast_peer { fd00::1 }"), 5),
    "source's family": (instance("unicast_src_ip fd00::1\nunicast_peer { 10.0.0.6 }"), 5),
    "multicast": (instance("mcast_dst_ip 10.0.0.1"), 5),
    "vmac name": (instance("use_vmac abcdefghijklmnopqrst"), 5),
    "no such script": (instance("track_script { nope }"), 5),
    "no such file": (instance("track_file { nope }"), 5),
    "no such process": (instance("track_process { nope }"), 5),
    "weight": (instance("track_interface { lo weight 300 }"), 5),
    "interface twice": (instance("track_interface {\nlo\nlo\n}"), 7),
    "weight without number": (SCRIPT + instance("track_script { s weight }"), 12),
    "two scripts on a line": (SCRIPT + SCRIPT[len(GLOBAL):].replace("s {", "t {") + instance("track_script { s t }"), 15),
    "script twice in a list": (SCRIPT + instance("track_script {\ns\ns\n}"), 14),
    "script's weight": ("vrrp_script s {\nscript /bin/true\nweight 300\n}\n" + instance(""), 3),
    "script's interval": ("vrrp_script s {\nscript /bin/true\ninterval 0.5\n}\n" + instance(""), 3),
    "script's rise": ("vrrp_script s {\nscript /bin/true\nrise 0\n}\n" + instance(""), 3),
    "script's user": ("vrrp_script s {\nscript /bin/true\nuser nobodyx\n}\n" + instance("track_script { s }"), 3),
    "no script": ("vrrp_script s {\n}\n" + instance(""), None),
    "script that is not there": (GLOBAL + "vrrp_script s {\nscript /no/such\n}\n" + instance("track_script { s }"), None),
    "file's weight": ("track_file f {\nfile /tmp/x\nweight 300\n}\n" + instance("track_file { f }"), 3),
    "no process": ("vrrp_track_process p {\n}\n" + instance(""), None),
    "quorum": ("vrrp_track_process p {\nprocess x\nquorum 0\n}\n" + instance("track_process { p }"), 3),
    "empty group": ("vrrp_sync_group G {\n}\n" + instance(""), None),
    "unknown member": ("vrrp_sync_group G {\ngroup { A\nB\nC }\n}\n" + instance("") + OTHER, None),
    "two groups": ("vrrp_sync_group G {\ngroup { A B }\n}\nvrrp_sync_group H {\ngroup { A B }\n}\n" + instance("") + OTHER, None),
    "vrrp_version": ("global_defs {\nvrrp_version 4\n}\n", 2),
    "vrrp_garp_master_repeat": ("global_defs {\nvrrp_garp_master_repeat -1\n}\n", 2),
    "vrrp_mcast_group4": ("global_defs {\nvrrp_mcast_group4 10.0.0.1\n}\n", 2),
    "vrrp_mcast_group6": ("global_defs {\nvrrp_mcast_group6 224.0.0.1\n}\n", 2),
    "script_user": ("global_defs {\nscript_user nouserx\n}\n" + "vrrp_script s {\nscript /bin/true\n}\n" + instance("track_script { s }"), 2),
    "route's prefix": (instance("virtual_routes {\n192.168.6.0/33 dev IF\n}"), 6),
    "route's families": (instance("virtual_routes {\n192.168.8.0/24 via fd00::1 dev IF\n}"), 6),
    "route's word": (instance("virtual_routes {\n192.168.8.0/24 dev IF foo\n}"), 6),
    "braces of an unknown parameter": (instance("priority ${FOO}"), 5),
    "sequence": (instance("virtual_ipaddress {\n~SEQ(N) 10.0.0.${N}\n}"), 6),
    "strict without address": ("global_defs {\nvrrp_strict\n}\nvrrp_instance A {\ninterface IF\nvirtual_router_id 3\n}\n", None),
    "strict and IPv6": ("global_defs {\nvrrp_strict\n}\n" + instance("", address="fd00::1"), None),
    "includea of nothing": ("includea /no/such\n" + instance(""), 1),
    "includew of nothing": ("includew /no/such*\n" + instance(""), 1),
}

# keepalived takes it without a word, hawser does not: each row has the reason, and a word of our error.
REFUSED = {
    "scripts of one name": ("vrrp_script", "one would be in force, by chance", SCRIPT + SCRIPT[len(GLOBAL):] + instance("")),
    "strict and unicast": ("strict", "the manual says that it is not allowed",
                           instance("strict_mode\nunicast_peer { 10.0.0.5 }")),
    "fifo": ("vrrp_notify_fifo", "not supported", block("global_defs", "vrrp_notify_fifo /tmp/hawser-test.fifo") + "\n" + instance("")),
    "track_src_ip": ("track_src_ip", "not supported", instance("track_src_ip")),
    "garp_extra_if": ("garp_extra_if", "not supported", instance("garp_extra_if 100")),
    "random": ("_RANDOM", "each reading would be another configuration", instance("priority ${_RANDOM 5 5}")),
    "MAC address": ("MAC", "not supported", instance("use_vmac v 00:11:22:33:44:55")),
}

# keepalived complains, hawser does what was meant; each with a word of keepalived.
LENIENT = {
    "statements on one line": ("virtual router id",
                               "vrrp_instance A { interface IF virtual_router_id 5\nvirtual_ipaddress { 10.0.0.1 } }\n"),
    "password on the line of its type": ("no password", instance("authentication { auth_type PASS auth_pass 1111 }")),
    "escaped quote": ("quote", "global_defs {\nrouter_id \"a\\\"b\"\n}\n"),
    "single quotes": ("invalid IP", instance("virtual_ipaddress { '10.0.0.2' }")),
    "route without interface": ("cannot track", instance("virtual_routes {\n192.168.1.0/24 via 10.0.0.254\n}")),
    "track_process at the top": ("track_process", "track_process q {\nprocess nginx\n}\n" + instance("track_process { q }")),
    "a script that nothing uses": ("not found", GLOBAL + "vrrp_script s {\nscript /no/such\n}\n" + instance("")),
}


def limited():
    resource.setrlimit(resource.RLIMIT_CPU, (5, 5))


def of(rows):
    return pytest.mark.parametrize("text", [pytest.param(*([v] if isinstance(v, str) else [v]), id=k) for k, v in rows.items()])


class Verdicts:
    """What both say of one text."""

    def __init__(self, directory, text):
        self.path = directory / "keepalived.conf"
        self.path.write_bytes(text.replace("IF", INTERFACES[0]).encode())
        theirs = subprocess.run([KEEPALIVED, "--config-test", "-i", "main", "-f", self.path], capture_output=True, text=True,
                                preexec_fn=limited, check=False)
        self.their_code, self.theirs = theirs.returncode, theirs.stderr + theirs.stdout
        ours = subprocess.run([DUMP, "-i", "main", self.path], capture_output=True, text=True, preexec_fn=limited, check=False)
        self.our_code, self.ours = ours.returncode, ours.stdout

    def lines(self, severity):
        return {int(line) for line in re.findall(rf":(\d+):\d+: {severity}:", self.ours)}

    def __str__(self):
        return f"keepalived: {self.their_code}\n{self.theirs}\nhawser: {self.our_code}\n{self.ours}"


@of(GOOD)
def test_both_take_it(tmp_path, text):
    verdicts = Verdicts(tmp_path, text)
    assert verdicts.their_code == 0, str(verdicts)
    assert verdicts.our_code == 0, str(verdicts)


@of(WARNED)
def test_keepalived_complains_and_hawser_warns(tmp_path, text):
    text, line = text
    verdicts = Verdicts(tmp_path, text)
    assert verdicts.their_code != 0, str(verdicts)
    assert verdicts.our_code == 0, str(verdicts)
    assert verdicts.lines("warning"), str(verdicts)
    if line is not None:
        assert f"Line {line})" in verdicts.theirs, str(verdicts)
        assert line in verdicts.lines("warning"), str(verdicts)


@of(BAD)
def test_keepalived_complains_and_hawser_refuses(tmp_path, text):
    text, line = text
    verdicts = Verdicts(tmp_path, text)
    assert verdicts.their_code != 0, str(verdicts)
    assert verdicts.our_code == 1, str(verdicts)
    if line is not None:
        assert f"Line {line})" in verdicts.theirs, str(verdicts)
        assert line in verdicts.lines("error"), str(verdicts)


@of(REFUSED)
def test_hawser_refuses_by_name(tmp_path, text):
    word, _, text = text
    verdicts = Verdicts(tmp_path, text)
    assert verdicts.their_code == 0, str(verdicts)
    assert verdicts.our_code == 1, str(verdicts)
    assert word in verdicts.ours, str(verdicts)


@of(LENIENT)
def test_hawser_does_what_was_meant(tmp_path, text):
    word, text = text
    verdicts = Verdicts(tmp_path, text)
    assert verdicts.their_code != 0, str(verdicts)
    assert word in verdicts.theirs, str(verdicts)
    assert verdicts.our_code == 0, str(verdicts)


def test_the_page_names_every_keyword():
    page = (ROOT / "docs/keepalived.md").read_text()
    missing = set()
    for source in (ROOT / "src/sources/keepalived").glob("commands_*.cc"):
        table = source.read_text().split("constexpr Command commands[] = {", 1)[1]
        for name in re.findall(r'(?:\{|\b(?:one|words|block|notify|noted|refused)\()\s*"([A-Za-z0-9_]+)",', table):
            if f"`{name}`" not in page:
                missing.add(name)
    assert not missing
