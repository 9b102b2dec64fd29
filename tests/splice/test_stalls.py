# SPDX-License-Identifier: Apache-2.0
"""A hawser that is stopped and goes on at random: whatever lies between two of its system calls, packets come in there."""

import concurrent.futures
import os
import random
import re
import time

import pytest

import visits
from conftest import tunnels
from ends import both_ways, carry
from faults import stalling

SEED = int(os.environ.get("HAWSER_FAULT_SEED", "1"))
COUNT = 150


def closing_lines(hawser):
    return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in hawser.words().splitlines() if "tunnel close" in line]


@pytest.mark.parametrize("size", [0, 1_000], ids=["no data", "data"])
@pytest.mark.parametrize("enders", [("client", "pod"), ("client",), ("pod",)], ids=lambda enders: "+".join(enders))
def test_ends_that_come_at_any_moment_of_the_hand_off_are_passed_on_and_told(plain_hawser, plain_ends, enders, size):
    def live(seed):
        dice = random.Random(seed)
        tunnel = plain_ends.open()
        time.sleep(dice.uniform(0, 0.06))
        there, back = both_ways(tunnel, size, seed)
        ways = {"client": there, "pod": back}
        there.finish = back.finish = True
        try:
            # The one that answers a FIN is the second; where both are named, neither waits.
            carry([ways.pop(name) for name in enders], what=f"{seed}: the first words")
            if ways:
                carry(ways.values(), what=f"{seed}: the answer")
        finally:
            tunnel.close()

    dice = random.Random(SEED)
    with stalling(plain_hawser.process, dice), concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(SEED * 1000, SEED * 1000 + COUNT)))
    lines = visits.wait(lambda: (found := closing_lines(plain_hawser)) and len(found) >= COUNT and found, 15, "the end of every tunnel")
    wrong = [line for line in lines if (line["bytes_in"], line["bytes_out"], line["reason"]) != (str(size), str(size), "finished")]
    assert not wrong
    assert len(lines) == COUNT and tunnels(plain_hawser) == []
    if len(enders) == 1:
        assert {line["closed_by"] for line in lines} == {"endpoint" if enders == ("pod",) else "client"}
