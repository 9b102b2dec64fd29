# SPDX-License-Identifier: Apache-2.0
"""Hand-offs and spliced tunnels over cables that lose, double, overtake and delay; ends at any moment; odd peers; forgers.

HAWSER_FAULT_CASES=N runs N seeded cases of each random kind instead of a few; HAWSER_FAULT_SEED=S begins at another seed."""

import os
import random
import socket
import struct
import threading
import time

import pytest

import visits
import wire
from conftest import WEB, closing, reason, tunnels, wait_spliced
from load import Load
from raw import raw_socket, segment

CASES = int(os.environ.get("HAWSER_FAULT_CASES", "12"))
SEED = int(os.environ.get("HAWSER_FAULT_SEED", "1"))
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21

FAULTS = [
    pytest.param({}, id="no loss"),
    pytest.param({"loss": 10}, id="1 percent lost"),
    pytest.param({"loss": 50}, id="5 percent lost"),
    pytest.param({"reordered": 200, "delay": 500}, id="reordered"),
    pytest.param({"loss": 20, "duplicates": 50, "reordered": 100, "delay": 1000}, id="everything"),
]


def break_cables(cables, seed, **faults):
    for number, cable in enumerate(cables):
        cable.set(seed=seed * 2 + number, **faults)


@pytest.mark.parametrize("faults", FAULTS)
def test_tunnels_handed_off_under_load_lose_nothing(lab, hawser, cables, pods, faults):
    """Every byte both ways, and every tunnel is spliced."""
    break_cables(cables, SEED, **faults)
    with Load(lab, pods, [WEB], 40) as load:
        wait_spliced(hawser, 40, 60)
        time.sleep(1)  # and they go on talking
        assert load.failures() == {}


def client(lab, path, **more):
    for attempt in range(5):
        try:
            return visits.upgrade(lab, WEB, path, **more)
        except (TimeoutError, AssertionError):
            if attempt == 4:
                raise
    return None


def test_bulk_both_ways_through_a_hand_off_under_full_load(lab, hawser, cables, pods):
    """The window is narrowed for a moment, or there would be no instant without a byte under way."""
    made = visits.upgrade(lab, WEB, "/echo")
    made.socket.settimeout(20)
    total = 60_000_000
    block = random.Random(SEED).randbytes(1 << 20)

    def send():
        for _ in range(total // len(block)):
            made.socket.sendall(block)

    sender = threading.Thread(target=send)
    sender.start()
    heard = 0
    while heard < total // len(block) * len(block):
        piece = made.socket.recv(1 << 18)
        at = heard % len(block)
        expected = (block + block)[at:at + len(piece)]
        assert piece == expected, f"wrong after {heard} bytes"
        heard += len(piece)
    sender.join()
    wait_spliced(hawser, 1)
    visits.talk(made, b"and on")


@pytest.mark.parametrize("seed", range(SEED, SEED + CASES))
def test_an_end_at_any_moment_arrives_behind_all_bytes(lab, hawser, cables, pods, seed):
    """FIN, half-close and RST of either side, in the relay, in transit and in the kernel."""
    dice = random.Random(seed)
    loss = dice.choice([0, 10])
    break_cables(cables, seed, loss=loss, reordered=dice.choice([0, 100]), delay=dice.choice([0, 300]))
    ways = ["client fin", "client half-close", "pod half-close", "pod fin"]
    if not loss:
        ways += ["client reset", "pod reset"]  # nobody repeats a RST that is lost
    for case in range(8):
        how = dice.choice(ways)
        wait = dice.uniform(0, 0.08)
        size = dice.choice([0, 1, 1000, 40_000])
        what = f"seed {seed}, case {case}: {how} after {wait:.3f} s and {size} bytes"
        path = {"pod half-close": "/bye", "pod reset": "/reset", "pod fin": "/say"}.get(how, "/echo")
        pods.forget()
        made = client(lab, path)
        made.socket.settimeout(20)
        time.sleep(wait)
        if path == "/say":
            assert made.take(2) == b"\x81\x05" and made.take(5) == b"hello", what
            assert made.take(2)[0] == 0x88 and len(made.take(6)) == 6, what
            assert visits.ended(made, 20) == "fin", what
        elif path == "/bye":
            made.send(b"!")
            assert made.take(10) == b"last words", what
            assert visits.ended(made, 20) == "fin", what
            made.send(b"z" * size + b"end")
            made.half_close()
            assert pods.wait_for("heard", seconds=20)[0][2] == b"z" * size + b"end", what
        elif path == "/reset":
            made.send(b"!")
            assert visits.ended(made, 20) == "reset", what
        else:
            data = random.Random(seed * 100 + case).randbytes(size)
            made.send(data)
            if how == "client half-close":
                made.half_close()
            assert made.take(size) == data, what
            if how == "client reset":
                made.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                made.socket.close()
                pods.wait_for("reset", seconds=20)
            elif how == "client half-close":
                assert visits.ended(made, 20) == "fin", what
            else:
                made.close()
                pods.wait_for("end", seconds=20)
        made.close()
    visits.wait(lambda: tunnels(hawser) == [], 30, "the tunnels' ends")


def with_isn(lab, sequence):
    """A socket whose first byte will be at this sequence number."""
    made = lab.socket("client")
    made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, 2)
    made.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, struct.pack("I", sequence))
    made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
    made.settimeout(10)
    made.connect(WEB)
    return made


@pytest.mark.parametrize("before", [300, 2_000, 100_000])
def test_sequence_numbers_wrap_around(lab, hawser, pods, before):
    made = wire.Client(with_isn(lab, (1 << 32) - before))
    made.send(wire.get("/echo", *visits.ASK, host=visits.SITE))
    assert made.answer().status == 101
    [tunnel] = wait_spliced(hawser, 1)
    data = random.Random(before).randbytes(300_000)
    for at in range(0, len(data), 30_000):
        visits.talk(made, data[at:at + 30_000])
    made.close()
    assert closing(hawser, tunnel["id"])["bytes_in"] == "300000"


@pytest.mark.parametrize("setting", ["tcp_timestamps", "tcp_sack", "tcp_window_scaling"])
@pytest.mark.parametrize("hosts", [["client"], ["a1"], ["client", "a1"]], ids=["client", "pod", "both"])
def test_peers_without_an_option(lab, hawser, cables, pods, sysctl, setting, hosts):
    for host in hosts:
        sysctl(host, f"net.ipv4.{setting}", 0)
    made = visits.upgrade(lab, WEB, "/echo")
    if setting == "tcp_timestamps" and len(hosts) == 1:
        assert reason(hawser) == "timestamps on one side"
    else:
        wait_spliced(hawser, 1)
    break_cables(cables, SEED, loss=20)
    data = random.Random(SEED).randbytes(400_000)
    made.socket.settimeout(20)
    for at in range(0, len(data), 20_000):
        visits.talk(made, data[at:at + 20_000])


def test_a_small_mtu_at_the_client_makes_the_endpoint_send_small(lab, hawser, pods):
    lab._ip("client", "link set eth0 mtu 1300")
    try:
        made = visits.upgrade(lab, WEB, "/echo")
        wait_spliced(hawser, 1)
        visits.talk(made, b"m" * 200_000)
    finally:
        lab._ip("client", "link set eth0 mtu 1500")


def test_a_small_mtu_at_the_pod_is_told_to_the_next_clients(lab, hawser, pods):
    lab._ip("a1", "link set eth0 mtu 1300")
    try:
        first = visits.upgrade(lab, WEB, "/echo")
        assert reason(hawser) == "mss"
        visits.talk(first, b"relayed" * 10_000)
        first.close()
        visits.wait(lambda: tunnels(hawser) == [], what="its end")

        def told():
            """A handshake that was under way may have been told the old one: for some seconds those stay in the relay, too."""
            made = visits.upgrade(lab, WEB, "/echo")
            why = reason(hawser)
            made.close()
            visits.wait(lambda: tunnels(hawser) == [], what="its end")
            return why == "spliced"

        visits.wait(told, 10, "a tunnel with the new MSS")
        others = [visits.upgrade(lab, WEB, "/echo") for _ in range(8)]  # whichever worker takes them
        wait_spliced(hawser, len(others))
        for made in others:
            visits.talk(made, b"m" * 200_000)
    finally:
        lab._ip("a1", "link set eth0 mtu 1500")


def test_handshakes_under_way_when_the_mss_gets_smaller_were_told_the_old_one(lab, hawser, pods, cables):
    """And no ICMP tells the client better: such a tunnel may not be spliced."""
    cables[0].set(delay=150_000)
    lab._ip("a1", "link set eth0 mtu 900")
    lab.run("client", ["nft", "add table ip quiet; add chain ip quiet in { type filter hook input priority 0; }; "
                              "add rule ip quiet in icmp type destination-unreachable drop"])
    wrong = []

    def visit(number):
        try:
            time.sleep(number * 0.02)
            made = visits.upgrade(lab, WEB, "/echo")
            made.socket.settimeout(20)
            for _ in range(12):  # past the moment of the hand-off
                visits.talk(made, b"%04d" % number * 2_000)
                time.sleep(0.2)
        except Exception as problem:
            wrong.append(f"{number}: {problem!r}")

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(80)]
    try:
        for one in visitors:
            one.start()
        for one in visitors:
            one.join()
        assert wrong == []
    finally:
        lab.run("client", ["nft", "delete table ip quiet"])
        lab._ip("a1", "link set eth0 mtu 1500")
        cables[0].set()


def test_a_reader_that_stops_is_spliced_when_it_reads_again(lab, hawser, pods):
    """Zero windows: until then the relay owes it bytes, and keeps the tunnel."""
    made = visits.upgrade(lab, WEB, "/echo")
    made.socket.setblocking(False)
    sent = 0
    block = b"s" * 65536
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            sent += made.socket.send(block)
        except BlockingIOError:
            time.sleep(0.01)
    assert tunnels(hawser)[0]["splice"] != "spliced"
    made.socket.settimeout(10)
    heard = 0
    while heard < sent:
        piece = made.socket.recv(1 << 18)
        assert piece.count(b"s") == len(piece)
        heard += len(piece)
    wait_spliced(hawser, 1, 30)
    visits.talk(made, b"awake")


def test_a_zero_window_in_the_kernel_holds_the_sender_and_loses_nothing(lab, hawser, pods):
    made = visits.upgrade(lab, WEB, "/echo")
    wait_spliced(hawser, 1)
    made.socket.settimeout(30)
    total = 20_000_000
    sender = threading.Thread(target=lambda: made.socket.sendall(b"w" * total))
    sender.start()
    time.sleep(1.5)  # windows are shut everywhere
    heard = 0
    while heard < total:
        piece = made.socket.recv(1 << 18)
        assert piece.count(b"w") == len(piece)
        heard += len(piece)
    sender.join()


def test_forged_segments_neither_end_nor_change_a_tunnel(lab, hawser, pods):
    """Blind: addresses and ports are right, sequence numbers are not."""
    made = visits.upgrade(lab, WEB, "/echo")
    [tunnel] = wait_spliced(hawser, 1)
    dice = random.Random(SEED)
    source = made.socket.getsockname()
    forger = raw_socket(lab, "client2")
    for _ in range(3000):
        flags = dice.choice([0x04, 0x14, 0x11, 0x18, 0x02, 0x10])
        forger.sendto(segment(source, WEB, dice.randrange(1 << 32), flags, dice.randrange(1 << 32), b"evil" if flags == 0x18 else b""), (WEB[0], 0))
    visits.talk(made, b"unharmed" * 5000)
    made.close()
    line = closing(hawser, tunnel["id"])
    assert (line["reason"], line["bytes_in"]) == ("finished", "40000")
    forger.close()


def test_a_client_that_lost_its_state_gets_a_new_connection_on_the_same_port(lab, hawser, pods):
    """A SYN on a living 4-tuple is challenged; the host that knows nothing of it resets, and its next SYN is welcome."""
    made = visits.upgrade(lab, WEB, "/echo")
    [tunnel] = wait_spliced(hawser, 1)
    port = made.socket.getsockname()[1]
    made.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # closes without a word
    made.socket.close()
    again = lab.socket("client")
    again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    again.bind(("192.168.0.10", port))
    again.settimeout(10)
    again.connect(WEB)
    fresh = wire.Client(again)
    fresh.send(wire.get("/echo", *visits.ASK, host=visits.SITE))
    assert fresh.answer().status == 101
    line = closing(hawser, tunnel["id"])
    assert (line["closed_by"], line["reason"]) == ("client", "reset")
    [after] = wait_spliced(hawser, 1)
    assert after["id"] != tunnel["id"]
    visits.talk(fresh, b"new life")
