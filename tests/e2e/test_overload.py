# SPDX-License-Identifier: Apache-2.0
"""Past its limits hawser answers clearly or refuses; it recovers by itself."""

import resource
import time

import visits
import wire
from visits import ASK, NODE_A, SITE
from test_tunnels import DIRECT

WEB = (NODE_A, 80)


def start(cluster, options=(), **more):
    cluster.write_nginx(DIRECT.replace("EXTRA", ""))
    return cluster.start("a", manifests=False, options=options, **more)


def first_answer(lab, host="client"):
    client = visits.open_client(lab, WEB, host)
    client.send(wire.get("/", host=SITE))
    try:
        return client.answer()
    except TimeoutError:
        return None
    finally:
        client.close()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_without_descriptors_it_stops_accepting_says_so_once_and_recovers(lab, cluster):
    hawser = start(cluster, ["--max-connections", "100000", "--workers", "1"],
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)))
    tunnel = visits.upgrade(lab, WEB)
    held = [visits.open_client(lab, WEB) for _ in range(150)]
    hawser.wait(lambda: "cannot accept" in hawser.words(), 5, "did not say that it is out of descriptors")
    visits.talk(tunnel, b"alive")
    used = cpu_seconds(hawser.process.pid)
    time.sleep(1)
    assert cpu_seconds(hawser.process.pid) - used < 0.3, "it spins"
    assert hawser.words().count("cannot accept") == 1
    for client in held[:120]:
        client.close()
    hawser.wait(lambda: "accepting again" in hawser.words(), 5, "does not accept again")
    assert visits.wait(lambda: first_answer(lab), 5).status == 200
    visits.talk(tunnel, b"alive")
    assert hawser.metric("hawser_accept_suspended_total") >= 1
    for client in [*held[120:], tunnel]:
        client.close()


def test_more_connections_than_allowed_get_503(lab, cluster):
    hawser = start(cluster, ["--max-connections", "3"])
    held = [visits.upgrade(lab, WEB) for _ in range(3)]
    answer = first_answer(lab, "client2")
    assert answer.status == 503 and answer.says_close()
    assert hawser.metric('hawser_connections_refused_total{') >= 1
    visits.talk(held[0], b"alive")
    held.pop().close()
    visits.wait(lambda: first_answer(lab, "client2").status == 200, 5, "a free place")
    for client in held:
        client.close()


def test_more_connections_of_one_client_get_429_and_others_are_served(lab, cluster):
    start(cluster, ["--max-connections-per-client", "2"])
    held = [visits.upgrade(lab, WEB) for _ in range(2)]
    assert first_answer(lab).status == 429
    assert first_answer(lab, "client2").status == 200
    for client in held:
        client.close()


def test_handshakes_beyond_the_rate_get_429(lab, cluster):
    start(cluster, ["--max-handshakes-per-second", "5"])
    statuses = [first_answer(lab).status for _ in range(30)]
    assert 429 in statuses and 200 in statuses
    time.sleep(0.5)
    assert first_answer(lab).status == 200


def test_l4_services_refuse_past_the_limit(lab, site_cluster):
    site_cluster.start("a", nginx=False, options=["--max-connections-per-client", "2"])
    held = []
    for _ in range(2):
        client = visits.open_client(lab, (NODE_A, 30100))
        client.send(b"RAW\n")
        visits.read_line(client)
        held.append(client)
    late = None
    try:
        late = visits.open_client(lab, (NODE_A, 30100))
    except ConnectionError:
        pass
    if late:
        assert visits.ended(late) == "reset"
    visits.talk(held[0], b"alive")
    for client in held:
        client.close()


def test_a_head_that_never_ends_is_cut(lab, cluster):
    cluster.write_nginx(DIRECT.replace("EXTRA", "").replace("listen 80;", "listen 80; client_header_timeout 1s;"))
    cluster.start("a", manifests=False)
    client = visits.open_client(lab, WEB)
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
    began = time.monotonic()
    while time.monotonic() - began < 5:
        client.send(b"X-Drip: y\r\n")
        client.socket.settimeout(0.2)
        try:
            if not client._fill():
                break
        except TimeoutError:
            pass
    assert client.ended, "one line at a time holds a connection for ever"
    client.close()


def test_heads_that_are_too_large_are_answered(lab, cluster):
    start(cluster)
    for request, status in ((wire.get("/" + "x" * 40000, host=SITE), 414), (wire.get("/", "X-Big: " + "y" * 40000, host=SITE), 400)):
        client = visits.open_client(lab, WEB)
        client.send(request)
        assert client.answer().status == status
        client.close()
    visits.upgrade(lab, WEB, fields=ASK).close()
