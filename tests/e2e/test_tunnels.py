# SPDX-License-Identifier: Apache-2.0
"""The life of a tunnel: ends of every kind, what is logged and counted, back-pressure, idle limits."""

import json
import re
import socket
import struct
import threading
import time

import pytest

import site_programs as site
import visits
from pods import close_frame, frame
from visits import EXTERNAL, NODE_A

WEB = (NODE_A, 80)
MASK = b"\x01\x02\x03\x04"
DIRECT = """
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
upstream pods { server 10.244.1.2:9080; server 10.244.2.2:9080; }
server {
    listen 80;
    server_name websocket.bbotte.com;
    location / {
        proxy_pass http://pods;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        EXTRA
    }
}
"""


@pytest.fixture
def gateway(cluster):
    """hawser on node a, its nginx file in front of the pods themselves."""

    def start(extra="", **more):
        cluster.write_nginx(DIRECT.replace("EXTRA", extra))
        return cluster.start("a", manifests=False, **more)

    return start


def lines(hawser, event):
    return [l for l in hawser.words().splitlines() if f"tunnel {event} " in l]


def closing(hawser, count=1):
    hawser.wait(lambda: len(lines(hawser, "close")) >= count, 5, "wrote no line at the close")
    return dict(re.findall(r"(\w+)=(\S+)", lines(hawser, "close")[-1]))


def tunnels(hawser):
    return hawser.api("/api/v1/tunnels")[1]["items"]


def test_one_line_at_open_and_one_at_close_with_bytes_frames_and_code(lab, gateway):
    hawser = gateway()
    client = visits.upgrade(lab, WEB)
    visits.talk(client, frame(b"one", 1, MASK) + frame(b"two" * 100, 2, MASK))
    sent = len(frame(b"one", 1, MASK) + frame(b"two" * 100, 2, MASK))
    hawser.wait(lambda: len(lines(hawser, "open")) == 1, 3, "wrote no line at the open")
    visits.talk(client, close_frame(1001, b"going", MASK))
    client.close()
    said = closing(hawser)
    assert said["bytes_in"] == said["bytes_out"] == str(sent + len(close_frame(1001, b"going", MASK)))
    assert said["frames_in"] == "3"
    assert said["close_code_in"] == "1001"
    assert said["closed_by"] == "client"
    assert said["reason"] == "finished"
    assert len(lines(hawser, "open")) == len(lines(hawser, "close")) == 1


def test_who_closed_first_is_told(lab, gateway):
    hawser = gateway()
    client = visits.upgrade(lab, WEB, "/say")
    assert client.rest() == frame(b"hello", 1) + close_frame(1000, b"done")
    client.close()
    said = closing(hawser)
    assert (said["closed_by"], said["close_code_out"], said["frames_out"]) == ("endpoint", "1000", "2")
    assert hawser.metric("hawser_tunnels_closed_total") == 1


def test_half_close_of_the_client_reaches_the_pod_and_the_answer_comes_back(lab, gateway, pods):
    gateway()
    client = visits.upgrade(lab, WEB, "/sink")
    client.send(b"x" * 1000)
    client.half_close()
    pods.wait_for("end")
    assert visits.ended(client) == "fin"


def test_half_close_of_the_pod_leaves_the_other_direction_open(lab, gateway, pods):
    gateway()
    client = visits.upgrade(lab, WEB, "/bye")
    client.send(b"!")
    assert client.take(10) == b"last words"
    assert visits.ended(client) == "fin"
    client.socket.sendall(b"still heard")
    client.half_close()
    assert pods.wait_for("heard")[0][2] == b"still heard"


def test_a_reset_of_the_pod_reaches_the_client_as_a_reset(lab, gateway):
    hawser = gateway()
    client = visits.upgrade(lab, WEB, "/reset")
    client.send(b"!")
    assert visits.ended(client) == "reset"
    said = closing(hawser)
    assert (said["closed_by"], said["reason"]) == ("endpoint", "reset")


def test_a_reset_of_the_client_reaches_the_pod_as_a_reset(lab, gateway, pods):
    hawser = gateway()
    client = visits.upgrade(lab, WEB)
    visits.talk(client, b"x")
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    pods.wait_for("reset")
    said = closing(hawser)
    assert (said["closed_by"], said["reason"]) == ("client", "reset")


def test_resets_and_half_closes_pass_through_l4_services_too(lab, site_cluster, pods):
    hawser = site_cluster.start("a", nginx=False)
    client = visits.open_client(lab, (NODE_A, 30100))
    client.send(b"RAW\nabc")
    visits.read_line(client)
    assert client.take(3) == b"abc"
    client.half_close()
    pods.wait_for("end")
    assert visits.ended(client) == "fin"
    client = visits.open_client(lab, (EXTERNAL, 9080))
    client.send(b"RAW\n")
    visits.read_line(client)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    pods.wait_for("reset")
    assert closing(hawser, 2)["proto"] == "tcp"


def test_proxy_read_timeout_is_the_idle_limit_and_traffic_resets_it(lab, gateway):
    hawser = gateway("proxy_read_timeout 1s;")
    client = visits.upgrade(lab, WEB)
    for _ in range(8):
        visits.talk(client, b"x")
        time.sleep(0.25)  # two seconds in all, never one without a byte
    began = time.monotonic()
    assert visits.ended(client, 3) in ("fin", "reset")
    assert 0.6 < time.monotonic() - began < 2.5
    assert closing(hawser)["reason"] == "idle"


def test_without_a_setting_the_idle_limit_is_an_hour(lab, gateway):
    """Never 60 seconds by surprise."""
    hawser = gateway()
    client = visits.upgrade(lab, WEB)
    limit = json.dumps(tunnels(hawser)[0])
    assert re.search(r'"idleTimeout[A-Za-z]*": ?("1h0m0s"|"3600s"|3600(\.0)?\b)', limit), limit
    client.close()


def test_the_death_of_an_endpoint_ends_its_tunnels_and_no_others(lab, gateway, pods):
    hawser = gateway()
    clients = {}
    while set(clients) != {"a1", "b1"}:
        client = visits.upgrade(lab, WEB)
        clients[client.handshake.values("X-Pod")[0]] = client
    pods.kill("a1")
    assert visits.ended(clients["a1"]) == "reset"
    visits.talk(clients["b1"], b"alive")
    assert closing(hawser)["closed_by"] == "endpoint"
    for _ in range(4):
        visits.upgrade(lab, WEB).close()  # the next ones find the pod that is left
    clients["b1"].close()


def test_get_tunnels_shows_age_bytes_and_endpoint_and_kill_ends_one(lab, gateway):
    hawser = gateway()
    client, other = visits.upgrade(lab, WEB), visits.upgrade(lab, WEB)
    visits.talk(client, b"12345")
    shown = hawser.get("tunnels")
    assert shown.returncode == 0, shown.stderr
    head, *rows = shown.stdout.splitlines()
    assert len(rows) == 2
    for word in ("AGE", "ENDPOINT", "BYTES"):
        assert word in head, head
    port = client.socket.getsockname()[1]
    row = next(r for r in rows if f":{port}" in r)
    assert "10.244." in row
    number = row.split()[head.split().index("ID")] if "ID" in head.split() else row.split()[0]
    done = lab.run("a", [site.BIN / "hawser", "kill", "tunnel", number])
    assert done.returncode == 0
    assert visits.ended(client) in ("fin", "reset")
    assert closing(hawser)["reason"] == "killed"
    visits.talk(other, b"alive")
    other.close()


def memory_of(hawser):
    """Resident bytes of the daemon."""
    pid = hawser.process.pid
    text = open(f"/proc/{pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) * 1024


@pytest.mark.parametrize("way", ["client reads nothing", "pod reads nothing"])
def test_back_pressure_a_slow_reader_costs_no_memory(lab, gateway, way):
    """The sender is stopped by TCP; hawser's memory does not grow with what is offered."""
    hawser = gateway()
    client = visits.upgrade(lab, WEB, "/echo" if way == "client reads nothing" else "/silent")
    client.socket.settimeout(1.0)
    visits.wait(lambda: len(tunnels(hawser)) == 1)
    before = memory_of(hawser)
    sent = 0
    piece = b"\x5a" * 65536
    try:
        while sent < 200 << 20:
            sent += client.socket.send(piece)
    except TimeoutError:
        pass
    assert sent < 100 << 20, "the sender was never stopped"
    assert memory_of(hawser) - before < 8 << 20
    client.close()


def test_a_slow_reader_gets_every_byte(lab, gateway):
    gateway()
    client = visits.upgrade(lab, WEB)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    data = bytes(range(256)) * 8192  # 2 MiB
    sender = threading.Thread(target=client.send, args=(data,))
    client.socket.settimeout(30)
    sender.start()
    heard = client.take(len(data))
    sender.join()
    assert heard == data
    client.close()


def test_term_sends_close_1001_to_tunnels_and_ends(lab, gateway):
    hawser = gateway(options=["--splice", "off", "--drain-timeout", "3", "--drain-spread", "0.2"])
    clients = [visits.upgrade(lab, WEB, "/silent") for _ in range(5)]
    hawser.process.terminate()
    for client in clients:
        client.socket.settimeout(5)
        first = client.take(4)
        assert first[:1] == b"\x88" and first[2:4] == struct.pack("!H", 1001), first
    for client in clients:
        client.close()
    assert hawser.process.wait(10) == 0
