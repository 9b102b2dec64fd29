# SPDX-License-Identifier: Apache-2.0
"""Addresses that cannot be left behind, what makes a VIP move and what does not, hostile packets."""

import json
import random
import socket
import struct
import time

import pytest

import network
import routers
import site_programs
from routers import VIP

A = network.NODES["a"][0]


def lifetime(lab, node):
    for link in json.loads(lab.run(node, ["ip", "-j", "addr", "show", "dev", "eth0"]).stdout):
        for address in link["addr_info"]:
            if address["local"] == VIP:
                return address["valid_life_time"]
    return None


def test_after_kill_9_the_address_leaves_by_itself(site):
    """keepalived's stays for ever, and the backup has it too."""
    hawser = site.start("hawser", "a", "--vip-lifetime 2".split(), priority=150)
    backup = site.start("keepalived", "b", priority=100)
    site.settle(hawser, [backup])
    hawser.stop(9)
    routers.until(lambda: not hawser.holds(), 3.5, "the address is still there")
    site.settle(backup, [hawser])


def test_the_address_stays_while_hawser_lives(site):
    hawser = site.start("hawser", "a", "--vip-lifetime 2".split())
    site.settle(hawser)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert 0 < lifetime(site.lab, "a") <= 2
        time.sleep(0.05)


def test_an_address_that_somebody_removes_comes_back(site):
    hawser = site.start("hawser", "a")
    site.settle(hawser)
    site.lab.run("a", ["ip", "addr", "del", f"{VIP}/24", "dev", "eth0"])
    routers.until(hawser.holds, 2, "it has not come back")


@pytest.mark.parametrize("kind", ["hawser", "keepalived"])
def test_a_reload_moves_no_vip(site, kind):
    hawser = site.start("hawser", "a", priority=150)
    backup = site.start(kind, "b", priority=100)
    site.settle(hawser, [backup])
    since = hawser.view()["since"]
    hawser.reload(routers.config(priority=160, addresses=[f"{VIP}/24", "192.168.0.151/24"]))
    site.settle(hawser, [backup], "192.168.0.151")
    assert hawser.holds(VIP)
    hawser.reload(routers.config(priority=160, addresses=[f"{VIP}/24"]))
    routers.until(lambda: not hawser.holds("192.168.0.151"), 1, "an address that is gone from the file is still there")
    assert hawser.view()["since"] == since and hawser.view()["priority"] == 160
    assert hawser.metric("hawser_vip_became_active_total") == 1


def test_a_wrong_file_changes_nothing(site):
    hawser = site.start("hawser", "a")
    site.settle(hawser)
    hawser.file.write_text(routers.config(priority=999))
    status, body = hawser.hawser.api("/api/v1/reload", "POST")
    assert status == 422 and "priority" in json.dumps(body)
    assert hawser.holds() and hawser.view()["priority"] == 100


def test_a_link_that_goes_down_is_a_fault_and_the_other_takes_over(site):
    hawser = site.start("hawser", "a", priority=150)
    backup = site.start("keepalived", "b", priority=100)
    site.settle(hawser, [backup])
    site.lab.run("a", ["ip", "link", "set", "eth0", "down"])
    routers.until(lambda: hawser.state() == "Fault", 2, site.everything)
    assert "eth0 is down" in json.dumps(hawser.view()["faults"])
    site.settle(backup)
    site.lab.run("a", ["ip", "link", "set", "eth0", "up"])
    site.settle(hawser, [backup])


def test_a_script_lowers_the_priority_or_is_a_fault(site, tmp_path):
    flag = tmp_path / "bad"
    check = tmp_path / "check.sh"
    check.write_text(f"#!/bin/sh\ntest ! -e {flag}\n")
    check.chmod(0o755)
    script = f"vrrp_script check {{\n    script {check}\n    interval 1\n    fall 1\n    rise 1\n    WEIGHT\n}}\n"
    for weight, state, priority in (("weight -60", "Backup", 90), ("", "Fault", 150)):
        text = script.replace("WEIGHT", weight) + routers.config(priority=150, words=["track_script {", "        check", "    }"])
        hawser = routers.Hawser(site.lab, "a", site.directory, text)
        backup = site.start("keepalived", "b", priority=100)
        site.running.append(hawser)
        site.settle(hawser, [backup])
        flag.touch()
        site.settle(backup, [hawser])
        assert (hawser.state(), hawser.view()["priority"]) == (state, priority), site.everything()
        flag.unlink()
        site.settle(hawser, [backup])
        hawser.stop()
        backup.stop()


def test_notify_programs_are_told_in_order_and_run_as_their_user(site, tmp_path):
    told = tmp_path / "told"
    told.touch()
    told.chmod(0o666)
    tmp_path.chmod(0o755)
    program = tmp_path / "notify.sh"
    program.write_text(f'#!/bin/sh\necho "$(id -un) $*" >> {told}\n')
    program.chmod(0o755)
    for parent in program.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    words = [f'notify_master "{program} master" nobody', f'notify_backup "{program} backup" nobody', f'notify "{program}" nobody',
             f'notify_stop "{program} stop" nobody']
    hawser = site.start("hawser", "a", words=words)
    site.settle(hawser)
    hawser.stop()
    assert told.read_text().splitlines() == [
        "nobody backup", "nobody INSTANCE VI_1 BACKUP 100", "nobody master", "nobody INSTANCE VI_1 MASTER 100",
        "nobody stop", "nobody INSTANCE VI_1 STOP 100"]


def test_the_active_routers_own_claims_are_no_conflict(site):
    first = site.start("keepalived", "b", priority=100)
    site.settle(first)
    second = site.start("hawser", "a", priority=50)
    time.sleep(1)
    assert second.view()["conflicts"] == 0 and second.state() == "Backup", site.everything()


def test_vrrp_startup_delay_and_what_a_deleted_instance_says(site, tmp_path):
    told, program = tmp_path / "told", tmp_path / "notify.sh"
    program.write_text(f'#!/bin/sh\necho "$*" >> {told}\n')
    program.chmod(0o755)
    words = [f'notify "{program}"', f'notify_deleted "{program} deleted"']
    began = time.monotonic()
    hawser = site.start("hawser", "a", words=words, head=["vrrp_startup_delay 2"])
    site.settle(hawser)
    assert time.monotonic() - began > 2.3
    hawser.reload(routers.config(name="VI_9", vrid=99, addresses=["192.168.0.159/24"]))
    routers.until(lambda: "DELETED" in told.read_text(), 3, told.read_text)
    assert told.read_text().splitlines()[-2:] == ["deleted", "INSTANCE VI_1 DELETED 100"]
    assert not hawser.holds()


def test_notify_deleted_without_a_program_says_deleted_and_no_notify_deleted_says_fault(site, tmp_path):
    for words, last in (["notify_deleted"], "INSTANCE VI_1 DELETED 100"), ([], "INSTANCE VI_1 FAULT 100"):
        told, program = tmp_path / f"told{len(words)}", tmp_path / "notify.sh"
        program.write_text(f'#!/bin/sh\necho "$*" >> {told}\n')
        program.chmod(0o755)
        hawser = site.start("hawser", "a", words=[f'notify "{program}"', *words])
        site.settle(hawser)
        hawser.reload(routers.config(name="VI_9", vrid=99, addresses=["192.168.0.159/24"]))
        routers.until(lambda: told.read_text().splitlines()[-1] == last, 3, told.read_text)
        hawser.stop()


def test_unicast_routers_of_one_id_are_two_and_both_survive_a_reload(site):
    pair = [routers.config(name=name, vrid=51, peers=[peer], source=A, addresses=[f"{address}/24"])
            for name, peer, address in (("VI_1", "192.168.0.101", VIP), ("VI_2", "192.168.0.77", "192.168.0.152"))]
    hawser = routers.Hawser(site.lab, "a", site.directory, "".join(pair))
    site.running.append(hawser)
    site.settle(hawser)
    site.settle(hawser, address="192.168.0.152")
    hawser.reload("".join(pair).replace("priority 100", "priority 110"))
    time.sleep(0.5)
    assert [hawser.view(name)["state"] for name in ("VI_1", "VI_2")] == ["Active"] * 2
    assert hawser.metric("hawser_vip_became_active_total") == 2
    hawser.reload(pair[0])
    routers.until(lambda: not hawser.holds("192.168.0.152"), 1, "the one that is gone has left its address")
    assert hawser.holds()


def test_virtual_macs_share_the_base_interfaces_settings(site):
    settings = ("arp_ignore", "arp_filter", "arp_announce")

    def now():
        return [site.lab.run("a", ["cat", f"/proc/sys/net/ipv4/conf/eth0/{name}"]).stdout.strip() for name in settings]

    before = now()
    one = routers.config(words=["use_vmac"])
    two = routers.config(name="VI_2", vrid=52, addresses=["192.168.0.152/24"], words=["use_vmac"])
    hawser = routers.Hawser(site.lab, "a", site.directory, one + two)
    site.running.append(hawser)
    site.settle(hawser)
    site.settle(hawser, address="192.168.0.152")
    hawser.reload(two)
    routers.until(lambda: not hawser.holds(), 2, "it is still there")
    assert now() == ["1", "1", "2"], "the other one needs them still"
    hawser.stop()
    assert now() == before


def test_a_vip_object_is_checked_served_and_shown(site, tmp_path):
    file = tmp_path / "vip.yaml"
    file.write_text(f"apiVersion: hawser.io/v1alpha1\nkind: VIP\nmetadata: {{name: chat}}\nspec:\n  addresses: [{VIP}/24]\n")
    binary = site_programs.BIN / "hawser"
    checked = site.lab.run("a", [binary, "check", "-f", file, "--state", ""])
    assert f"VIP chat: {VIP}/24 on eth0, VRRPv3 id 150, priority 100, every 100 ms, multicast" in checked.stdout
    hawser = site_programs.Hawser(site.lab, "a", [file], [], ["--splice", "off"], log=f"object-{site.directory.name}.log")
    try:
        hawser.wait_ready()
        hawser.wait(lambda: VIP in routers.held(site.lab, "a"), 5, "has not got the address")
        heading, row = hawser.get("vips").stdout.splitlines()
        assert heading.split() == ["NAME", "ADDRESSES", "INTERFACE", "VRID", "STATE", "PRIORITY", "ACTIVE", "SINCE"]
        assert row.split()[:7] == ["chat", f"{VIP}/24", "eth0", "150", "Active", "100", A]
    finally:
        hawser.stop()
    assert VIP not in routers.held(site.lab, "a")


def test_another_host_with_the_address_is_reported(site):
    site.lab.run("client2", ["ip", "addr", "add", f"{VIP}/32", "dev", "eth0"])
    try:
        hawser = site.start("hawser", "a")
        site.settle(hawser)
        routers.until(lambda: hawser.view()["conflicts"] > 0, 3, hawser.words)
        assert f"{VIP} is in use on eth0, too: by {site.mac('client2')}" in hawser.words()
    finally:
        site.lab.run("client2", ["ip", "addr", "del", f"{VIP}/32", "dev", "eth0"])


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
def test_v18_and_v10_no_accept_drops_packets_and_never_neighbour_discovery(site, v6):
    address = routers.VIP6 if v6 else VIP
    family = socket.AF_INET6 if v6 else socket.AF_INET

    def answers():
        """Whether a UDP socket of the node hears what the client sends to the VIP."""
        with site.lab.inside("a", lambda: socket.socket(family, socket.SOCK_DGRAM)) as server, \
             site.lab.inside("client", lambda: socket.socket(family, socket.SOCK_DGRAM)) as client:
            server.bind(("::" if v6 else "0.0.0.0", 9999))
            server.settimeout(0.5)
            for _ in range(2):
                client.sendto(b"?", (address, 9999))
            try:
                return server.recv(10) == b"?"
            except TimeoutError:
                return False

    hawser = site.start("hawser", "a", v6=v6, words=["no_accept"])
    site.settle(hawser, address=address)
    assert not answers()
    found = site.lab.run("client", ["ip", "neigh", "show", address]).stdout
    assert site.mac("a") in found, "V-10: who asks for the address is answered"
    hawser.reload(routers.config(v6=v6))
    routers.until(answers, 3, "accept came with the reload, and is not done")
    assert hawser.metric("hawser_vip_became_active_total") == 1


def test_a_sync_group_moves_together(site):
    second = routers.config(name="VI_2", vrid=52, priority=100, interface="eth0", addresses=["192.168.0.152/24"])
    both = routers.config(priority=150) + second + "vrrp_sync_group G {\n    group {\n        VI_1\n        VI_2\n    }\n}\n"
    # The peer is better in one of them and worse in the other.
    mirror = both.replace("priority 150", "priority 120")
    hawser = routers.Hawser(site.lab, "a", site.directory, both)
    peer = routers.Keepalived(site.lab, "b", site.directory, mirror.replace("priority 100", "priority 90"))
    site.running += [hawser, peer]
    site.settle(hawser, [peer])
    site.settle(hawser, [peer], "192.168.0.152")
    hawser.stop()
    site.settle(peer, [hawser])
    site.settle(peer, [hawser], "192.168.0.152")


# ---- hostile packets ----

def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def advert(priority=254, vrid=51, version=3, count=1, interval=10, fix=True):
    body = struct.pack("!BBBBHH4s", version << 4 | 1, vrid, priority, count, interval, 0, socket.inet_aton(VIP))
    return body[:6] + struct.pack("!H", checksum(body) if fix else 0xbeef) + body[8:]


def inject(lab, packets, ttl=255, destination="224.0.0.18"):
    sender = lab.inside("client2", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 112))
    with sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(network.CLIENTS["client2"]))
        for packet in packets:
            sender.sendto(packet, (destination, 0))


def test_hostile_packets_change_nothing_and_are_counted(site):
    hawser = site.start("hawser", "a", priority=100)
    site.settle(hawser)
    before = hawser.view()["since"]
    dice = random.Random(1)
    cases = [("ttl", [advert()], 254), ("checksum", [advert(fix=False)], 255), ("version", [advert(version=4)], 255),
             ("length", [advert(count=7)], 255), ("interval", [advert(interval=0)], 255), ("no_addresses", [advert(count=0)], 255)]
    for reason, packets, ttl in cases:
        inject(site.lab, packets, ttl)
        routers.until(lambda: hawser.metric(f'hawser_vip_adverts_discarded_total{{router="VI_1",reason="{reason}"') == 1, 2,
                      lambda: f"{reason} was not counted\n{hawser.words()}")
    flood = [bytes([0x31, 51]) + dice.randbytes(dice.randrange(60)) for _ in range(20_000)]
    inject(site.lab, flood)
    inject(site.lab, [advert(vrid=52)] * 100)
    time.sleep(0.5)
    assert hawser.holds() and hawser.view()["since"] == before, site.everything()
    assert hawser.metric("hawser_vip_adverts_total{router=\"VI_1\",dir=\"in\"") == 0
