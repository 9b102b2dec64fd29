# SPDX-License-Identifier: Apache-2.0
"""hawser and Debian's keepalived elect, fail over and return, whoever of them is the better one. The same text is both
programs' configuration."""

import json
import shutil
import subprocess
import time

import pytest

import network
import routers
from routers import VIP, VIP6

A, B = network.NODES["a"][0], network.NODES["b"][0]


def unicast(node):
    return {"peers": [B if node == "a" else A], "source": A if node == "a" else B}


FLAVOURS = {
    "v2 with a password": dict(version=2, advert=1, password="1111"),
    "v2 without": dict(version=2, advert=1),
    "v3, 1 s": dict(version=3, advert=1),
    "v3, 100 ms": dict(version=3, advert=0.1),
    "v3, 10 ms": dict(version=3, advert=0.01),
    "v3, unicast": dict(version=3, advert=0.1, unicast=True),
    "v2, unicast": dict(version=2, advert=1, password="abcdefghij", unicast=True),
    "v3, IPv6": dict(version=3, advert=0.1, v6=True),
}
KINDS = [("hawser", "keepalived"), ("keepalived", "hawser"), ("hawser", "hawser")]


def facts_of(flavour, node, priority):
    facts = dict(FLAVOURS[flavour], priority=priority)
    return facts | unicast(node) if facts.pop("unicast", False) else facts


@pytest.mark.parametrize("kinds", KINDS, ids=" over ".join)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_better_one_has_the_vip_and_gives_it_back(site, kinds, flavour):
    address = VIP6 if FLAVOURS[flavour].get("v6") else VIP
    better_kind, other_kind = kinds
    other = site.start(other_kind, "b", **facts_of(flavour, "b", 100))
    site.settle(other, address=address)
    better = site.start(better_kind, "a", **facts_of(flavour, "a", 150))
    site.settle(better, [other], address)          # preempts
    better.stop()                                  # says that it leaves
    site.settle(other, [better], address, seconds=2)
    again = site.start(better_kind, "a", **facts_of(flavour, "a", 150))
    site.settle(again, [other], address)
    again.stop(9)                                  # says nothing
    site.settle(other, address=address)


def test_v08_two_hawsers_may_count_the_checksum_as_rfc_9568_does(site):
    """keepalived's word for it is newer than Debian's keepalived. Only one of them has it: both kinds are taken."""
    other = site.start("hawser", "b", priority=100)
    better = site.start("hawser", "a", priority=150, words=["v3_checksum_as_v2"])
    site.settle(better, [other])
    assert other.metric('hawser_vip_adverts_discarded_total{router="VI_1",reason="checksum"') == 0
    better.stop()
    site.settle(other, [better], seconds=2)


@pytest.mark.parametrize("kinds", KINDS, ids=" over ".join)
def test_without_preempt_the_first_one_keeps_it(site, kinds):
    better_kind, other_kind = kinds
    other = site.start(other_kind, "b", priority=100)
    site.settle(other)
    better = site.start(better_kind, "a", priority=150, words=["nopreempt"])
    time.sleep(1)
    assert other.holds() and not better.holds(), site.everything()
    other.stop()
    site.settle(better, [other])


@pytest.mark.parametrize("kinds", KINDS, ids=" and ".join)
def test_v21_among_equals_the_higher_address_has_it(site, kinds):
    first = site.start(kinds[0], "a")
    second = site.start(kinds[1], "b")
    site.partition("a")
    site.partition("b")
    routers.until(lambda: first.holds() and second.holds(), 5, site.everything)
    site.heal("a")
    site.heal("b")
    site.settle(second, [first])


@pytest.mark.parametrize("kinds", KINDS, ids=" and ".join)
def test_partition_and_healing_end_with_one_and_the_client_knows_which(site, kinds):
    better = site.start(kinds[0], "a", priority=150)
    other = site.start(kinds[1], "b", priority=100)
    site.settle(better, [other])
    assert site.mac_at_client() == site.mac("a")
    site.partition("b")
    routers.until(lambda: better.holds() and other.holds(), 5, site.everything)
    site.heal("b")
    site.settle(better, [other])
    routers.until(lambda: site.mac_at_client() == site.mac("a"), 3, "the client still asks the other one")


@pytest.mark.parametrize("flavour", ["v2 with a password", "v3, 100 ms", "v3, IPv6"])
def test_tshark_finds_nothing_wrong_with_our_adverts(site, flavour, tmp_path):
    facts = facts_of(flavour, "a", 150)
    capture = tmp_path / "adverts.pcap"
    sniffer = site.lab.spawn("b", [shutil.which("tcpdump") or "/usr/sbin/tcpdump", "-i", "eth0", "-U", "-w", capture,
                                   "-c", "3", "proto 112 or (ip6 and ip6[6] == 112)"], "tcpdump.log")
    hawser = site.start("hawser", "a", **facts)
    site.settle(hawser, address=VIP6 if facts.get("v6") else VIP)
    sniffer.wait(15)
    told = subprocess.run(["tshark", "-r", capture, "-o", "ip.check_checksum:TRUE", "-T", "json", "-J", "vrrp ip ipv6 _ws.expert"],
                          capture_output=True, text=True, check=True).stdout
    packets = json.loads(told)
    assert len(packets) == 3
    for packet in packets:
        layers = packet["_source"]["layers"]
        vrrp = layers["vrrp"]
        text = json.dumps(layers)
        assert "_ws.expert" not in text and "_ws.malformed" not in text, text
        assert vrrp["vrrp.prio"] == "150" and vrrp["vrrp.virt_rtr_id"] == "51"
        ip = layers.get("ip") or layers["ipv6"]
        assert ip.get("ip.ttl", ip.get("ipv6.hlim")) == "255", "V-02"
