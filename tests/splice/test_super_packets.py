# SPDX-License-Identifier: Apache-2.0
"""The hand-off and the splice with segments of up to 64 KiB whose checksums nobody has computed, some of them lost or doubled."""

import os
import random
import socket

import pytest

import ends as made_by
from conftest import closing, wait_spliced
from conftest import tunnels as listed_tunnels
from ends import Way, carry

SEED = int(os.environ.get("HAWSER_FAULT_SEED", "1"))
BAD = [
    pytest.param({}, id="nothing lost"),
    pytest.param({"drop": 10}, id="1 percent lost"),
    pytest.param({"drop": 50}, id="5 percent lost"),
    pytest.param({"duplicate": 100}, id="doubled"),
    pytest.param({"drop": 20, "duplicate": 50}, id="lost and doubled"),
]


def break_cards(cards, **faults):
    for number, card in enumerate(cards.values()):
        card.set(seed=SEED * 2 + number, **faults)


def check_cards(cards, **faults):
    for card in cards.values():
        counts = card.counts()
        for fault, counted in (("drop", "dropped"), ("duplicate", "duplicated")):
            assert (counts[counted] > 0) == (fault in faults), (card.host, counts)


@pytest.mark.parametrize("faults", BAD)
def test_bulk_on_many_tunnels_at_once_is_handed_off_and_loses_nothing(plain_hawser, cards, each_plain_ends, faults):
    """They send from the first moment, both ways, and every byte is compared."""
    break_cards(cards, **faults)
    tunnels = [each_plain_ends.open() for _ in range(8)]
    for first in (0, 50):
        ways = [way for n, t in enumerate(tunnels) for way in made_by.both_ways(t, 400_000, SEED * 100 + first + n)]
        try:
            carry(ways)
        except AssertionError as problem:
            raise AssertionError([(t["client"], t["splice"]) for t in listed_tunnels(plain_hawser)]) from problem
        wait_spliced(plain_hawser, len(tunnels))
    check_cards(cards, **faults)
    for tunnel in tunnels:
        tunnel.close()


def test_super_packets_are_lost_and_doubled_as_such(plain_hawser, cards, plain_ends):
    """Or the tests above have shown less than they say."""
    tunnel = plain_ends.open()
    wait_spliced(plain_hawser, 1)
    break_cards(cards, drop=20, duplicate=20)
    made_by.talk(tunnel, 8_000_000, SEED)
    assert all(card.counts()["segments"] > 0 for card in cards.values()), [card.counts() for card in cards.values()]
    tunnel.close()


def test_more_than_four_gigabytes_wrap_every_number_and_are_counted_exactly(plain_hawser, plain_ends):
    tunnel = plain_ends.open()
    [listed] = wait_spliced(plain_hawser, 1)
    block = random.Random(SEED).randbytes(4 << 20)
    rounds = (1 << 32) // len(block) + 20
    for number in range(rounds):
        carry([Way(tunnel.client, tunnel.pod, block), Way(tunnel.pod, tunnel.client, block)], what=f"block {number}")
    for sock in (tunnel.client, tunnel.pod):
        sock.shutdown(socket.SHUT_WR)
    assert (made_by.end_of(tunnel.client), made_by.end_of(tunnel.pod)) == ("fin", "fin")
    tunnel.close()
    line = closing(plain_hawser, listed["id"])
    assert (line["bytes_in"], line["bytes_out"]) == (str(rounds * len(block)), str(rounds * len(block)))
