# SPDX-License-Identifier: Apache-2.0
"""The lab itself, without hawser: who reaches whom, several at a time, and nothing is left."""

import os
import pathlib
import subprocess

import pytest

import network

LAB = pathlib.Path(__file__).with_name("lab")
pytestmark = pytest.mark.usefixtures("lab_is_possible")


def answer_of(lab, server, client, address):
    """What a client of one host hears from a listening socket of another: the client's address."""
    listening = lab.listen(server, 7)
    try:
        made = lab.connect(client, (address, 7))
        accepted, peer = listening.accept()
        accepted.close()
        made.close()
        return peer[0]
    finally:
        listening.close()


@pytest.mark.parametrize("external", ["address", "route"])
def test_clients_reach_nodes_and_the_external_ip_and_nodes_reach_all_pods(external):
    lab = network.Lab(f"t{os.getpid()}", external)
    lab.up()
    try:
        assert answer_of(lab, "a", "client", "192.168.0.100") == "192.168.0.10"
        assert answer_of(lab, "b", "client2", "192.168.0.101") == "192.168.0.11"
        assert answer_of(lab, "a", "client", network.EXTERNAL_IP) == "192.168.0.10"
        assert answer_of(lab, "b2", "a", "10.244.2.3") == "192.168.0.100"
        assert answer_of(lab, "a1", "a", "10.244.1.2") == "10.244.1.1"
        assert answer_of(lab, "b1", "a1", "10.244.2.2") == "10.244.1.2", "pods keep their addresses between nodes"
        with pytest.raises(OSError):
            lab.connect("client", ("10.244.1.2", 7), 0.5)  # as on the site: pods are behind the nodes
        if external == "route":
            lab.route_external("client", "b")
            assert answer_of(lab, "b", "client", network.EXTERNAL_IP) == "192.168.0.10"
    finally:
        lab.down()


def test_two_labs_have_the_same_addresses_and_do_not_meet():
    labs = [network.Lab(f"t{os.getpid()}{letter}") for letter in "xy"]
    try:
        for lab in labs:
            lab.up()
        listening = [lab.listen("a", 80) for lab in labs]
        labs[0].connect("client", ("192.168.0.100", 80)).close()
        listening[1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening[1].accept()
        for each in listening:
            each.close()
    finally:
        for lab in labs:
            lab.down()


def test_by_hand_up_exec_status_down_leaves_nothing():
    name = f"h{os.getpid()}"

    def by_hand(*words):
        return subprocess.run([LAB, *words, "--name", name], capture_output=True, text=True)

    before = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    try:
        assert by_hand("up").returncode == 0
        assert "is up already" in by_hand("up").stderr
        running = network.Lab.find(name).spawn("a1", ["sleep", "100"])
        done = subprocess.run([LAB, "--name", name, "exec", "a1", "ip", "-br", "addr"], capture_output=True, text=True)
        assert "10.244.1.2/24" in done.stdout
        status = by_hand("status").stdout
        assert any(line.split() == ["a1", "10.244.1.2", "1", "programs"] for line in status.splitlines()), status
    finally:
        assert by_hand("down").returncode == 0
    assert running.wait(1) != 0, "what ran in the lab has ended"
    after = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    assert name not in after and name not in before
    assert not (network.STATE / name).exists()
