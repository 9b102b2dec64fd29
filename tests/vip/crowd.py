#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One side of many tunnels in one process and one loop: all clients of the show, or all its pods.

    crowd.py clients|pods CONTROL NAME=NAMESPACE...

CONTROL is a Unix socket to be made: one JSON object a line comes in ("do" is the word), one goes out. The process ends
with the connection. Every byte of a tunnel follows from (tunnel, side, number): what is lost, doubled or changed is seen.
An ended connection is an error, nobody connects again."""

import collections
import ctypes
import gc
import json
import os
import random
import select
import socket
import struct
import sys
import time

CLIENT, POD = 0, 1
PORT = 9080  # of the pods, TCP and UDP
TICK = 0.01
TURN = 100  # ticks of the wheel; all pauses are a part of it
IN_THE_AIR = 50  # connections that are being opened at a time
PATIENCE = 4.0  # seconds for one of them
TALKING = ("open", "closing")  # closing: the last message is said, the other's is not heard
CLONE_NEWNET = 0x40000000

# pauses: ticks between two messages of the client and of the pod, 0: it never speaks. silent: both wait to be woken.
Kind = collections.namedtuple("Kind", "name protocol pauses silent")
KINDS = {kind.name: kind for kind in (
    Kind("web", "http", (50, 50), False),
    Kind("web, only the pod speaks", "http", (0, 20), False),
    Kind("web, silent", "http", (50, 50), True),
    Kind("tcp", "tcp", (50, 50), False),
    Kind("tcp, only the pod speaks", "tcp", (0, 20), False),
    Kind("tcp, silent", "tcp", (50, 50), True),
    Kind("node port", "tcp", (50, 50), False),
    Kind("udp", "udp", (10, 0), False),
)}
NAMES = list(KINDS)

ASK = ("GET /show/{}/{} HTTP/1.1\r\nHost: websocket.bbotte.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
ACCEPT = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")

BLOB = random.Random(1).randbytes(1 << 16) * 2
TITLE = struct.Struct("!IBI")
END = 0x88  # first byte of a side's last message


def message(tunnel, side, number):
    """Message `number` of a side: a WebSocket frame, also where no WebSocket is. Some take several packets."""
    size = 16 + (tunnel * 131 + side * 17 + number * 71) % 80
    if number % 16 == 7:
        size += 3000
    at = (tunnel * 7919 + side * 104729 + number * 611953) & 0xFFFF
    bit, key = (0x80, BLOB[at + 7:at + 11]) if side == CLIENT else (0, b"")
    size += TITLE.size
    length = bytes((bit | size,)) if size < 126 else struct.pack("!BH", bit | 126, size)
    return b"\x82" + length + key + TITLE.pack(tunnel, side, number) + BLOB[at:at + size - TITLE.size]


def last_message(side, total):
    """Says how many there were before it."""
    payload = b"\x03\xe8%d" % total
    return bytes((END, len(payload))) + payload if side == POD else bytes((END, 0x80 | len(payload))) + bytes(4) + payload


def difference(tunnel, side, number, got):
    """What stands in the place of a message."""
    for other in range(max(0, number - 20), number + 20):
        if other != number and got.startswith(message(tunnel, side, other)[:13 if side == CLIENT else 9]):
            return f"message {other} where {number} should be"
    wanted = message(tunnel, side, number)
    at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
    return f"message {number} differs at byte {at} of {len(wanted)}"


def enter(namespace):
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


class Tunnel:
    __slots__ = ("number", "kind", "socket", "state", "rest", "to_send", "sent", "heard", "last_heard", "mark", "hurt",
                 "speaks", "unanswered", "pairing", "opened")

    def __init__(self, sock):
        self.socket, self.state, self.rest, self.to_send = sock, "new", b"", b""
        self.number = self.kind = self.hurt = self.pairing = self.last_heard = None
        self.sent = self.heard = 0
        self.mark = (0, 0)  # sent and heard at the last mark
        self.speaks = False
        self.unanswered = set()  # UDP: questions


class Phase:
    def __init__(self, name, now):
        self.name, self.began, self.cpu = name, now, time.process_time()
        self.silence = dict.fromkeys(NAMES, 0.0)  # the longest time between two messages heard on a tunnel
        self.outage = 0.0  # the longest time in which no tunnel heard any
        self.heard = self.sent = 0

    def end(self, now):
        seconds = now - self.began
        return {"name": self.name, "seconds": seconds, "silence": {k: s for k, s in self.silence.items() if s},
                "outage": self.outage, "heard": self.heard, "sent": self.sent,
                "cpu": (time.process_time() - self.cpu) / seconds if seconds > 0 else 0.0}


class Crowd:
    """What both sides do: hear, speak in turn, answer the control socket."""

    side = None

    def __init__(self, control):
        self.poll = select.epoll()
        self.calls = {}  # descriptor -> what is called with the events
        self.tunnels = {}  # number -> Tunnel
        self.errors = {}  # number -> what was wrong first
        self.forgotten = set()  # numbers that nobody cares about
        self.wheel = [[] for _ in range(TURN)]
        self.slot, self.next_tick = 0, time.monotonic()
        self.awake = False  # the silent ones
        self.later = collections.deque()  # work for the next ticks, some at a time
        now = time.monotonic()
        self.now, self.last_any = now, None
        self.phase, self.phases = Phase("open", now), []
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(control + ".new")
        listening.listen(1)
        os.rename(control + ".new", control)
        self.control, _ = listening.accept()
        self.words = b""
        self.add(self.control, select.EPOLLIN, self.on_control)

    def add(self, sock, events, call):
        self.calls[sock.fileno()] = call
        self.poll.register(sock, events)

    def drop(self, sock):
        self.calls.pop(sock.fileno(), None)
        sock.close()  # and with it leaves the epoll

    def run(self):
        gc.disable()
        poll, calls = self.poll.poll, self.calls
        while True:
            for descriptor, events in poll(max(0.0, self.next_tick - time.monotonic())):
                self.now = time.monotonic()
                call = calls.get(descriptor)
                if call:
                    call(events)
            self.now = time.monotonic()
            while self.next_tick <= self.now:
                self.tick()

    def tick(self):
        for tunnel in self.wheel[self.slot]:
            if tunnel.speaks:
                self.speak(tunnel)
        self.slot = (self.slot + 1) % TURN
        self.next_tick += TICK
        for _ in range(min(20, len(self.later))):
            call, tunnel = self.later.popleft()
            call(tunnel)

    # ---- one tunnel

    def watch(self, tunnel):
        self.calls[tunnel.socket.fileno()] = lambda events: self.hear(tunnel)

    def fail(self, tunnel, what):
        if tunnel.state in ("ended", "failed"):
            return
        if tunnel.number not in self.forgotten:
            self.errors.setdefault(tunnel.number, f"{tunnel.kind.name}, {tunnel.state}, {self.phase.name}: {what}")
        self.leave(tunnel, "failed")

    def leave(self, tunnel, state):
        tunnel.state, tunnel.speaks = state, False
        self.drop(tunnel.socket)

    def start_speaking(self, tunnel):
        pause = tunnel.kind.pauses[self.side]
        if pause and not tunnel.speaks:
            tunnel.speaks = True
            for slot in range((tunnel.number * 37 + self.side * 23) % pause, TURN, pause):
                self.wheel[slot].append(tunnel)

    def speak(self, tunnel):
        data, hurt = message(tunnel.number, self.side, tunnel.sent), tunnel.hurt
        if hurt:
            tunnel.hurt = None
            if hurt == "change":
                data = data[:-1] + bytes((data[-1] ^ 1,))
            elif hurt == "skip":
                data = b""
            elif hurt == "double":
                data += data
        tunnel.sent += 1
        self.phase.sent += 1
        self.send(tunnel, data)

    def send(self, tunnel, data):
        data = tunnel.to_send + data
        try:
            tunnel.to_send = data[tunnel.socket.send(data):]
        except BlockingIOError:
            tunnel.to_send = data  # goes with the next message
        except OSError as problem:
            self.fail(tunnel, f"sending: {type(problem).__name__}: {problem}")

    def hear(self, tunnel):
        try:
            data = tunnel.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as problem:
            return self.fail(tunnel, f"{type(problem).__name__}: {problem}")
        if not data:
            return self.on_end_of_stream(tunnel)
        if tunnel.rest:
            data, tunnel.rest = tunnel.rest + data, b""
        if tunnel.state not in TALKING:
            data = self.handshake(tunnel, data)
            if tunnel.state not in TALKING:
                if tunnel.state == "ending":
                    self.fail(tunnel, f"{len(data)} bytes behind the last message")
                return
        other = 1 - self.side
        while data:
            if data[0] == END:
                wanted = last_message(other, tunnel.heard)
                if data == wanted:
                    return self.on_last_message(tunnel)
                if wanted.startswith(data):
                    break
                return self.fail(tunnel, f"the other's last message is {data[:40]!r}, and {tunnel.heard} were heard")
            wanted = message(tunnel.number, other, tunnel.heard)
            if data.startswith(wanted):
                tunnel.heard += 1
                self.note(tunnel)
                data = data[len(wanted):]
            elif wanted.startswith(data):
                break
            else:
                return self.fail(tunnel, difference(tunnel.number, other, tunnel.heard, data))
        tunnel.rest = data

    def note(self, tunnel):
        """A message was heard."""
        now, phase = self.now, self.phase
        phase.heard += 1
        if tunnel.last_heard is None:
            if tunnel.kind.silent:
                self.start_speaking(tunnel)
        elif now - tunnel.last_heard > phase.silence[tunnel.kind.name]:
            phase.silence[tunnel.kind.name] = now - tunnel.last_heard
        tunnel.last_heard = now
        if self.last_any is not None and now - self.last_any > phase.outage:
            phase.outage = now - self.last_any
        self.last_any = now

    # ---- control

    def on_control(self, _):
        data = self.control.recv(65536)
        if not data:
            sys.exit(0)
        self.words += data
        while b"\n" in self.words:
            line, self.words = self.words.split(b"\n", 1)
            asked = json.loads(line)
            answer = getattr(self, "do_" + asked.pop("do"))(**asked)
            self.control.sendall(json.dumps(answer or {}).encode() + b"\n")

    def living(self):
        return [t for t in self.tunnels.values() if t.state == "open"]

    def do_status(self, messages=2):
        """waiting: tunnels with fewer new messages since the last mark, in either direction that has any."""
        waiting = collections.Counter()
        for t in self.living():
            if t.speaks and t.sent - t.mark[0] < messages or self.hears(t) and t.heard - t.mark[1] < messages:
                waiting[t.kind.name] += 1
        return {"states": collections.Counter(t.state for t in self.tunnels.values()), "errors": len(self.errors),
                "waiting": waiting}

    def do_glance(self):
        """What a view of it shows; outage: of this phase, with the silence that lasts."""
        quiet = 0.0 if self.last_any is None else time.monotonic() - self.last_any
        return {"open": sum(t.state == "open" for t in self.tunnels.values()), "errors": len(self.errors),
                "heard": sum(phase["heard"] for phase in self.phases) + self.phase.heard, "outage": max(self.phase.outage, quiet)}

    def hears(self, tunnel):
        """Whether it is to hear messages."""
        return bool(tunnel.kind.pauses[1 - self.side]) and (self.awake or not tunnel.kind.silent)

    def do_mark(self):
        for t in self.tunnels.values():
            t.mark = (t.sent, t.heard)

    def do_phase(self, name):
        """Another part of the show begins; a silence that lasts counts in both."""
        now = time.monotonic()
        for t in self.living():
            if t.last_heard is not None and self.hears(t):
                self.phase.silence[t.kind.name] = max(self.phase.silence[t.kind.name], now - t.last_heard)
        self.phases.append(self.phase.end(now))
        self.phase = Phase(name, now)

    def do_wake(self):
        """Of the silent ones the clients of the even numbers speak first, and the pods of the odd ones."""
        self.awake = True
        for t in self.living():
            if t.kind.silent and t.number % 2 == (0 if self.side == CLIENT else 1):
                self.start_speaking(t)

    def do_hurt(self, tunnel, how):
        """Does on purpose what a test has to see: change, skip, double a message, or cut the connection."""
        t = self.tunnels[tunnel]
        if how == "cut":
            t.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.leave(t, "cut")
        else:
            t.hurt = how

    def do_forget(self, numbers):
        """Of tunnels that were not opened: what has become of them at this end is no matter."""
        self.forgotten |= set(numbers)
        for number in numbers:
            self.errors.pop(number, None)
            t = self.tunnels.pop(number, None)
            if t and t.state not in ("ended", "failed", "unopened"):
                self.leave(t, "failed")

    def do_errors(self):
        return self.errors

    def do_report(self):
        self.do_phase("over")
        return {"errors": self.errors, "phases": self.phases,
                "totals": {t.number: (t.kind.name, t.sent, t.heard) for t in self.tunnels.values() if t.state != "unopened"}}


class Clients(Crowd):
    side = CLIENT

    def __init__(self, control, namespaces):
        super().__init__(control)
        self.namespaces = namespaces
        self.queue, self.in_the_air = collections.deque(), set()
        self.unopened = {}

    def do_open(self, host, kind, numbers, to):
        self.queue.extend((host, KINDS[kind], number, tuple(to)) for number in numbers)

    def tick(self):
        super().tick()
        for t in [t for t in self.in_the_air if self.now - t.opened > PATIENCE]:
            self.not_opened(t, "no answer")
        while self.queue and len(self.in_the_air) < IN_THE_AIR:
            self.open(*self.queue.popleft())

    def open(self, host, kind, number, to):
        enter(self.namespaces[host])
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind.protocol == "udp" else socket.SOCK_STREAM)
        made.setblocking(False)
        t = self.tunnels[number] = Tunnel(made)
        t.number, t.kind, t.opened = number, kind, self.now
        if kind.protocol == "udp":
            made.connect(to)
            self.add(made, select.EPOLLIN, lambda events: self.hear_answers(t))
            t.state = "open"
            return self.start_speaking(t)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        t.state = "connecting"
        self.in_the_air.add(t)
        made.connect_ex(to)
        self.add(made, select.EPOLLOUT, lambda events: self.on_connected(t))

    def not_opened(self, t, what):
        self.in_the_air.discard(t)
        self.unopened[t.number] = what
        self.leave(t, "unopened")

    def on_connected(self, t):
        problem = t.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            return self.not_opened(t, os.strerror(problem))
        self.poll.modify(t.socket, select.EPOLLIN)
        self.watch(t)
        if t.kind.protocol == "tcp":
            t.socket.send(b"SHOW %d %d\n" % (t.number, NAMES.index(t.kind.name)))
            self.opened(t)
        else:
            t.state = "asking"
            t.socket.send(ASK.format(t.number, NAMES.index(t.kind.name)).encode())

    def opened(self, t):
        self.in_the_air.discard(t)
        t.state = "open"
        if not t.kind.silent:
            self.start_speaking(t)

    def handshake(self, t, data):
        if t.state != "asking":
            return data
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            t.rest = data
        elif not head.startswith(b"HTTP/1.1 101 "):
            self.not_opened(t, head.split(b"\r\n")[0].decode("latin-1"))
        else:
            self.opened(t)
        return rest

    def on_end_of_stream(self, t):
        if t.state == "asking":
            return self.not_opened(t, "closed instead of an answer")
        self.fail(t, "the connection was ended")

    def do_finish(self):
        """All clients say their last message; UDP's stop asking, and wait for answers while the others do that."""
        for t in sorted(self.living(), key=lambda t: t.kind.protocol == "udp"):
            if t.kind.protocol == "udp":
                t.speaks = False
            self.later.append((self.finish, t))

    def finish(self, t):
        if t.state != "open":
            return
        if t.kind.protocol == "udp":
            return self.leave(t, "ended")
        t.speaks, t.state = False, "closing"
        self.send(t, last_message(CLIENT, t.sent))
        if t.to_send:
            self.later.append((self.finish_later, t))

    def finish_later(self, t):
        if t.state == "closing" and t.to_send:
            self.send(t, b"")
            self.later.append((self.finish_later, t))

    def on_last_message(self, t):
        if t.state != "closing":
            return self.fail(t, "the pod ended first")
        self.leave(t, "ended")

    def do_status(self, messages=2):
        answer = super().do_status(messages)
        if self.queue:
            answer["states"]["queued"] = len(self.queue)
        return answer

    def do_unopened(self):
        return self.unopened

    def do_report(self):
        udp = [t for t in self.tunnels.values() if t.kind.protocol == "udp"]
        return super().do_report() | {"unopened": self.unopened,
                                      "udp": {"asked": sum(t.sent for t in udp), "lost": sum(len(t.unanswered) for t in udp)}}

    # ---- UDP: questions, and whom the pod has seen is to stay the same

    def speak(self, t):
        if t.kind.protocol != "udp":
            return super().speak(t)
        t.unanswered.add(t.sent)
        try:
            t.socket.send(message(t.number, CLIENT, t.sent))
        except ConnectionRefusedError:
            self.fail(t, "refused")
        except OSError:
            pass  # lost
        t.sent += 1

    def hears(self, t):
        return t.kind.protocol == "udp" or super().hears(t)

    def hear_answers(self, t):
        try:
            data = t.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as problem:
            return self.fail(t, f"{type(problem).__name__}: {problem}")
        question, _, pairing = data.rpartition(b"|")
        number = next((n for n in t.unanswered if question == message(t.number, CLIENT, n)), None)
        if number is None:
            return self.fail(t, f"an answer to no question: {data[:60]!r}")
        t.unanswered.discard(number)
        if t.pairing not in (None, pairing):
            return self.fail(t, f"goes to another pod or from another port: {pairing}, before it was {t.pairing}")
        t.pairing = pairing
        t.heard += 1
        self.note(t)


class Pods(Crowd):
    side = POD

    def __init__(self, control, namespaces):
        super().__init__(control)
        for name, namespace in namespaces.items():
            enter(namespace)
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("0.0.0.0", PORT))
            listening.listen(1024)
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            datagrams.bind(("0.0.0.0", PORT))
            for made, call in ((listening, self.on_connection), (datagrams, self.on_datagram)):
                made.setblocking(False)
                self.add(made, select.EPOLLIN, lambda events, made=made, call=call, name=name: call(made, name))
        self.nameless = {}  # descriptor -> connections that have not said their number

    def on_connection(self, listening, name):
        try:
            made, _ = listening.accept()
        except BlockingIOError:
            return
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        t = Tunnel(made)
        self.nameless[made.fileno()] = t
        self.add(made, select.EPOLLIN, lambda events: self.hear(t))

    def on_datagram(self, datagrams, name):
        data, peer = datagrams.recvfrom(65536)
        try:
            datagrams.sendto(data + f"|{name} {peer[0]} {peer[1]}".encode(), peer)
        except OSError:
            pass

    def fail(self, t, what):
        if t.number is None:  # went away before it said who it is
            self.nameless.pop(t.socket.fileno(), None)
            return self.leave(t, "failed")
        super().fail(t, what)

    def handshake(self, t, data):
        if t.state != "new":
            return data
        web = data.startswith(b"GET ")
        head, found, rest = data.partition(b"\r\n\r\n" if web else b"\n")
        if not found:
            t.rest = data
            return data
        words = head.split(b"\r\n")[0].split()
        number, kind = (int(w) for w in (words[1].split(b"/")[2:4] if web else words[1:3]))
        self.nameless.pop(t.socket.fileno(), None)
        t.number, t.kind = number, KINDS[NAMES[kind]]
        if number in self.tunnels or number in self.forgotten:
            if number in self.tunnels:
                self.errors.setdefault(number, f"{t.kind.name}, {self.phase.name}: came a second time")
            self.drop(t.socket)
            t.state = "failed"
            return rest
        self.tunnels[number] = t
        t.state = "open"
        if web:
            self.send(t, ACCEPT)
        if not t.kind.silent:
            self.start_speaking(t)
        return rest

    def on_end_of_stream(self, t):
        if t.state == "ending":
            return self.leave(t, "ended")
        self.fail(t, "the connection was ended")

    def on_last_message(self, t):
        t.speaks, t.state = False, "ending"
        self.send(t, last_message(POD, t.sent))


if __name__ == "__main__":
    {"clients": Clients, "pods": Pods}[sys.argv[1]](sys.argv[2], dict(word.split("=") for word in sys.argv[3:])).run()
