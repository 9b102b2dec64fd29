# SPDX-License-Identifier: Apache-2.0
"""What the commands bench/run and bench/splice share: the program, the peers' start, the facts of a run."""

import os
import platform
import signal
import statistics
import sys
import time
from pathlib import Path

from . import peers, topology

STARTED = time.gmtime()
TOP = Path(__file__).resolve().parents[2]


def generator_program():
    directory = Path(os.environ.get("HAWSER_BIN_DIR", TOP / "build" / "bin"))
    program = Path(os.environ.get("HAWSER_BENCH", directory / "hawser-bench"))
    if not os.access(program, os.X_OK):
        sys.exit(f"{sys.argv[0]}: {program} is not there: cmake --build build --target hawser-bench")
    return program


def end_on_signals():
    """SIGTERM and SIGHUP leave the namespaces as an error does: removed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))


def start_peers(names, place, pods, directory, threads):
    """(started peers, reasons why others were not)"""
    started, skipped = [], []
    for name in names:
        peer = peers.ALL[name](place, pods, directory, threads)
        reason = peer.missing()
        if peer.needs_namespaces and isinstance(place, topology.Loopback):
            reason = "it needs network namespaces"
        if reason is None:
            try:
                peer.start()
                started.append(peer)
                continue
            except RuntimeError as error:
                reason = str(error)
        skipped.append(f"{name}: {' '.join(reason.split())}")
        print(f"skipped {skipped[-1]}", file=sys.stderr, flush=True)
    return started, skipped


def facts(place, rounds, skipped=(), failures=(), disturbances=()):
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    name = "bench/" + Path(sys.argv[0]).name
    return {
        "command": " ".join([name, *(a for a in sys.argv[1:] if "/" not in a and a != "--out")]),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", STARTED),
        "machine": f"{os.cpu_count()} cores, {memory} GiB, Linux {platform.release().split('-')[0]}",
        "topology": f"{place.description}, {place.congestion_control()}",
        "rounds": rounds,
        "skipped": list(skipped),
        "failures": list(failures),
        "others": {"median": statistics.median(disturbances or [0]), "worst": max(disturbances, default=0)},
    }


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
