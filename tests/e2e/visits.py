# SPDX-License-Identifier: Apache-2.0
"""What clients of the lab do."""

import time

import wire

SITE = "websocket.bbotte.com"
NODE_A, NODE_B, EXTERNAL = "192.168.0.100", "192.168.0.101", "192.168.0.150"
ASK = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def open_client(lab, address, host="client", source=None, timeout=5.0):
    return wire.Client(lab.connect(host, address, timeout, source))


def pod_of(lab, address, host="client", source=None):
    """The pod that a plain TCP connection reaches, and the client's address as the pod sees it."""
    client = open_client(lab, address, host, source)
    try:
        client.send(b"RAW\n")
        line = read_line(client)
    finally:
        client.close()
    name, seen = line.decode().split()
    return name, seen


def read_line(client):
    while b"\n" not in client.buffer:
        assert client._fill(), f"ended after {client.buffer!r}"
    line, client.buffer = client.buffer.split(b"\n", 1)
    return line


def fetch(lab, address, *fields, path="/", host="client", name=SITE, source=None, version="1.1"):
    client = open_client(lab, address, host, source)
    try:
        client.send(wire.get(path, *fields, host=name, version=version))
        return client.answer()
    finally:
        client.close()


def upgrade(lab, address, path="/echo", host="client", name=SITE, source=None, fields=ASK):
    """A client whose handshake was accepted."""
    client = open_client(lab, address, host, source)
    client.send(wire.get(path, *fields, host=name))
    answer = client.answer()
    assert answer is not None, "closed instead of an answer"
    assert answer.status == 101, (answer.status, answer.body)
    assert answer.values("Sec-WebSocket-Accept") == [ACCEPT]
    client.handshake = answer
    return client


def talk(client, data):
    client.send(data)
    heard = client.take(len(data))
    assert heard == data, (heard[:100], data[:100])


def ended(client, seconds=5.0):
    """'fin' or 'reset', within the time."""
    client.socket.settimeout(seconds)
    while True:
        try:
            piece = client.socket.recv(65536)
        except ConnectionResetError:
            return "reset"
        except TimeoutError:
            raise AssertionError(f"still open after {seconds} s") from None
        if not piece:
            return "fin"


def wait(condition, seconds=5.0, what="the condition"):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)
