# SPDX-License-Identifier: Apache-2.0
"""Who reaches which endpoints, and as whom: the P- rows. L4_ROWS.md says where each id is proved."""

import socket
import struct

import pytest

import l4
import speakers
from l4 import BALANCER, CLUSTER, CLUSTER_2, EXTERNAL, NODE_A, NODE_B, NODE_PORT, WAYS, Way, kernel_only

LOCAL = {"externalTrafficPolicy": "Local"}


def bridge(stage, way):
    return "10.244.1.1" if way.family == "IPv4" else "fd00:10:244:1::1"


@kernel_only("P-01")
def test_p01_internal_traffic_policy_local_is_about_cluster_ips_and_falls_back_to_nothing(stage):
    made = l4.service(internalTrafficPolicy="Local", node_port=NODE_PORT, externalIPs=EXTERNAL.ips())
    stage.start(made, *stage.slices("a1", "b1"))
    for way in WAYS:
        for host in ("a2", "a"):
            assert stage.reached(way, host, CLUSTER) == {"a1"}, (way, host)
        for front in (NODE_A, EXTERNAL):
            assert stage.reached(way, "client", front) == {"a1", "b1"}, (way, front)
            assert stage.reached(way, "a2", front) == {"a1", "b1"}, (way, front)
    stage.change(made, *stage.slices("b1"))
    for host in ("a2", "a"):
        assert stage.outcomes(host, CLUSTER) == "silent", host
    assert stage.outcomes("client", NODE_A) == "b1"
    stage.change(made)
    for host in ("a2", "a"):
        assert stage.outcomes(host, CLUSTER) == "refused", host


def test_p02_clients_from_outside_reach_all_endpoints_and_come_as_the_node(stage):
    stage.assign(EXTERNAL, BALANCER)
    stage.start(l4.service(node_port=NODE_PORT, type="LoadBalancer", externalIPs=EXTERNAL.ips(), status=l4.ingress(*BALANCER.ips())),
                *stage.slices("a1", "b1"))
    for way in WAYS:
        for front in (NODE_A, EXTERNAL, BALANCER):
            assert stage.seen(way, "client", front) == {"a1": bridge(stage, way), "b1": stage.address("a", way)}, (way, front)


def test_p03_local_has_the_nodes_own_endpoints_and_silence_where_there_are_none(stage):
    stage.assign(EXTERNAL)
    stage.start(l4.service(node_port=NODE_PORT, externalIPs=EXTERNAL.ips(), **LOCAL), *stage.slices("a1", "a2", "b1"))
    stage.start(node="b")
    for way in WAYS:
        for front in (NODE_A, EXTERNAL):
            assert stage.reached(way, "client", front) == {"a1", "a2"}, (way, front)
        assert stage.reached(way, "client", NODE_B) == {"b1"}, way
    stage.change(l4.service(node_port=NODE_PORT, externalIPs=EXTERNAL.ips(), **LOCAL), *stage.slices("b1"))
    for front in (NODE_A, EXTERNAL):
        assert stage.outcomes("client", front) == "silent", front
    assert stage.outcomes("client", NODE_B) == "b1"
    stage.change(l4.service(node_port=NODE_PORT, externalIPs=EXTERNAL.ips(), **LOCAL))  # P-06
    for front in (NODE_A, NODE_B):
        assert stage.outcomes("client", front) == "refused", front


@kernel_only("P-03 source")
def test_p03_local_keeps_the_clients_address(stage):
    stage.start(l4.service(node_port=NODE_PORT, type="LoadBalancer", externalIPs=EXTERNAL.ips(), status=l4.ingress(*BALANCER.ips()), **LOCAL),
                *stage.slices("a1", "b1"))
    for way in WAYS:
        for front in (NODE_A, EXTERNAL, BALANCER):
            assert stage.seen(way, "client", front, 4) == {"a1": stage.address("client", way)}, (way, front)


def test_p04_pods_and_the_nodes_processes_have_all_endpoints_at_external_addresses(stage):
    """And still when none is local."""
    stage.assign(EXTERNAL)
    made = l4.service(externalIPs=EXTERNAL.ips(), **LOCAL)
    stage.start(made, *stage.slices("a1", "b1"))
    for way in WAYS:
        for host in ("a2", "a"):
            assert stage.reached(way, host, EXTERNAL) == {"a1", "b1"}, (way, host)
        assert stage.reached(way, "client", EXTERNAL) == {"a1"}, way
    stage.change(made, *stage.slices("b1"))
    for host in ("a2", "a"):
        assert stage.outcomes(host, EXTERNAL) == "b1", host
    assert stage.outcomes("client", EXTERNAL) == "silent"


@kernel_only("P-04 source")
def test_p04_pods_keep_their_address_at_external_addresses_and_the_nodes_processes_come_as_the_node(stage):
    stage.start(l4.service(externalIPs=EXTERNAL.ips(), **LOCAL), *stage.slices("a1", "b1"))
    for way in WAYS:
        pod, node = stage.address("a2", way), stage.address("a", way)
        assert stage.seen(way, "a2", EXTERNAL) == {"a1": pod, "b1": pod}, way
        assert stage.seen(way, "a", EXTERNAL) == {"a1": bridge(stage, way), "b1": node}, way


def test_p05_without_pod_ranges_every_client_is_from_outside(stage):
    stage.assign(EXTERNAL)
    stage.start(l4.service(externalIPs=EXTERNAL.ips(), **LOCAL), *stage.slices("a1", "b1"), pods_known=False)
    for way in WAYS:
        assert stage.reached(way, "a2", EXTERNAL) == {"a1"}, way


def test_p06_without_endpoints_clients_are_refused_at_every_address(stage):
    """An unready endpoint is none; endpoints that come and go are seen at once."""
    stage.assign(EXTERNAL, BALANCER)
    made = l4.service(node_port=NODE_PORT, type="LoadBalancer", externalIPs=EXTERNAL.ips(), status=l4.ingress(*BALANCER.ips()))
    fronts = (NODE_A, EXTERNAL, BALANCER)
    stage.start(made, *stage.slices("a1", a1={"ready": False}))
    for front in fronts:
        for host in ("client", "a2", "a"):
            assert stage.outcomes(host, front) == "refused", (host, front)
    stage.change(made, *stage.slices("a1"))
    for front in fronts:
        assert stage.outcomes("client", front) == "a1", front
    stage.change(made)
    for front in fronts:
        assert stage.outcomes("client", front) == "refused", front


@kernel_only("P-06 ClusterIP")
def test_p06_a_cluster_ip_without_endpoints_refuses(stage):
    stage.start(l4.service())
    for host in ("client", "a2", "a"):
        assert stage.outcomes(host, CLUSTER) == "refused", host


def test_p07_a_pod_reaches_itself_through_its_own_service(stage):
    stage.assign(EXTERNAL)
    stage.start(l4.service(node_port=NODE_PORT, externalIPs=EXTERNAL.ips()), *stage.slices("a1"))
    for way in WAYS:
        for front in (NODE_A, EXTERNAL):
            assert stage.ask(way, "a1", front) == ("a1", bridge(stage, way)), (way, front)


def test_datagrams_that_need_fragments_are_carried(stage):
    """1,472 bytes fit into a packet, and their answer does not."""
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", "b1"))
    asked = [("client", NODE_A)]
    if stage.plane == "kernel":
        asked += [("a2", NODE_A), ("client", CLUSTER), ("a2", CLUSTER), ("a", CLUSTER), ("a1", CLUSTER)]
    for host, front in asked:
        for way in [way for way in WAYS if way.protocol == "UDP"]:
            for size in (1452, 1472, 4000, 20000, 60000):
                said = bytes(i * 7 + i // 251 & 0xFF for i in range(size))
                made = stage.open_udp(way, host, front)
                made.settimeout(1)
                for _ in range(2):
                    made.send(said)
                    assert made.recv(65536).endswith(b" " + said), (way, host, front, size)
                made.close()


@kernel_only("an endpoint's refusal")
def test_what_an_endpoint_refuses_its_client_is_refused(stage):
    """RST and "port unreachable" of a pod whose port is closed find the way back."""
    ports = [{"name": p.lower(), "port": 9999, "protocol": p} for p in ("TCP", "UDP")]
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", "b1", ports=ports))
    for host, front in (("client", NODE_A), ("client", CLUSTER), ("a2", CLUSTER), ("a", CLUSTER)):
        for _ in range(2):
            assert stage.outcomes(host, front) == "refused", (host, front)


@kernel_only("P-07 ClusterIP")
def test_p07_a_pod_reaches_itself_through_its_own_cluster_ip(stage):
    stage.start(l4.service(), *stage.slices("a1"))
    for way in WAYS:
        assert stage.ask(way, "a1", CLUSTER) == ("a1", bridge(stage, way)), way
    made = stage.ask(Way("IPv4", "TCP"), "a1", CLUSTER, keep=True)[2]
    speakers.talk(made, bytes(range(256)) * 2000)
    made.close()


@kernel_only("P-09")
def test_p09_a_pod_reaches_a_cluster_ip_with_its_own_address(stage):
    stage.start(l4.service(), *stage.slices("a1", "b1"))
    for way in WAYS:
        pod = stage.address("a2", way)
        assert stage.seen(way, "a2", CLUSTER) == {"a1": pod, "b1": pod}, way


@kernel_only("P-01")
def test_others_reach_a_cluster_ip_as_the_node(stage):
    """Clients that are routed to it, and the node's own processes: also by large transfers."""
    stage.start(l4.service(), *stage.slices("a1", "b1"))
    for way in WAYS:
        for host in ("client", "a"):
            assert stage.seen(way, host, CLUSTER) == {"a1": bridge(stage, way), "b1": stage.address("a", way)}, (way, host)
    for family in ("IPv4", "IPv6"):
        for host in ("client", "a", "a2"):
            for _ in range(2):  # both endpoints, in turns
                made = stage.ask(Way(family, "TCP"), host, CLUSTER, keep=True)[2]
                speakers.talk(made, bytes(range(256)) * 2000)
                made.close()


def test_p10_an_external_traffic_policy_holds_for_external_ips_of_a_cluster_ip_service(stage):
    stage.assign(EXTERNAL)
    stage.start(l4.service(externalIPs=EXTERNAL.ips(), type="ClusterIP", **LOCAL), *stage.slices("a1", "b1"),
                l4.service("plain", front=CLUSTER_2), *stage.slices("b1", of="plain"))
    for way in WAYS:
        assert stage.reached(way, "client", EXTERNAL) == {"a1"}, way
        if stage.plane == "kernel":
            assert stage.reached(way, "a2", CLUSTER) == {"a1", "b1"}, way
            assert stage.reached(way, "a2", CLUSTER_2) == {"b1"}, way


def test_p11_segments_far_out_of_the_window_kill_nothing(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", "b1"))
    made = stage.ask(Way("IPv4", "TCP"), "client", NODE_A, keep=True)[2]
    raw = stage.lab.inside("client2", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
    for flags in (0x04, 0x14, 0x11, 0x18):  # RST, RST+ACK, FIN, data
        for number in (0, 0x40000000, 0x80000000, 0xC0000000):
            raw.sendto(segment(made.getsockname(), (NODE_A.v4, NODE_PORT), number, flags, b"evil" if flags & 8 else b""), (NODE_A.v4, 0))
    speakers.talk(made, b"unharmed" * 1000)
    raw.close()
    made.close()


def segment(source, destination, sequence, flags, data=b""):
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    head = struct.pack("!HHIIBBHHH", source[1], destination[1], sequence, 1, 5 << 4, flags, 1000, 0, 0)
    body = addresses + struct.pack("!HH", 6, len(head) + len(data)) + head + data
    body += b"\0" * (len(body) % 2)
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head = head[:16] + struct.pack("!H", ~total & 0xFFFF) + head[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(head) + len(data), 0, 0x4000, 64, 6, 0) + addresses + head + data
