# SPDX-License-Identifier: Apache-2.0
"""A lab, pods that the test process itself plays, and hawser on the nodes."""

import itertools
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import l4
import network
import pods as played
import site_programs as site
import speakers

SITE_APPS = {"a1": "im", "b1": "im", "a2": "testim", "a3": "testim", "b2": "testim", "b3": "testim"}


@pytest.fixture(scope="session")
def lab(lab_is_possible):
    made = network.Lab(f"e{os.getpid()}", external="route", pods=3)
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="session")
def pods(lab):
    """All pods answer on 9080: HTTP, WebSocket and (by their behaviour) raw TCP."""
    made = played.Pods(lab, list(lab.pods), 9080)
    yield made
    made.stop()


class Cluster:
    """The manifests and nginx files of one test, and the hawsers that read them."""

    def __init__(self, lab, directory):
        self.lab, self.directory = lab, directory
        self.manifests = directory / "manifests"
        self.manifests.mkdir()
        self.nginx = directory / "hawser.nginx.conf"
        self.nginx.write_text((site.SITE / "nginx-websocket.conf").read_text())
        self.apps = dict(SITE_APPS)
        self.running = []
        self.options = []  # of every hawser of the test
        self._numbers = itertools.count(1)

    def use_site(self):
        for name in site.FILES:
            (self.manifests / name).write_text((site.SITE / name).read_text())
        self.write_pods()

    def write_pods(self, **changes):
        site.write_cluster(self.manifests / "cluster.json", self.lab, self.apps, **changes)

    def write(self, name, text):
        site.write_atomically(self.manifests / name, text)

    def write_nginx(self, text):
        site.write_atomically(self.nginx, text)

    def start(self, node="a", nginx=True, options=(), manifests=True, **more):
        hawser = site.Hawser(
            self.lab, node, [self.manifests] if manifests else [], [self.nginx] if nginx else [], [*self.options, *options],
            log=f"{self.directory.name}-{node}-{next(self._numbers)}.log", **more,
        )
        self.running.append(hawser)
        hawser.wait_ready()
        return hawser

    def stop(self):
        for hawser in self.running:
            hawser.stop()
        for hawser in {h.node: h for h in self.running}.values():
            hawser.remove_splice()


@pytest.fixture
def cluster(lab, pods, tmp_path):
    made = Cluster(lab, tmp_path)
    pods.forget()
    yield made
    made.stop()


@pytest.fixture(params=["kernel", "gateway"])
def plane(request, cluster):
    """The same services by the eBPF program and, where it cannot run, by the gateway in user space."""
    if request.param == "gateway":
        cluster.options += ["--splice", "off"]
    return request.param


@pytest.fixture
def site_cluster(cluster):
    cluster.use_site()
    return cluster


@pytest.fixture(scope="session")
def speaking(lab):
    """Servers of the L4 tests in all pods and on both nodes, and routes to the addresses of Services by node a."""
    # A UDP server at all addresses of a node would answer from the one that the way back suggests.
    v4 = {host: "0.0.0.0" for host in lab.pods} | {node: lab.address(node) for node in network.NODES}
    v6 = {host: "::" for host in lab.pods} | {node: lab.address6(node) for node in network.NODES}
    made = [speakers.Speakers(lab, hosts, l4.PORT) for hosts in (v4, v6)]
    made += [speakers.Speakers(lab, hosts, l4.OTHER_PORT, "{}-other") for hosts in (v4, v6)]
    for client in network.CLIENTS:
        lab.route_services(client, "a")
    # What a node's process sends to a Service must leave by some route for the program to see it.
    for default in (lab.address("b"), lab.address6("b")):
        lab.route("a", f"replace default via {default}")
    yield
    for one in made:
        one.stop()


@pytest.fixture(scope="session")
def sources(lab):
    """More addresses of the client, in pairs of both families: as many clients."""
    pairs = [(f"192.168.0.{n}", f"fd00:192::{n}") for n in range(60, 84)]
    lab.add_addresses("client", [address for pair in pairs for address in pair])
    return pairs


@pytest.fixture
def stage(lab, speaking, cluster, plane):
    made = l4.Stage(lab, cluster, plane)
    yield made
    made.leave()
