# SPDX-License-Identifier: Apache-2.0
"""hawser-im and nats-server as processes, and a client of the protocol in docs/im-protocol.md."""
import asyncio
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import zlib

import websockets

ROOT = pathlib.Path(__file__).parents[2]
BINARY = pathlib.Path(os.environ.get("HAWSER_BIN_DIR", ROOT / "build" / "bin")) / "hawser-im"
DEADLINE = 15


def until(condition, what, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"did not happen within {deadline} s: {what}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Service:
    """One replica. `keep`: the same port and data after restart()."""

    numbers = itertools.count()

    def __init__(self, directory, *arguments, ready=True, data=True):
        self.number = next(self.numbers)
        self.log_path = directory / f"im-{self.number}.log"
        self.arguments = ["--demo", "--name", f"pod-{self.number}", *arguments]
        if data:
            self.arguments += ["--data", str(directory / f"im-{self.number}.db")]
        self.port = 0
        self.process = None
        self.start(ready)

    def start(self, ready=True):
        self.process = subprocess.Popen(
            [BINARY, "--listen", f"127.0.0.1:{self.port}", *self.arguments],
            stdout=subprocess.PIPE, stderr=self.log_path.open("ab"), text=True)
        line = self.process.stdout.readline()
        assert line.startswith("hawser-im listening on "), self.log()
        self.port = int(line.rsplit(":", 1)[1])
        if ready:
            self.until_ready()

    def until_ready(self, wanted=200):
        until(lambda: self.http("GET", "/readyz")[0] == wanted, f"/readyz says {wanted}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def log(self):
        return self.log_path.read_text()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/ws"

    def http(self, method, path, body=None, token=None, headers=None):
        """(status, headers, body), the body decoded if it is JSON."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers=headers or {})
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as response:
                status, fields, text = response.status, response.headers, response.read().decode()
        except urllib.error.HTTPError as error:
            status, fields, text = error.code, error.headers, error.read().decode()
        if fields.get_content_type() == "application/json" and text:
            text = json.loads(text)
        return status, fields, text

    def token(self, name):
        status, _, body = self.http("POST", "/api/v1/token", {"name": name})
        assert status == 200, body
        return body["token"]


class Nats:
    def __init__(self, directory):
        self.port = free_port()
        self.directory = directory
        self.process = None
        self.start()

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            ["nats-server", "-js", "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self.directory)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, "nats-server listens")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()


class Client:
    """A signed-in session that keeps every frame it got."""

    def __init__(self, service, name):
        self.service = service
        self.name = name
        self.frames = []
        self.socket = None
        self.news = None
        self.reader = None

    @classmethod
    async def connect(cls, service, name, resume=None, **options):
        self = cls(service, name)
        token = await asyncio.to_thread(service.token, name)
        await self.open(token=token, resume=resume or {}, **options)
        return self

    async def open(self, token, resume, **options):
        self.news = asyncio.Condition()
        self.socket = await websockets.connect(self.service.url, **{"close_timeout": 0.5, **options})
        self.reader = asyncio.create_task(self.read())
        await self.tell(type="signin", name=self.name, token=token, resume=resume)
        self.welcome = await self.wait(lambda frame: frame["type"] in ("welcome", "error"))

    async def read(self):
        try:
            async for text in self.socket:
                await self.got(json.loads(text))
        except websockets.ConnectionClosed:
            pass
        async with self.news:
            self.news.notify_all()

    async def got(self, frame):
        async with self.news:
            self.frames.append(frame)
            self.news.notify_all()

    async def tell(self, **frame):
        await self.socket.send(json.dumps(frame))

    async def wait(self, wanted, count=1):
        """The first frame (or the first `count` frames) that `wanted` holds for."""
        found = []

        def enough():
            found[:] = [frame for frame in self.frames if wanted(frame)]
            return len(found) >= count

        async with self.news:
            await asyncio.wait_for(self.news.wait_for(enough), DEADLINE)
        return found[0] if count == 1 else found

    async def ask(self, **frame):
        ref = f"ref-{len(self.frames)}-{time.monotonic_ns()}"
        await self.tell(**frame, ref=ref)
        return await self.wait(lambda got: got.get("ref") == ref)

    async def join(self, room="general", **options):
        return await self.ask(type="join", room=room, **options)

    async def send(self, text, room="general", id=None):
        return await self.ask(type="send", room=room, id=id or f"{self.name}-{zlib.crc32(text.encode())}", text=text)

    def messages(self, room="general"):
        return [frame for frame in self.frames if frame["type"] == "message" and frame["room"] == room]

    def seqs(self, room="general"):
        return [frame["seq"] for frame in self.messages(room)]

    async def closed(self):
        await asyncio.wait_for(self.reader, DEADLINE)
        return self.socket.close_code

    async def close(self):
        await self.socket.close()
        await self.reader


class Persistent:
    """A client as the chat page is one: comes back wherever it can, resumes, and sends what is not acknowledged again.

    `services`: it connects to one after the other, as if a balancer had sent it there."""

    def __init__(self, services, name, room="general"):
        self.services = services
        self.name = name
        self.room = room
        self.position = None
        self.seen = []          # (seq, from, id) in order of arrival
        self.acked = {}         # id -> seq
        self.outbox = {}        # id -> text
        self.connections = 0
        self.stopping = False
        self.socket = None

    async def run(self):
        for service in itertools.cycle(self.services):
            if self.stopping:
                return
            try:
                token = await asyncio.to_thread(service.token, self.name)
                async with websockets.connect(service.url, open_timeout=3, close_timeout=1) as self.socket:
                    self.connections += 1
                    await self.session(token)
            except (OSError, websockets.WebSocketException, asyncio.TimeoutError, AssertionError):
                await asyncio.sleep(0.05)

    async def session(self, token):
        resume = {} if self.position is None else {self.room: self.position}
        await self.socket.send(json.dumps({"type": "signin", "name": self.name, "token": token, "resume": resume}))
        async for text in self.socket:
            frame = json.loads(text)
            kind = frame["type"]
            if kind == "welcome":
                if self.position is None:
                    await self.socket.send(json.dumps({"type": "join", "room": self.room, "after": 0}))
                for id in list(self.outbox):
                    await self.post(id)
            elif kind == "message" and frame["room"] == self.room:
                self.seen.append((frame["seq"], frame["from"], frame["id"]))
                self.position = frame["seq"]
            elif kind == "ack":
                assert self.acked.setdefault(frame["id"], frame["seq"]) == frame["seq"]
                self.outbox.pop(frame["id"], None)
            elif kind == "error" and frame["code"] == "unavailable":
                return

    async def post(self, id):
        await self.socket.send(json.dumps({"type": "send", "room": self.room, "id": id, "text": self.outbox[id]}))

    async def send(self, id):
        self.outbox[id] = f"text of {id}"
        try:
            await self.post(id)
        except (AttributeError, websockets.ConnectionClosed):
            pass

    async def stop(self):
        self.stopping = True
        if self.socket:
            await self.socket.close()


def whole_history(service, room, token):
    """Every message of a room, through the REST interface."""
    out = []
    while True:
        after = out[-1]["seq"] if out else 0
        status, _, page = service.http("GET", f"/api/v1/rooms/{room}/messages?after={after}&limit=200", token=token)
        assert status == 200, page
        out += page["messages"]
        if not page["more"]:
            return out


def check_exactly_once(history, clients):
    """No hole, no duplicate in the history; every acknowledged message is there under the number of its ack; every
    client got every message once and in order."""
    assert [message["seq"] for message in history] == list(range(1, len(history) + 1))
    keys = [(message["from"], message["id"]) for message in history]
    assert len(set(keys)) == len(keys)
    by_key = {(message["from"], message["id"]): message["seq"] for message in history}
    for client in clients:
        for id, seq in client.acked.items():
            assert by_key[(client.name, id)] == seq, f"{client.name}: {id}"
        assert [seq for seq, _, _ in client.seen] == list(range(1, len(history) + 1)), client.name
        assert [(sender, id) for _, sender, id in client.seen] == keys, client.name
