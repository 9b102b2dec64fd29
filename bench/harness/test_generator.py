# SPDX-License-Identifier: Apache-2.0
"""The load generator against its own endpoint, and against a middle that does wrong: it has to notice."""

import os
import socket
import threading
from pathlib import Path

import pytest

from .generator import Generator
from .topology import Loopback

PROGRAM = Path(os.environ.get("HAWSER_BENCH", Path(
    os.environ.get("HAWSER_BIN_DIR", Path(__file__).resolve().parents[2] / "build" / "bin")) / "hawser-bench"))

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built")


@pytest.fixture(scope="module")
def generator():
    with Loopback() as place:
        made = Generator(place, PROGRAM)
        made.serve()
        yield made


class Middle:
    """Passes connections on to `target`; `change` sees what comes back from it and returns what to pass on."""

    def __init__(self, target, change):
        self._target = (target.split(":")[0], int(target.split(":")[1]))
        self._change = change
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            endpoint = socket.create_connection(self._target)
            threading.Thread(target=self._pass, args=(client, endpoint, lambda data: data), daemon=True).start()
            threading.Thread(target=self._pass, args=(endpoint, client, self._change), daemon=True).start()

    @staticmethod
    def _pass(source, sink, change):
        try:
            while data := source.recv(65536):
                if (data := change(data)) is None:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()


@pytest.mark.parametrize("mode, connections, size", [
    ("echo", 1, 0), ("echo", 64, 64), ("echo", 3, 125), ("echo", 3, 126), ("echo", 2, 65536), ("echo", 2, 1_000_000),
    ("up", 3, 64), ("up", 2, 1 << 20), ("down", 3, 64), ("down", 2, 1 << 20), ("handshake", 16, 64)])
def test_every_byte_of_every_mode_is_right_without_a_proxy(generator, mode, connections, size):
    report = generator.load(mode, generator.pod, connections=connections, size=size, seconds=0.15, warmup=0.05,
                            verify=True)
    assert report["errors"] == {}
    assert report["messages"] > 0
    if mode in ("echo", "handshake", "up"):
        assert report["bytes"] == report["messages"] * size


def test_threads_share_the_tunnels(generator):
    report = generator.load("echo", generator.pod, connections=5, threads=2, size=64, seconds=0.1, warmup=0)
    assert report["opened"] == 5
    assert report["errors"] == {}


def test_idle_tunnels_are_counted_alive_at_the_end(generator):
    seen = []
    report = generator.load("idle", generator.pod, seen.append, connections=300, size=64)
    assert seen == ["ready"]
    assert (report["opened"], report["alive"], report["errors"]) == (300, 300, {})


def test_events_frame_the_measurement(generator):
    seen = []
    generator.load("echo", generator.pod, seen.append, connections=1, size=64, seconds=0.05, warmup=0)
    assert seen == ["begin", "end"]


def test_a_load_that_holds_begins_when_it_is_let_go(generator):
    seen = []
    report = generator.load("echo", generator.pod, seen.append, connections=5, size=64, seconds=0.05, warmup=0, hold=True)
    assert seen == ["ready", "begin", "end"]
    assert (report["opened"], report["errors"]) == (5, {})


def test_connects_are_counted_and_leave_nothing_behind(generator):
    report = generator.load("connect", generator.pod, connections=2, seconds=0.2, warmup=0)
    assert report["errors"] == {}
    assert report["messages"] > 0
    assert report["latency_us"]["p50"] > 0


def test_connects_are_spread_over_the_addresses_from_the_target_on():
    listeners = [socket.create_server(("127.1.0.1", 0), backlog=1000)]
    port = listeners[0].getsockname()[1]
    listeners += [socket.create_server((f"127.1.0.{n}", port), backlog=1000) for n in (2, 3)]
    with Loopback() as place:
        report = Generator(place, PROGRAM).load("connect", f"127.1.0.1:{port}", connections=1, seconds=0.1, warmup=0,
                                                spread=3)
    assert report["errors"] == {}
    for listener in listeners:
        listener.settimeout(5)
        listener.accept()[0].close()
        listener.close()


def flip_last_byte(data):
    return data if data.startswith(b"HTTP/") else data[:-1] + bytes([data[-1] ^ 1])


def test_a_flipped_byte_is_noticed(generator):
    with Middle(generator.pod, flip_last_byte) as middle:
        report = generator.load("echo", middle.target, connections=2, size=64, seconds=0.2, warmup=0, verify=True)
    assert report["errors"] == {"a message came back changed": 2}


def test_a_broken_tunnel_is_noticed(generator):
    with Middle(generator.pod, lambda data: data if data.startswith(b"HTTP/") else None) as middle:
        report = generator.load("echo", middle.target, connections=2, size=64, seconds=0.2, warmup=0)
    assert sum(report["errors"].values()) == 2
    assert report["messages"] == 0


def test_a_proxy_that_answers_otherwise_is_named_with_its_status_line(generator):
    refusal = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
    with Middle(generator.pod, lambda data: refusal) as middle:
        report = generator.load("echo", middle.target, connections=1, size=64, seconds=0.1, warmup=0)
    assert report["errors"] == {"the answer is not HTTP/1.1 101 (HTTP/1.1 502 Bad Gateway)": 1}


def test_a_forged_accept_is_noticed(generator):
    def forge(data):
        return data.replace(b"Accept: ", b"Accept: A")
    with Middle(generator.pod, forge) as middle:
        report = generator.load("echo", middle.target, connections=1, size=64, seconds=0.1, warmup=0)
    assert "the 101 has a wrong Sec-WebSocket-Accept (HTTP/1.1 101 Switching Protocols)" in report["errors"]


def test_nobody_listening_is_an_error_for_each_tunnel(generator):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        target = f"127.0.0.1:{unused.getsockname()[1]}"
    report = generator.load("echo", target, connections=3, size=64, seconds=0.1, warmup=0)
    assert report["errors"] == {"connect: Connection refused": 3}
