# SPDX-License-Identifier: Apache-2.0
"""What a change, the death of the process and its return do to flows: rows H-09, H-10, H-14, H-15. L4_ROWS.md says where each
id is proved."""

import signal

import pytest

import l4
import speakers
from l4 import CLUSTER, EXTERNAL, NODE_A, NODE_PORT, WAYS, kernel_only
from speakers import talk

TCP = [way for way in WAYS if way.protocol == "TCP"]
UDP = [way for way in WAYS if way.protocol == "UDP"]


def fronts_of(stage):
    """(client, where) with a flow that this plane can keep."""
    return [("client", NODE_A), *([("a2", CLUSTER), ("a", CLUSTER), ("client", CLUSTER)] if stage.plane == "kernel" else [])]


def test_h09_udp_flows_move_when_their_endpoint_leaves(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1"))
    flows = [(way, host, stage.open_udp(way, host, front)) for way in UDP for host, front in fronts_of(stage)]
    for way, host, made in flows:
        for _ in range(4):  # settled
            assert speakers.ask_udp(stage.lab, host, None, made=made)[0] == "a1", (way, host)
    stage.change(l4.service(node_port=NODE_PORT), *stage.slices("b1"))
    for way, host, made in flows:
        assert speakers.ask_udp(stage.lab, host, None, made=made)[0] == "b1", (way, host)
        made.close()


def test_h09_udp_flows_stay_where_they_are_while_their_endpoint_is_one(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1"))
    flows = [(way, host, stage.open_udp(way, host, front)) for way in UDP for host, front in fronts_of(stage)]
    for way, host, made in flows:
        assert speakers.ask_udp(stage.lab, host, None, made=made)[0] == "a1", (way, host)
    stage.change(l4.service(node_port=NODE_PORT), *stage.slices("a1", "a2", "b1"))
    for way, host, made in flows:
        for _ in range(4):
            assert speakers.ask_udp(stage.lab, host, None, made=made)[0] == "a1", (way, host)
        made.close()


def test_h10_established_connections_outlive_their_endpoints_leaving_and_the_services(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1"))
    kept = [(way, host, stage.ask(way, host, front, keep=True)) for way in TCP for host, front in fronts_of(stage)]
    assert {name for _, _, (name, _, _) in kept} == {"a1"}
    stage.change(l4.service(node_port=NODE_PORT), *stage.slices("b1"))
    for way, host, (_, _, made) in kept:
        talk(made, b"still here" * 10000)
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"b1"}, way
    stage.change(l4.service("another"))
    for way, host, (_, _, made) in kept:
        talk(made, b"and still" * 10000)
        made.close()


@kernel_only("H-14")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_h14_services_and_connections_go_on_without_the_process_and_the_next_adopts_them(stage, how):
    slices = stage.slices("a1", "b1")
    stage.start(l4.service(node_port=NODE_PORT, externalIPs=EXTERNAL.ips()), *slices)
    kept = [(way, host, stage.ask(way, host, front, keep=True)[2]) for way in TCP for host, front in fronts_of(stage)]
    datagrams = [(way, host, stage.open_udp(way, host, front)) for way in UDP for host, front in fronts_of(stage)]
    pods = [[speakers.ask_udp(stage.lab, host, None, made=made)[0] for _ in range(4)] for _, host, made in datagrams]
    stage.hawsers.pop().stop(how)
    for way, host, made in kept:
        talk(made, b"nobody is here" * 10000)
    for way in WAYS:
        for host, front in (("client", NODE_A), ("client", EXTERNAL), ("a2", CLUSTER), ("a", CLUSTER)):
            assert stage.reached(way, host, front) == {"a1", "b1"}, (way, host, front)
    stage.start()
    tunnels = [t for t in stage.hawser.api("/api/v1/tunnels?limit=1000")[1]["items"] if t["service"] == "default/web"]
    found = {t["client"] for t in tunnels if t["kind"] == "tcp"}
    for way, host, made in kept:
        ip, port = made.getsockname()[:2]
        assert (f"{ip}:{port}" if way.family == "IPv4" else f"[{ip}]:{port}") in found, (way, host)
        talk(made, b"adopted" * 10000)
        made.close()
    for (way, host, made), before in zip(datagrams, pods):
        assert {speakers.ask_udp(stage.lab, host, None, made=made)[0]} == set(before), (way, host)
        made.close()


@kernel_only("H-14")
def test_h14_what_changed_while_no_process_ran_is_in_force_with_the_next(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1"), *gone(stage))
    kept = stage.ask(TCP[0], "client", NODE_A, keep=True)[2]
    stage.hawsers.pop().stop(signal.SIGKILL)
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("b1"))
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"b1"}, way
        assert stage.reached(way, "a2", CLUSTER) == {"b1"}, way
    assert set(stage.each_outcome("client", l4.CLUSTER_2).values()) <= {"unreachable", "silent"}
    talk(kept, b"still here")
    kept.close()


def gone(stage):
    return [l4.service("gone", front=l4.CLUSTER_2), *stage.slices("a2", of="gone")]


def test_h14_after_a_restart_services_work_again(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", "b1"))
    for how in (signal.SIGKILL, signal.SIGTERM):
        stage.hawsers.pop().stop(how)
        stage.start()
        for way in WAYS:
            assert stage.reached(way, "client", NODE_A) == {"a1", "b1"}, (way, how)


def test_a_service_that_goes_is_served_no_more_and_what_moves_is_served_where_it_went(stage):
    stage.assign(EXTERNAL)
    web = lambda port: l4.service(node_port=port, externalIPs=EXTERNAL.ips())  # noqa: E731
    stage.start(web(NODE_PORT), *stage.slices("a1"))
    stage.change(web(NODE_PORT + 1), *stage.slices("a1"))
    assert stage.outcomes("client", NODE_A) == "refused"
    assert stage.outcomes("client", NODE_A.on(NODE_PORT + 1)) == "a1"
    stage.change(l4.service("another", node_port=NODE_PORT, externalIPs=EXTERNAL.ips()), *stage.slices("b1", of="another"))
    for front in (NODE_A, EXTERNAL):
        assert stage.outcomes("client", front) == "b1", front
    stage.change(l4.service("another", front=l4.CLUSTER_2))
    for front in (NODE_A, EXTERNAL, *([CLUSTER] if stage.plane == "kernel" else [])):
        assert set(stage.each_outcome("client", front).values()) <= {"refused", "silent", "unreachable"}, front


@kernel_only("H-14")
def test_h15_removing_the_splice_leaves_nothing_behind(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1"))
    assert stage.outcomes("a2", CLUSTER) == "a1"
    hawser = stage.hawsers.pop()
    hawser.stop()
    hawser.remove_splice()
    assert "a1" not in stage.each_outcome("a2", CLUSTER).values()
    assert stage.outcomes("client", NODE_A) == "refused"
    assert not [*stage.lab.bpffs("a").glob("*/*")]


def test_h15_the_planes_take_over_from_each_other(stage):
    """No endpoint of the other's stays in force; connections that the kernel carries stay."""
    mine, others = stage.cluster.options, ["--splice", "off" if stage.plane == "kernel" else "auto"]
    before, after = stage.slices("a1"), stage.slices("b1")
    web = l4.service(node_port=NODE_PORT)
    stage.start(web, *before)
    kept = [stage.ask(way, "client", NODE_A, keep=True)[2] for way in TCP]
    stage.hawsers.pop().stop(signal.SIGKILL)
    stage.cluster.options = others
    stage.start(web, *after)
    assert stage.outcomes("client", NODE_A) == "b1"
    for made in kept:
        if stage.plane == "kernel":
            talk(made, b"still here" * 1000)
        made.close()
    stage.hawsers.pop().stop()
    stage.cluster.options = mine
    stage.start(web, *before)
    assert stage.outcomes("client", NODE_A) == "a1"
