# SPDX-License-Identifier: Apache-2.0
"""The site with its real service: hawser-im in the pods, hawser on both nodes, the site's files unchanged."""

import os
import pathlib

import pytest

import network
import site_programs as site
import visits
from visits import ASK, EXTERNAL, NODE_A, NODE_B

HERE = pathlib.Path(__file__).parent
APPS = {"a1": "im", "b1": "im", "a2": "testim", "b2": "testim"}


@pytest.fixture(scope="module")
def chat(lab_is_possible):
    lab = network.Lab(f"c{os.getpid()}", external="address", pods=2)
    lab.up()
    try:
        site.write_cluster(lab.state / "cluster.json", lab, APPS)
        site.start_chat(lab, APPS)
        for node in network.NODES:
            site.Hawser(lab, node, [site.SITE / f for f in site.FILES] + [lab.state / "cluster.json"],
                        [site.SITE / "nginx-websocket.conf"]).wait_ready()
        yield lab
    finally:
        lab.down()


def test_the_service_is_reached_over_every_way_in(chat):
    for address in ((NODE_A, 30100), (NODE_B, 30100), (EXTERNAL, 9080), (NODE_A, 80), (NODE_B, 80)):
        answer = visits.fetch(chat, address, path="/healthz")
        assert answer.status == 200, (address, answer)


def test_websocket_handshakes_succeed_over_every_way_in(chat):
    for address in ((NODE_A, 30100), (NODE_B, 30100), (EXTERNAL, 9080), (NODE_A, 80), (NODE_B, 80)):
        visits.upgrade(chat, address, "/ws").close()


def test_the_pods_log_of_a_lost_upgrade_header_is_the_one_of_the_site(chat):
    answer = visits.fetch(chat, (NODE_A, 80), *ASK[2:], path="/ws")
    assert answer.status == 400
    logs = [(chat.state / f"{pod}-im.log") for pod in ("a1", "b1")]
    visits.wait(lambda: any("Handshake failed due to invalid Upgrade header: null" in log.read_text() for log in logs), 3, "the line")


def test_two_people_chat_through_different_nodes(chat):
    """im-service through both nodes' port 80: one on each pod or not, it is one chat."""
    done = chat.run("client", ["/usr/bin/python3", HERE / "chat_visit.py", f"ws://{NODE_A}:80/ws", f"ws://{NODE_B}:80/ws"])
    heard = "['ann: hello from ann', 'bob: hello from bob']"
    assert done.stdout.splitlines() == [f"ann {heard}", f"bob {heard}"]
