# SPDX-License-Identifier: Apache-2.0
"""One random case of everything at once, drawn from a seed: bad cables, odd hosts, and tunnels that talk and end."""

import concurrent.futures
import contextlib
import dataclasses
import random
import time

import visits
from conftest import EXPECT_SPLICE, closing, state_of, tunnels
from ends import both_ways, carry, end_of, reset
from faults import stalling

HOSTS = ("client", "a1")
OPTIONS = ("tcp_timestamps", "tcp_sack", "tcp_window_scaling")
SIZES = [0, 1, 1_000, 40_000, 200_000]
UNDECIDED = {"starting", "transit"}


@dataclasses.dataclass
class Script:
    """What one tunnel does."""

    moment: str  # the state of the hand-off that its last words wait for
    end: str
    first: int  # bytes each way before, and the size of the last words
    last: int
    slow: int  # what a slow reader takes at a time, 0: none is slow
    seed: int


class Case:
    def __init__(self, seed):
        dice = random.Random(seed)
        self.seed = seed
        self.cables = [self._cable(dice, number) for number in range(len(HOSTS))]
        self.cards = {
            host: {"sequence_left": dice.choice([0, 0, 300, 3_000, 60_000]), "timestamp_left": dice.choice([0, 0, 5, 300])} for host in HOSTS
        }
        self.without = [(host, option) for host in HOSTS for option in OPTIONS if dice.random() < 0.12]
        self.mtu = {host: dice.choice([1500, 1500, 1500, 1300, 900]) for host in HOSTS}
        self.scripts = [self._script(dice, seed * 100 + number) for number in range(dice.randint(1, 5))]
        self.stalls = dice.random() < 0.4

    def _cable(self, dice, number):
        return {
            "seed": self.seed * 2 + number,
            "loss": dice.choice([0, 0, 10, 30]),
            "duplicates": dice.choice([0, 0, 50]),
            "reordered": dice.choice([0, 0, 100, 300]),
            "delay": dice.choice([0, 0, 300, 2_000]),
        }

    @staticmethod
    def _script(dice, seed):
        return Script(
            moment=dice.choice(["relay", "transit", "spliced"]),
            end=dice.choice(["client fin", "pod fin", "both fin", "client reset", "pod reset"]),
            first=dice.choice(SIZES), last=dice.choice(SIZES), slow=dice.choice([0, 0, 0, 1_500]), seed=seed,
        )

    def __str__(self):
        return f"HAWSER_FAULT_SEED={self.seed}: cables {self.cables}, cards {self.cards}, without {self.without}, MTU {self.mtu}, stalls {self.stalls}, {self.scripts}"

    def outcomes(self):
        """What may be said of these tunnels in the end."""
        found = {"spliced"}
        if sum(1 for _, option in self.without if option == "tcp_timestamps") == 1:
            found.add("timestamps on one side")
        if self.mtu["a1"] < self.mtu["client"]:
            found.add("mss")
        return found if EXPECT_SPLICE else {"off"}

    @contextlib.contextmanager
    def in_force(self, lab, cables, cards, sysctl):
        for (host, option) in self.without:
            sysctl(host, f"net.ipv4.{option}", 0)
        try:
            for host, mtu in self.mtu.items():
                lab._ip(host, f"link set eth0 mtu {mtu}")
            for number, host in enumerate(HOSTS):
                cables[number].set(**self.cables[number])
                cards[host].set(**self.cards[host])
            yield
        finally:
            for host in HOSTS:
                lab._ip(host, "link set eth0 mtu 1500")
                cards[host].set()

    def play(self, hawser, ends):
        stalls = stalling(hawser.process, random.Random(self.seed)) if self.stalls else contextlib.nullcontext()
        with stalls, concurrent.futures.ThreadPoolExecutor(len(self.scripts)) as pool:
            futures = [pool.submit(self._perform, hawser, ends, script) for script in self.scripts]
        wrong = [f"{s}: {p!r}" for s, p in zip(self.scripts, (f.exception() for f in futures)) if p]
        assert not wrong, "\n".join([str(self), *wrong])
        visits.wait(lambda: tunnels(hawser) == [], 40, f"{self}: the tunnels' ends")

    def _perform(self, hawser, ends, script):
        tunnel = ends.open()
        try:
            listed = visits.wait(lambda: (found := state_of(hawser, tunnel))["id"] and found, 10, "its entry in the list")
            carry(both_ways(tunnel, script.first, script.seed), what="first words")
            self._wait_for_moment(hawser, tunnel, script.moment)
            self._last_words(hawser, tunnel, script, listed["id"])
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self._sight(hawser, tunnel)}") from problem
        finally:
            tunnel.close()

    @staticmethod
    def _sight(hawser, tunnel):
        """Where a tunnel stands that did not do what it should: hawser's word, and the kernel's of each socket."""
        port = tunnel.client_address[1], tunnel.upstream_address[1]
        wanted = " or ".join(f"sport = :{p} or dport = :{p}" for p in port)
        seen = [f"hawser: {[t for t in tunnels(hawser) if t['client'].endswith(f':{port[0]}')]}"]
        for host in (*HOSTS, hawser.node):
            seen.append(f"{host}: {hawser.lab.run(host, ['ss', '-Htanoi', wanted], check=False).stdout}")
        return "\n".join(seen)

    def _wait_for_moment(self, hawser, tunnel, moment):
        reached = {"relay": lambda state: True, "transit": lambda state: state != "starting", "spliced": lambda state: state not in UNDECIDED}[moment]
        deadline = time.monotonic() + 60
        while not reached(state := state_of(hawser, tunnel)["splice"]):
            assert time.monotonic() < deadline, f"still {state}"
        if moment == "spliced":
            assert state in self.outcomes(), state

    def _last_words(self, hawser, tunnel, script, number):
        there, back = both_ways(tunnel, script.last, script.seed + 1, slow=script.slow)
        near, far = (tunnel.pod, tunnel.client) if script.end.startswith("pod") else (tunnel.client, tunnel.pod)
        if script.end.endswith("reset"):
            carry([there, back], what="last words")
            reset(near)
            assert end_of(far, nudge=True) == "reset"
            return
        there.finish = back.finish = True
        if script.end == "both fin":
            carry([there, back], what="last words")
        else:
            ways = {way.source: way for way in (there, back)}
            carry([ways[near]], what="last words")
            carry([ways[far]], what="words after the other side's FIN")
        line = closing(hawser, number)
        whole = str(script.first + script.last)
        assert (line["bytes_in"], line["bytes_out"], line["reason"]) == (whole, whole, "finished"), line
        # Random bytes may be a Close frame, and then its sender has closed.
        if script.end != "both fin" and not line.keys() & {"close_code_in", "close_code_out"}:
            assert line["closed_by"] == ("endpoint" if script.end == "pod fin" else "client"), line
