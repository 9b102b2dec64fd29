# SPDX-License-Identifier: Apache-2.0
"""Very many idle tunnels through the splice. Their ends are no sockets (bench/crowd), so that a million of them fit."""

import ipaddress
import json
import sys
import time

from . import accounting, measures
from .generator import LoadFailed
from .measures import Row

POD_ADDRESSES = 131     # a prime: in turns of endpoints and of source ports every pair comes up
CLIENT_ADDRESSES = 32
PORT = 9080
POD_NETWORK, CLIENT_NETWORK = "10.202.0.0/16", "10.203.0.0/16"
FIRST_POD, FIRST_CLIENT = "10.202.0.1", "10.203.0.1"


def addresses(first, count):
    """So many from the first on."""
    return [str(ipaddress.ip_address(first) + number) for number in range(count)]


def pods():
    return [f"{address}:{PORT}" for address in addresses(FIRST_POD, POD_ADDRESSES)]


class Million:
    """`peer`: a HawserSplice towards pods(), not started."""

    def __init__(self, generator, topology, peer, tunnels, per_second, hold_seconds, progress=sys.stderr):
        self._generator = generator
        self._topology = topology
        self._peer = peer
        self._tunnels = tunnels
        self._per_second = per_second
        self._hold_seconds = hold_seconds
        self._progress = progress
        self.rows, self.failures = [], []

    def run(self):
        topology, peer = self._topology, self._peer
        topology.route("node", POD_NETWORK, "via", topology.pod_address)
        topology.route("node", CLIENT_NETWORK, "via", topology.sources[0])
        server = self._generator.start("pod", "crowd-serve", *self._place("pod", FIRST_POD, POD_ADDRESSES), "--port", PORT)
        self._generator.first_word(server)
        load = None
        try:
            peer.start()
            before = accounting.settled_exact_kernel_memory()
            own, tables = accounting.user_memory(peer.pid)[1], accounting.map_memory(peer.tables)
            load = self._generator.start(
                "client", "crowd-load", peer.target, *self._place("client", FIRST_CLIENT, CLIENT_ADDRESSES),
                "--connections", self._tunnels, "--per-second", self._per_second, "--echoes", 10_000,
                "--open-timeout", 60 + 3 * self._tunnels / self._per_second)
            began = time.monotonic()
            word = self._generator.first_word(load, self._tell)
            if word["event"] != "ready":
                raise LoadFailed(f"{word['opened']:,} of {self._tunnels:,} tunnels opened, {word['broken']:,} broke")
            measures.await_splice(peer, 0, self._tunnels, patience=60)
            seconds = time.monotonic() - began
            self._hold()
            # The ends have no sockets: all that the kernel has more of is the node's.
            kernel = accounting.exact_kernel_memory()
            own_now = accounting.user_memory(peer.pid)[1]
            tables_now = accounting.map_memory(peer.tables)
            active = self._active()
            load.stdin.close()
            report = json.loads(load.stdout.readline() or '{"answered": 0, "asked": 1, "broken": -1}')
        finally:
            if load is not None:
                self._generator.stop(load)
            peer.stop()
            self._generator.stop(server)
        if active != self._tunnels or report["broken"] or report["answered"] != report["asked"]:
            self.failures.append(f"{active:,.0f} of {self._tunnels:,} tunnels at the end, {report['broken']:,} broken, "
                                 f"{report['answered']:,} of {report['asked']:,} echoed")
        elements = sum(tables_now[name] - tables[name] for name in ("flows", "records"))
        self._row("tunnels spliced", "", active, more_is_better=True)
        self._row(f"time until all were spliced, {self._per_second:,.0f} a second offered", "s", seconds)
        self._row("tunnels of those chosen at random that echo afterwards", "%",
                  100 * report["answered"] / report["asked"], more_is_better=True)
        self._row("delay of such an echo, p50", "µs", report["latency_us"]["p50"])
        self._row("probes that clients answered", "", report["keepalives"])
        self._row("memory of a tunnel: everything on the node", "bytes", (kernel - before + own_now - own) / self._tunnels)
        self._row("memory of a tunnel: flow table and records, as the kernel says", "bytes", elements / self._tunnels)
        self._row("memory of a tunnel: hawser's own (PSS)", "bytes", (own_now - own) / self._tunnels)
        empty = sum(tables.values()) + own
        self._row(f"before the first tunnel: empty tables with room for {peer.room_for:,}, and hawser's own", "MiB",
                  empty / 2 ** 20)
        self._row("everything on the node, empty tables included", "MiB",
                  (empty + kernel - before + own_now - own) / 2 ** 20)

    def _row(self, case, unit, value, more_is_better=False):
        row = Row("million", case, unit or "–", more_is_better, ranked=False)
        row.add(self._peer.name, value)
        self.rows.append(row)

    def _place(self, place, first, count):
        device = {"client": "client0", "pod": "pod0"}[place]
        return "--interface", "eth0", "--gateway", self._topology.mac("node", device), "--first", first, "--count", count

    def _tell(self, event):
        if event["opened"] // 50_000 != getattr(self, "_told", 0):
            self._told = event["opened"] // 50_000
            print(f"  {event['opened']:,} tunnels", file=self._progress, flush=True)

    def _hold(self):
        print(f"  all spliced; idle for {self._hold_seconds} s", file=self._progress, flush=True)
        time.sleep(self._hold_seconds)

    def _active(self):
        """As hawser counts them; it looks at all of them, which takes its time."""
        deadline = time.monotonic() + 180
        name = 'hawser_splice_tunnels_active{kind="upgrade"}'
        while (active := self._peer.metric(name)) < self._tunnels and time.monotonic() < deadline:
            time.sleep(0.5)
        return active
