# SPDX-License-Identifier: Apache-2.0
"""Where client, node and pod run: three network namespaces in a row, or one loopback."""

import ctypes
import http.client
import json
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

_PREFIX = "hawser-bench-"
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def descriptors():
    """How many descriptors a process of the run may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _prepare_child():
    # A runner that is killed outright leaves no proxy behind.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors(), descriptors()))


def _ip(*arguments, check=True):
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if check and result.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


class Topology:
    """Starts programs in a place ("client", "node" or "pod") and ends them all when it is left."""

    node_address = pod_address = "127.0.0.1"
    sources = ["127.0.0.1"]
    description = "client, proxy and pod on one loopback"

    def __init__(self):
        self._running = []

    def command(self, place, command):
        del place
        return command

    def congestion_control(self):
        """TCP's congestion control in the node: that of the machine, and it matters for bulk."""
        return subprocess.run(self.command("node", ["sysctl", "-n", "net.ipv4.tcp_congestion_control"]),
                              capture_output=True, text=True).stdout.strip()

    def start(self, place, command, **options):
        process = subprocess.Popen(self.command(place, command), preexec_fn=_prepare_child, **options)
        self._running.append(process)
        return process

    def run(self, place, command, **options):
        return subprocess.run(self.command(place, command), capture_output=True, text=True, **options)

    def inside(self, place, work):
        """What `work()` returns when it runs in a place's network."""
        del place
        return work()

    def fetch(self, place, address, path):
        """The body of an HTTP answer; None when there is none, or its status is not 200."""
        def get():
            connection = http.client.HTTPConnection(address, timeout=30)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read().decode()
                return body if answer.status == 200 else None
            except OSError:
                return None
            finally:
                connection.close()
        return self.inside(place, get)

    def stop(self, process, patience=5):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self._running:
            self._running.remove(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in list(self._running):
            self.stop(process)


class Loopback(Topology):
    sources = [f"127.0.0.{n}" for n in range(2, 6)]


class Namespaces(Topology):
    """client -- node -- pod, joined by veth pairs; the addresses exist nowhere else."""

    node_address = "10.201.1.1"
    pod_address = "10.201.2.2"
    sources = [f"10.201.1.{n}" for n in range(2, 6)]
    description = "client, node and pod in network namespaces joined by veth"

    def __init__(self):
        super().__init__()
        self.bpffs = None
        self._names = {place: f"{_PREFIX}{os.getpid()}-{place}" for place in ("client", "node", "pod")}

    def command(self, place, command):
        return ["ip", "netns", "exec", self._names[place], *command]

    def inside(self, place, work):
        found = []

        def enter():
            with open(f"/run/netns/{self._names[place]}") as namespace:
                if _libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
            found.append(work())

        thread = threading.Thread(target=enter)  # one that ends: the namespace is the thread's
        thread.start()
        thread.join()
        if not found:
            raise RuntimeError(f"not possible inside {place}")
        return found[0]

    def route(self, place, *route):
        """`route`: as ip-route(8) wants it, such as PREFIX, "via", ADDRESS."""
        _ip("-n", self._names[place], "route", "add", *route)

    def mac(self, place, device):
        return json.loads(_ip("-n", self._names[place], "-j", "link", "show", device))[0]["address"]

    def __enter__(self):
        remove_leftovers()
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self):
        # Where hawser pins its tables; `ip netns exec` gives every program a /sys of its own.
        self.bpffs = Path(tempfile.mkdtemp(prefix=_PREFIX))
        subprocess.run(["mount", "-t", "bpf", "bpf", self.bpffs], check=True)
        for name in self._names.values():
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        self._join("client", self.sources, "node", [self.node_address], "client0")
        self._join("pod", [self.pod_address], "node", ["10.201.2.1"], "pod0")
        _ip("-n", self._names["client"], "route", "add", "default", "via", self.node_address)
        _ip("-n", self._names["pod"], "route", "add", "default", "via", "10.201.2.1")
        for place in self._names:
            # Enough ports and backlog for thousands of handshakes per second; the same for everyone measured.
            self._sysctl(place, {
                "net.ipv4.ip_forward": "1" if place == "node" else "0",
                # Those below are for what Hawser splices (--splice-ports).
                "net.ipv4.ip_local_port_range": "30000 65535" if place == "node" else "10240 65535",
                "net.ipv4.tcp_tw_reuse": "1",
                "net.core.somaxconn": "65535",
                "net.ipv4.tcp_max_syn_backlog": "65535",
            })

    def _join(self, place, addresses, other, other_addresses, other_device):
        _ip("link", "add", "eth0", "netns", self._names[place], "type", "veth",
            "peer", "name", other_device, "netns", self._names[other])
        for where, device, all_addresses in ((place, "eth0", addresses), (other, other_device, other_addresses)):
            for address in all_addresses:
                _ip("-n", self._names[where], "addr", "add", f"{address}/24", "dev", device)
            _ip("-n", self._names[where], "link", "set", device, "up")

    def _sysctl(self, place, values):
        settings = [f"{name}={value}" for name, value in values.items()]
        subprocess.run(self.command(place, ["sysctl", "-q", *settings]), check=True)

    def __exit__(self, *exception):
        # A second Ctrl-C must not leave half of it behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        super().__exit__(*exception)
        for name in self._names.values():
            _remove(name)
        if self.bpffs:
            subprocess.run(["umount", self.bpffs], check=False)
            self.bpffs.rmdir()


def _remove(name):
    """Removes a namespace and ends what still runs in it."""
    for number in _ip("netns", "pids", name, check=False).split():
        try:
            os.kill(int(number), signal.SIGKILL)
        except ProcessLookupError:
            pass
    _ip("netns", "del", name, check=False)


def remove_leftovers():
    """Removes the namespaces of runs whose process is gone."""
    for line in _ip("netns", "list", check=False).splitlines():
        name = line.split()[0]
        owner = name.removeprefix(_PREFIX).split("-")[0]
        if name.startswith(_PREFIX) and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            _remove(name)


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
