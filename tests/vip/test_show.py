# SPDX-License-Identifier: Apache-2.0
"""Tunnels over a VIP outlive the node that carries them: it is cut off and returns, leaves, or the nodes lose each other."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

import network
import show
from crowd import KINDS

FAILOVER = pathlib.Path(network.__file__).with_name("failover")
DIRECT = {"web": ("10.244.2.2", 9080), "tcp": ("10.244.2.3", 9080), "node port": ("10.244.2.4", 9080), "udp": ("10.244.2.2", 9080)}


@pytest.fixture(scope="module")
def lab(lab_is_possible):
    made = network.Lab(f"y{os.getpid()}", external="none", pods=3)
    made.up()
    yield made
    made.down()


# ---- the crowd itself

@pytest.fixture
def crowd(lab):
    """Clients and pods with no hawser in between."""
    lab.route("client", f"replace 10.244.2.0/24 via {network.NODES['b'][0]}")
    made = show.Tunnels(lab)
    yield made
    made.stop()
    lab.route("client", "del 10.244.2.0/24")


def test_a_crowd_that_suffers_nothing_reports_nothing(crowd):
    crowd.open(100, places=DIRECT)
    crowd.wait_open()
    crowd.mark()
    crowd.all_talk(5)
    crowd.phase("silent ones talk")
    crowd.mark()
    crowd.wake()
    crowd.all_talk(5)
    heard, said = crowd.finish()
    assert heard["udp"]["asked"] > 10 and heard["udp"]["lost"] == 0
    silence = heard["phases"][1]["silence"]
    assert silence.keys() == KINDS.keys()
    for kind, seconds in silence.items():
        pause = max(KINDS[kind].pauses) if kind == "udp" else KINDS[kind].pauses[1]
        assert 0.9 * pause / 100 < seconds < 2 * pause / 100, (kind, seconds)


def test_a_silence_is_measured(lab, crowd):
    crowd.open(200, places=DIRECT)
    crowd.wait_open()
    crowd.mark()
    crowd.all_talk(5)
    crowd.phase("dark")
    hook = "add chain netdev dark {0} {{ type filter hook ingress device {0} priority 0; policy drop; }}; "
    lab.run("b", ["nft", "add table netdev dark; " + hook.format("eth0") + hook.format("cbr0")])
    began = time.monotonic()
    time.sleep(0.7)
    dark = time.monotonic() - began
    lab.run("b", ["nft", "delete table netdev dark"])
    crowd.mark()
    crowd.all_talk(10)
    heard, _ = crowd.finish()
    [phase] = [phase for phase in heard["phases"] if phase["name"] == "dark"]
    assert dark - 0.05 < phase["outage"] < dark + 0.3
    assert all(seconds > dark - 0.05 for kind, seconds in phase["silence"].items() if "silent" not in kind), phase
    assert 0 < heard["udp"]["lost"] < 20 * len(crowd.numbers["udp"])


def test_what_a_tunnel_suffers_is_reported_and_nothing_else_is(crowd):
    crowd.open(100, places=DIRECT)
    crowd.wait_open()
    hurt = {}
    for side, kind, how in (("clients", "web", "change"), ("pods", "web", "skip"), ("clients", "tcp", "double"), ("pods", "tcp", "cut"),
                            ("pods", "web, only the pod speaks", "change"), ("clients", "node port", "skip"),
                            ("clients", "web, silent", "cut"), ("pods", "node port", "double")):
        number = next(n for n in crowd.numbers[kind] if n not in hurt)
        hurt[number] = (side, how)
        getattr(crowd, side).ask("hurt", tunnel=number, how=how)
    show.until(lambda: errors(crowd).keys() == hurt.keys(), 5, crowd.said)
    time.sleep(0.6)  # nothing comes later
    assert errors(crowd).keys() == hurt.keys(), crowd.said()
    for number, (side, how) in hurt.items():
        word = {"change": "differs at byte", "skip": "message 1 where 0 should be", "double": "message 0 where 1 should be",
                "cut": "ConnectionResetError"}[how]
        other = "pods" if side == "clients" else "clients"
        assert word in errors(crowd)[number].get(other, ""), (number, side, how, errors(crowd)[number])
    with pytest.raises(AssertionError, match="errors"):
        crowd.finish()


def errors(crowd):
    """tunnel -> side -> what it says is wrong."""
    found = {}
    for one in crowd.both:
        for number, what in one.ask("errors").items():
            found.setdefault(int(number), {})[one.side] = what
    return found


# ---- the show

@pytest.mark.parametrize("advert, warm", [(0.1, True), (0.02, False)], ids=["100 ms, warm", "20 ms, cold"])
def test_a_thousand_tunnels_outlive_their_node_and_its_return(lab, tmp_path, advert, warm):
    facts = show.run(lab, tmp_path, advert=advert, warm=warm, talk=3.0)
    print(show.table(facts))
    assert facts["udp"]["lost"] < facts["udp"]["asked"] / 10


def test_tunnels_outlive_a_node_that_leaves(lab, tmp_path):
    facts = show.run(lab, tmp_path, tunnels=200, how="leave", talk=2.0)
    print(show.table(facts))
    assert facts["udp"]["lost"] < facts["udp"]["asked"] / 10


def test_tunnels_outlive_nodes_that_lose_each_other(lab, tmp_path):
    """Both have the VIP for a while. What is opened then may fail to open; what is open goes on once there is one owner."""
    stage = show.Show(lab, tmp_path)
    with stage.on_stage():
        crowd = stage.tunnels
        stage.fill(200)
        crowd.wake()
        crowd.mark()
        crowd.all_talk(5)

        crowd.phase("apart")
        began = time.monotonic()
        stage.partition()
        show.until(lambda: all(stage.holds(node) for node in network.NODES), 5, "only one node has the VIP")
        crowd.open(50, host="client2", shares={"web": 600, "tcp": 400})
        crowd.wait_decided()
        unopened = crowd.forget_unopened()
        time.sleep(max(0.0, began + 6 - time.monotonic()))  # longer than the nodes' own patience with each other
        assert not crowd.errors(), crowd.said()

        crowd.phase("together")
        stage.heal()
        stage.settle("a")
        stage.talk_on(time.monotonic(), 3)
        stage.wait_carried("a", 15)
        heard, _ = crowd.finish()
        stage.wait_empty()
        print(f"apart: {len(unopened)} of 50 were not opened: {set(unopened.values())}", heard["phases"][1:3])


# ---- the one to watch

def labs_of(process):
    return f"hl-f{process.pid}-" in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout


@pytest.fixture
def failover(lab_is_possible):
    started = subprocess.Popen([FAILOVER, "--quick", "--tunnels", "50"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    yield started
    started.terminate()
    started.communicate(timeout=30)


def test_a_failover_to_watch(failover):
    said, problems = failover.communicate(timeout=60)
    assert failover.returncode == 0 and not problems, said + problems
    _, before, away, back = re.split("All tunnels are in the kernel|node a is cut off|node a is connected", said)
    assert re.search(r"s  a +50 +0  [▁-█]{5}  ", before), said  # the VIP, open, errors, what is heard
    assert re.search(r"s  b +50 +0 ", away) and re.search(r"s  a +50 +0 ", back), said
    found = re.search(r"^49 tunnels, none reconnected, no byte lost or doubled; longest time in which nobody heard anything: "
                      r"(\S+) s when the node died, (\S+) s when it came back$", said, re.MULTILINE)
    assert found and 0.1 < float(found[1]) < 5 and float(found[2]) < float(found[1]), said
    assert not labs_of(failover)


def test_a_failover_that_is_interrupted_leaves_nothing(failover):
    while "node a is cut off" not in (line := failover.stdout.readline()):
        assert line, failover.stderr.read()
    assert labs_of(failover)
    failover.send_signal(signal.SIGINT)
    _, problems = failover.communicate(timeout=30)
    assert failover.returncode == 130 and problems.split() == ["failover:", "interrupted"], problems
    assert not labs_of(failover)
