# SPDX-License-Identifier: Apache-2.0
"""L4 services in the kernel: what the first packet of a connection costs with few and with very many of them, how long
the tables take to be written, and how long a change takes."""

import ipaddress
import json
import sys
import time
from contextlib import contextmanager

from . import accounting, peers
from .generator import LoadFailed
from .measures import DIRECT, Row
from .topology import wait_until

ENDPOINTS = 6  # of each Service
PORT, POD_PORT, NODE_PORT = 80, 9000, 30100
SERVICE_NETWORK = ipaddress.ip_network("10.112.0.0/12")
POD_NETWORK = ipaddress.ip_network("10.208.0.0/12")  # all of it answers
CHANGES = 5
OF_A_FILE = 10_000  # Hawser reads at most a million JSON values of a file


def service_address(number):
    return str(SERVICE_NETWORK[number + 1])


def pod_address(number, which):
    """Endpoint `which` of Service `number`."""
    return str(POD_NETWORK[1 + number * ENDPOINTS + which])


def spare_address(generation):
    """One that is no Service's at first."""
    return str(POD_NETWORK[-1 - generation])


def service(number):
    spec = {"clusterIP": service_address(number), "ports": [{"name": "web", "port": PORT}]}
    if number == 0:
        spec["type"] = "NodePort"
        spec["ports"][0]["nodePort"] = NODE_PORT
    return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": f"s{number}"}, "spec": spec}


def endpoint_slice(number, generation=0):
    """With another last endpoint in each generation after the first."""
    addresses = [pod_address(number, which) for which in range(ENDPOINTS)]
    if generation:
        addresses[-1] = spare_address(generation)
    return {"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
            "metadata": {"name": f"s{number}", "labels": {"kubernetes.io/service-name": f"s{number}"}},
            "ports": [{"name": "web", "port": POD_PORT}], "endpoints": [{"addresses": [a]} for a in addresses]}


def manifest(items):
    return json.dumps({"kind": "List", "apiVersion": "v1", "items": list(items)}, separators=(",", ":"))


def nft_rule(count, node):
    """The same Services for nft: the endpoint by one look-up, whose key has a random number in it. (kube-proxy's chain
    for each Service takes nft minutes to load at 44,000.)"""
    def elements():
        for number in range(count):
            for which in range(ENDPOINTS):
                to = f"{pod_address(number, which)} . {POD_PORT}"
                yield f"{which} . {service_address(number)} . {PORT} : {to}"
                if number == 0:
                    yield f"{which} . {node} . {NODE_PORT} : {to}"
    key = f"numgen random mod {ENDPOINTS} . ip daddr . tcp dport"
    more = f"map services {{ typeof {key} : ip daddr . tcp dport; elements = {{\n" + ",\n".join(elements()) + "\n} }"
    return f"meta l4proto tcp dnat ip addr . port to {key} map @services", more


class L4(peers.HawserSplice):
    """Its sources are the manifests in `directory`."""

    directory = None
    patience = 300

    def sources(self):
        return ["-f", str(self.directory), "--service-cidr", str(SERVICE_NETWORK)]

    def _listens(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"hawser ended with {self._process.returncode}: {self.said()}")
        return self._topology.fetch("node", self.admin, "/readyz") is not None


class Services:
    def __init__(self, generator, topology, hawser, nft, directory, counts, rounds, seconds, progress=sys.stderr):
        self._generator = generator
        self._topology = topology
        self._hawser, self._nft = hawser, nft
        self._directory = directory
        self._counts, self._rounds, self._seconds = counts, rounds, seconds
        self._progress = progress
        self.rows, self.failures = [], []

    def run(self):
        self._topology.route("pod", "local", str(POD_NETWORK), "dev", "lo")
        self._topology.route("node", str(POD_NETWORK), "via", self._topology.pod_address)
        self._generator.serve(f"0.0.0.0:{POD_PORT}")
        for count in self._counts:
            try:
                self._with(count)
            except RuntimeError as error:
                self._fail(f"{count:,} Services: {error}")

    def _say(self, text):
        print(text, file=self._progress, flush=True)

    def _fail(self, text):
        text = " ".join(text.split())
        self.failures.append(text)
        self._say("  FAILED " + text)

    def _row(self, group, case, unit, more_is_better=False, ranked=True):
        row = Row(group, case, unit, more_is_better, ranked=ranked)
        self.rows.append(row)
        return row

    def _with(self, count):
        self._say(f"{count:,} Services")
        manifests = self._directory / f"manifests-{count}"
        manifests.mkdir()
        for first in range(0, count, OF_A_FILE):
            numbers = range(first, min(first + OF_A_FILE, count))
            (manifests / f"services-{first}.json").write_text(manifest(map(service, numbers)))
            # The last one's endpoints stand alone: a change of them is a small file.
            slices = (endpoint_slice(number) for number in numbers if number != count - 1)
            (manifests / f"endpoints-{first}.json").write_text(manifest(slices))
        changing = manifests / "changing.json"
        changing.write_text(manifest([endpoint_slice(count - 1)]))
        self._hawser.directory = manifests
        self._program(count, changing)
        self._connect(count)

    def _program(self, count, changing):
        case = f"{count:,} Services, {count * ENDPOINTS:,} endpoints"
        hawser = self._hawser
        programmed = self._row("programming", f"{case}, programmed", "s")
        reading = self._row("programming", f"{case}, manifests read and snapshot built", "s", ranked=False)
        change = self._row("programming", f"{case}, one endpoint changed: programmed", "ms")
        seen = self._row("programming", f"{case}, one endpoint changed: from the file's change on", "ms", ranked=False)
        own = self._row("programming", f"{case}, PSS of hawser", "MiB", ranked=False)
        tables = self._row("programming", f"{case}, tables", "MiB", ranked=False)
        try:
            began = time.monotonic()
            hawser.start()
            seconds = hawser.metric("hawser_splice_program_seconds")
            if (times := hawser.metric("hawser_splice_programmed_total")) != 1:
                raise RuntimeError(f"programmed {times:.0f} times at the start: the time is of the last only")
            programmed.add(hawser.name, seconds)
            reading.add(hawser.name, time.monotonic() - began - seconds)
            own.add(hawser.name, accounting.user_memory(hawser.pid)[1] / 2 ** 20)
            tables.add(hawser.name, sum(accounting.map_memory(hawser.tables).values()) / 2 ** 20)
            for generation in range(1, CHANGES + 1):
                before = hawser.metric("hawser_splice_programmed_total")
                began = time.monotonic()
                aside = self._directory / "changing.new"
                aside.write_text(manifest([endpoint_slice(count - 1, generation)]))
                aside.rename(changing)
                wait_until(lambda: hawser.metric("hawser_splice_programmed_total") > before, 120, "the change")
                seen.add(hawser.name, (time.monotonic() - began) * 1e3)
                change.add(hawser.name, hawser.metric("hawser_splice_program_seconds") * 1e3)
        finally:
            hawser.stop()
        if self._nft:
            began = time.monotonic()
            self._nft.load(*nft_rule(count, self._topology.node_address))
            programmed.add(self._nft.name, time.monotonic() - began)
            self._nft.stop()

    def _connect(self, count):
        """Connections one after the other to any of the Services; both kinds of tables stand by themselves, in turn."""
        rows = {q: self._row("first packet", f"connect, any of {count:,} ClusterIPs, {q}", "µs") for q in ("p50", "p99")}
        beyond = self._row("first packet", f"connect, any of {count:,} ClusterIPs, p50 beyond plain routing", "µs",
                           ranked=False)
        node_port = self._row("first packet", f"connect, a NodePort with {count:,} Services, p50", "µs")
        pod = f"{pod_address(0, 0)}:{POD_PORT}"
        for number in range(self._rounds):
            self._say(f"  connects, round {number + 1}")
            routing = self._load(DIRECT, pod, count * ENDPOINTS)
            if routing is None:
                continue
            for q, row in rows.items():
                row.add(DIRECT, routing["latency_us"][q])
            node_port.add(DIRECT, routing["latency_us"]["p50"])
            for peer in (self._hawser, self._nft):
                if peer is None:
                    continue
                with _standing(peer, lambda: nft_rule(count, self._topology.node_address)):
                    report = self._load(peer.name, f"{service_address(0)}:{PORT}", count)
                    of_node = self._load(peer.name, f"{self._topology.node_address}:{NODE_PORT}", 1)
                for q, row in rows.items() if report else ():
                    row.add(peer.name, report["latency_us"][q])
                if report:
                    beyond.add(peer.name, report["latency_us"]["p50"] - routing["latency_us"]["p50"])
                if of_node:
                    node_port.add(peer.name, of_node["latency_us"]["p50"])

    def _load(self, name, target, spread):
        try:
            report = self._generator.load("connect", target, spread=spread, seconds=self._seconds, warmup=0.2)
        except LoadFailed as error:
            report = {"errors": {str(error): 1}}
        if report["errors"]:
            self._fail(f"{name}: connect to {target} and {spread - 1:,} more: "
                       + ", ".join(f"{text} (x{times})" for text, times in report["errors"].items()))
            return None
        return report


@contextmanager
def _standing(peer, rule):
    """The Services stand in a peer; `rule`: what makes nft's."""
    try:
        if isinstance(peer, peers.NftDnat):
            peer.load(*rule())
        else:
            peer.start()
        yield
    finally:
        peer.stop()
