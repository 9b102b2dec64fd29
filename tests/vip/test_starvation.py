# SPDX-License-Identifier: Apache-2.0
"""Full load on all cores moves no VIP: on the nodes' own machine spinners run, and a load goes through the active gateway."""

import contextlib
import os
import subprocess
import sys
import threading
import time

import pytest

import routers
from routers import VIP


@contextlib.contextmanager
def spinners(count):
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


@pytest.mark.parametrize("advert, options", [(0.1, []), (0.05, ["--vip-real-time", "50"])], ids=["100 ms", "50 ms, real time"])
def test_no_vip_moves_while_every_core_is_full(site, advert, options):
    listener = site.directory / "web.conf"
    listener.write_text(f"server {{ listen {VIP}:8080; location / {{ return 200 hello; }} }}\n")
    active = site.start("hawser", "a", ["--nginx", listener, *options], priority=150, advert=advert)
    backup = site.start("hawser", "b", options, priority=100, advert=advert)
    site.settle(active, [backup])
    over = threading.Event()
    answered = []

    def visit():
        while not over.is_set():
            try:
                with site.lab.connect("client", (VIP, 8080), 5) as connection:
                    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    answered.append(b"hello" in connection.recv(4096))
            except OSError:
                answered.append(False)

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    with spinners(3 * os.cpu_count()):
        for one in visitors:
            one.start()
        time.sleep(10)
        over.set()
        for one in visitors:
            one.join()
    assert active.metric("hawser_vip_became_active_total") == 1, site.everything()
    assert backup.metric("hawser_vip_became_active_total") == 0, site.everything()
    assert active.holds() and not backup.holds()
    assert answered.count(True) > 20 and answered.count(False) == 0
