# SPDX-License-Identifier: Apache-2.0
"""What one sees of the other nodes, and a node that should not have a VIP."""

import json
import os
import secrets

import pytest

import network
import show


@pytest.fixture(scope="module")
def lab(lab_is_possible):
    made = network.Lab(f"w{os.getpid()}", external="none", pods=3)
    made.up()
    yield made
    made.down()


def test_the_other_node_is_shown(lab, tmp_path):
    stage = show.Show(lab, tmp_path)
    with stage.on_stage():
        a, b = stage.nodes["a"], stage.nodes["b"]
        b.wait(lambda: b.metric("hawser_replication_in_step") == 1, 5, "is not in step")
        head, line = b.get("peers", "-o", "wide").stdout.splitlines()
        assert head.split() == ["NAME", "ADDRESS", "STATE", "VIPS", "LAG", "SINCE", "SENT", "RECEIVED", "LOST", "NOT-CARRIED", "WHY"]
        assert f"{network.NODES['a'][0]}:{show.REPLICATION_PORT}" in line and " in step " in line and f" {show.VIP} " in line
        [peer] = json.loads(a.get("peers", "-o", "json").stdout)["items"]
        assert peer["connected"] and peer["vips"] == [] and peer["lost"] == 0
        assert a.metric("hawser_replication_connected") == 1 and a.metric("hawser_replication_lag_messages") == 0
        # A few tunnels, told once each.
        before = a.metric('hawser_replication_messages_total{peer="%s",dir="out"}' % peer["name"])
        stage.fill(20)
        told = a.metric('hawser_replication_messages_total{peer="%s",dir="out"}' % peer["name"]) - before
        assert 20 <= told < 40, told
        b.stop(9)
        a.wait(lambda: a.metric("hawser_replication_connected") == 0, 8, "does not miss the other node")
        assert " away " in a.get("peers").stdout
        assert "replication: lost" in a.words()


def test_a_node_with_another_key_hears_nothing(lab, tmp_path):
    stage = show.Show(lab, tmp_path)
    key = tmp_path / "replication.key"
    with stage.on_stage():
        b = stage.nodes["b"]
        b.stop()
        key.write_text(secrets.token_hex(32))
        b = stage.start("b")
        b.wait_ready()
        a = stage.nodes["a"]
        a.wait(lambda: a.metric("hawser_replication_refused_total") > 0, 8, "refuses nobody")
        assert a.metric("hawser_replication_connected") == 0 and b.metric("hawser_replication_connected") == 0
        assert "has another key" in a.words() + b.words()
        stage.tunnels.open(20)
        stage.tunnels.wait_open()
        assert stage.standby("b") == 0


def test_a_key_that_is_none_is_an_error(lab, tmp_path):
    key, manifest = tmp_path / "replication.key", tmp_path / "services.yaml"
    manifest.write_text(show.MANIFEST)
    for text, word in (("short", "has 5 characters"), (None, "No such file")):
        if text:
            key.write_text(text)
        else:
            key.unlink()
        command = show.site.hawser_command(lab, "a", [manifest], [], ["--replication-key", str(key), "--admin", "off", "--state", ""])
        done = lab.run("a", command, check=False, timeout=20)
        assert done.returncode == 1 and word in done.stderr and str(key) in done.stderr, done.stderr


def test_a_node_that_reaches_no_endpoint_gives_its_vip_away(lab, tmp_path):
    stage = show.Show(lab, tmp_path, options=["--vip-check", "0.3"])
    with stage.on_stage():
        a = stage.nodes["a"]
        assert a.metric("hawser_vip_priority") == 150
        lab.run("a", ["ip", "route", "replace", "blackhole", "10.244.2.0/24"])
        try:
            show.until(lambda: stage.holds("b") and not stage.holds("a"), 8, lambda: a.words()[-1000:])
            assert a.metric("hawser_vip_priority") == 1
            assert "the gateway cannot serve: none of 3 endpoints can be reached" in a.words()
        finally:
            lab.run("a", ["ip", "route", "replace", "10.244.2.0/24", "via", network.NODES["b"][0]])
        stage.settle("a")
        assert a.metric("hawser_vip_priority") == 150
