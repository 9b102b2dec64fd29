# SPDX-License-Identifier: Apache-2.0
"""Random cases of everything at once (case.py). HAWSER_FAULT_CASES=N runs N of them, HAWSER_FAULT_SEED=S begins at another seed."""

import os

import pytest

from case import Case

CASES = int(os.environ.get("HAWSER_FAULT_CASES", "6"))
SEED = int(os.environ.get("HAWSER_FAULT_SEED", "1"))


@pytest.mark.parametrize("seed", range(SEED, SEED + CASES))
def test_tunnels_over_bad_cables_between_odd_hosts_carry_every_byte_and_end_as_their_ends_do(
    lab, hawser, cables, cable_cards, ends, sysctl, seed
):
    case = Case(seed)
    with case.in_force(lab, cables, cable_cards, sysctl):
        case.play(hawser, ends)
