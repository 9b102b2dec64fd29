# SPDX-License-Identifier: Apache-2.0
"""Rows of the Service tables that only the kernel can serve: addresses that are no node's, source addresses that are
kept, pods as clients. Ids are those of the facts file; L4_ROWS.md says where each id is proved."""

import contextlib
import json
import signal
import socket
import struct
import time

import pytest

import speakers
import visits
from speakers import ask, ask_udp, talk
from visits import NODE_A

PORT = 9180
CLUSTER_IP, CLUSTER_IP6 = "10.104.1.1", "fd00:96::1"
FOREIGN_IP = "203.0.113.250"  # on no machine
NODE_PORT = 30180


@pytest.fixture(scope="module")
def site(lab):
    """Servers in pods, routes to the addresses of services."""
    hosts = {p: "0.0.0.0" for p in lab.pods} | {"a": "0.0.0.0"}
    v4 = speakers.Speakers(lab, hosts, PORT)
    v6 = speakers.Speakers(lab, {p: "::" for p in lab.pods}, PORT)
    for client in ("client", "client2"):
        lab._ip(client, f"route replace {FOREIGN_IP}/32 via {NODE_A}")
        lab._ip(client, f"route replace 10.96.0.0/12 via {NODE_A}")
        lab._ip(client, f"route replace fd00:96::/64 via {lab.address6('a')}")
    # A node has a default route; what it sends there to a service must reach the device to be seen.
    lab._ip("a", "route replace default via 192.168.0.101")
    yield
    v4.stop()
    v6.stop()


def manifest(lab, name="web", endpoints=("a1", "b1"), ready=(), protocol="TCP", v6=False, addresses=None, **spec):
    port = {"name": "p", "port": 80, "protocol": protocol, **spec.pop("port", {})}
    both = [{"name": "p", "port": PORT, "protocol": protocol}]
    service = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "annotations": spec.pop("annotations", {})},
               "spec": {"clusterIP": CLUSTER_IP6 if v6 else CLUSTER_IP, "ports": [port], **spec}}
    status = service["spec"].pop("status", None)
    if status:
        service["status"] = status
    items = [service, {
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv6" if v6 else "IPv4",
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}}, "ports": both,
        "endpoints": [{"addresses": [(addresses or {}).get(e) or (lab.address6(e) if v6 else lab.address(e))],
                       "nodeName": lab.pods[e][1] if e in lab.pods else e,
                       "conditions": {"ready": not ready or e in ready}} for e in endpoints]}]
    return json.dumps({"kind": "List", "apiVersion": "v1", "items": items})


@pytest.fixture
def serve(lab, site, cluster):
    def start(*manifests, options=()):
        for number, text in enumerate(manifests):
            cluster.write(f"m{number}.yaml", text)
        return cluster.start("a", nginx=False, options=["--pod-cidr", "10.244.0.0/16,fd00:10:244::/48", *options])

    return start


def change(cluster, hawser, text):
    number = hawser.api("/api/v1/snapshot")[1]["metadata"]["resourceVersion"]
    cluster.write("m0.yaml", text)
    visits.wait(lambda: hawser.api("/api/v1/snapshot")[1]["metadata"]["resourceVersion"] != number, what="the change")


def silent(lab, host, address):
    with contextlib.suppress(TimeoutError):
        lab.connect(host, address, 1.2).close()
        return False
    return True


def test_p09_a_pod_reaches_a_cluster_ip_with_its_own_address(lab, serve):
    """P-09, S-02: the endpoint on the same bridge and the one on the other node."""
    serve(manifest(lab))
    seen = {ask(lab, "a2", (CLUSTER_IP, 80)) for _ in range(20)}
    assert seen == {("a1", lab.address("a2")), ("b1", lab.address("a2"))}


def test_s02_udp_and_tcp_of_one_port_are_apart(lab, serve):
    body = json.loads(manifest(lab, endpoints=["a1"]))
    body["items"][0]["spec"]["ports"].append({"name": "u", "port": 80, "protocol": "UDP"})
    slice_of_udp = json.loads(manifest(lab, endpoints=["a3"], protocol="UDP"))["items"][1]
    slice_of_udp["metadata"]["name"] = "web-udp"
    slice_of_udp["ports"][0]["name"] = "u"
    serve(json.dumps({**body, "items": [*body["items"], slice_of_udp]}))
    assert ask(lab, "a2", (CLUSTER_IP, 80))[0] == "a1"
    assert ask_udp(lab, "a2", (CLUSTER_IP, 80)) == ("a3", lab.address("a2"), "q")


def test_p02_a_client_from_outside_is_masqueraded(lab, serve):
    serve(manifest(lab, type="NodePort", port={"nodePort": NODE_PORT}))
    seen = {ask(lab, "client", (NODE_A, NODE_PORT)) for _ in range(20)}
    assert seen == {("a1", "10.244.1.1"), ("b1", NODE_A)}


def test_p03_external_traffic_policy_local_keeps_the_clients_address(lab, serve):
    serve(manifest(lab, type="NodePort", externalTrafficPolicy="Local", port={"nodePort": NODE_PORT}))
    assert {ask(lab, "client", (NODE_A, NODE_PORT)) for _ in range(10)} == {("a1", "192.168.0.10")}


def test_p04_pods_and_node_processes_get_all_endpoints_at_an_external_address(lab, serve):
    """Pods with their own address, the node's processes with the node's."""
    serve(manifest(lab, externalIPs=[FOREIGN_IP], externalTrafficPolicy="Local"))
    assert {ask(lab, "a2", (FOREIGN_IP, 80)) for _ in range(20)} == {("a1", lab.address("a2")), ("b1", lab.address("a2"))}
    assert {ask(lab, "a", (FOREIGN_IP, 80))[0] for _ in range(20)} == {"a1", "b1"}
    assert {ask(lab, "client", (FOREIGN_IP, 80)) for _ in range(10)} == {("a1", "192.168.0.10")}


def test_a_process_of_the_node_reaches_a_cluster_ip(lab, serve):
    serve(manifest(lab))
    seen = {ask(lab, "a", (CLUSTER_IP, 80)) for _ in range(20)}
    assert seen == {("a1", "10.244.1.1"), ("b1", NODE_A)}
    made = ask(lab, "a", (CLUSTER_IP, 80), keep=True)[2]
    talk(made, bytes(range(256)) * 2000)
    made.close()


def test_p07_a_pod_reaches_itself_through_its_own_service(lab, serve):
    serve(manifest(lab, endpoints=["a1"]))
    assert ask(lab, "a1", (CLUSTER_IP, 80)) == ("a1", "10.244.1.1")


def test_s08_an_external_ip_need_not_be_on_any_node(lab, serve):
    serve(manifest(lab, externalIPs=[FOREIGN_IP]))
    assert {ask(lab, "client", (FOREIGN_IP, 80))[0] for _ in range(20)} == {"a1", "b1"}


def test_s10_an_address_of_mode_proxy_is_not_captured(lab, serve):
    status = {"loadBalancer": {"ingress": [{"ip": FOREIGN_IP, "ipMode": "Proxy"}]}}
    serve(manifest(lab, type="LoadBalancer", status=status))
    with pytest.raises(OSError):  # the next router's word, or none
        lab.connect("client", (FOREIGN_IP, 80), 1.2)


def test_s17_source_ranges_hold_on_the_balancers_address_only(lab, serve):
    status = {"loadBalancer": {"ingress": [{"ip": FOREIGN_IP, "ipMode": "VIP"}]}}
    serve(manifest(lab, type="LoadBalancer", status=status, loadBalancerSourceRanges=[" 192.168.0.11/32 "],
                   port={"nodePort": NODE_PORT}))
    assert ask(lab, "client2", (FOREIGN_IP, 80))[0] in ("a1", "b1")
    assert silent(lab, "client", (FOREIGN_IP, 80))
    assert ask(lab, "client", (NODE_A, NODE_PORT))[0] in ("a1", "b1")
    assert ask(lab, "a2", (CLUSTER_IP, 80))[0] in ("a1", "b1")


def test_p06_a_cluster_ip_without_endpoints_refuses(lab, serve):
    udp = "10.104.1.2"
    serve(manifest(lab, endpoints=["a1"], ready=["nobody"]),
          manifest(lab, name="dns", endpoints=[], protocol="UDP").replace(CLUSTER_IP, udp))
    for host in ("a2", "client", "a"):
        with pytest.raises(ConnectionRefusedError):
            lab.connect(host, (CLUSTER_IP, 80), 2)
    for host in ("a2", "client"):
        with pytest.raises(ConnectionRefusedError):
            ask_udp(lab, host, (udp, 80))


def test_p01_internal_traffic_policy_local_is_silent_without_a_local_endpoint(lab, serve):
    serve(manifest(lab, endpoints=["b1"], internalTrafficPolicy="Local"))
    assert silent(lab, "a2", (CLUSTER_IP, 80))


def test_s23_other_ports_are_refused_and_unallocated_addresses_silent(lab, serve):
    serve(manifest(lab), options=["--service-cidr", "10.96.0.0/12"])
    with pytest.raises(ConnectionRefusedError):
        lab.connect("a2", (CLUSTER_IP, 81), 2)
    assert silent(lab, "a2", ("10.104.9.9", 80))


def test_an_endpoint_on_the_node_itself_is_reached_from_everywhere(lab, serve):
    """hostNetwork pods."""
    serve(manifest(lab, endpoints=["a"], externalIPs=[FOREIGN_IP]))
    assert ask(lab, "a2", (CLUSTER_IP, 80)) == ("a", lab.address("a2"))
    assert ask(lab, "client", (FOREIGN_IP, 80)) == ("a", "192.168.0.10")


def test_s20_ipv6_is_served_as_ipv4_is(lab, serve):
    serve(manifest(lab, v6=True, type="NodePort", ipFamilies=["IPv6"], port={"nodePort": NODE_PORT}))
    a2 = lab.address6("a2")
    assert {ask(lab, "a2", (CLUSTER_IP6, 80)) for _ in range(20)} == {("a1", a2), ("b1", a2)}
    assert {ask(lab, "client", (lab.address6("a"), NODE_PORT))[0] for _ in range(20)} == {"a1", "b1"}
    assert ask(lab, "a1", (CLUSTER_IP6, 80))[0] in ("a1", "b1")  # P-07 among them
    made = ask(lab, "client", (lab.address6("a"), NODE_PORT), keep=True)[2]
    talk(made, bytes(range(256)) * 4000)
    made.close()


def test_s03_s04_e05_ports_join_by_name_and_doubles_count_once(lab, serve):
    body = json.loads(manifest(lab, endpoints=["a1"]))
    twice = json.loads(json.dumps(body["items"][1]))
    twice["metadata"]["name"] = "web-2"
    twice["endpoints"].append({"addresses": [lab.address("b1")], "nodeName": "b", "conditions": {}})
    other = json.loads(json.dumps(body["items"][1]))
    other["metadata"]["name"] = "web-3"
    other["ports"] = [{"name": "another", "port": 1, "protocol": "TCP"}]
    other["endpoints"] = [{"addresses": [lab.address("b2")], "conditions": {}}]
    body["items"] += [twice, other]
    body["items"][0]["metadata"]["annotations"] = {"kube-router.io/service.scheduler": "rr"}
    serve(json.dumps(body))
    reached = [ask(lab, "a2", (CLUSTER_IP, 80))[0] for _ in range(10)]
    assert sorted(reached) == ["a1"] * 5 + ["b1"] * 5


def test_a03_affinity_ends_when_no_new_connection_refreshed_it(lab, serve):
    affinity = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 2}},
                "annotations": {"kube-router.io/service.scheduler": "rr"}}
    serve(manifest(lab, endpoints=["a1", "a3", "b1"], **affinity))
    first = ask(lab, "a2", (CLUSTER_IP, 80))[0]
    began = time.monotonic()
    while time.monotonic() - began < 3:  # refreshed, it lasts longer than its timeout
        assert ask(lab, "a2", (CLUSTER_IP, 80))[0] == first
        time.sleep(0.3)
    time.sleep(2.1)
    assert ask(lab, "a2", (CLUSTER_IP, 80))[0] != first


def test_a06_a_client_is_bound_anew_when_its_endpoint_leaves(lab, serve, cluster):
    hawser = serve(manifest(lab, endpoints=["a1", "b1"], sessionAffinity="ClientIP"))
    first = ask(lab, "a2", (CLUSTER_IP, 80))[0]
    assert {ask(lab, "a2", (CLUSTER_IP, 80))[0] for _ in range(15)} == {first}
    other = "b1" if first == "a1" else "a1"
    change(cluster, hawser, manifest(lab, endpoints=[other], sessionAffinity="ClientIP"))
    assert ask(lab, "a2", (CLUSTER_IP, 80))[0] == other


def test_a02_affinity_is_of_a_service_port(lab, serve):
    body = json.loads(manifest(lab, endpoints=["a1", "b1"], sessionAffinity="ClientIP",
                               annotations={"kube-router.io/service.scheduler": "rr"}))
    body["items"][0]["spec"]["ports"].append({"name": "p2", "port": 81, "protocol": "TCP"})
    body["items"][1]["ports"].append({"name": "p2", "port": PORT, "protocol": "TCP"})
    serve(json.dumps(body))
    ask(lab, "a3", (CLUSTER_IP, 80))  # moves the turn of one port only
    assert ask(lab, "a2", (CLUSTER_IP, 80))[0] != ask(lab, "a2", (CLUSTER_IP, 81))[0]


def test_h10_an_established_connection_outlives_its_endpoints_leaving(lab, serve, cluster):
    hawser = serve(manifest(lab, endpoints=["a1"]))
    name, _, made = ask(lab, "a2", (CLUSTER_IP, 80), keep=True)
    assert name == "a1"
    change(cluster, hawser, manifest(lab, endpoints=["b1"]))
    talk(made, b"still here" * 1000)
    assert ask(lab, "a2", (CLUSTER_IP, 80))[0] == "b1"
    made.close()


def test_h09_udp_clients_move_when_their_endpoint_leaves(lab, serve, cluster):
    hawser = serve(manifest(lab, endpoints=["a1"], protocol="UDP"))
    made = lab.socket("a2", socket.SOCK_DGRAM)
    made.connect((CLUSTER_IP, 80))
    for _ in range(4):  # settled in the table
        assert ask_udp(lab, "a2", (CLUSTER_IP, 80), made=made)[0] == "a1"
    change(cluster, hawser, manifest(lab, endpoints=["b1"], protocol="UDP"))
    assert ask_udp(lab, "a2", (CLUSTER_IP, 80), made=made)[0] == "b1"
    made.close()


def test_h14_services_and_connections_go_on_without_the_process(lab, serve, cluster):
    hawser = serve(manifest(lab, type="NodePort", port={"nodePort": NODE_PORT}))
    made = ask(lab, "client", (NODE_A, NODE_PORT), keep=True)[2]
    hawser.stop(signal.SIGKILL)
    talk(made, b"nobody is here" * 1000)
    assert {ask(lab, "client", (NODE_A, NODE_PORT))[0] for _ in range(20)} == {"a1", "b1"}
    assert ask(lab, "a2", (CLUSTER_IP, 80))[0] in ("a1", "b1")
    again = serve()
    found = visits.wait(lambda: [t for t in again.api("/api/v1/tunnels")[1]["items"] if t["idleSeconds"] < 60], what="tunnels")
    assert {"tcp"} == {t["kind"] for t in found} and {"default/web"} == {t["service"] for t in found}
    talk(made, b"adopted" * 1000)
    made.close()


def test_p11_segments_far_out_of_the_window_kill_nothing(lab, serve):
    serve(manifest(lab, type="NodePort", port={"nodePort": NODE_PORT}))
    made = ask(lab, "client", (NODE_A, NODE_PORT), keep=True)[2]
    own = made.getsockname()[1]
    raw = lab.inside("client2", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
    for flags in (0x04, 0x14, 0x11, 0x18):  # RST, RST+ACK, FIN, data
        for number in (0, 0x40000000, 0x80000000, 0xC0000000):
            raw.sendto(segment("192.168.0.10", own, NODE_A, NODE_PORT, number, flags, b"evil" if flags & 8 else b""), (NODE_A, 0))
    talk(made, b"unharmed" * 1000)
    raw.close()
    made.close()


def segment(source, source_port, destination, port, sequence, flags, data=b""):
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    head = struct.pack("!HHIIBBHHH", source_port, port, sequence, 1, 5 << 4, flags, 1000, 0, 0)
    body = addresses + struct.pack("!HH", 6, len(head) + len(data)) + head + data
    body += b"\0" * (len(body) % 2)
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head = head[:16] + struct.pack("!H", ~total & 0xFFFF) + head[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(head) + len(data), 0, 0x4000, 64, 6, 0) + addresses + head + data
