# SPDX-License-Identifier: Apache-2.0
"""Clients that others wrote talk through tunnels in the kernel: Chromium, python3-websockets, Node's ws and curl."""

import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest
import websockets

TESTS = pathlib.Path(__file__).resolve().parents[1]
# Behind the folders of the other tests, some of whose names are in these too.
sys.path += [str(TESTS / folder) for folder in ("browser", "control", "im", "e2e/clients")]

import chromium
import site_programs as site
import visits
from chat import ChatPage
from counting import Counting
from test_splice import closing, tunnels, wait_spliced
from visits import NODE_A

CLIENTS = pathlib.Path(__file__).with_name("clients")
WS = pathlib.Path("/usr/share/nodejs/ws")
# What sits where: a pod of the gateway's node, one behind the other node, the chat, and what this process plays.
DEFLATE, PLAIN, CHAT, LINES = ("a2", 9081), ("b2", 9081), ("a1", 9090), ("a3", 9083)
CONF = """
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
server {
    listen 80;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Host $http_host;
    location / { proxy_pass http://CHAT; }
    location /deflate/ { proxy_pass http://DEFLATE; }
    location /plain/ { proxy_pass http://PLAIN; }
    location /lines { proxy_pass http://LINES; }
}
"""


@pytest.fixture(scope="module")
def directory():
    with tempfile.TemporaryDirectory(prefix="hawser-clients-", ignore_cleanup_errors=True) as made:
        yield pathlib.Path(made)


@pytest.fixture(scope="module")
def servers(lab, directory):
    """What is behind the gateway, by other programs than hawser."""
    commands = {
        DEFLATE: ["/usr/bin/python3", CLIENTS / "server.py", DEFLATE[1], "deflate"],
        PLAIN: ["/usr/bin/python3", CLIENTS / "server.py", PLAIN[1], "plain"],
        CHAT: [site.BIN / "hawser-im", "--demo", "--listen", f"0.0.0.0:{CHAT[1]}", "--data", directory / "im.db"],
    }
    started = {pod: lab.spawn(pod[0], command, log=f"clients-{pod[0]}.log") for pod, command in commands.items()}
    try:
        for pod, port in commands:
            site.wait_for_port(lab, lab.pods[pod][1], lab.address(pod), port)
        yield started
    finally:
        for process in started.values():
            process.kill()
            process.wait()


class Gateway:
    """hawser on node a, again and again."""

    def __init__(self, lab, conf):
        self.lab, self.conf = lab, conf
        self.hawser = None
        self.numbers = itertools.count(1)

    def start(self):
        # A log for each: after a restart numbers of tunnels that had ended may come again.
        self.hawser = site.Hawser(self.lab, "a", [], [self.conf], log=f"clients-hawser-{next(self.numbers)}.log")
        self.hawser.wait_ready()

    def kill(self):
        self.hawser.stop(signal.SIGKILL)

    def id(self):
        """Of the one tunnel, which is the kernel's."""
        [tunnel] = wait_spliced(self.hawser, 1)
        return tunnel["id"]

    def until_empty(self):
        visits.wait(lambda: tunnels(self.hawser) == [], what="no tunnel is left")


@pytest.fixture(scope="module")
def one_gateway(lab, directory):
    text = CONF
    for name, (pod, port) in (("DEFLATE", DEFLATE), ("PLAIN", PLAIN), ("CHAT", CHAT), ("LINES", LINES)):
        text = text.replace(f"//{name};", f"//{lab.address(pod)}:{port};")
    conf = directory / "nginx.conf"
    conf.write_text(text)
    made = Gateway(lab, conf)
    try:
        made.start()
        yield made
    finally:
        made.hawser.stop()
        made.hawser.remove_splice()


@pytest.fixture
def gateway(one_gateway, servers):
    if one_gateway.hawser.process.poll() is not None:
        one_gateway.start()  # a test failed between its kill and its start
    yield one_gateway
    for tunnel in tunnels(one_gateway.hawser):
        one_gateway.lab.run("a", [site.BIN / "hawser", "kill", "tunnel", tunnel["id"]], check=False)
    one_gateway.until_empty()


def need(reason):
    if reason:
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def one_browser(lab):
    need(chromium.why_not())
    with tempfile.TemporaryDirectory(prefix="hawser-browser-", ignore_cleanup_errors=True) as directory:
        browser = chromium.Chromium(pathlib.Path(directory), lab.command("client", []), [NODE_A])
        yield browser
        browser.close()


@pytest.fixture
def browser(one_browser):
    yield one_browser
    pages = list(one_browser.pages.values())
    thrown = [complaint for page in pages for complaint in page.thrown]
    for page in pages:
        page.close()
    assert not thrown, thrown


# ---- the talk of clients/, by each of them


class Script:
    """A client that is a program: says `open`, waits for a line, talks, and says how it ended."""

    def __init__(self, lab, command, path, closer):
        self.process = subprocess.Popen(lab.command("client", [*command, f"ws://{NODE_A}{path}", closer]), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.process.stdout.readline() != "open\n":
            raise AssertionError(self.process.communicate(timeout=20)[1])

    def talk(self):
        said, complaint = self.process.communicate("go\n", timeout=30)
        assert self.process.returncode == 0, complaint
        return json.loads(said)

    def close(self):
        self.process.kill()
        self.process.communicate()


class Tab:
    """The page of clients/ in the browser."""

    def __init__(self, browser, path, closer=None):
        self.closer = closer
        self.page = browser.open(f"http://{NODE_A}{path.rpartition('/')[0]}/talk.html")
        self.page.eval(f"come({json.dumps(path)})")

    def talk(self):
        told = self.page.eval(f"talk({json.dumps(self.closer)})")
        assert told.pop("clean") is True
        return told

    def close(self):
        pass  # the browser's fixture does


@pytest.fixture(params=["python", "node", "chromium"])
def client(request, lab):
    made = []

    def start(path, closer):
        if request.param == "chromium":
            made.append(Tab(request.getfixturevalue("browser"), path, closer))
        else:
            command = ["/usr/bin/python3", CLIENTS / "talk.py"]
            if request.param == "node":
                need(None if WS.exists() and shutil.which("node") else "no ws for Node: apt-get install node-ws")
                command = ["node", CLIENTS / "talk.cjs"]
            made.append(Script(lab, command, path, closer))
        return made[-1]

    start.name = request.param
    yield start
    for one in made:
        one.close()


def report(servers, pod, path):
    """What the server says of that connection."""
    found = lambda: [l for l in servers[pod].log.read_text().splitlines() if f'"path": "{path}"' in l]  # noqa: E731
    [line] = visits.wait(found, what=f"the server's line on {path}")
    return json.loads(line)


@pytest.mark.parametrize("closer", ["client", "endpoint"])
@pytest.mark.parametrize("pod", [DEFLATE, PLAIN], ids=["deflate", "plain"])
def test_a_client_of_others_talks_through_the_kernel(gateway, servers, client, pod, closer):
    """Small, large, fragmented, binary and empty messages, pings of both ends, and a Close that both ends hear."""
    deflate = pod is DEFLATE
    path = f"/{'deflate' if deflate else 'plain'}/{client.name}-{closer}"
    one = client(path, closer)
    number = gateway.id()
    told = one.talk()
    code, reason = (4001, "the client is done") if closer == "client" else (4002, "the endpoint is done")
    assert told == {"code": code, "reason": reason, "deflate": deflate}
    seen = report(servers, pod, path)
    assert (seen["code"], seen["reason"]) == (code, reason)
    assert seen["extensions"] == (["permessage-deflate"] if deflate else [])
    assert seen["heard"] > 1 << 20 and seen["said"] > 1 << 20
    line = closing(gateway.hawser, number)
    assert (line["bytes_in"], line["bytes_out"]) == (str(seen["heard"]), str(seen["said"]))
    assert line["reason"] == "finished"
    if client.name != "node":  # ws ends its side as soon as both have sent a Close; the others leave that to the server
        assert line["closed_by"] == "endpoint"


def test_the_page_of_a_browser_stays_open_over_kill_9_and_a_restart(gateway, servers, browser):
    tab = Tab(browser, "/deflate/kill-9")
    number = gateway.id()
    page = tab.page
    page.eval("void (window.end = keepTalking())")

    def until_more(what, count=50):
        before = page.eval("count.heard")
        page.until(f"count.heard >= {before + count}", what)

    until_more("the page talks")
    gateway.kill()
    until_more("the page talks while there is no hawser")
    gateway.start()
    assert gateway.id() == number
    until_more("the page talks after the restart")
    page.eval("window.enough = true")
    assert page.eval("end") == {"code": 4001, "reason": "the client is done", "clean": True, "deflate": True}
    sent, heard, longest = (page.eval(f"count.{name}") for name in ("sent", "heard", "longest"))
    assert sent == heard >= 150 and longest < 1000, (sent, heard, longest)
    seen, line = report(servers, DEFLATE, "/deflate/kill-9"), closing(gateway.hawser, number)
    assert (line["bytes_in"], line["bytes_out"]) == (str(seen["heard"]), str(seen["said"]))
    assert line["reason"] == "finished"


# ---- the chat


class Door:
    def url(self, name):
        return f"http://{NODE_A}/?name={name}&room=general"


def test_two_chat_pages_do_not_notice_kill_9_and_a_restart(gateway, browser):
    ann, bob = (ChatPage(browser, Door(), name) for name in ("ann", "bob"))
    for person in (ann, bob):
        person.until_people(2)
    before = {t["id"] for t in wait_spliced(gateway.hawser, 2)}
    said = []

    def converse(when):
        for person in (ann, bob):
            said.append(f"{person.name}, {when}")
            person.send(said[-1])
            for other in (ann, bob):
                other.until_texts(said)

    converse("in the kernel")
    gateway.kill()
    converse("while there is no hawser")
    converse("still without hawser")
    gateway.start()
    converse("after the restart")
    assert {t["id"] for t in wait_spliced(gateway.hawser, 2)} == before
    for person in (ann, bob):
        assert "waiting" not in {state for state, _ in person.told}
        person.page.click("[data-testid=signout]")
    for number in before:
        line = closing(gateway.hawser, number)
        assert (line["reason"], line["proto"]) == ("finished", "websocket")


class Heard(Counting, websockets.WebSocketClientProtocol):
    pass


@pytest.mark.parametrize("compression", ["deflate", None])
def test_the_chat_service_closes_with_code_and_reason(lab, gateway, compression):
    """It inflates and deflates, answers pings, and does not like binary messages."""

    async def visit():
        socket = await websockets.connect(f"ws://{NODE_A}/ws", sock=lab.connect("client", (NODE_A, 80)), compression=compression,
                                          create_protocol=Heard, ping_interval=None)
        assert bool(socket.extensions) == (compression is not None)
        heads = socket.heard, socket.said
        number = await asyncio.to_thread(gateway.id)
        text = json.dumps({"type": "ping", "padding": "the same words again " * 500})
        for message in (text, [text[:5000], text[5000:5001], text[5001:]]):
            await socket.send(message)
            assert json.loads(await asyncio.wait_for(socket.recv(), 5))["type"] == "pong"
        await asyncio.wait_for(await socket.ping(b"from the client"), 5)
        await socket.send(b"not a text")
        await asyncio.wait_for(socket.wait_closed(), 5)
        return number, socket, socket.heard - heads[0], socket.said - heads[1]

    number, socket, heard, said = asyncio.run(visit())
    assert socket.close_code == 1003 and socket.close_reason, (socket.close_code, socket.close_reason)
    line = closing(gateway.hawser, number)
    assert (line["bytes_in"], line["bytes_out"]) == (str(said), str(heard))
    assert (said < 10_000) == (compression is not None)


# ---- curl, whose stream is no WebSocket


@pytest.fixture
def lines(lab):
    """The other end of curl's stream: a connection whose upgrade to `lines` was accepted."""
    listening = lab.listen(*LINES)
    listening.settimeout(5)
    made = []

    def accept():
        made.append(listening.accept()[0])
        made[-1].settimeout(5)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += made[-1].recv(1)
        assert b"\r\nupgrade: lines\r\n" in head.lower(), head
        made[-1].sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\nline 0\n")
        return made[-1]

    yield accept
    for one in (*made, listening):
        one.close()


@contextlib.contextmanager
def curl(lab, *words):
    process = subprocess.Popen(lab.command("client", ["curl", "-sS", "-N", "--max-time", 30, *words]),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_curl_reads_a_long_stream_over_kill_9_and_a_restart(lab, gateway, lines):
    with curl(lab, f"http://{NODE_A}/lines", "-H", "Connection: Upgrade", "-H", "Upgrade: lines") as process:
        endpoint = lines()
        assert process.stdout.readline() == b"line 0\n"
        number = gateway.id()
        for at in range(1, 61):
            endpoint.sendall(b"line %d\n" % at)
            assert process.stdout.readline() == b"line %d\n" % at
            if at == 20:
                gateway.kill()
            if at == 40:
                gateway.start()
        rest = os.urandom(1 << 20)
        endpoint.sendall(rest)
        endpoint.close()
        heard, complaint = process.communicate(timeout=10)
        assert (process.returncode, complaint) == (0, b"")
        assert heard == rest
    line = closing(gateway.hawser, number)
    sent = sum(len(f"line {at}\n") for at in range(61)) + len(rest)
    assert (line["proto"], line["bytes_in"], line["bytes_out"]) == ("lines", "0", str(sent))
    assert (line["closed_by"], line["reason"]) == ("endpoint", "finished")
