# SPDX-License-Identifier: Apache-2.0
"""Tunnels in the kernel: the hand-off under load, what a restart leaves alone, and how they end."""

import re
import signal
import socket
import struct
import time

import pytest

import site_programs as site
import visits
from load import Load
from visits import NODE_A

WEB = (NODE_A, 80)
MANY = 1000
CONF = """
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
    def start(extra="", **more):
        cluster.write_nginx(CONF.replace("EXTRA", extra))
        return cluster.start("a", manifests=False, **more)

    return start


def tunnels(hawser):
    found, after = [], "0"
    while True:
        page = hawser.api(f"/api/v1/tunnels?limit=5000&continue={after}")[1]
        found += page["items"]
        after = page["metadata"].get("continue")
        if not after:
            return found


def wait_spliced(hawser, count, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        found = tunnels(hawser)
        if len(found) == count and all(t["splice"] == "spliced" for t in found):
            return found
        assert time.monotonic() < deadline, f"of {count} tunnels: {sorted(t['splice'] for t in found)}"
        time.sleep(0.05)


def closing(hawser, number):
    """The log line of a tunnel's end, as a table."""
    line = lambda: [l for l in hawser.words().splitlines() if f"tunnel close id={number} " in l]  # noqa: E731
    hawser.wait(line, 10, f"wrote no closing line of tunnel {number}")
    assert len(line()) == 1
    return dict(re.findall(r"(\w+)=(\S+)", line()[0]))


def spliced(lab, hawser, path="/echo", **more):
    client = visits.upgrade(lab, WEB, path, **more)
    [tunnel] = wait_spliced(hawser, 1)
    return client, tunnel["id"]


def test_an_idle_tunnel_is_handed_to_the_kernel_and_still_talks(lab, gateway, pods):
    hawser = gateway()
    client, _ = spliced(lab, hawser)
    visits.talk(client, b"after the hand-off")
    visits.talk(client, bytes(range(256)) * 4000)
    [tunnel] = tunnels(hawser)
    assert tunnel["fromClient"]["bytes"] == tunnel["fromEndpoint"]["bytes"] == 18 + 1024000
    shown = hawser.get("tunnels")
    assert "spliced" in shown.stdout, shown.stdout


def test_splice_off_leaves_tunnels_in_the_relay_and_says_so(lab, gateway, pods):
    hawser = gateway(options=["--splice", "off"])
    client = visits.upgrade(lab, WEB)
    visits.talk(client, b"x" * 1000)
    assert [t["splice"] for t in tunnels(hawser)] == ["off"]


def test_a_route_can_keep_its_tunnels_in_the_relay(lab, gateway, pods):
    hawser = gateway("hawser_splice off;")
    client = visits.upgrade(lab, WEB)
    visits.talk(client, b"x" * 1000)
    assert [t["splice"] for t in tunnels(hawser)] == ["off"]


def test_a_client_on_the_node_itself_stays_in_the_relay(lab, gateway, pods):
    hawser = gateway()
    client = visits.upgrade(lab, WEB, host="a")
    visits.talk(client, b"x" * 1000)
    visits.wait(lambda: [t["splice"] for t in tunnels(hawser)] == ["local"], what="the reason")


def test_kill_9_under_a_thousand_talking_tunnels_costs_none_a_byte(lab, gateway, pods, cluster):
    """And the next process lists them, with routes, ages and counters, and closes their log lines."""
    hawser = gateway()
    with Load(lab, pods, [WEB], MANY) as load:
        before = {t["id"]: t for t in wait_spliced(hawser, MANY, 60)}
        hawser.stop(signal.SIGKILL)
        time.sleep(1)  # nobody is there, and they talk
        # Another configuration, too: what the tunnels came by is not in it any more.
        again = gateway("proxy_read_timeout 77s;")
        after = {t["id"]: t for t in tunnels(again)}
        assert after.keys() == before.keys()
        for number, was in before.items():
            now = after[number]
            for field in ("route", "service", "client", "frontend", "endpoint", "endpointName", "started", "protocol"):
                assert now[field] == was[field], (number, field)
            assert now["fromClient"]["bytes"] >= was["fromClient"]["bytes"]
        assert sum(t["fromClient"]["bytes"] for t in before.values()) < sum(t["fromClient"]["bytes"] for t in after.values())
        # New tunnels do not take the numbers of old ones.
        client = visits.upgrade(lab, WEB)
        fresh = visits.wait(lambda: [t for t in tunnels(again) if t["id"] not in before], what="the new tunnel")
        assert len(fresh) == 1
        client.close()
        assert load.failures() == {}
    for number in list(before)[:5]:
        line = closing(again, number)
        assert line["closed_by"] in ("client", "endpoint") and line["reason"] == "finished", line
        assert int(line["bytes_in"]) >= before[number]["fromClient"]["bytes"]
    again.wait(lambda: again.words().count("tunnel close ") == MANY + 1, 20, "did not close all log lines")


def test_byte_counts_of_the_closing_line_are_exact(lab, gateway, pods):
    hawser = gateway()
    client, number = spliced(lab, hawser)
    for size in (1, 1000, 100_000):
        visits.talk(client, b"y" * size)
    client.close()
    line = closing(hawser, number)
    assert (line["bytes_in"], line["bytes_out"]) == ("101001", "101001")
    assert (line["closed_by"], line["reason"]) == ("client", "finished")


def test_half_close_passes_through_the_kernel_both_ways(lab, gateway, pods):
    hawser = gateway()
    client, number = spliced(lab, hawser, "/bye")
    client.send(b"!")
    assert client.take(10) == b"last words"
    assert visits.ended(client) == "fin"
    client.send(b"still heard")
    client.half_close()
    assert pods.wait_for("heard")[0][2] == b"still heard"
    line = closing(hawser, number)
    assert (line["closed_by"], line["reason"], line["bytes_in"]) == ("endpoint", "finished", "12")


def test_a_reset_of_either_end_reaches_the_other(lab, gateway, pods):
    hawser = gateway()
    client, number = spliced(lab, hawser, "/reset")
    client.send(b"!")
    assert visits.ended(client) == "reset"
    assert closing(hawser, number)["closed_by"] == "endpoint"
    client, number = spliced(lab, hawser, "/echo")
    visits.talk(client, b"hello")
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()
    pods.wait_for("reset")
    line = closing(hawser, number)
    assert (line["closed_by"], line["reason"]) == ("client", "reset")


def test_kill_tunnel_resets_both_ends(lab, gateway, pods):
    hawser = gateway()
    client, number = spliced(lab, hawser)
    visits.talk(client, b"hello")
    done = lab.run("a", [site.BIN / "hawser", "kill", "tunnel", number])
    assert done.returncode == 0
    assert visits.ended(client) == "reset"
    pods.wait_for("reset")
    assert closing(hawser, number)["reason"] == "killed"
    assert tunnels(hawser) == []
    assert hawser.api(f"/api/v1/tunnels/{number}")[0] == 404


def test_the_idle_limit_of_the_route_holds_in_the_kernel(lab, gateway, pods):
    hawser = gateway("proxy_read_timeout 2s;")
    client, number = spliced(lab, hawser)
    for _ in range(3):
        time.sleep(1)
        visits.talk(client, b"alive")
    began = time.monotonic()
    assert visits.ended(client, 8) == "reset"
    assert time.monotonic() - began > 1.5
    assert closing(hawser, number)["reason"] == "idle"


def test_term_leaves_spliced_tunnels_to_the_next_process(lab, gateway, pods):
    hawser = gateway()
    client, number = spliced(lab, hawser)
    hawser.stop()
    assert hawser.process.returncode == 0
    visits.talk(client, b"nobody is here")
    again = gateway()
    assert [t["id"] for t in tunnels(again)] == [number]
    visits.talk(client, b"somebody is")


def test_splice_remove_is_refused_while_a_process_runs_and_ends_the_tunnels_after(lab, gateway, pods):
    hawser = gateway()
    client, _ = spliced(lab, hawser)
    command = [site.BIN / "hawser", "splice", "remove", "--splice-dir", lab.bpffs("a")]
    refused = lab.run("a", command, check=False)
    assert refused.returncode == 1 and "another process" in refused.stderr
    hawser.stop()
    assert "removed" in lab.run("a", command).stdout
    client.send(b"into nothing")
    assert visits.ended(client) == "reset"
    assert "nothing there" in lab.run("a", command).stdout


def test_metrics_tell_what_the_kernel_carries(lab, gateway, pods):
    hawser = gateway()
    client, _ = spliced(lab, hawser)
    visits.talk(client, b"x" * 5000)
    visits.wait(lambda: hawser.metric('hawser_splice_tunnels_active{kind="upgrade"}') == 1, what="the gauge")
    assert hawser.metric("hawser_tunnels_active") == 1
    assert hawser.metric('hawser_splice_hand_offs_total{result="spliced"}') == 1
    assert hawser.metric('hawser_splice_packets_total{verdict="forwarded"}') > 0


def test_without_a_bpffs_one_is_mounted_and_the_log_says_what_it_is_worth(lab, cluster, pods):
    """`ip netns exec` gives a /sys of its own, on which nobody has mounted a bpffs."""
    cluster.write_nginx(CONF.replace("EXTRA", ""))
    own = lab.spawn("a", [site.BIN / "hawser", "run", "--nginx", cluster.nginx], log="own-sys.log", private=["/var/lib/hawser"])
    try:
        visits.wait(lambda: "ready\n" in own.log.read_text(), 10, own.log)
        said = own.log.read_text()
        assert "splice: on, tables in /sys/fs/bpf/hawser" in said, said
        assert "no bpffs was there for /sys/fs/bpf/hawser" in said, said
        client = visits.upgrade(lab, WEB)
        get = [site.BIN / "hawser", "get", "tunnels"]
        visits.wait(lambda: "spliced" in lab.run("a", get).stdout, 10, "the hand-off")
        visits.talk(client, b"x" * 1000)
        client.close()
    finally:
        own.terminate()
        own.wait(15)
