# SPDX-License-Identifier: Apache-2.0
"""Segments that neither end sent: near misses of what the ends would believe, SYNs on living and dead 4-tuples, forgers while
tunnels are handed off. Sequence numbers that are far away are in test_faults.py."""

import errno
import os
import random
import socket
import threading
import time

import pytest

import visits
import wire
from conftest import ENDS, closing, state_of, tunnels, wait_spliced
from ends import both_ways, carry, end_of, reset, talk
from raw import ACK, FIN, PSH, RST, SYN, Ear, forget, numbers, raw_socket, segment

SEED = int(os.environ.get("HAWSER_FAULT_SEED", "1"))
LIED = b"LIES" * 50

# What a forger sends who knows the 4-tuple: flags, distance of the sequence number from the next one, distance of the
# acknowledgement from the last one, data.
NEAR_MISSES = {
    "a RST in the window, but not at its beginning": (RST, 1, 0, b""),
    "a RST at the window's end": (RST | ACK, 20_000, 0, b""),
    "a RST just below the window": (RST, -1, 0, b""),
    "a RST that is half the space away": (RST, 1 << 31, 0, b""),
    "other data for bytes that have arrived": (PSH | ACK, -300, 0, LIED),
    "old data with a FIN": (PSH | ACK | FIN, -300, 0, LIED),
    "data that is half the space away": (PSH | ACK, (1 << 31) - 1, 0, LIED),
    "data far behind the window": (PSH | ACK, 1 << 29, 0, LIED),
    "data that acknowledges what was not sent": (PSH | ACK, 0, 1_000_000, LIED),
    "data that acknowledges what was sent long ago": (PSH | ACK, 0, -(1 << 30), LIED),
    "an acknowledgement of what was not sent": (ACK, 0, 5_000, b""),
    "an acknowledgement of half the space": (ACK, 0, (1 << 31) - 1, b""),
    "a FIN far behind the window": (FIN | ACK, 1 << 29, 0, b""),
    "a SYN at the next number": (SYN, 0, 0, b""),
    "a SYN in the window": (SYN, 5_000, 0, b""),
    "a SYN and ACK at the next number": (SYN | ACK, 0, 0, b""),
    "no flag at all": (0, 0, 0, LIED),
    "SYN and FIN": (SYN | FIN, 0, 0, b""),
    "SYN and RST": (SYN | RST, 1, 0, b""),
}


class Forger:
    """Speaks for one end of a tunnel, from another machine or another program of the pod."""

    def __init__(self, lab, tunnel, side, host=None):
        self.tunnel, self.side = tunnel, side
        self.socket = raw_socket(lab, host or ("client2" if side == "client" else "a1"))

    def send(self, flags, sequence, acknowledgment, data=b""):
        source, destination = (
            (self.tunnel.client_address, ENDS) if self.side == "client" else (self.tunnel.pod_address, self.tunnel.upstream_address)
        )
        packet = segment(source, destination, sequence % (1 << 32), flags, acknowledgment % (1 << 32), data)
        self.socket.sendto(packet, (destination[0], 0))

    def near(self, flags, sequence, acknowledgment, data):
        following, awaited = numbers(self.tunnel.client if self.side == "client" else self.tunnel.pod)
        self.send(flags, following + sequence, awaited + acknowledgment, data)

    def close(self):
        self.socket.close()


@pytest.mark.parametrize("sides", [["client"], ["pod"], ["client", "pod"]], ids=["client", "pod", "both"])
def test_near_misses_neither_end_nor_change_a_tunnel(plain_lab, plain_hawser, plain_ends, sides):
    """Each kind on a tunnel of its own, and thrice, with bytes both ways between."""
    opened = {what: plain_ends.open() for what in NEAR_MISSES}
    wait_spliced(plain_hawser, len(opened))
    wrong = {}
    for what, tunnel in opened.items():
        listed = state_of(plain_hawser, tunnel)
        forgers = [Forger(plain_lab, tunnel, side) for side in sides]
        try:
            talk(tunnel, 1_000, SEED, what)
            for turn in range(3):
                for forger in forgers:
                    forger.near(*NEAR_MISSES[what])
                talk(tunnel, 20_000, SEED + turn, what, seconds=10)
            assert state_of(plain_hawser, tunnel)["splice"] != "gone", f"{what}: not listed any more"
            for sock in (tunnel.client, tunnel.pod):
                sock.shutdown(socket.SHUT_WR)
            assert (end_of(tunnel.client, 10), end_of(tunnel.pod, 10)) == ("fin", "fin"), what
            line = closing(plain_hawser, listed["id"])
            assert (line["reason"], line["bytes_in"], line["bytes_out"]) == ("finished", "61000", "61000"), line
        except (AssertionError, OSError) as problem:
            wrong[what] = repr(problem)
        for one in (*forgers, tunnel):
            one.close()
    assert not wrong, wrong


def test_the_right_reset_ends_a_tunnel(plain_lab, plain_hawser, plain_ends):
    """Or the forgers above were just not heard."""
    for side in ("client", "pod"):
        tunnel = plain_ends.open()
        [listed] = wait_spliced(plain_hawser, 1)
        talk(tunnel, 1_000, SEED)
        forger = Forger(plain_lab, tunnel, side)
        forger.near(RST, 0, 0, b"")
        assert end_of(tunnel.pod if side == "client" else tunnel.client) == "reset"
        assert closing(plain_hawser, listed["id"])["reason"] == "reset"
        forger.close()
        tunnel.close()


def test_a_syn_on_a_living_tunnel_is_answered_with_a_challenge(plain_lab, plain_hawser, plain_ends):
    """RFC 5961 section 4: an ACK with the right numbers and a window that is open, and the tunnel goes on."""
    tunnel = plain_ends.open()
    wait_spliced(plain_hawser, 1)
    talk(tunnel, 5_000, SEED)
    ear, forger = Ear(plain_lab, "client"), Forger(plain_lab, tunnel, "client", "client")
    for sequence in (0, 12_345, 1 << 31, -1):
        following, awaited = numbers(tunnel.client)
        forger.near(SYN, sequence, 0, b"")
        heard = ear.wait_for(ENDS, tunnel.client_address, is_challenge)
        assert heard is not None, "no challenge"
        assert (heard[0], heard[1]) == (awaited, following) and heard[3] > 0, heard
        talk(tunnel, 5_000, SEED)
        while ear.wait_for(ENDS, tunnel.client_address, lambda *_: True, attempts=1):
            pass
    for one in (ear, forger, tunnel):
        one.close()


def is_challenge(_sequence, _acknowledgment, flags, _window):
    return flags & ~PSH == ACK


def test_a_challenge_is_not_told_to_the_forger(plain_lab, plain_hawser, plain_ends):
    """It has the numbers that he must not know: it goes where the client is, not where the frame came from."""
    tunnel = plain_ends.open()
    wait_spliced(plain_hawser, 1)
    talk(tunnel, 5_000, SEED)
    ears = {host: Ear(plain_lab, host) for host in ("client", "client2")}
    forger = Forger(plain_lab, tunnel, "client")
    forger.near(SYN, 12_345, 0, b"")
    heard = {host: ear.wait_for(ENDS, tunnel.client_address, is_challenge, attempts=5) for host, ear in ears.items()}
    assert heard["client2"] is None, f"the forger was told {heard['client2']}"
    assert heard["client"] is not None
    for one in (*ears.values(), forger, tunnel):
        one.close()


def test_forgers_at_both_sides_while_tunnels_are_handed_off_under_load(plain_lab, plain_hawser, plain_ends):
    """Every segment has the 4-tuple of a tunnel and a random sequence number."""
    opened, stop, dice = [], threading.Event(), random.Random(SEED)
    sent = [0]

    def forge():
        forgers = {}
        while not stop.wait(0.001):
            for tunnel in list(opened):
                for side in ("client", "pod"):
                    forger = forgers.setdefault((tunnel, side), Forger(plain_lab, tunnel, side))
                    flags = dice.choice([RST, RST | ACK, FIN | ACK, PSH | ACK, SYN, ACK])
                    forger.send(flags, dice.randrange(1 << 32), dice.randrange(1 << 32), LIED if flags & PSH else b"")
                    sent[0] += 1
        for forger in forgers.values():
            forger.close()

    forging = threading.Thread(target=forge)
    forging.start()
    try:
        for number in range(10):
            opened.append(plain_ends.open())
            carry([way for t in opened for way in both_ways(t, 30_000, SEED + number)], what=f"seed {SEED}")
        wait_spliced(plain_hawser, len(opened))
        carry([way for t in opened for way in both_ways(t, 300_000, SEED)], what=f"seed {SEED}")
        until = time.monotonic() + 20
        while sent[0] <= 100 and time.monotonic() < until:  # the forgers are slower than the tunnels are
            carry([way for t in opened for way in both_ways(t, 300_000, SEED)], what=f"seed {SEED}")
    finally:
        stop.set()
        forging.join()
    assert sent[0] > 100
    for tunnel in opened:
        tunnel.close()


def is_connected(sock):
    try:
        sock.connect(ENDS)
    except OSError as problem:  # the old connection's FIN is not acknowledged yet
        if problem.errno == errno.EADDRNOTAVAIL:
            return False
        raise
    return True


def from_port(lab, port):
    """A client's socket that has the same 4-tuple as an earlier one."""

    def connect():
        made = lab.socket("client")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((lab.address("client"), port))
        made.settimeout(20)
        visits.wait(lambda: is_connected(made), 20, "a port that the client has done with")
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    return connect


@pytest.mark.parametrize("drop", [0, 10], ids=["nothing lost", "1 percent lost"])
@pytest.mark.parametrize("how", ["the pod closed", "the client reset", "the client forgot"])
def test_a_port_that_is_used_again_at_once_gets_a_new_tunnel_every_time(plain_lab, plain_hawser, plain_ends, cards, how, drop):
    seen = set()
    for number, card in enumerate(cards.values()):
        card.set(seed=SEED * 2 + number, drop=drop)
    for turn in range(6):
        tunnel = plain_ends.open(connect=from_port(plain_lab, 33_333))
        visits.wait(lambda: state_of(plain_hawser, tunnel)["splice"] != "gone", 10, "the new tunnel")
        # Its port is used again in the relay, too.
        if turn % 2 == 0:
            wait_spliced(plain_hawser, 1)
        talk(tunnel, 10_000, SEED + turn, f"turn {turn}")
        seen.add(state_of(plain_hawser, tunnel)["id"])
        if how == "the pod closed":
            tunnel.pod.close()
            assert end_of(tunnel.client) == "fin"
            tunnel.client.close()
        elif how == "the client reset":
            reset(tunnel.client)
            assert end_of(tunnel.pod, nudge=True) == "reset"
        else:
            forget(tunnel.client)
    assert len(seen) == 6
    if how == "the client forgot":
        wire.Client(from_port(plain_lab, 33_333)()).close()
    visits.wait(lambda: tunnels(plain_hawser) == [], 20, "the ends")
