# SPDX-License-Identifier: Apache-2.0
"""What an idle tunnel costs, all of it: the kernel's memory and the proxy's. The same tunnels are held through each peer
and with plain routing; the sockets of client and pod are in both, so that the difference is the node's."""

import json
import sys
import time
from dataclasses import dataclass
from typing import Optional

from . import accounting, measures
from .generator import LoadFailed
from .measures import DIRECT, Row

# Of one process of client or pod: descriptors bound it.
MOST_OF_A_PROCESS = 16_000


@dataclass
class Plan:
    rounds: int = 3
    pods: int = 4  # an endpoint takes as many tunnels as Hawser has source ports towards it
    # Of so many tunnels: a proxy whose tunnels stay its own has two descriptors for each.
    proxied: int = 8_000
    in_kernel: int = 32_000

    @staticmethod
    def quick():
        return Plan(rounds=1, proxied=2_000, in_kernel=8_000)


@dataclass
class Held:
    """Tunnels that are held: what they cost, in bytes each, and how fast they came."""

    everything: float  # of the kernel, client's and pod's sockets included, and of the proxy
    per_second: float
    process: Optional[float] = None  # PSS of the proxy
    tables: Optional[float] = None   # of the splice: elements of its flow table and records


class Memory:
    def __init__(self, plan, generator, peers, progress=sys.stderr):
        self._plan = plan
        self._generator = generator
        self._peers = peers  # not started; a fresh process for every measurement
        self._progress = progress
        self.rows, self.failures = [], []

    def run(self):
        self._hold("warm-up", None, self._plan.proxied)  # the kernel's caches have their size after it
        for count, names in ((self._plan.proxied, None), (self._plan.in_kernel, ("hawser-splice", "nft"))):
            self._case(count, [peer for peer in self._peers if names is None or peer.name in names])

    def _case(self, count, peers):
        case = f"{count:,} tunnels"
        beyond = Row("memory", f"{case}: kernel and proxy, beyond plain routing", "bytes/tunnel", False)
        whole = Row("memory", f"{case}: kernel and proxy, sockets of client and pod included", "bytes/tunnel", False,
                    ranked=False)
        process = Row("memory", f"{case}: PSS of the proxy", "bytes/tunnel", False, ranked=False)
        tables = Row("memory", f"{case}: elements of flow table and records", "bytes/tunnel", False, ranked=False)
        opening = Row("opening", f"{case} at once", "tunnels/s", True)
        self.rows += [beyond, whole, process, tables, opening]
        for number in range(self._plan.rounds):
            print(f"memory, {case}, round {number + 1}", file=self._progress, flush=True)
            routing = None
            for peer in [None, *peers]:
                name = peer.name if peer else DIRECT
                held = self._hold(name, peer, count)
                if held is None:
                    continue
                whole.add(name, held.everything)
                opening.add(name, held.per_second)
                if peer is None:
                    routing = held
                    continue
                if routing is not None:
                    beyond.add(name, held.everything - routing.everything)
                process.add(name, held.process)
                tables.add(name, held.tables)

    def _hold(self, name, peer, count):
        try:
            if peer is not None:
                try:
                    peer.start()
                    with peer.turn():
                        self._generator.load("echo", peer.target, connections=8, size=64, seconds=0.1)
                        return self._through(peer, peer.target, count)
                finally:
                    peer.stop()
            return self._through(None, None, count)
        except (RuntimeError, OSError) as error:
            self.failures.append(f"{name}: {count:,} idle tunnels: {error}")
            print("  FAILED " + self.failures[-1], file=self._progress, flush=True)
            return None

    def _through(self, peer, target, count):
        processes = max(-(-count // MOST_OF_A_PROCESS), 1)
        if target is None:
            processes = max(processes, len(self._generator.pods))  # one to each endpoint
        pss = _pss(peer)
        tables = _tables(peer)
        spliced = peer.spliced() if peer else None
        before = accounting.settled_exact_kernel_memory()
        began = time.monotonic()
        loads = []
        try:
            for number in range(processes):
                share = count // processes + (number < count % processes)
                loads.append(self._generator.start_load(
                    "idle", target or self._generator.pods[number % len(self._generator.pods)], connections=share, size=64,
                    open_timeout=60))
            for load in loads:
                if (word := self._generator.first_word(load))["event"] != "ready":
                    raise LoadFailed(f"{word['errors']}")
            if spliced is not None:
                measures.await_splice(peer, spliced, count, patience=60)
            per_second = count / (time.monotonic() - began)
            time.sleep(2)  # what is given back after the handshake is given back by then
            grown = _pss(peer) - pss
            held = Held((accounting.exact_kernel_memory() - before + grown) / count, per_second)
            if peer and peer.pid:
                held.process = grown / count
            if spliced is not None:
                held.tables = (_tables(peer) - tables) / count
            alive = sum(self._ask(load) for load in loads)
            if alive != count:
                raise LoadFailed(f"{count - alive:,} of {count:,} tunnels did not echo at the end")
            return held
        finally:
            for load in loads:
                self._generator.stop(load)

    @staticmethod
    def _ask(load):
        """How many of a load's tunnels still echo."""
        load.stdin.close()
        report = json.loads(load.stdout.readline() or "{}")
        return report.get("alive", 0)


def _pss(peer):
    return accounting.user_memory(peer.pid)[1] if peer and peer.pid else 0


def _tables(peer):
    """Bytes of the elements of a splice's tables that tunnels are in."""
    if peer is None or peer.spliced() is None:
        return 0
    sizes = accounting.map_memory(peer.tables)
    return sizes.get("flows", 0) + sizes.get("records", 0)
