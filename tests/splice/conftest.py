# SPDX-License-Identifier: Apache-2.0
"""Two labs: in `lab` the cables to the client and to the pod can be made bad; `plain_lab` has no cable in the way, its
frames are super-packets with checksums that are not complete yet, and its cards can be made bad.

HAWSER_EXPECT_SPLICE=0 runs what can be run so with the relay alone."""

import contextlib
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
from ends import Ends
from faults import BadCard

EXPECT_SPLICE = os.environ.get("HAWSER_EXPECT_SPLICE", "1") != "0"
WEB = ("192.168.0.100", 80)
ENDS, ENDS_6 = ("192.168.0.100", 81), ("fd00:192::100", 81)  # the pod's socket is the test's
SERVER = """
upstream pods%(name)s { server %(pod)s; }
server {
    listen %(port)s;
    server_name websocket.bbotte.com;
    location / {
        proxy_pass http://pods%(name)s;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
"""
CONF = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n" + "".join(
    SERVER % {"name": number, "port": port, "pod": pod}
    for number, (port, pod) in enumerate({"80": "10.244.1.2:9080", "81": "10.244.1.2:9081", "[::]:81": "[fd00:10:244:1::2]:9081"}.items())
)


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


@contextlib.contextmanager
def lab_of_one_pod(prefix):
    made = network.Lab(f"{prefix}{os.getpid()}", external="none", pods=1)
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="session")
def lab(lab_is_possible):
    with lab_of_one_pod("s") as made:
        yield made


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


@contextlib.contextmanager
def running(lab, faults, tmp_path):
    """A hawser on node a; before and after it nothing is broken. faults: cables or cards."""
    nginx = tmp_path / "site.conf"
    nginx.write_text(CONF)
    for fault in faults:
        fault.set()
    options = [] if EXPECT_SPLICE else ["--splice", "off"]
    made = site.Hawser(lab, "a", [], [nginx], options, log=f"{tmp_path.name}.log")
    made.wait_ready()
    yield made
    for fault in faults:
        fault.set()
    made.stop()
    made.remove_splice()


@pytest.fixture
def hawser(lab, cables, pods, tmp_path):
    with running(lab, cables, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def ends(lab):
    made = Ends(lab, ENDS, port=9081)
    yield made
    made.stop()


def cards_of(lab):
    return {host: BadCard(lab, host) for host in ("client", "a1")}


@pytest.fixture(scope="session")
def cable_cards(lab, cables):
    made = cards_of(lab)
    yield made
    for card in made.values():
        card.take_away()


@pytest.fixture(scope="session")
def plain_lab(lab_is_possible):
    with lab_of_one_pod("o") as made:
        yield made


@pytest.fixture(scope="session")
def cards(plain_lab):
    made = cards_of(plain_lab)
    yield made
    for card in made.values():
        card.take_away()


@pytest.fixture(scope="session")
def all_plain_ends(plain_lab):
    made = {4: Ends(plain_lab, ENDS, port=9081), 6: Ends(plain_lab, ENDS_6, port=9081, address="::")}
    yield made
    for one in made.values():
        one.stop()


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def each_plain_ends(request, all_plain_ends):
    return all_plain_ends[request.param]


@pytest.fixture
def plain_ends(all_plain_ends):
    return all_plain_ends[4]


@pytest.fixture
def plain_hawser(plain_lab, cards, tmp_path):
    with running(plain_lab, cards.values(), tmp_path) as made:
        yield made


def tunnels(hawser):
    return hawser.api("/api/v1/tunnels?limit=10000")[1]["items"]


def wait_spliced(hawser, count, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        found = tunnels(hawser)
        if len(found) == count and (not EXPECT_SPLICE or all(t["splice"] == "spliced" for t in found)):
            return found
        assert time.monotonic() < deadline, f"of {count}: {sorted(t['splice'] for t in found)}"
        time.sleep(0.05)


def reason(hawser, seconds=10):
    """Why the only tunnel is not spliced, once that is decided."""
    if not EXPECT_SPLICE:
        pytest.skip("is about the splice alone")
    deadline = time.monotonic() + seconds
    while True:
        [tunnel] = tunnels(hawser)
        if tunnel["splice"] not in ("starting", "transit"):
            return tunnel["splice"]
        assert time.monotonic() < deadline, tunnel["splice"]
        time.sleep(0.02)


def state_of(hawser, tunnel):
    """Of a tunnel of Ends."""
    address = "{}:{}".format(*tunnel.client_address) if ":" not in tunnel.client_address[0] else "[{}]:{}".format(*tunnel.client_address)
    return next((t for t in tunnels(hawser) if t["client"] == address), {"splice": "gone", "id": None})


def closing(hawser, number):
    line = lambda: [l for l in hawser.words().splitlines() if f"tunnel close id={number} " in l]  # noqa: E731
    hawser.wait(line, 15, f"wrote no closing line of tunnel {number}")
    return dict(re.findall(r"(\w+)=(\S+)", line()[0]))
