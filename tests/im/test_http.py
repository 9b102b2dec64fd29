# SPDX-License-Identifier: Apache-2.0
import asyncio
import http.client
import signal
import subprocess

import pytest
import websockets
from service import BINARY, Client, until

KEY = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}


@pytest.mark.parametrize("headers, status, line", [
    ({**KEY}, 400, "Handshake failed due to invalid Upgrade header: null"),
    ({**KEY, "Connection": "Upgrade"}, 400, "Handshake failed due to invalid Upgrade header: null"),
    ({**KEY, "Connection": "Upgrade", "Upgrade": "h2c"}, 400, "Handshake failed due to invalid Upgrade header: h2c"),
    ({**KEY, "Connection": "Upgrade", "Upgrade": "a\x01b"}, 400, None),
    ({**KEY, "Connection": "close", "Upgrade": "websocket"}, 400,
     "Handshake failed due to invalid Connection header: close"),
    ({**KEY, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "8"}, 426,
     "Handshake failed due to unsupported WebSocket version: 8"),
    ({"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}, 400,
     'Handshake failed due to missing "Sec-WebSocket-Key"'),
])
def test_a_handshake_that_is_none_is_answered_in_words_and_logged(start, headers, status, line):
    service = start()
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.putrequest("GET", "/ws")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read().decode()
    assert response.status == status
    assert len(body) > 20
    if line:
        until(lambda: any(text.endswith(line) for text in service.log().splitlines()), line)
    if status == 400 and "Upgrade" not in headers:
        assert "the Upgrade header that arrived here is null" in body


def test_permessage_deflate_is_negotiated_and_carries_messages(start, run):
    service = start()

    async def talk():
        ann = await Client.connect(service, "ann")
        assert [type(extension).__name__ for extension in ann.socket.extensions] == ["PerMessageDeflate"]
        await ann.join()
        await ann.send("long " * 500)
        assert (await ann.wait(lambda frame: frame["type"] == "message"))["text"] == "long " * 500
        plain = await Client.connect(service, "ann", compression=None)
        assert plain.socket.extensions == []

    run(talk())


def test_the_origin_is_checked_when_asked_for(start, run):
    service = start("--origin", "https://chat.example")

    async def talk():
        for origin in ("https://chat.example", None):  # None: not a browser
            async with websockets.connect(service.url, origin=origin):
                pass
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            await websockets.connect(service.url, origin="https://evil.example")
        assert refused.value.status_code == 403

    run(talk())


def test_other_services_post_and_read_over_rest(start, run, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef\n")
    service = start("--secret-file", str(secret))
    command = [BINARY, "token", "--name", "billing", "--service", "--secret-file", str(secret)]
    token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    async def talk():
        ann = await Client.connect(service, "ann")
        await ann.join()

        def rest():
            post = lambda body, **how: service.http("POST", "/api/v1/rooms/general/messages", body, **how)[::2]
            assert post({"text": "x"})[0] == 401
            status, first = post({"text": "invoice 7 is paid", "id": "inv-7"}, token=token)
            assert (status, first["seq"], first["duplicate"]) == (201, 1, False)
            status, again = post({"text": "invoice 7 is paid", "id": "inv-7"}, token=token)
            assert (status, again["seq"], again["duplicate"]) == (200, 1, True)
            assert post({"text": "as bob", "from": "bob"}, token=token)[0] == 201
            assert post({"text": "as bob", "from": "bob"}, token=service.token("ann"))[0] == 403
            assert post({"text": ""}, token=token)[0] == 400
            status, _, page = service.http("GET", "/api/v1/rooms/general/messages?limit=1", token=token)
            assert (status, page["more"], page["messages"][0]["from"]) == (200, True, "bob")
            private = "/api/v1/rooms/dm:ann:bob/messages"
            assert service.http("GET", private, token=service.token("eve"))[0] == 403
            assert service.http("GET", private, token=token)[0] == 200
            until(lambda: service.http("GET", "/api/v1/presence", token=token)[2]["users"] ==
                  [{"name": "ann", "pod": f"pod-{service.number}"}], "ann is present")
            assert service.http("GET", "/api/v1/rooms", token=token)[2]["rooms"][0] == {"room": "general", "last": 2}

        await asyncio.to_thread(rest)
        got = await ann.wait(lambda frame: frame["type"] == "message", 2)
        assert [message["from"] for message in got] == ["billing", "bob"]

    run(talk())


def test_health_metrics_and_the_page_are_served(start):
    service = start()
    assert service.http("GET", "/healthz")[::2] == (200, "ok\n")
    assert service.http("GET", "/readyz")[::2] == (200, "ready\n")
    status, fields, page = service.http("GET", "/?name=ann")
    assert (status, fields.get_content_type()) == (200, "text/html")
    assert 'data-testid="composer-input"' in page
    for path, kind in (("/main.js", "text/javascript"), ("/chat.css", "text/css"), ("/icon.svg", "image/svg+xml")):
        status, fields, _ = service.http("GET", path)
        assert (status, fields.get_content_type()) == (200, kind)
    assert service.http("GET", "/../secret.js")[0] == 404
    assert service.http("GET", "/%2e%2e/secret.js")[0] == 404
    metrics = service.http("GET", "/metrics")[2]
    assert "hawser_im_ready 1" in metrics
    assert all(line.startswith(("#", "hawser_im_")) for line in metrics.splitlines())
    assert service.http("HEAD", "/")[0] == 200


def test_tokens_are_not_given_away_outside_of_a_demo(start, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef")
    service = start("--secret-file", str(secret), ready=False)
    service.kill()
    service.arguments.remove("--demo")
    service.start()
    assert service.http("POST", "/api/v1/token", {"name": "ann"})[0] == 403


def test_term_closes_every_client_with_1001_after_its_acks_and_exits_0(start, run):
    service = start("--rate", "0", "--drain-seconds", "0.5")

    async def talk():
        clients = [await Client.connect(service, f"user{n}") for n in range(8)]
        for client in clients:
            for n in range(20):
                await client.tell(type="send", room="general", id=f"{client.name}-{n}", text="last words")
        await clients[-1].wait(lambda frame: frame["type"] == "ack")
        service.terminate()
        await asyncio.to_thread(service.until_ready, 503)
        assert [await client.closed() for client in clients] == [1001] * 8
        for client in clients:
            acks = [frame["seq"] for frame in client.frames if frame["type"] == "ack"]
            assert len(acks) == len(set(acks))

    run(talk())
    assert service.process.wait(10) == 0
    service.start()
    history = service.http("GET", "/api/v1/rooms/general/messages?limit=200", token=service.token("ann"))[2]
    assert [message["seq"] for message in history["messages"]] == list(range(1, len(history["messages"]) + 1))


def test_a_second_process_on_the_same_file_is_refused(start, tmp_path):
    service = start()
    again = subprocess.run([BINARY, "--listen", "127.0.0.1:0", *service.arguments], capture_output=True, text=True)
    assert again.returncode == 1
    assert "is another hawser-im using this file?" in again.stderr
