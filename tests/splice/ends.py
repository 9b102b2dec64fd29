# SPDX-License-Identifier: Apache-2.0
"""Tunnels whose two ends are both in the test's hands, and bytes carried through them, each compared."""

import base64
import hashlib
import itertools
import queue
import random
import select
import socket
import struct
import threading
import time

import visits
import wire
from pods import GUID

PATIENCE = 40.0


class Tunnel:
    def __init__(self, client, pod):
        self.client, self.pod = client, pod
        self.client_address, self.pod_address = client.getsockname()[:2], pod.getsockname()[:2]
        self.upstream_address = pod.getpeername()[:2]

    def close(self):
        self.client.close()
        self.pod.close()


class Ends:
    """A server in a pod that accepts WebSocket handshakes and leaves the rest to the test."""

    def __init__(self, lab, web, pod="a1", port=9080, address="0.0.0.0"):
        self.lab, self.web = lab, web
        self._numbers = itertools.count(1)
        self._arrived = {}
        self._lock = threading.Lock()
        self._listening = lab.listen(pod, port, address=address)
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def open(self, host="client", connect=None, timeout=PATIENCE):
        """connect: makes the client's connected socket, where a plain one is not enough."""
        number = str(next(self._numbers))
        arrived = self._arrived[number] = queue.Queue()
        client = wire.Client((connect or (lambda: self.lab.connect(host, self.web, timeout)))())
        client.socket.settimeout(timeout)
        client.send(wire.get(f"/{number}", *visits.ASK, host=visits.SITE))
        answer = client.answer()
        assert answer is not None and answer.status == 101, answer
        assert client.buffer == b""
        return Tunnel(client.socket, arrived.get(timeout=timeout))

    def _serve(self):
        while True:
            try:
                made, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._welcome, args=(made,), daemon=True).start()

    def _welcome(self, made):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(PATIENCE)
        heard = b""
        try:
            while not heard.endswith(b"\r\n\r\n"):
                piece = made.recv(1)  # what follows the head is the test's
                if not piece:
                    return
                heard += piece
            head = heard.decode()
            key = next(l.split(":", 1)[1].strip() for l in head.splitlines() if l.lower().startswith("sec-websocket-key:"))
            accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
            made.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
        except OSError:
            return
        self._arrived.pop(head.split()[1].strip("/")).put(made)


class Way:
    """Bytes from one socket to another. slow: how many the reader takes at a time, with 2 ms between."""

    def __init__(self, source, sink, data, slow=0, finish=False):
        self.source, self.sink, self.data, self.slow, self.finish = source, sink, data, slow, finish
        self.sent = self.heard = 0
        self.reads_at = 0.0
        self.finished = self.ended = False

    def done(self):
        return self.heard == len(self.data) and self.sent == len(self.data) and (self.ended or not self.finish)

    def push(self):
        self.sent += self.source.send(memoryview(self.data)[self.sent:self.sent + 262_144])

    def pull(self, what):
        piece = self.sink.recv(self.slow or 262_144)
        if not piece:
            assert self.finish and self.heard == len(self.data), f"{what}: FIN after {self.heard} of {len(self.data)} bytes"
            self.ended = True
        elif piece != self.data[self.heard:self.heard + len(piece)]:
            expected = self.data[self.heard:self.heard + len(piece)]
            at = next((i for i, (a, b) in enumerate(zip(piece, expected)) if a != b), len(expected))
            raise AssertionError(f"{what}: byte {self.heard + at} of {len(self.data)} is wrong")
        self.heard += len(piece)
        if self.slow:
            self.reads_at = time.monotonic() + 0.002


def carry(ways, seconds=PATIENCE, what=""):
    """All of them at once, until every byte has arrived."""
    deadline = time.monotonic() + seconds
    for way in ways:
        way.source.setblocking(False)
        way.sink.setblocking(False)
    while waiting := [w for w in ways if not w.done()]:
        now = time.monotonic()
        assert now < deadline, f"{what}: not within {seconds} s: {[(w.sent, w.heard, len(w.data)) for w in waiting]}"
        for way in waiting:
            if way.finish and way.sent == len(way.data) and not way.finished:
                way.finished = True
                way.source.shutdown(socket.SHUT_WR)
        reading = [w for w in waiting if not w.ended and w.reads_at <= now and (w.heard < len(w.data) or w.finish)]
        writing = [w for w in waiting if w.sent < len(w.data)]
        readable, writable, _ = select.select([w.sink for w in reading], [w.source for w in writing], [], 0.002 if len(reading) < len(waiting) else 0.5)
        for way in reading:
            if way.sink in readable:
                way.pull(what)
        for way in writing:
            if way.source in writable:
                way.push()
    for way in ways:
        way.source.setblocking(True)
        way.sink.setblocking(True)


def both_ways(tunnel, size, seed, **more):
    dice = random.Random(seed)
    return [Way(tunnel.client, tunnel.pod, dice.randbytes(size), **more), Way(tunnel.pod, tunnel.client, dice.randbytes(size), **more)]


def talk(tunnel, size, seed=1, what="", **more):
    carry(both_ways(tunnel, size, seed), what=what, **more)


def reset(sock):
    """Ends with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def end_of(sock, seconds=PATIENCE, nudge=False):
    """'fin' or 'reset': what the socket sees next. nudge: a RST may have been lost and nobody repeats it, so it talks."""
    deadline = time.monotonic() + seconds
    sock.settimeout(1.0)
    while time.monotonic() < deadline:
        try:
            piece = sock.recv(65536)
            assert not piece, f"{piece[:100]!r} instead of an end"
            return "fin"
        except ConnectionResetError:
            return "reset"
        except TimeoutError:
            if nudge:
                try:
                    sock.send(b"?")
                except (ConnectionResetError, BrokenPipeError):
                    return "reset"
    raise AssertionError(f"still open after {seconds} s")
