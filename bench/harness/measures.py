# SPDX-License-Identifier: Apache-2.0
"""Which loads are run against whom, how often, and what is kept of them."""

import os
import statistics
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field

from . import accounting
from .generator import LoadFailed

# A load counts as disturbed when other programs, or the hypervisor, took this share of the machine's CPU.
DISTURBED = 0.1

# Seconds in which all tunnels of a load have to be open.
OPEN_TIMEOUT = 15

DIRECT = "routing"  # the baseline: client to pod without a proxy


@dataclass
class Plan:
    """How much is measured. Seconds are per load; every load is run `rounds` times, the proxies in turn."""

    rounds: int = 3
    echo_seconds: float = 2.0
    bulk_seconds: float = 1.5
    handshake_seconds: float = 2.0
    warmup: float = 0.3
    echo_cases: list = field(default_factory=lambda: [(n, s) for n in (1, 64, 2000) for s in (64, 1024)])
    bulk_cases: list = field(default_factory=lambda: [(n, d, s) for n, s in ((1, 1 << 20), (16, 65536))
                                                     for d in ("up", "down")])
    bulk_variants: bool = True
    # For the splice: loads begin when their tunnels are the kernel's; the CPU of the whole machine is told, because the
    # kernel works in nobody's name, and the delay beyond plain routing.
    splice: bool = False
    idle_tunnels: int = 8000
    idle_rounds: int = 3
    repeats: int = 40  # of loads that other programs disturbed, in the whole run

    @staticmethod
    def quick():
        return Plan(echo_seconds=0.7, bulk_seconds=0.5, handshake_seconds=0.7, warmup=0.1,
                    echo_cases=[(1, 64), (64, 64), (64, 1024), (2000, 64)], bulk_variants=False,
                    idle_tunnels=2000, idle_rounds=1, repeats=8)


@dataclass
class Row:
    """One measure of all peers: peer name -> the values of its rounds."""

    group: str   # a key of table.GROUPS
    case: str
    unit: str
    more_is_better: bool
    values: dict = field(default_factory=dict)
    ranked: bool = True  # whether a ratio is made of it

    def add(self, peer, value):
        if value is not None:
            self.values.setdefault(peer, []).append(value)

    def median(self, peer):
        return statistics.median(self.values[peer]) if self.values.get(peer) else None

    def spread(self, peer):
        """(largest - smallest) / median over the rounds."""
        values = self.values.get(peer)
        middle = self.median(peer)
        return (max(values) - min(values)) / middle if values and middle else None


class Measurement:
    """Runs a plan. `peers` are started proxies; one that fails is named in `failures` and its value stays away."""

    def __init__(self, plan, generator, peers, progress=sys.stderr):
        self._plan = plan
        self._generator = generator
        self._peers = list(peers)
        self._progress = progress
        self.rows = []
        self.failures = []
        self.disturbances = []  # share of the machine's CPU that others took, of each load that counts
        self._repeats_left = plan.repeats
        self._machine_seconds = 0.0  # CPU of the whole machine during the last attempt

    def run(self, only):
        """`only`: which of echo, bulk, handshakes, idle."""
        self._verify()
        for connections, size in self._plan.echo_cases if "echo" in only else []:
            self._echo(connections, size)
        for connections, direction, size in self._plan.bulk_cases if "bulk" in only else []:
            self._bulk(connections, direction, size)
        if "handshakes" in only:
            self._handshakes()
        if "idle" in only:
            self._idle()

    def _say(self, text):
        print(text, file=self._progress, flush=True)

    def _row(self, *arguments, **options):
        row = Row(*arguments, **options)
        self.rows.append(row)
        return row

    def _contenders(self, bulk=False):
        """(name, target, peer) of the baseline and of each peer that takes part, in the order of the round."""
        yield DIRECT, self._generator.pod, None
        for peer in self._peers:
            if bulk or not peer.bulk_only:
                yield peer.name, peer.target, peer

    def _load(self, name, peer, mode, target, **options):
        """(report, CPU seconds of the proxy while it was measured), or (None, None) when it failed.

        A load during which other programs took much of the machine is run again, while the plan's repeats last; of the
        attempts the quietest counts.
        """
        attempts = []
        while True:
            try:
                report, used, others = self._attempt(peer, mode, target, options)
            except LoadFailed as error:
                self._fail(name, mode, options, {str(error): 1})
                return None, None
            if report["errors"]:
                self._fail(name, mode, options, report["errors"])
                return None, None
            report["machine_seconds"] = self._machine_seconds
            attempts.append((others, report, used))
            if others < DISTURBED or self._repeats_left == 0 or len(attempts) == 3:
                break
            self._repeats_left -= 1
        others, report, used = min(attempts, key=lambda attempt: attempt[0])
        self.disturbances.append(others)
        return report, used

    def _attempt(self, peer, mode, target, options):
        """(report, CPU seconds of the proxy, share of the machine's CPU that other programs took)"""
        with peer.turn() if peer else nullcontext():
            return self._measured(peer, mode, target, options)

    def _measured(self, peer, mode, target, options):
        at = {}
        spliced = peer.spliced() if peer else None

        def on_event(event):
            if event == "ready":
                if spliced is not None:
                    await_splice(peer, spliced, options["connections"])
                return
            at[event] = (time.monotonic(), accounting.cpu_seconds(peer.pid) if peer and peer.pid else None,
                         accounting.machine_cpu_seconds(), accounting.cpu_seconds(os.getpid()))

        report = self._generator.load(mode, target, on_event, warmup=self._plan.warmup, open_timeout=OPEN_TIMEOUT,
                                      hold=self._plan.splice and mode != "handshake", **options)
        if "end" not in at:
            return report, None, 0.0
        seconds, used, machine, ours = (end - begin if end is not None else None
                                        for begin, end in zip(at["begin"], at["end"]))
        self._machine_seconds = machine
        return report, used, max(0.0, (machine - ours) / (seconds * os.cpu_count()))

    def _fail(self, name, mode, options, errors):
        what = ", ".join(f"{text} (x{count})" for text, count in errors.items())
        text = f"{name}: {mode} {options.get('connections')} x {options.get('size')}: {what}"
        self.failures.append(text)
        self._say("  FAILED " + text)

    def _verify(self):
        """Every byte through every proxy once, in each direction, before anything is timed."""
        self._say("verifying")
        for name, target, peer in list(self._contenders(bulk=self._plan.bulk_variants)):
            for mode, connections, size in (("echo", 8, 1000), ("echo", 2, 300_000), ("up", 2, 1 << 20),
                                            ("down", 2, 1 << 20)):
                report, _ = self._load(name, peer, mode, target, connections=connections, size=size, seconds=0.2,
                                       verify=True)
                if report is None and peer in self._peers and mode == "echo":
                    self._peers.remove(peer)
                    self._say(f"  {name} does not even echo: it is not measured")
                    break

    def _echo(self, connections, size):
        case = f"{connections:,} tunnel{'s' if connections > 1 else ''}, {_bytes(size)}"
        rate = self._row("echo", case, "round trips/s", True)
        latency = {q: self._row("latency", f"{case}, {q}", "µs", False) for q in ("p50", "p99", "p99.9")}
        cpu = self._row("cpu", case, "CPU ms per 1,000 messages", False)
        beyond = []  # rows of what comes on top of plain routing, with the part of the report that they are about
        if self._plan.splice:
            if connections == 1:
                beyond.append((self._row("added latency", f"{case}, p50", "µs", False),
                               lambda report: report["latency_us"]["p50"]))
            beyond.append((self._row("machine cpu", case, "CPU ms per 1,000 messages", False),
                           lambda report: report["machine_seconds"] * 1e6 / max(1, report["messages"])))
        for number in range(self._plan.rounds):
            self._say(f"echo {case}, round {number + 1}")
            routing = None
            for name, target, peer in self._contenders():
                report, used = self._load(name, peer, "echo", target, connections=connections, size=size,
                                          seconds=self._plan.echo_seconds)
                if report is None:
                    continue
                rate.add(name, report["messages_per_second"])
                for q, row in latency.items():
                    row.add(name, report["latency_us"][q])
                if used is not None and report["messages"]:
                    cpu.add(name, used * 1e6 / report["messages"])
                if name == DIRECT:
                    routing = report
                elif routing is not None:
                    for row, value in beyond:
                        row.add(name, value(report) - value(routing))

    def _bulk(self, connections, direction, size):
        arrow = "client to pod" if direction == "up" else "pod to client"
        case = f"{connections} tunnel{'s' if connections > 1 else ''}, {arrow}, {_bytes(size)}"
        rate = self._row("bulk", case, "MB/s", True)
        cpu = self._row("bulk cpu", case, "CPU ms per MB", False)
        for number in range(self._plan.rounds):
            self._say(f"bulk {case}, round {number + 1}")
            for name, target, peer in self._contenders(bulk=self._plan.bulk_variants):
                report, used = self._load(name, peer, direction, target, connections=connections, size=size,
                                          seconds=self._plan.bulk_seconds)
                if report is None:
                    continue
                rate.add(name, report["megabytes_per_second"])
                if used is not None and report["bytes"]:
                    cpu.add(name, used * 1e9 / report["bytes"])

    def _handshakes(self):
        rate = self._row("handshakes", "64 at once", "handshakes/s", True)
        latency = {q: self._row("handshakes", f"64 at once, {q}", "µs", False) for q in ("p50", "p99")}
        cpu = self._row("handshakes", "64 at once, CPU", "CPU ms per 1,000", False)
        for number in range(self._plan.rounds):
            self._say(f"handshakes, round {number + 1}")
            for name, target, peer in self._contenders():
                report, used = self._load(name, peer, "handshake", target, connections=64, size=64,
                                          seconds=self._plan.handshake_seconds)
                if report is None:
                    continue
                rate.add(name, report["messages_per_second"])
                for q, row in latency.items():
                    row.add(name, report["latency_us"][q])
                if used is not None and report["messages"]:
                    cpu.add(name, used * 1e6 / report["messages"])

    def _idle(self):
        count = self._plan.idle_tunnels
        rss = self._row("idle", f"RSS of the proxy, {count:,} tunnels", "bytes/tunnel", False, ranked=False)
        pss = self._row("idle", f"PSS of the proxy, {count:,} tunnels", "bytes/tunnel", False)
        kernel = self._row("idle", f"kernel (slab + socket buffers, all ends), {count:,} tunnels", "bytes/tunnel",
                           False, ranked=False)
        base = self._row("idle", "PSS of the proxy before", "KiB", False, ranked=False)
        for number in range(self._plan.idle_rounds):
            self._say(f"idle tunnels, round {number + 1}")
            for name, target, peer in self._contenders():
                try:
                    if peer is not None:
                        peer.stop()  # a fresh process: what it keeps from the load before is not the tunnels'
                        peer.start()
                        target = peer.target
                        self._load(name, peer, "echo", target, connections=8, size=64, seconds=0.1)
                    found = self._idle_once(name, target, peer, count)
                except RuntimeError as error:  # it did not start again, or the load ended without a report
                    self._fail(name, "idle", {"connections": count, "size": 64}, {str(error): 1})
                    continue
                if found is None:
                    continue
                (rss_0, pss_0, kernel_0), (rss_1, pss_1, kernel_1) = found
                kernel.add(name, (kernel_1 - kernel_0) / count)
                if peer is not None and peer.pid:
                    rss.add(name, (rss_1 - rss_0) / count)
                    pss.add(name, (pss_1 - pss_0) / count)
                    base.add(name, pss_0 / 1024)

    def _idle_once(self, name, target, peer, count):
        """Memory before and while `count` tunnels are open: two of (RSS, PSS, kernel)."""

        def memory(kernel):
            return (*(accounting.user_memory(peer.pid) if peer and peer.pid else (0, 0)), kernel)

        seen = [memory(accounting.settled_kernel_memory())]

        def on_event(event):
            if event == "ready":
                time.sleep(1)  # what a proxy gives back after the handshake, it gives back in this time
                seen.append(memory(accounting.kernel_memory()))

        report = self._generator.load("idle", target, on_event, connections=count, size=64,
                                      open_timeout=OPEN_TIMEOUT)
        if report["errors"] or report["alive"] != count:
            errors = report["errors"] or {"tunnels died while idle": count - report["alive"]}
            self._fail(name, "idle", {"connections": count, "size": 64}, errors)
            return None
        return seen


def await_splice(peer, before, count, patience=20):
    """Until `count` tunnels more than `before` have been handed to the kernel."""
    deadline = time.monotonic() + patience
    while (spliced := peer.spliced() - before) < count:
        if time.monotonic() > deadline:
            reasons = ", ".join(f"{why} (x{times})" for why, times in peer.not_spliced().items())
            raise LoadFailed(f"{spliced:,} of {count:,} tunnels were spliced within {patience} s; the others: {reasons}")
        time.sleep(0.02)


def _bytes(size):
    if size >= 1 << 20:
        return f"{size >> 20} MiB"
    return f"{size >> 10} KiB" if size >= 1024 else f"{size} B"
