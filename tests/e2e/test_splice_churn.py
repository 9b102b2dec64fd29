# SPDX-License-Identifier: Apache-2.0
"""A hundred thousand short connections leave nothing behind: no flow, no record, no memory."""

import collections
import json
import subprocess

import pytest

import site_programs as site
import visits
from test_splice import CONF

PORT, NODE_PORT = 9280, 30280
BENCH = site.BIN / "hawser-bench"
L4_CONNECTIONS, ROUNDS, ROUND = 90_000, 10, 1000


@pytest.fixture
def endpoint(lab):
    process = lab.spawn("a1", [BENCH, "serve", "--listen", f"0.0.0.0:{PORT}"], log="churn-serve.log")
    site.wait_for_port(lab, "a1", lab.address("a1"), PORT)
    yield f"{lab.address('a1')}:{PORT}"
    process.kill()
    process.wait()


def elements(lab, table):
    [pinned] = lab.bpffs("a").glob(f"v*/{table}")
    done = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", pinned], capture_output=True, text=True, check=True)
    return len(json.loads(done.stdout))


def resident(hawser):
    return hawser.metric("process_resident_memory_bytes")


class Counted:
    """Says, when it is asked, what keeps tunnels where they are."""

    def __init__(self, hawser):
        self.hawser = hawser

    def __str__(self):
        items = self.hawser.api("/api/v1/tunnels?limit=10000")[1]["items"]
        return f"the hand-offs: {collections.Counter(t['splice'] for t in items)}"


def idle_round(lab, hawser, spliced_before):
    """A thousand tunnels are opened, handed off, and closed."""
    load = subprocess.Popen(lab.command("client", [BENCH, "load", "idle", "192.168.0.100:80", "--host", "websocket.bbotte.com",
                                                   "-c", ROUND]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(load.stdout.readline())["event"] == "ready"
        visits.wait(lambda: hawser.metric('hawser_splice_hand_offs_total{result="spliced"}') >= spliced_before + ROUND, 20,
                    Counted(hawser))
        load.stdin.close()
        report = json.loads(load.stdout.read().splitlines()[-1])
        assert report["alive"] == ROUND and not report["errors"], report
    finally:
        load.kill()
        load.wait()


def test_a_hundred_thousand_tunnels_and_connections_leave_the_tables_empty(lab, cluster, endpoint):
    cluster.write_nginx(CONF.replace("server 10.244.1.2:9080; server 10.244.2.2:9080;", f"server {endpoint};").replace("EXTRA", ""))
    cluster.write("l4.json", json.dumps({"kind": "List", "apiVersion": "v1", "items": [
        {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "churn"},
         "spec": {"type": "NodePort", "ports": [{"name": "p", "port": 80, "nodePort": NODE_PORT}]}},
        {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
         "metadata": {"name": "churn-1", "labels": {"kubernetes.io/service-name": "churn"}},
         "ports": [{"name": "p", "port": PORT}], "endpoints": [{"addresses": [lab.address("a1")]}]}]}))
    hawser = cluster.start("a", options=["--log-level", "warning", "--splice-ports", "1100-29999"])
    spliced = 0
    for _ in range(ROUNDS):
        idle_round(lab, hawser, spliced)
        spliced += ROUND
    connections = halfway = 0
    while connections < L4_CONNECTIONS:
        done = lab.run("client", [BENCH, "load", "handshake", f"192.168.0.100:{NODE_PORT}", "-c", 64, "--seconds", 4, "--warmup", 0], timeout=60)
        report = json.loads(done.stdout.splitlines()[-1])
        assert not report["errors"], report
        connections += report["messages"]
        # What waits for stray segments has its usual size by now.
        halfway = halfway or (connections > L4_CONNECTIONS / 2 and resident(hawser))
    visits.wait(lambda: elements(lab, "records") == 0 and elements(lab, "flows") == 0, 40, "empty tables")
    assert hawser.metric("hawser_tunnels_active") == 0
    assert [hawser.metric(f'hawser_splice_tunnels_active{{kind="{kind}"}}') for kind in ("upgrade", "tcp", "udp")] == [0, 0, 0]
    assert resident(hawser) < halfway + 8_000_000
    # Ports came back: everything can be done again.
    idle_round(lab, hawser, spliced)
