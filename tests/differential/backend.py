# SPDX-License-Identifier: Apache-2.0
"""Backends that record exactly the bytes they get and answer exactly the bytes that a row tells them to."""

import collections
import dataclasses
import hashlib
import base64
import socket
import struct
import threading
import time

PATIENCE = 5.0  # seconds: nothing in a row may take longer


@dataclasses.dataclass
class Sleep:
    seconds: float


class _Word(str):
    __slots__ = ()


CLOSE = _Word("close")  # orderly close of the connection, after what was sent
RESET = _Word("reset")  # RST
HOLD = _Word("hold")  # wait until the row is over on the client's side
ECHO = _Word("echo")  # after a 101: send back what arrives, until the end of the stream
SWALLOW = _Word("swallow")  # after a 101: read until the end of the stream, record it as `tail`
BODY = _Word("body")  # read the request's body now (else it is read before the first word of the answer)
EARLY = _Word("early")  # do not read the request's body before answering
DEFAULT = _Word("default")  # the ordinary answer


@dataclasses.dataclass
class Recorded:
    backend: str
    reused: bool
    raw_head: bytes
    body: bytes = b""
    framing: str = "none"
    tail: bytes = b""

    @property
    def request_line(self):
        return self.raw_head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def fields(self):
        lines = self.raw_head.decode("latin-1").split("\r\n")[1:]
        return [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines if line]

    def field(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


class Backends:
    """Several listening addresses, one script: the n-th request that arrives anywhere gets the n-th answer."""

    def __init__(self, names, host="127.0.0.1"):
        self.ports = {}
        self._lock = threading.Condition()
        self._script = collections.deque()
        self._records = []
        self._busy = 0
        self._release = threading.Event()
        self._listeners = []
        for name in names:
            listener = socket.create_server((host, 0), backlog=128)
            self.ports[name] = listener.getsockname()[1]
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(name, listener), daemon=True).start()

    def begin(self, script):
        with self._lock:
            self._script = collections.deque(script)
            self._records = []
            self._release = threading.Event()

    def release(self):
        self._release.set()

    def wait_for_requests(self, count, seconds=PATIENCE):
        with self._lock:
            return self._lock.wait_for(lambda: len(self._records) >= count, seconds)

    def end(self):
        """Lets everything that still holds go and returns what was recorded."""
        self._release.set()
        with self._lock:
            self._lock.wait_for(lambda: self._busy == 0, PATIENCE)
            return list(self._records)

    def close(self):
        for listener in self._listeners:
            listener.close()

    def _accept(self, name, listener):
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(name, conn), daemon=True).start()

    def _serve(self, name, conn):
        buffer = b""
        reused = False
        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    piece = conn.recv(65536)
                    if not piece:
                        return
                    buffer += piece
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                record = Recorded(name, reused, head)
                reused = True
                with self._lock:
                    self._records.append(record)
                    self._busy += 1
                    acts = self._script.popleft() if self._script else [DEFAULT]
                    release = self._release
                    self._lock.notify_all()
                try:
                    keep, buffer = self._answer(name, conn, record, buffer, acts, release)
                finally:
                    with self._lock:
                        self._busy -= 1
                        self._lock.notify_all()
                if not keep:
                    return
        except OSError:
            pass
        finally:
            conn.close()

    def _answer(self, name, conn, record, buffer, acts, release):
        conn.settimeout(PATIENCE)
        has_body = False
        if EARLY not in acts and BODY not in acts:
            buffer = self._read_body(conn, record, buffer)
            has_body = True
        keep = "close" not in ",".join(record.field("Connection")).lower() and record.request_line.endswith("/1.1")
        for act in acts:
            if isinstance(act, Sleep):
                time.sleep(act.seconds)
            elif act is CLOSE:
                return False, b""
            elif act is RESET:
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return False, b""
            elif act is HOLD:
                release.wait(PATIENCE)
            elif act is BODY:
                buffer = self._read_body(conn, record, buffer)
                has_body = True
            elif act is EARLY:
                pass
            elif act is DEFAULT:
                conn.sendall(default_answer(name, record, keep))
            elif act in (ECHO, SWALLOW):
                self._stream(conn, record, buffer, act is ECHO)
                return False, b""
            elif callable(act):
                conn.sendall(act(record))
            else:
                conn.sendall(act)
        if not has_body:
            keep = False
        conn.settimeout(None)
        return keep, buffer

    @staticmethod
    def _stream(conn, record, buffer, echo):
        piece = buffer
        while True:
            record.tail += piece
            if echo and piece:
                conn.sendall(piece)
            piece = conn.recv(65536)
            if not piece:
                return

    @staticmethod
    def _read_body(conn, record, buffer):
        def need(condition):
            nonlocal buffer
            while not condition():
                piece = conn.recv(65536)
                if not piece:
                    raise ConnectionError("the request's body ended early")
                buffer += piece

        if "chunked" in ",".join(record.field("Transfer-Encoding")).lower():
            record.framing = "chunked"
            while True:
                need(lambda: b"\r\n" in buffer)
                line, buffer = buffer.split(b"\r\n", 1)
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    while True:
                        need(lambda: b"\r\n" in buffer)
                        line, buffer = buffer.split(b"\r\n", 1)
                        if not line:
                            return buffer
                need(lambda: len(buffer) >= size + 2)
                record.body += buffer[:size]
                buffer = buffer[size + 2 :]
        length = record.field("Content-Length")
        if length:
            size = int(length[0])
            record.framing = "length"
            try:
                need(lambda: len(buffer) >= size)
            except (ConnectionError, OSError):
                record.body = buffer
                record.framing = "cut"
                raise
            record.body, buffer = buffer[:size], buffer[size:]
        return buffer


def default_answer(name, record, keep):
    body = f"{name} {record.request_line} {len(record.body)}\n".encode("latin-1")
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nX-Backend: {name}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    ).encode()
    return head if record.request_line.startswith("HEAD ") else head + body


def switch(record):
    """A right 101 for the WebSocket handshake of this request."""
    key = (record.field("Sec-WebSocket-Key") or [""])[0]
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_of(key)}\r\n\r\n"
    ).encode()
