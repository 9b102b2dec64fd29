# SPDX-License-Identifier: Apache-2.0
"""A lab of its own whose cables to the client and to the pod can be made bad."""

import os
import pathlib
import re
import sys
import time

import pytest

E2E = pathlib.Path(__file__).resolve().parents[1] / "e2e"
sys.path.insert(0, str(E2E))

import network
import pods as played
import site_programs as site
import visits

WEB = ("192.168.0.100", 80)
CONF = """
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
upstream pods { server 10.244.1.2:9080; }
server {
    listen 80;
    server_name websocket.bbotte.com;
    location / {
        proxy_pass http://pods;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
"""


class BadCable:
    """Between a host and its switch: the switch's port moves into a namespace of its own, where hawser-wire passes
    frames on."""

    def __init__(self, lab, host, switch, bridge):
        self.lab, self.host = lab, host
        self.place = f"w-{host}"
        self.process = None
        lab._ip(None, f"netns add {lab.namespace(self.place)}")
        lab._ip(switch, f"link set p-{host} netns {lab.namespace(self.place)}")
        lab._ip(switch, f"link add q-{host} type veth peer name other netns {lab.namespace(self.place)}")
        lab._ip(switch, f"link set q-{host} master {bridge} up")
        for name in (f"p-{host}", "other"):
            lab._ip(self.place, f"link set {name} up")
        # No super-packets, no checksums to be completed: frames as a wire has them.
        for where, name in ((host, "eth0"), (switch, f"q-{host}")):
            lab.run(where, ["ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off"])
        self.set()

    def set(self, seed=1, loss=0, duplicates=0, reordered=0, delay=0):
        """Per mille, and microseconds."""
        if self.process:
            self.process.kill()
            self.process.wait()
        words = [f"p-{self.host}", "other", seed, loss, duplicates, reordered, delay]
        self.process = self.lab.spawn(self.place, [site.BIN / "hawser-wire", *words], log=f"{self.place}-{time.monotonic_ns()}.log")
        visits.wait(lambda: "ready" in self.process.log.read_text(), what="the wire")


@pytest.fixture(scope="session")
def lab(lab_is_possible):
    made = network.Lab(f"s{os.getpid()}", external="none", pods=1)
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="session")
def cables(lab):
    return [BadCable(lab, "client", "lan", "br0"), BadCable(lab, "a1", "a", "cbr0")]


@pytest.fixture(scope="session")
def all_pods(lab, cables):
    made = played.Pods(lab, ["a1"], 9080)
    yield made
    made.stop()


@pytest.fixture
def pods(all_pods):
    all_pods.forget()
    return all_pods


@pytest.fixture
def sysctl(lab):
    """Settings of a host for the length of a test."""
    before = []

    def change(host, name, value):
        before.append((host, name, lab.run(host, ["sysctl", "-n", name]).stdout.strip()))
        lab._sysctl(host, f"{name}={value}")

    yield change
    for host, name, value in before:
        lab._sysctl(host, f"{name}={value}")


@pytest.fixture
def hawser(lab, cables, pods, tmp_path):
    nginx = tmp_path / "site.conf"
    nginx.write_text(CONF)
    for cable in cables:
        cable.set()
    made = site.Hawser(lab, "a", [], [nginx], log=f"{tmp_path.name}.log")
    made.wait_ready()
    yield made
    for cable in cables:
        cable.set()
    made.stop()
    made.remove_splice()


def tunnels(hawser):
    return hawser.api("/api/v1/tunnels?limit=10000")[1]["items"]


def wait_spliced(hawser, count, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        found = tunnels(hawser)
        if len(found) == count and all(t["splice"] == "spliced" for t in found):
            return found
        assert time.monotonic() < deadline, f"of {count}: {sorted(t['splice'] for t in found)}"
        time.sleep(0.05)


def reason(hawser, seconds=10):
    """Why the only tunnel is not spliced, once that is decided."""
    deadline = time.monotonic() + seconds
    while True:
        [tunnel] = tunnels(hawser)
        if tunnel["splice"] not in ("starting", "transit"):
            return tunnel["splice"]
        assert time.monotonic() < deadline, tunnel["splice"]
        time.sleep(0.02)


def closing(hawser, number):
    line = lambda: [l for l in hawser.words().splitlines() if f"tunnel close id={number} " in l]  # noqa: E731
    hawser.wait(line, 15, f"wrote no closing line of tunnel {number}")
    return dict(re.findall(r"(\w+)=(\S+)", line()[0]))
