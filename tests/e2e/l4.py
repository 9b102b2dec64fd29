# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Service tables share: addresses, manifests, questions, and what only the kernel can serve.

A stage's Service has both families and both protocols, so that one hawser answers a row in four ways."""

import collections
import concurrent.futures
import json
import socket

import pytest

import speakers
import visits

# Why the gateway, in user space, cannot serve a row; `kernel_only` in front of a test names the row.
KERNEL_ONLY = {
    "P-01": "internalTrafficPolicy is about ClusterIPs, and a ClusterIP is no address of the node: no socket gets its packets",
    "P-03 source": "the gateway's connection to the pod is its own, so the pod sees the node",
    "P-04 source": "as P-03: the pod sees the node",
    "P-06 ClusterIP": "as P-01",
    "P-07 ClusterIP": "as P-01",
    "P-09": "as P-01 and P-03: a ClusterIP, and the client's address is kept",
    "S-02 ClusterIP": "as P-01",
    "S-08 unassigned": "a socket gets packets of addresses that are the node's, or that a local route makes so; "
                       "with such a route the gateway serves S-08 too",
    "S-23": "the gateway sees no packets to addresses that nothing listens on",
    "an endpoint's refusal": "the gateway has taken the client's connection before it knows the pod's answer",
    "limits": "it is about what the kernel leaves to the gateway",
    "H-14": "a process takes its sockets with it",
}

PORT, OTHER_PORT = 9180, 9181  # where the pods' servers listen
NODE_PORT = 30180
ROUND_ROBIN = {"kube-router.io/service.scheduler": "rr"}

Way = collections.namedtuple("Way", "family protocol")
WAYS = [Way(family, protocol) for family in ("IPv4", "IPv6") for protocol in ("TCP", "UDP")]


class Front(collections.namedtuple("Front", "v4 v6 port")):
    def at(self, way):
        return (self.v4 if way.family == "IPv4" else self.v6), self.port

    def ips(self):
        return [self.v4, self.v6]

    def on(self, port):
        return self._replace(port=port)


CLUSTER, CLUSTER_2 = Front("10.104.1.1", "fd00:96::1", 80), Front("10.104.1.2", "fd00:96::2", 80)
EXTERNAL = Front("203.0.113.250", "2001:db8:250::250", 80)  # on no machine
BALANCER = Front("203.0.113.251", "2001:db8:250::251", 80)  # as little
NODE_A = Front("192.168.0.100", "fd00:192::100", NODE_PORT)
NODE_B = Front("192.168.0.101", "fd00:192::101", NODE_PORT)
BRIDGE_A = Front("10.244.1.1", "fd00:10:244:1::1", NODE_PORT)  # node a as its pods see it


def kernel_only(row):
    assert row in KERNEL_ONLY, f"{row} has no reason"
    return pytest.mark.parametrize("plane", ["kernel"], indirect=True)


def listed(*objects):
    return json.dumps({"kind": "List", "apiVersion": "v1", "items": objects}, indent=1)


def ingress(*ips, **more):
    return {"loadBalancer": {"ingress": [{"ip": ip, **more} for ip in ips]}}


def service(name="web", front=CLUSTER, protocols=("TCP", "UDP"), node_port=None, families=("IPv4", "IPv6"), status=None,
            labels=None, annotations=ROUND_ROBIN, ports=None, **spec):
    """A Service of both families with port 80 of both protocols, in turns."""
    if ports is None:
        ports = [{"name": p.lower(), "port": front.port, "protocol": p, "appProtocol": "kubernetes.io/ws"} for p in protocols]
        if node_port:
            ports = [{**p, "nodePort": node_port} for p in ports]
            spec = {"type": "NodePort", **spec}
    ips = [front.v4 if f == "IPv4" else front.v6 for f in families]
    made = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "annotations": annotations or {}, "labels": labels or {}},
            "spec": {"clusterIP": ips[0], "clusterIPs": ips, "ipFamilies": list(families),
                     "ipFamilyPolicy": "RequireDualStack" if len(ips) == 2 else "SingleStack", "ports": ports, **spec}}
    if status:
        made["status"] = status
    return made


class Stage:
    def __init__(self, lab, cluster, plane):
        self.lab, self.cluster, self.plane = lab, cluster, plane
        self.hawsers = []
        self.local = []

    @property
    def hawser(self):
        return self.hawsers[0]

    def address(self, host, way):
        return self.lab.address(host) if way.family == "IPv4" else self.lab.address6(host)

    # ---- manifests

    def endpoint(self, host, way, conditions=None, **more):
        """A pod, or a node's process. conditions: of `ready`, `serving`, `terminating`, what is to be said."""
        return {"addresses": [self.address(host, way)], "nodeName": self.lab.pods[host][1] if host in self.lab.pods else host,
                "conditions": {"ready": True} if conditions is None else conditions, **more}

    def slices(self, *hosts, of="web", suffix="1", ports=None, families=("IPv4", "IPv6"), **changes):
        """EndpointSlices of a service, one for each family. changes: host -> conditions."""
        ports = ports or [{"name": p.lower(), "port": PORT, "protocol": p} for p in ("TCP", "UDP")]
        return [{
            "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": family,
            "metadata": {"name": f"{of}-{family.lower()}-{suffix}", "labels": {"kubernetes.io/service-name": of}},
            "ports": ports, "endpoints": [self.endpoint(h, Way(family, ""), changes.get(h)) for h in hosts],
        } for family in families]

    # ---- hawser

    def start(self, *objects, node="a", options=(), pods_known=True, one_worker=False):
        """hawser on a node with these objects, or with those there are. one_worker: of the gateway's, each of which takes
        turns by itself."""
        if objects:
            self.cluster.write("l4.json", listed(*objects))
        if pods_known:
            options = ["--pod-cidr", "10.244.0.0/16,fd00:10:244::/48", *options]
        if one_worker and self.plane == "gateway":
            options = ["--workers", "1", *options]
        made = self.cluster.start(node, nginx=False, options=options)
        self.hawsers.append(made)
        return made

    def change(self, *objects):
        """Other objects, in force on all nodes when this returns."""
        number = lambda hawser: hawser.api("/api/v1/snapshot")[1]["metadata"]["resourceVersion"]  # noqa: E731
        before = [number(h) for h in self.hawsers]
        self.cluster.write("l4.json", listed(*objects))
        for hawser, old in zip(self.hawsers, before):
            visits.wait(lambda: number(hawser) != old, what="the change")

    def assign(self, *fronts, node="a"):
        """Makes addresses the node's, as user space needs it: ip route add local ADDRESS dev lo."""
        if self.plane == "gateway":
            for ip in (ip for front in fronts for ip in front.ips()):
                self.lab.route(node, f"replace local {ip} dev lo")
                self.local.append((node, ip))

    def leave(self):
        for node, ip in self.local:
            self.lab.route(node, f"del local {ip} dev lo")

    # ---- questions

    def ask(self, way, host, front, source=None, **more):
        """(the pod, whose address it saw)"""
        if way.protocol == "TCP":
            return speakers.ask(self.lab, host, front.at(way), source, **more)
        return speakers.ask_udp(self.lab, host, front.at(way), source=source, **more)[:2]

    def open_udp(self, way, host, front):
        made = self.lab.socket(host, socket.SOCK_DGRAM, socket.AF_INET if way.family == "IPv4" else socket.AF_INET6)
        made.connect(front.at(way))
        return made

    def outcome(self, way, host, front, **more):
        """The pod that answers, or 'refused', 'silent', 'unreachable'."""
        try:
            return self.ask(way, host, front, timeout=1.2 if way.protocol == "TCP" else 0.6, **more)[0]
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silent"
        except OSError:
            return "unreachable"

    def each_outcome(self, host, front, ways=WAYS, **more):
        with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
            return dict(zip(ways, pool.map(lambda way: self.outcome(way, host, front, **more), ways)))

    def outcomes(self, host, front, ways=WAYS, **more):
        """What comes of all ways at once: the one outcome, if it is one."""
        found = self.each_outcome(host, front, ways, **more)
        return next(iter(found.values())) if len(set(found.values())) == 1 else found

    def reached(self, way, host, front, times=8, **more):
        """The pods that a number of questions reach."""
        return {self.ask(way, host, front, **more)[0] for _ in range(times)}

    def seen(self, way, host, front, times=8, **more):
        """pod -> the client's address as it saw it."""
        found = collections.defaultdict(set)
        for _ in range(times):
            name, address = self.ask(way, host, front, **more)
            found[name].add(address)
        assert all(len(addresses) == 1 for addresses in found.values()), dict(found)
        return {name: next(iter(addresses)) for name, addresses in found.items()}
