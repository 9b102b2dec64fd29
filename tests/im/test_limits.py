# SPDX-License-Identifier: Apache-2.0
import asyncio
import json
import socket
import time

import pytest
import websockets
from service import Client, until


def test_a_message_that_is_too_big_closes_with_1009(start, run):
    service = start("--max-frame-bytes", "4096")

    async def talk():
        ann = await Client.connect(service, "ann")
        await ann.socket.send('{"type":"ping","x":"' + "x" * 5000 + '"}')
        assert await ann.closed() == 1009
        # Nor can it hide in deflate.
        bob = await Client.connect(service, "bob", compression="deflate")
        await bob.socket.send("x" * 1_000_000)
        assert await bob.closed() == 1009

    run(talk())


def test_a_binary_message_closes_with_1003(start, run):
    service = start()

    async def talk():
        ann = await Client.connect(service, "ann")
        await ann.socket.send(b"binary")
        assert await ann.closed() == 1003

    run(talk())


def test_too_many_requests_are_refused_then_the_session_is_closed_with_1008(start, run):
    service = start("--rate", "5", "--burst", "10", "--strikes", "30")

    async def talk():
        ann = await Client.connect(service, "ann")
        for n in range(20):
            await ann.tell(type="send", room="general", id=f"m{n}", text="spam")
        refusal = await ann.wait(lambda frame: frame["type"] == "error")
        assert refusal["code"] == "rate_limited"
        assert refusal["id"].startswith("m")
        assert 0 < refusal["retry_after_ms"] <= 200
        with pytest.raises(websockets.ConnectionClosed):
            for n in range(5000):
                await ann.tell(type="ping")
                await asyncio.sleep(0)
        assert await ann.closed() == 1008

    run(talk())


def test_who_does_not_sign_in_is_closed_with_1008(start, run):
    service = start("--auth-timeout", "0.3")

    async def talk():
        socket_ = await websockets.connect(service.url)
        await asyncio.wait_for(socket_.wait_closed(), 5)
        assert socket_.close_code == 1008

    run(talk())


def test_who_does_not_finish_the_handshake_is_cut(start):
    service = start("--handshake-timeout", "0.3")
    with socket.create_connection(("127.0.0.1", service.port), 5) as client:
        client.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        client.settimeout(5)
        assert client.recv(100) == b""


def test_who_does_not_answer_pings_is_cut(start, run):
    service = start("--idle-timeout", "0.6")
    connection = socket.create_connection(("127.0.0.1", service.port), 5)
    connection.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                       b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    connection.settimeout(10)
    got = b""
    while data := connection.recv(4096):
        got += data
    assert got.startswith(b"HTTP/1.1 101 ")
    assert b"\x89\x00" in got  # the ping


def test_connections_beyond_the_limit_get_503_and_places_come_free_again(start, run):
    service = start("--max-connections", "3")

    async def talk():
        sockets = [await websockets.connect(service.url) for _ in range(3)]
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            await websockets.connect(service.url)
        assert refused.value.status_code == 503
        for one in sockets:
            await one.close()
        await asyncio.to_thread(until, lambda: service.http("GET", "/healthz")[0] == 200, "a place is free")

    run(talk())


def test_a_reader_that_stops_is_cut_and_the_others_do_not_notice(start, run):
    service = start("--rate", "0", "--write-timeout", "1")

    async def talk():
        slow = Client(service, "slow")
        token = await asyncio.to_thread(service.token, "slow")
        # Small buffers, and a client that reads only its first frames.
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", service.port))
        slow.socket = await websockets.connect(service.url, sock=raw, max_queue=1, read_limit=1024, compression=None)
        await slow.tell(type="signin", name="slow", token=token)
        await slow.tell(type="join", room="general")
        json.loads(await slow.socket.recv())
        fast = await Client.connect(service, "fast")
        await fast.join()
        slow.socket.transport.pause_reading()
        count = 0
        cut = lambda: "it has not read for" in service.log()
        deadline = time.monotonic() + 20
        while not cut() and time.monotonic() < deadline:
            for _ in range(20):
                count += 1
                await fast.tell(type="send", room="general", id=f"f{count}", text="x" * 7000)
            await fast.wait(lambda frame: frame["type"] == "ack", count)
            await asyncio.sleep(0.01)  # what is full stays full for a second
        assert cut()
        await fast.wait(lambda frame: frame["type"] == "message", count)
        assert fast.seqs() == list(range(1, count + 1))
        slow.socket.transport.abort()

    run(talk())


def test_garbage_instead_of_http_is_answered_and_cut(start):
    service = start()
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n",
                    b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n\r\n\r\nnonsense\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", service.port), 5) as client:
            client.settimeout(5)
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(4096)
            assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert service.http("GET", "/healthz")[0] == 200
