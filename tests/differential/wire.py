# SPDX-License-Identifier: Apache-2.0
"""A client that sends bytes exactly as given and reads answers without opinions of its own."""

import dataclasses
import socket

PATIENCE = 5.0


@dataclasses.dataclass
class Answer:
    version: str
    status: int
    reason: str
    fields: list
    body: bytes = b""
    framing: str = "none"
    complete: bool = True

    def values(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def says_close(self):
        tokens = [t.strip().lower() for v in self.values("Connection") for t in v.split(",")]
        if "close" in tokens:
            return True
        return self.version in ("0.9", "1.0") and "keep-alive" not in tokens


class Client:
    def __init__(self, address, source=None, patience=PATIENCE):
        """address: where to connect, or a socket that is connected."""
        self.socket = (
            address
            if isinstance(address, socket.socket)
            else socket.create_connection(address, patience, (source, 0) if source else None)
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(patience)
        self.buffer = b""
        self.ended = False

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer may still be there to read

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def _fill(self):
        if self.ended:
            return False
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            self.ended = True
            return False
        self.buffer += piece
        return True

    def take(self, size):
        while len(self.buffer) < size and self._fill():
            pass
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def rest(self):
        while self._fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def answer(self, head_only=False):
        """The next answer, 1xx included; None when the connection ended without one."""
        while not self.buffer and self._fill():
            pass
        if not self.buffer:
            return None
        while len(self.buffer) < 5 and self._fill():
            pass
        if not self.buffer.startswith(b"HTTP/"):
            return Answer("0.9", 200, "", [], self.rest(), "close")
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill():
                raise AssertionError(f"the answer's head was cut: {self.buffer!r}")
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        version, status, *reason = lines[0].split(" ", 2)
        fields = []
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
        answer = Answer(version[5:], int(status), reason[0] if reason else "", fields)
        if not head_only and answer.status >= 200 and answer.status not in (204, 304):
            self._body(answer)
        return answer

    def _body(self, answer):
        if "chunked" in ",".join(answer.values("Transfer-Encoding")).lower():
            answer.framing = "chunked"
            while True:
                line = self._line()
                if line is None:
                    answer.complete = False
                    return
                size = int(line.split(b";")[0], 16)
                if size == 0:
                    while True:
                        line = self._line()
                        if not line:
                            answer.complete = line is not None
                            return
                        answer.fields.append(("trailer:" + line.split(b":")[0].decode(), line.split(b":", 1)[1].strip().decode()))
                piece = self.take(size + 2)
                answer.body += piece[:size]
                if len(piece) < size + 2:
                    answer.complete = False
                    return
        length = answer.values("Content-Length")
        if length:
            answer.framing = "length"
            answer.body = self.take(int(length[0]))
            answer.complete = len(answer.body) == int(length[0])
        else:
            answer.framing = "close"
            answer.body = self.rest()

    def _line(self):
        while b"\r\n" not in self.buffer:
            if not self._fill():
                return None
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def fate(self, expect_close):
        """'closed' or 'kept'. What says it closes gets time to do so; what does not is looked at briefly."""
        if self.buffer:
            return f"more bytes: {self.buffer[:200]!r}"
        if self.ended:
            return "closed"
        self.socket.settimeout(PATIENCE if expect_close else 0.08)
        try:
            more = self._fill()
        except TimeoutError:
            return "kept"
        return f"more bytes: {self.buffer[:200]!r}" if more else "closed"


def request(method, target, *fields, host="a.test", version="1.1", body=b""):
    """The bytes of a request. Fields are lines; host=None leaves Host out."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += fields
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def get(target, *fields, **more):
    return request("GET", target, *fields, **more)


def post(target, body, *fields, **more):
    return request("POST", target, f"Content-Length: {len(body)}", *fields, body=body, **more)
