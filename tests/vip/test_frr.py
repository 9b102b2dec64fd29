# SPDX-License-Identifier: Apache-2.0
"""hawser and frr's vrrpd, which is the router that RFC 9568 has in mind: with the virtual MAC."""

import time

import routers
from routers import VIP


def hawser_holds(hawser):
    return hawser.state() == "Active"


def test_hawser_takes_over_from_frr_and_gives_back(site):
    frr = site.frr("b", priority=100)
    routers.until(frr.holds, 8, lambda: frr.words())
    hawser = site.start("hawser", "a", priority=150)
    routers.until(lambda: hawser_holds(hawser) and not frr.holds(), 8, lambda: site.everything() + str(frr.view()))
    hawser.stop()
    routers.until(frr.holds, 3, lambda: frr.words())


def test_hawser_backs_frr(site):
    hawser = site.start("hawser", "a", priority=100)
    site.settle(hawser)
    frr = site.frr("b", priority=200)
    routers.until(lambda: frr.holds() and hawser.state() == "Backup", 8, lambda: site.everything() + str(frr.view()))
    time.sleep(1)
    assert hawser.state() == "Backup" and hawser.view()["active"] == routers.network.NODES["b"][0]
    frr.stop(9)
    site.settle(hawser)


def test_v24_with_the_virtual_mac_hawser_looks_like_frr(site):
    """use_vmac: adverts and ARP answers come from 00-00-5E-00-01-33, and frr has one peer."""
    hawser = site.start("hawser", "a", priority=150, words=["use_vmac"])
    routers.until(lambda: hawser_holds(hawser), 8, site.everything)
    assert site.mac_at_client() == "00:00:5e:00:01:33"
    frr = site.frr("b", priority=100)
    routers.until(lambda: frr.view() and frr.view()[0]["v4"]["status"] == "Backup", 8, lambda: str(frr.view()))
    hawser.stop()
    routers.until(frr.holds, 3, lambda: frr.words())
    assert site.mac_at_client() == "00:00:5e:00:01:33", "the clients have nothing to learn anew"
