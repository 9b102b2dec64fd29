# SPDX-License-Identifier: Apache-2.0
"""Which endpoints a Service has: the E- rows, where traffic can show them. L4_ROWS.md says where each id is proved."""

import pytest

import l4
import network
import site_programs as site
from l4 import CLUSTER, EXTERNAL, NODE_A, NODE_B, NODE_PORT, WAYS

UNREADY = {"ready": False}
ENDING = {"ready": False, "serving": True, "terminating": True}
ENDED = {"ready": False, "serving": False, "terminating": True}


def web(**spec):
    return l4.service(node_port=NODE_PORT, **spec)


def test_e01_e14_slices_join_by_label_in_the_same_namespace_whoever_made_them(stage):
    mine, others = stage.slices("a1"), stage.slices("a2", suffix="x")
    for made in mine:
        made["metadata"].update(name="unlike-" + made["addressType"].lower())
        made["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "a-controller.example.com"
    for made in others:
        made["metadata"].update(namespace="elsewhere")
    headless, unlabelled = stage.slices("a3", suffix="h"), stage.slices("b1", suffix="u")
    for made in headless:
        made["metadata"]["labels"]["service.kubernetes.io/headless"] = ""
    for made in unlabelled:
        made["metadata"].update(labels={}, name="web" if made["addressType"] == "IPv4" else "web-6")
    stage.start(web(), *mine, *others, *headless, *unlabelled)
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1"}, way


def test_e03_e04_the_first_address_counts_and_what_is_not_said_is_ready(stage):
    slices = stage.slices("a1", "a2", "b1", a1={}, a2=UNREADY, b1={"serving": False})
    for made in slices:
        made["endpoints"][0]["addresses"].append(made["endpoints"][1]["addresses"][0])
    stage.start(web(), *slices)
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1", "b1"}, way


def test_e05_an_endpoint_of_several_slices_counts_once_and_the_copy_that_stays_wins(stage):
    stage.start(web(), *stage.slices("a1", "b1"), *stage.slices("a1", suffix="2"), *stage.slices("a1", suffix="3"), one_worker=True)
    for way in WAYS:
        reached = [stage.ask(way, "client", NODE_A)[0] for _ in range(8)]
        assert sorted(reached) == ["a1"] * 4 + ["b1"] * 4, (way, reached)
    stage.change(web(), *stage.slices("a1", "b1", a1=ENDING), *stage.slices("a1", suffix="2"), *stage.slices("a2", suffix="3", a2=UNREADY))
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1", "b1"}, way


def pods(stage, **changes):
    def pod(name):
        made = site.pod_manifest(name, stage.lab.address(name), stage.lab.pods[name][1], "web", **changes.get(name, {}))
        made["status"]["podIPs"].append({"ip": stage.lab.address6(name)})
        return made

    return [pod("a1"), pod("b1")]


def selecting(**spec):
    made = web(selector={"k8s-app": "web"}, **spec)
    for port in made["spec"]["ports"]:
        port["targetPort"] = l4.PORT
    return made


def test_e06_e08_pods_are_endpoints_while_ready_or_always_when_published_so(stage):
    going = {"terminating": True}
    stage.start(selecting(), *pods(stage, a1={"ready": False}))
    assert stage.outcomes("client", NODE_A) == "b1"
    stage.change(selecting(), *pods(stage, a1=going))
    assert stage.outcomes("client", NODE_A) == "b1"
    stage.change(selecting(), *pods(stage, a1={"ready": False}, b1={"ready": False}))
    assert stage.outcomes("client", NODE_A) == "refused"
    stage.change(selecting(publishNotReadyAddresses=True), *pods(stage, a1={"ready": False}, b1={"ready": False, **going}))
    for way in WAYS:
        assert stage.reached(way, "client", NODE_A) == {"a1", "b1"}, way


@pytest.mark.parametrize("policy", ["Cluster", "Local"])
def test_e07_terminating_endpoints_serve_when_no_ready_one_is_left(stage, policy):
    """For each set by itself: under Local, a ready endpoint on the other node changes nothing here."""
    stage.assign(EXTERNAL)
    made = web(externalIPs=EXTERNAL.ips(), externalTrafficPolicy=policy)
    ask = lambda: [stage.outcomes("client", front) for front in (NODE_A, EXTERNAL)]  # noqa: E731
    stage.start(made, *stage.slices("a1", "a2", "a3", a1=ENDING, a3=ENDED))
    assert ask() == ["a2", "a2"]
    stage.change(made, *stage.slices("a1", "a2", "a3", a1=ENDING, a2=UNREADY, a3=ENDED))
    assert ask() == ["a1", "a1"]
    stage.change(made, *stage.slices("a1", "b1", a1=ENDING))
    assert ask() == (["a1", "a1"] if policy == "Local" else ["b1", "b1"])
    stage.change(made, *stage.slices("a3", a3=ENDED))
    assert ask() == ["refused", "refused"]


@pytest.mark.parametrize("policy", ["Cluster", "Local"])
@l4.kernel_only("P-01")
def test_e07_terminating_endpoints_serve_a_cluster_ip_too(stage, policy):
    made = l4.service(internalTrafficPolicy=policy)
    stage.start(made, *stage.slices("a1", "a2", a1=ENDING))
    assert stage.outcomes("a3", CLUSTER) == "a2"
    stage.change(made, *stage.slices("a1", "b1", a1=ENDING))
    assert stage.outcomes("a3", CLUSTER) == ("a1" if policy == "Local" else "b1")
    stage.change(made, *stage.slices("a1", "b1", a1=ENDED))
    assert stage.outcomes("a3", CLUSTER) == ("silent" if policy == "Local" else "b1")


@pytest.fixture(scope="module")
def crowd(lab):
    """Two pods with ninety more addresses each, of both families."""
    addresses = {pod: [(f"10.244.{net}.{n}", f"fd00:10:244:{net}::{n}") for n in range(100, 190)] for pod, net in (("a1", 1), ("b1", 2))}
    for pod, pairs in addresses.items():
        lab.add_addresses(pod, [address for pair in pairs for address in pair])
    return addresses


@pytest.mark.parametrize("scheduler", ["rr", "lc", "sh", "mh"])
def test_e09_many_slices_and_many_endpoints_are_one_set(stage, crowd, sources, scheduler):
    """180 endpoints in six slices: more than one chunk of the program's tables."""
    slices = []
    for pod, pairs in crowd.items():
        for number in range(3):
            for made in stage.slices(pod, suffix=f"{pod}-{number}"):
                mine = pairs[30 * number:30 * number + 30]
                of_family = [pair[0 if made["addressType"] == "IPv4" else 1] for pair in mine]
                made["endpoints"] = [{**made["endpoints"][0], "addresses": [address]} for address in of_family]
                slices.append(made)
    stage.start(web(annotations={"kube-router.io/service.scheduler": scheduler}), *slices, one_worker=True)
    for way in [way for way in WAYS if way.protocol == "TCP"]:
        ask = lambda source: stage.ask(way, "client", NODE_A, source[0 if way.family == "IPv4" else 1])[0]  # noqa: E731
        reached = {ask(source) for _ in range(8 if scheduler in ("rr", "lc") else 1) for source in sources}
        assert reached == {"a1", "b1"}, way


def nodes(zones):
    made = [site.node_manifest(name, address, net) for name, (address, net) in network.NODES.items()]
    for node, zone in zip(made, zones):
        node["metadata"]["labels"] = {"topology.kubernetes.io/zone": zone}
    return made


def hinted(stage, **hints):
    slices = stage.slices(*hints)
    for made in slices:
        for endpoint, hint in zip(made["endpoints"], hints.values()):
            if hint:
                endpoint["hints"] = hint
    return slices


def test_e10_e11_hints_keep_traffic_on_the_node_or_in_its_zone_under_the_cluster_policy(stage):
    on = lambda node: {"forNodes": [{"name": node}]}  # noqa: E731
    zone = lambda name: {"forZones": [{"name": name}]}  # noqa: E731
    stage.start(web(), *nodes(["north", "south"]), *hinted(stage, a1=on("a"), b1=on("b")))
    stage.start(node="b")

    def reached():
        found = {(tuple(sorted(stage.reached(way, "client", NODE_A))), tuple(sorted(stage.reached(way, "client", NODE_B))))
                 for way in WAYS}
        return found.pop() if len(found) == 1 else found

    assert reached() == (("a1",), ("b1",))
    stage.change(web(), *nodes(["north", "south"]), *hinted(stage, a1=zone("south"), b1=zone("north")))
    assert reached() == (("b1",), ("a1",))
    stage.change(web(), *nodes(["north", "south"]), *hinted(stage, a1=zone("south"), b1=None))  # one without: off
    assert reached() == (("a1", "b1"), ("a1", "b1"))
    stage.change(web(externalTrafficPolicy="Local"), *nodes(["north", "south"]), *hinted(stage, a1=zone("south"), b1=zone("north")))
    assert reached() == (("a1",), ("b1",))  # E-12: the endpoints of the node, whatever the hints


def test_an_endpoint_on_the_node_itself_is_reached_from_everywhere(stage):
    """hostNetwork pods: the endpoint's address is the node's."""
    stage.assign(EXTERNAL)
    stage.start(web(externalIPs=EXTERNAL.ips()), *stage.slices("a"))
    hosts = {"client": (NODE_A, EXTERNAL), "a2": (NODE_A, EXTERNAL), "b2": (NODE_A,), "a": (NODE_A, EXTERNAL)}
    for host, fronts in hosts.items():
        for front in fronts:
            assert stage.outcomes(host, front) == "a", (host, front)
    if stage.plane == "kernel":
        for way in WAYS:
            for host in ("client", "a2", "a"):
                assert stage.ask(way, host, CLUSTER)[0] == "a", (way, host)
            assert stage.ask(way, "client", NODE_A) == ("a", stage.address("client", way)), way
            assert stage.ask(way, "a2", CLUSTER) == ("a", stage.address("a2", way)), way


def test_an_endpoint_on_the_other_node_itself_is_reached_from_everywhere(stage):
    stage.assign(EXTERNAL)
    stage.start(web(externalIPs=EXTERNAL.ips()), *stage.slices("b"))
    for host in ("client", "a2", "a"):
        for front in (NODE_A, EXTERNAL, *([CLUSTER] if stage.plane == "kernel" else [])):
            assert stage.outcomes(host, front) == "b", (host, front)
