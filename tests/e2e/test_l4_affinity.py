# SPDX-License-Identifier: Apache-2.0
"""Which endpoint a client gets, and how long: the A- rows and the schedulers. L4_ROWS.md says where each id is proved."""

import time

import pytest

import l4
import visits
from l4 import CLUSTER, EXTERNAL, NODE_A, NODE_B, NODE_PORT, WAYS, Way


def sticky(seconds=None, annotations=l4.ROUND_ROBIN, **spec):
    if seconds:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    return l4.service(node_port=NODE_PORT, sessionAffinity="ClientIP", annotations=annotations, **spec)


def scheduled(name, **spec):
    return l4.service(node_port=NODE_PORT, annotations={"kube-router.io/service.scheduler": name}, **spec)


def of(source, way):
    return source[0] if way.family == "IPv4" else source[1]


def map_of(stage, way, sources, front=NODE_A):
    """client -> its pod"""
    return {source: stage.ask(way, "client", front, of(source, way))[0] for source in sources}


def test_a02_affinity_is_of_a_client_address_and_of_a_service_port(stage, sources):
    """The turns of one port do not move the other's."""
    made = sticky()
    made["spec"]["ports"] += [{**port, "name": port["name"] + "2", "port": 81, "nodePort": NODE_PORT + 1} for port in made["spec"]["ports"]]
    ports = [{"name": name, "port": l4.PORT, "protocol": name[:3].upper()} for name in ("tcp", "udp", "tcp2", "udp2")]
    stage.start(made, *stage.slices("a1", "b1", ports=ports), one_worker=True)
    for way in WAYS:
        first = map_of(stage, way, sources[:4])
        assert sorted(first.values()) == ["a1", "a1", "b1", "b1"], (way, first)
        stage.ask(way, "client2", NODE_A.on(NODE_PORT + 1))
        second = map_of(stage, way, sources[:4], NODE_A.on(NODE_PORT + 1))
        assert all(first[client] != second[client] for client in first), (way, first, second)


def test_a03_affinity_ends_when_no_new_connection_has_refreshed_it(stage, sources):
    few = sources[:12]
    stage.start(sticky(2, annotations={"kube-router.io/service.scheduler": "rr"}), *stage.slices("a1", "a3", "b1"))
    first = {way: map_of(stage, way, few) for way in WAYS}
    began = time.monotonic()
    while time.monotonic() - began < 2.6:  # refreshed, it lasts longer than its timeout
        for way in WAYS:
            assert map_of(stage, way, few) == first[way], way
    ended = time.monotonic()
    for way in WAYS:
        stage.ask(way, "client2", NODE_A)  # the next turn is another endpoint's

    def all_moved():
        """Asked again before its timeout, a client would stay: so each is asked once."""
        return {way for way in WAYS if map_of(stage, way, few) != first[way]} == set(WAYS)

    time.sleep(max(0, ended + 2.2 - time.monotonic()))
    assert all_moved()


def test_a01_a04_fifteen_hits_on_the_same_endpoint(stage):
    """At the node port and at the external address of the service, with the default timeout."""
    stage.assign(EXTERNAL)
    stage.start(sticky(annotations=None, externalIPs=EXTERNAL.ips()), *stage.slices("a1", "a2", "b1", "b2"))
    for way in WAYS:
        assert len(stage.reached(way, "client", NODE_A, 15)) == 1, way
        assert len(stage.reached(way, "client", NODE_A, 8) | stage.reached(way, "client", EXTERNAL, 8)) == 1, way
    if stage.plane == "kernel":
        for way in WAYS:
            for host in ("a3", "a"):
                assert len(stage.reached(way, host, CLUSTER, 15)) == 1, (way, host)


def test_a05_affinity_can_be_switched_on_a_live_service(stage):
    slices = stage.slices("a1", "b1")
    stage.start(l4.service(node_port=NODE_PORT), *slices)
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1", "b1"}, way
    stage.change(sticky(), *slices)
    for way in WAYS:
        assert len(stage.reached(way, "client", NODE_A, 15)) == 1, way
    stage.change(l4.service(node_port=NODE_PORT), *slices)
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1", "b1"}, way


@pytest.mark.parametrize("leaves", ["gone", "unready", "terminating"])
def test_a06_a_client_is_bound_anew_when_its_endpoint_leaves_and_stays_there(stage, sources, leaves):
    few = sources[:8]
    stage.start(sticky(), *stage.slices("a1", "a2", "b1"))
    before = {way: map_of(stage, way, few) for way in WAYS}
    if leaves == "gone":
        rest = stage.slices("a2", "b1")
    else:
        rest = stage.slices("a1", "a2", "b1", a1={"ready": False, "serving": leaves == "terminating", "terminating": leaves == "terminating"})
    stage.change(sticky(), *rest)
    bound = {way: map_of(stage, way, few) for way in WAYS}
    for way in WAYS:
        assert all(pod == bound[way][client] for client, pod in before[way].items() if pod != "a1"), way
        assert set(bound[way].values()) == {"a2", "b1"}, way
    stage.change(sticky(), *stage.slices("a1", "a2", "b1"))
    for way in WAYS:
        assert map_of(stage, way, few) == bound[way], way


@pytest.mark.parametrize("kind", ["sh", "mh", "ClientIP"])
def test_a07_a_client_has_the_same_pod_on_every_node(stage, sources, kind):
    made = sticky(annotations=None) if kind == "ClientIP" else scheduled(kind)
    stage.start(made, *stage.slices("a1", "a2", "b1", "b2"))
    stage.start(node="b")
    for way in WAYS:
        on_a, on_b = map_of(stage, way, sources), map_of(stage, way, sources, NODE_B)
        assert on_a == on_b, way
        assert set(on_a.values()) == {"a1", "a2", "b1", "b2"}, way


@pytest.mark.parametrize("kind", ["sh", "mh"])
def test_when_a_pod_goes_only_its_clients_move(stage, sources, kind):
    """All of them under sh. Maglev's table moves a few others."""
    stage.start(scheduled(kind), *stage.slices("a1", "a2", "b1", "b2"))
    before = {way: map_of(stage, way, sources) for way in WAYS}
    stage.change(scheduled(kind), *stage.slices("a1", "a2", "b1"))
    for way in WAYS:
        after = map_of(stage, way, sources)
        others = [c for c in sources if before[way][c] != "b2" and before[way][c] != after[c]]
        assert "b2" in before[way].values() and "b2" not in after.values(), way
        assert len(others) <= (0 if kind == "sh" else 2), (way, others)


def test_rr_takes_turns_and_dh_keeps_to_one_pod_of_a_destination(stage, sources):
    stage.start(scheduled("rr"), *stage.slices("a1", "a2", "b1"), one_worker=True)
    for way in WAYS:
        reached = [stage.ask(way, "client", NODE_A)[0] for _ in range(9)]
        assert all(len(set(reached[n:n + 3])) == 3 for n in range(7)), (way, reached)
    stage.change(scheduled("dh"), *stage.slices("a1", "a2", "b1"))
    for way in WAYS:
        assert len(set(map_of(stage, way, sources).values())) == 1, way


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_lc_fills_the_endpoint_with_the_fewest_connections(stage, family):
    way = Way(family, "TCP")
    stage.start(scheduled("lc"), *stage.slices("a1", "b1"))
    listed = lambda: len(stage.hawser.api("/api/v1/tunnels")[1]["items"])  # noqa: E731
    open_at = lambda: stage.ask(way, "client", NODE_A, keep=True)  # noqa: E731
    opened = []
    for number in range(1, 7):
        opened.append(open_at())
        visits.wait(lambda: listed() == number, what="the tunnel")
    assert sorted(name for name, _, _ in opened) == ["a1"] * 3 + ["b1"] * 3
    for name, _, made in opened:
        if name == "a1":
            made.close()
    visits.wait(lambda: listed() == 3, what="the end of three tunnels")
    more = []
    for number in range(4, 7):
        more.append(open_at())
        visits.wait(lambda: listed() == number, what="the tunnel")
    assert [name for name, _, _ in more] == ["a1"] * 3
    for _, _, made in [*opened, *more]:
        made.close()
