# SPDX-License-Identifier: Apache-2.0
"""Clients that are as far away as clients are: a packet takes its time, and not always the same."""

import os
import time

import pytest

from conftest import closing, state_of, wait_spliced
from ends import talk

SEED = int(os.environ.get("HAWSER_FAULT_SEED", "1"))
TUNNELS = 10
ROADS = [
    pytest.param({"delay": 10_000}, id="20 ms there and back"),
    pytest.param({"delay": 40_000}, id="80 ms there and back"),
    pytest.param({"delay": 150_000}, id="300 ms there and back"),
    pytest.param({"delay": 20_000, "loss": 10}, id="40 ms there and back, 1 percent lost"),
    pytest.param({"delay": 300, "reordered": 300}, id="up to 3 ms of jitter"),
]


@pytest.mark.parametrize("way_of_life", ["silent", "talking"])
@pytest.mark.parametrize("road", ROADS)
def test_tunnels_of_distant_clients_are_handed_off(hawser, cables, ends, road, way_of_life):
    for number, cable in enumerate(cables):
        cable.set(seed=SEED * 2 + number, **(road if number == 0 else {"delay": 100}))
    opened = [ends.open() for _ in range(TUNNELS)]
    carried = dict.fromkeys(opened, 0)
    if way_of_life == "talking":
        until = time.monotonic() + 1
        while time.monotonic() < until:
            for tunnel in opened:
                talk(tunnel, 700, SEED)
                carried[tunnel] += 700
    wait_spliced(hawser, TUNNELS, 15)
    tunnel = opened[0]
    listed = state_of(hawser, tunnel)
    talk(tunnel, 50_000, SEED)
    for one in opened:
        one.close()
    line = closing(hawser, listed["id"])
    assert (line["bytes_in"], line["bytes_out"]) == (str(carried[tunnel] + 50_000),) * 2
