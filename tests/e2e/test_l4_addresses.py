# SPDX-License-Identifier: Apache-2.0
"""Which addresses and ports of a Service are served: the S- rows. L4_ROWS.md says where each id is proved."""

import pytest

import l4
from l4 import BALANCER, BRIDGE_A, CLUSTER, CLUSTER_2, EXTERNAL, NODE_A, NODE_B, NODE_PORT, WAYS, kernel_only

V4, V6 = [w for w in WAYS if w.family == "IPv4"], [w for w in WAYS if w.family == "IPv6"]
NOTHING = {"refused", "silent", "unreachable"}


def test_s01_services_of_other_proxies_and_headless_ones_are_not_served(stage):
    labels = "service.kubernetes.io/"
    stage.start(
        l4.service(node_port=NODE_PORT, labels={labels + "service-proxy-name": "hawser"}), *stage.slices("a1"),
        l4.service("other", front=CLUSTER_2, node_port=30181, labels={labels + "service-proxy-name": "other"}),
        *stage.slices("a1", of="other"),
        l4.service("headless", front=l4.Front("10.104.1.3", "fd00:96::3", 80), node_port=30182, labels={labels + "headless": ""}),
        *stage.slices("a1", of="headless"))
    assert stage.outcomes("client", NODE_A) == "a1"
    assert stage.outcomes("client", NODE_A.on(30181)) == "refused"
    assert stage.outcomes("client", NODE_A.on(30182)) == "refused"


@pytest.fixture
def protocols_apart(stage):
    """TCP of port 80 is a1, UDP of the same port is b1."""
    port = lambda protocol: [{"name": protocol.lower(), "port": l4.PORT, "protocol": protocol}]  # noqa: E731
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", suffix="t", ports=port("TCP")),
                *stage.slices("b1", suffix="u", ports=port("UDP")))
    return stage


def test_s02_tcp_and_udp_of_one_port_are_apart(protocols_apart):
    for way in WAYS:
        assert protocols_apart.reached(way, "client", NODE_A) == {"a1" if way.protocol == "TCP" else "b1"}, way


@kernel_only("S-02 ClusterIP")
def test_s02_tcp_and_udp_of_one_port_of_a_cluster_ip_are_apart(protocols_apart):
    for way in WAYS:
        for host in ("a2", "client"):
            assert protocols_apart.reached(way, host, CLUSTER) == {"a1" if way.protocol == "TCP" else "b1"}, (way, host)


def test_s03_a_named_target_port_is_another_number_in_each_pod(stage):
    def pod(name, number):
        status = {"phase": "Running", "podIP": stage.lab.address(name), "conditions": [{"type": "Ready", "status": "True"}],
                  "podIPs": [{"ip": stage.lab.address(name)}, {"ip": stage.lab.address6(name)}]}
        ports = [{"name": p, "containerPort": number, "protocol": p.upper()} for p in ("tcp", "udp")]
        return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": "web"}}, "status": status,
                "spec": {"nodeName": stage.lab.pods[name][1], "containers": [{"name": "c", "image": "i", "ports": ports}]}}

    made = l4.service(node_port=NODE_PORT, selector={"app": "web"})
    for port in made["spec"]["ports"]:
        port["targetPort"] = port["name"]
    stage.start(made, pod("a1", l4.PORT), pod("b1", l4.OTHER_PORT))
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1", "b1-other"}, way


def test_s04_ports_join_by_name_and_a_port_without_number_does_not(stage):
    def ports(tcp, udp):
        return [{"name": name, "protocol": protocol, "port": l4.PORT} for name, protocol in ((tcp, "TCP"), (udp, "UDP"))]

    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", ports=ports("tcp", "udp")),
                *stage.slices("a2", suffix="2", ports=ports("udp", "tcp")), *stage.slices("a3", suffix="3", ports=ports("", "x")),
                *stage.slices("b1", suffix="4", ports=[{"name": "tcp", "protocol": "TCP"}, {"name": "udp", "protocol": "UDP"}]))
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1"}, way


def test_s05_a_node_port_is_the_same_on_all_addresses_of_all_nodes(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", "b1"))
    stage.start(node="b")
    for way in WAYS:
        for front in (NODE_A, NODE_B):
            assert stage.reached(way, "client", front) == {"a1", "b1"}, (way, front)
        assert stage.reached(way, "a2", BRIDGE_A) == {"a1", "b1"}, way
        assert stage.reached(way, "a", NODE_A) == {"a1", "b1"}, way  # a process of the node


def test_s06_node_ports_stand_on_the_chosen_addresses_only(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", "b1"),
                options=["--node-port-addresses", "192.168.0.0/24,fd00:192::/64"])
    for way in WAYS:
        assert stage.reached(way, "a2", NODE_A) == {"a1", "b1"}, way
    assert stage.outcomes("a2", BRIDGE_A) == "refused"


def test_s07_what_is_not_a_services_reaches_the_node_untouched(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", "b1"))
    for way in WAYS:
        assert stage.ask(way, "client", NODE_A.on(l4.PORT)) == ("a", stage.address("client", way)), way
        assert stage.ask(way, "client2", NODE_A.on(l4.OTHER_PORT))[0] == "a-other", way
    assert stage.outcomes("client", NODE_A.on(30199)) == "refused"


@kernel_only("S-08 unassigned")
def test_s08_an_external_ip_need_not_be_on_any_node(stage):
    stage.start(l4.service(externalIPs=EXTERNAL.ips()), *stage.slices("a1", "b1"))
    for way in WAYS:
        for host in ("client", "a2", "a"):
            assert stage.reached(way, host, EXTERNAL) == {"a1", "b1"}, (way, host)


def test_s08_an_external_ip_that_is_routed_to_the_node_is_served_beside_the_node_port(stage):
    stage.assign(EXTERNAL)
    stage.start(l4.service(node_port=NODE_PORT, externalIPs=EXTERNAL.ips()), *stage.slices("a1", "b1"))
    for way in WAYS:
        for host in ("client", "a2", "a"):
            assert stage.reached(way, host, EXTERNAL) == {"a1", "b1"}, (way, host)
        assert stage.reached(way, "client", NODE_A) == {"a1", "b1"}, way
    assert set(stage.each_outcome("client", EXTERNAL.on(81)).values()) <= NOTHING


def test_s10_s11_s16_an_address_of_mode_vip_is_served_and_one_of_mode_proxy_is_not(stage):
    """ipMode defaults to VIP; no nodePort is needed."""
    stage.assign(EXTERNAL)
    more = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}
    status = l4.ingress(*EXTERNAL.ips())
    status["loadBalancer"]["ingress"] += l4.ingress(*BALANCER.ips(), ipMode="Proxy")["loadBalancer"]["ingress"]
    stage.start(l4.service(status=status, **more), *stage.slices("a1", "b1"))
    for way in WAYS:
        assert stage.reached(way, "client", EXTERNAL) == {"a1", "b1"}, way
    assert set(stage.each_outcome("client", BALANCER).values()) <= NOTHING
    stage.change(l4.service(status=l4.ingress(*EXTERNAL.ips(), ipMode="VIP"), **more), *stage.slices("b1"))
    assert stage.outcomes("client", EXTERNAL) == "b1"


def test_s17_source_ranges_drop_others_at_the_balancers_address_only(stage):
    """Blanks in front of a range do no harm; NodePorts, external IPs and ClusterIPs stay open."""
    stage.assign(EXTERNAL, BALANCER)
    lab = stage.lab
    made = l4.service(node_port=NODE_PORT, type="LoadBalancer", externalIPs=EXTERNAL.ips(), status=l4.ingress(*BALANCER.ips()),
                      loadBalancerSourceRanges=[f" {lab.address('client2')}/32", f"{lab.address6('client2')}/128 "])
    stage.start(made, *stage.slices("a1"))
    assert stage.outcomes("client2", BALANCER) == "a1"
    assert stage.outcomes("client", BALANCER) == "silent"
    for front in (NODE_A, EXTERNAL):
        assert stage.outcomes("client", front) == "a1", front
    if stage.plane == "kernel":
        assert stage.outcomes("a2", CLUSTER) == "a1"
    made["spec"]["externalTrafficPolicy"] = "Local"  # pods are let in by the policy, and not by the ranges
    stage.change(made, *stage.slices("b1"))
    assert stage.outcomes("a2", BALANCER) == "silent"
    made["spec"]["externalTrafficPolicy"] = "Cluster"
    made["spec"]["loadBalancerSourceRanges"] = [f"{NODE_A.v4}/32", f"{NODE_A.v6}/128"]  # the node's own processes
    stage.change(made, *stage.slices("a1"))
    assert stage.outcomes("a", BALANCER) == "a1"
    made["spec"]["loadBalancerSourceRanges"] = ["192.168.0.0/24"]  # one family only: the other has no filter
    stage.change(made, *stage.slices("a1"))
    assert stage.outcomes("client", BALANCER) == "a1"
    made["spec"]["loadBalancerSourceRanges"] = ["10.9.0.0/16", "::/0"]
    stage.change(made, *stage.slices("a1"))
    assert stage.outcomes("client", BALANCER, V4) == "silent"
    assert stage.outcomes("client", BALANCER, V6) == "a1"


@kernel_only("limits")
def test_with_limits_the_gateway_serves_what_comes_from_outside_and_the_kernel_the_cluster_ips(stage):
    stage.start(l4.service(node_port=NODE_PORT), *stage.slices("a1", "b1"), options=["--max-connections-per-client", "1000"])
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1", "b1"}, way
        assert stage.seen(way, "a2", CLUSTER) == {pod: stage.address("a2", way) for pod in ("a1", "b1")}, way
    assert stage.hawser.metric('hawser_splice_packets_total{verdict="forwarded"}') > 0


def test_s20_a_family_that_the_service_does_not_have_is_not_served(stage):
    stage.assign(EXTERNAL)
    for mine, others, families in ((V4, V6, ["IPv4"]), (V6, V4, ["IPv6"])):
        made = l4.service(families=families, node_port=NODE_PORT, externalIPs=EXTERNAL.ips())
        if not stage.hawsers:
            stage.start(made, *stage.slices("a1"))
        else:
            stage.change(made, *stage.slices("a1"))
        for front in (NODE_A, EXTERNAL):
            assert stage.outcomes("client", front, mine) == "a1", (front, families)
            assert set(stage.each_outcome("client", front, others).values()) <= NOTHING, (front, families)


def test_s22_a_services_name_may_begin_with_a_digit(stage):
    stage.start(l4.service("3-web", node_port=NODE_PORT), *stage.slices("a1", of="3-web"))
    assert stage.outcomes("client", NODE_A) == "a1"


@kernel_only("S-23")
def test_s23_other_ports_are_refused_and_unallocated_addresses_silent(stage):
    """S-24: in every range that there is."""
    stage.start(l4.service(), *stage.slices("a1"), options=["--service-cidr", "10.96.0.0/12,fd00:96::/64"])
    assert stage.outcomes("a2", CLUSTER) == "a1"
    for host in ("a2", "client", "a"):
        assert stage.outcomes(host, CLUSTER.on(81)) == "refused", host
        assert stage.outcomes(host, l4.Front("10.104.9.9", "fd00:96::99", 80)) == "silent", host
