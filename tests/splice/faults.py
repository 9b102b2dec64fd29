# SPDX-License-Identifier: Apache-2.0
"""The program of fault.bpf.c on the interface of one host of a lab, which lives in the lab's own bpffs and goes with it;
and a process that stands still again and again."""

import contextlib
import json
import pathlib
import shutil
import signal
import struct
import subprocess
import threading
import time

import network

SOURCE = pathlib.Path(__file__).with_name("fault.bpf.c")
LEAVING, ARRIVING = 0, 1
COUNTS = ("packets", "dropped", "duplicated", "shifted", "segments")


def tool(name):
    """Administrators' programs are not on everyone's PATH."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        raise network.NotPossible(f"the faults need {name}")
    return found


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(str(w) for w in words)}: {done.stdout}{done.stderr}")
    return done.stdout


def compiled(lab):
    """Once for a lab."""
    made = lab.state / "fault.bpf.o"
    if not made.exists():
        headers = [p for p in pathlib.Path("/usr/include").glob("*-linux-gnu") if (p / "asm").is_dir()]
        run(tool("clang"), "-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3", *(f"-I{p}" for p in headers), "-c", SOURCE, "-o", made)
    return made


class BadCard:
    def __init__(self, lab, host, interface="eth0"):
        self.lab, self.host, self.interface = lab, host, interface
        self.pins = lab.state / "bpf" / f"fault-{host}-{interface}"
        run(tool("bpftool"), "prog", "loadall", compiled(lab), self.pins, "pinmaps", self.pins)
        lab.run(host, [tool("tc"), "qdisc", "add", "dev", interface, "clsact"])
        for way, name in (("egress", "leaves"), ("ingress", "arrives")):
            lab.run(host, [tool("tc"), "filter", "add", "dev", interface, way, "bpf", "da", "object-pinned", self.pins / name])

    def set(self, seed=1, drop=0, duplicate=0, sequence_left=0, timestamp_left=0):
        """drop and duplicate: per mille, both ways. sequence_left, timestamp_left: connections that begin from now on are
        so many bytes and milliseconds before their numbers wrap around."""
        for way in (LEAVING, ARRIVING):
            self._write("settings", way, struct.pack("=QIIII", seed, drop, duplicate, sequence_left, timestamp_left))
            self._write("counts", way, bytes(8 * len(COUNTS)))

    def counts(self):
        """Of both ways together, since set()."""
        total = dict.fromkeys(COUNTS, 0)
        for way in (LEAVING, ARRIVING):
            said = json.loads(run(tool("bpftool"), "-j", "map", "lookup", "pinned", self.pins / "counts", "key", *struct.pack("=I", way)))
            values = struct.unpack(f"={len(COUNTS)}Q", bytes(int(b, 16) for b in said["value"]))
            for name, value in zip(COUNTS, values):
                total[name] += value
        return total

    def take_away(self):
        self.lab.run(self.host, [tool("tc"), "qdisc", "del", "dev", self.interface, "clsact"])
        shutil.rmtree(self.pins)

    def _write(self, name, key, value):
        run(tool("bpftool"), "map", "update", "pinned", self.pins / name, "key", *struct.pack("=I", key), "value", *value)


@contextlib.contextmanager
def stalling(process, dice):
    """Stopped for up to 5 ms, after up to 3 ms in which it goes on: any two of its system calls can be that far apart."""
    over = threading.Event()

    def stall():
        while not over.is_set():
            time.sleep(dice.uniform(0.0002, 0.003))
            process.send_signal(signal.SIGSTOP)
            time.sleep(dice.uniform(0.0005, 0.005))
            process.send_signal(signal.SIGCONT)

    thread = threading.Thread(target=stall)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
