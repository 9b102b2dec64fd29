# SPDX-License-Identifier: Apache-2.0
"""Sequence numbers and timestamps that pass 2^32 before, in and after the hand-off, of every side."""

import itertools
import os
import socket
import time

import pytest

import visits
from conftest import ENDS, closing, state_of, wait_spliced
from conftest import tunnels as listed_tunnels
from ends import end_of, reset, talk
from raw import numbers

SEED = int(os.environ.get("HAWSER_FAULT_SEED", "1"))
SPACE = 1 << 32
TICKS = 15_625_000  # a second of the clock that an ISN of Linux goes by: 64 ns each (RFC 6528, secure_seq.c)
SIZE = 300_000


def talk_and_end(hawser, tunnel, listed, until):
    """Bytes both ways in portions, until a time at least; then both FINs, and counters that saw every byte once."""
    carried = 0
    while carried < SIZE or time.monotonic() < until:
        talk(tunnel, 30_000, SEED + carried, what=f"after {carried} bytes")
        carried += 30_000
        if until:
            time.sleep(0.02)  # the clocks go on, too
    for sock in (tunnel.client, tunnel.pod):
        sock.shutdown(socket.SHUT_WR)
    assert (end_of(tunnel.client), end_of(tunnel.pod)) == ("fin", "fin")
    tunnel.close()
    line = closing(hawser, listed["id"])
    assert (line["bytes_in"], line["bytes_out"]) == (str(carried), str(carried))


def each_in_turn(hawser, cards, ends, whose, setting, values, until=0.0):
    """A tunnel for each value of a setting of the cards; all of them are open together."""
    opened = []
    for value in values:
        for number, (host, card) in enumerate(cards.items()):
            card.set(seed=SEED * 2 + number, drop=10, **({setting: value} if host in whose else {}))
        tunnel = ends.open()
        opened.append(tunnel)
        for host, card in cards.items():
            assert (card.counts()["shifted"] > 0) == (host in whose)
    wait_spliced(hawser, len(opened))
    for tunnel in opened:
        talk_and_end(hawser, tunnel, state_of(hawser, tunnel), until)


WHOSE = pytest.mark.parametrize("whose", [["client"], ["a1"], ["client", "a1"]], ids=["client", "pod", "both"])


@WHOSE
def test_sequence_numbers_of_an_end_wrap(plain_hawser, cards, each_plain_ends, whose):
    """In the handshake, soon after it, and in the kernel."""
    each_in_turn(plain_hawser, cards, each_plain_ends, whose, "sequence_left", [200, 1_000, 5_000, 100_000])


@WHOSE
def test_timestamps_of_an_end_wrap(plain_hawser, cards, plain_ends, whose):
    """After so many milliseconds."""
    each_in_turn(plain_hawser, cards, plain_ends, whose, "timestamp_left", [1, 8, 20, 500], until=time.monotonic() + 1.2)


def bound(lab, port):
    made = lab.socket("client")
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((lab.address("client"), port))
    made.settimeout(5)
    return made


def first_number_of_node(made):
    """The ISN with which node a answers the client's port now."""
    made.connect(ENDS)
    at = time.monotonic()
    return at, (numbers(made)[1] - 1) % SPACE


def wrapping_soon(lab, left, ports):
    """A port of the client, and when node a will answer it with an ISN that is so far from 2^32."""
    found = None
    for port in ports:
        made = bound(lab, port)
        at, number = first_number_of_node(made)
        reset(made)
        due = at + (SPACE - left - number) % SPACE / TICKS
        if due > time.monotonic() + 0.2 and (found is None or due < found[1]):
            found = port, due
        if found and found[1] < time.monotonic() + 1.5:
            break
    return found


@pytest.mark.parametrize("left", [200_000, 4_000_000])
def test_the_nodes_own_sequence_numbers_wrap(plain_lab, plain_hawser, plain_ends, left):
    """The ISN of a 4-tuple goes with the clock: of 300 ports of the client, one is due soon. A busy machine may miss it."""
    ports = iter(range(20_000, 29_000))
    for _ in range(20):
        port, due = wrapping_soon(plain_lab, left, itertools.islice(ports, 300))
        made, seen = bound(plain_lab, port), {}

        def connect(made=made, due=due, seen=seen):
            while (early := due - time.monotonic()) > 0:
                time.sleep(early)
            _, seen["number"] = first_number_of_node(made)
            return made

        tunnel = plain_ends.open(connect=connect)
        if SPACE - left - 100_000 < seen["number"] < SPACE - 1_000:
            break
        reset(tunnel.client)
        assert end_of(tunnel.pod) == "reset"
        visits.wait(lambda: not listed_tunnels(plain_hawser), 10, "its end")
    else:
        pytest.fail(f"never in time, at last {SPACE - seen['number']} before the end")
    [listed] = wait_spliced(plain_hawser, 1)
    carried = 0
    while seen["number"] + carried < SPACE + 100_000:
        talk(tunnel, 300_000, SEED + carried)
        carried += 300_000
    for sock in (tunnel.client, tunnel.pod):
        sock.shutdown(socket.SHUT_WR)
    assert (end_of(tunnel.client), end_of(tunnel.pod)) == ("fin", "fin")
    tunnel.close()
    assert closing(plain_hawser, listed["id"])["bytes_out"] == str(carried)
