# SPDX-License-Identifier: Apache-2.0
"""A hawser that runs for one test, and what talks to it."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
HAWSER = pathlib.Path(os.environ.get("HAWSER_BIN_DIR", REPO / "build" / "bin")) / "hawser"
SITE = REPO / "tests" / "e2e" / "site"


def hawser(*arguments, seconds=20):
    """Runs a command that ends by itself."""
    return subprocess.run([str(HAWSER), *map(str, arguments)], capture_output=True, text=True, timeout=seconds)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        try:
            value = condition()
            if value:
                return value
        except OSError:
            pass
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)


def replace(path, text):
    """As editors do: a new file takes the old one's name."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.replace(fresh, path)


class Daemon:
    def __init__(self, directory, *arguments, drain="3", state=None, **more):
        self.output = directory / "stdout"
        self.log = directory / "stderr"
        command = [str(HAWSER), "run", "--admin", "127.0.0.1:0", "--workers", "1", "--state", str(directory / "state") if state is None else state,
                   "--drain-timeout", drain, "--splice", "off"]
        with open(self.output, "wb") as out, open(self.log, "wb") as err:
            self.process = subprocess.Popen([*command, *map(str, arguments)], stdout=out, stderr=err, **more)

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log.read_text()}"
            return "ready\n" in self.output.read_text()

        wait_for(ready, "the daemon to be ready")
        return self

    @property
    def admin(self):
        first = self.output.read_text().splitlines()[0]
        assert first.startswith("admin http://"), first
        return first.removeprefix("admin http://").rstrip("/")

    def ask(self, path, method="GET", headers=None):
        connection = http.client.HTTPConnection(self.admin, timeout=10)
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, json.loads(body) if answer.headers["Content-Type"] == "application/json" else body

    def metric(self, line):
        return next(float(l.rsplit(" ", 1)[1]) for l in self.ask("/metrics")[1].splitlines() if l.startswith(line + " "))

    def command(self, *arguments):
        return hawser(*arguments, "--admin", self.admin)

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.process.returncode


class EchoPod(threading.Thread):
    """Answers every upgrade with 101 and returns each byte."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @staticmethod
    def serve(client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(4096)
                if not piece:
                    return
                head += piece
            key = next(l.split(b":", 1)[1].strip() for l in head.split(b"\r\n") if l.lower().startswith(b"sec-websocket-key:"))
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Accept: " + accept(key) + b"\r\n\r\n")
            try:
                while piece := client.recv(4096):
                    client.sendall(piece)
            except OSError:
                pass

    def close(self):
        self.server.close()


def accept(key):
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def open_tunnel(port):
    client = socket.create_connection(("127.0.0.1", port), 10)
    client.sendall(b"GET /ws HTTP/1.1\r\nHost: chat.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        piece = client.recv(1)
        assert piece, head
        head += piece
    assert head.startswith(b"HTTP/1.1 101 "), head
    return client


def echo(client, data):
    client.sendall(data)
    back = b""
    while len(back) < len(data):
        piece = client.recv(4096)
        assert piece, "the tunnel ended"
        back += piece
    assert back == data
