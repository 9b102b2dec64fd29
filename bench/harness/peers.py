# SPDX-License-Identifier: Apache-2.0
"""The proxies that are compared: what each is told, and how it is started."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from contextlib import contextmanager, nullcontext
from pathlib import Path

from .topology import descriptors, wait_until

# The http part of nginx.conf: word for word the same for nginx and for Hawser, the port apart.
SITE = """\
map $http_upgrade $connection_upgrade {{
    default upgrade;
    ''      close;
}}

upstream pods {{
{servers}
}}

server {{
    listen {listen} backlog=65535 reuseport;
    server_name bench.test;
    access_log off;

    location / {{
        proxy_pass http://pods;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_read_timeout 1h;
        proxy_send_timeout 1h;
{more}    }}
}}
"""

NGINX = """\
daemon off;
worker_processes {threads};
worker_rlimit_nofile {descriptors};
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
events {{
    worker_connections {connections};
}}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/site.conf;
}}
"""

HAPROXY = """\
global
    nbthread {threads}
    maxconn {connections}
{more_global}
defaults
    mode http
    no log
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    timeout http-request 10s
{more_defaults}
frontend bench
    bind {listen} backlog 65535
    default_backend pods

backend pods
{servers}
"""


NFT = """\
table ip bench {{
{more}
    chain pre {{
        type nat hook prerouting priority dstnat;
        {rule}
    }}
    chain post {{
        type nat hook postrouting priority srcnat;
        ct status dnat masquerade
    }}
}}
"""


class Peer:
    """One proxy, listening on its own port of the node."""

    name = ""
    title = ""
    bulk_only = False  # a second configuration of a peer, for the bulk measures alone
    needs_namespaces = False
    patience = 10  # seconds until it listens

    def __init__(self, topology, pods, directory, threads):
        """`pods`: ADDRESS:PORT of the endpoint, or of each of several."""
        self._topology = topology
        self._pods = [pods] if isinstance(pods, str) else list(pods)
        self._directory = Path(directory) / self.name
        self._threads = threads
        self._process = None
        self.target = None

    def missing(self):
        """Why this peer cannot run here, or None."""
        return None

    @property
    def pid(self):
        """None: it has no process."""
        return self._process.pid

    def spliced(self):
        """How many tunnels it has handed to the kernel; None: it does not."""
        return None

    def start(self):
        self._directory.mkdir(exist_ok=True)
        # nginx's workers are nobody when its master is root.
        self._directory.chmod(0o755)
        self.target = f"{self._topology.node_address}:{_free_port(self._topology)}"
        command = self._configure()
        self._log = open(self._directory / "output.log", "w")
        self._process = self._topology.start("node", command, stdout=self._log, stderr=subprocess.STDOUT,
                                             stdin=subprocess.DEVNULL)
        wait_until(self._listens, self.patience, f"{self.name} listens on {self.target}")

    def turn(self):
        """What is there for the length of this peer's own load."""
        return nullcontext()

    def stop(self):
        if self._process is not None:
            self._topology.stop(self._process)
            self._log.close()
            self._process = None

    def said(self):
        """The end of what the proxy wrote."""
        try:
            return (self._directory / "output.log").read_text(errors="replace")[-2000:].strip()
        except FileNotFoundError:
            return ""

    def _listens(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}: {self.said()}")
        return _has_listener(self._process.pid, int(self.target.rpartition(":")[2]))

    def _configure(self):
        """Writes the configuration; returns the command."""
        raise NotImplementedError

    def _write(self, name, text):
        path = self._directory / name
        path.write_text(text)
        return str(path)


class Nginx(Peer):
    name = "nginx"
    more = ""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        self.title = _version([self._program, "-v"], r"nginx/[\d.]+") if self._program else "nginx"

    def missing(self):
        return None if self._program else "nginx is not installed"

    def _configure(self):
        self._write("site.conf", site(self._pods, self.target, self.more))
        path = self._write("nginx.conf", NGINX.format(directory=self._directory, threads=self._threads,
                                                      descriptors=descriptors(), connections=descriptors() - 200))
        return [self._program, "-p", str(self._directory), "-c", path, "-e", str(self._directory / "error.log")]


class NginxBulk(Nginx):
    """nginx relays a tunnel through proxy_buffer_size: one page unless it is told otherwise."""

    name = "nginx-64k"
    bulk_only = True
    more = ("        proxy_buffer_size 64k;\n        proxy_buffers 8 64k;\n"
            "        proxy_busy_buffers_size 128k;\n")

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.title = "nginx, 64 KiB buffers"


class Haproxy(Peer):
    name = "haproxy"
    more_global = ""
    more_defaults = ""
    connections = None  # maxconn; None: what the descriptors allow

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
        self.title = _version([self._program, "-v"], r"HAProxy version [\d.]+").replace("version ", "") \
            if self._program else "HAProxy"

    def missing(self):
        return None if self._program else "haproxy is not installed"

    def _configure(self):
        path = self._write("haproxy.cfg", HAPROXY.format(
            threads=self._threads, connections=self.connections or (descriptors() - 200) // 2, listen=self.target,
            servers="\n".join(f"    server pod{n} {pod}" for n, pod in enumerate(self._pods)),
            more_global=self.more_global, more_defaults=self.more_defaults))
        return [self._program, "-db", "-f", path]


class HaproxyBulk(Haproxy):
    name = "haproxy-splice"
    bulk_only = True
    connections = 2000  # the pipes of splice need descriptors, too
    more_global = "    tune.bufsize 65536\n"
    more_defaults = "    option splice-auto\n"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.title = "HAProxy, 64 KiB buffers, splice-auto"


class Hawser(Peer):
    """The relay: user space carries the tunnels."""

    name = "hawser"
    title = "Hawser, relay"
    splice = "off"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        top = Path(__file__).resolve().parents[2]
        self._program = Path(os.environ.get("HAWSER_BIN_DIR", top / "build" / "bin")).resolve() / "hawser"

    def missing(self):
        if os.access(self._program, os.X_OK):
            return None
        return f"{self._program.parent.name}/{self._program.name} is not built (make build)"

    def _configure(self):
        # As quiet as the peers, which log nothing.
        return [str(self._program), "run", *self.sources(), "--state", "", "--admin", self.admin,
                "--log-level", "warning", *self.more_options()]

    admin = "off"

    def sources(self):
        return ["--nginx", self._write("site.conf", site(self._pods, self.target))]

    def more_options(self):
        # A Hawser that does not know the option has no splice.
        known = subprocess.run([str(self._program), "run", "--help"], capture_output=True, text=True).stdout
        return ["--splice", self.splice] if "--splice " in known else []


class HawserSplice(Hawser):
    """The kernel carries the tunnels, once they are some milliseconds old."""

    name = "hawser-splice"
    title = "Hawser, splice"
    splice = "auto"
    needs_namespaces = True
    admin = "127.0.0.1:7070"

    room_for = 2 ** 21  # tunnels

    @property
    def tables(self):
        """The directory of its tables."""
        return self._topology.bpffs / "hawser"

    def more_options(self):
        return [*super().more_options(), "--splice-dir", str(self.tables), "--splice-tunnels", str(self.room_for)]

    def metric(self, name):
        """The value of a metric, its labels included in the name."""
        for line in (self._topology.fetch("node", self.admin, "/metrics") or "").splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        raise RuntimeError(f"{self.name} does not tell {name}: {self.said()[-300:]}")

    def spliced(self):
        return int(self.metric('hawser_splice_hand_offs_total{result="spliced"}'))

    def not_spliced(self):
        """Why tunnels are still the relay's: reason -> how many, of the first thousands."""
        answer = json.loads(self._topology.fetch("node", self.admin, "/api/v1/tunnels?limit=5000") or "{}")
        return Counter(tunnel["splice"] for tunnel in answer.get("items", []) if tunnel["splice"] != "spliced")

    def stop(self):
        super().stop()
        # What outlives the process would carry on beside the next one.
        self._topology.run("node", [str(self._program), "splice", "remove", "--splice-dir", str(self.tables)])


class NftDnat(Peer):
    """The kernel's own address translation, without a proxy."""

    name = "nft"
    title = "nft DNAT"
    needs_namespaces = True
    pid = None

    def missing(self):
        return None if shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") else "nft is not installed"

    def start(self):
        self.target = f"{self._topology.node_address}:{_free_port(self._topology)}"
        port = self.target.rpartition(":")[2]
        pods = ", ".join(f"{n} : {pod.replace(':', ' . ')}" for n, pod in enumerate(self._pods))
        self._rule = f"tcp dport {port} dnat ip addr . port to numgen inc mod {len(self._pods)} map {{ {pods} }}"

    @contextmanager
    def turn(self):
        """The rules are there for nft's loads only: with them the kernel tracks everyone's connections, and gives those
        of a proxy other source ports where they are like one that it has translated."""
        self.load(self._rule)
        try:
            yield
        finally:
            self.stop()

    def load(self, rule, more=""):
        """`rule`: of what goes where; `more`: sets and maps that it uses."""
        done = self._topology.run("node", ["nft", "-f", "-"], input=NFT.format(rule=rule, more=more))
        if done.returncode != 0:
            raise RuntimeError(f"nft: {done.stderr.strip()[:300]}")

    def stop(self):
        self._topology.run("node", ["nft", "delete", "table", "ip", "bench"])


ALL = {peer.name: peer for peer in (Nginx, Haproxy, Hawser, HawserSplice, NginxBulk, HaproxyBulk, NftDnat)}
IN_KERNEL = (HawserSplice.name, NftDnat.name)


def site(pods, listen, more=""):
    """The http part, for nginx and for Hawser."""
    return SITE.format(servers="\n".join(f"    server {pod};" for pod in pods), listen=listen, more=more)


def _version(command, pattern):
    result = subprocess.run(command, capture_output=True, text=True)
    found = re.search(pattern, result.stdout + result.stderr)
    return found.group(0).replace("/", " ") if found else command[0]


_next_port = iter(range(18080, 19080))


def _free_port(topology):
    if topology.node_address != "127.0.0.1":
        return next(_next_port)  # nobody else is in the namespace
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _has_listener(pid, port):
    """Whether something listens on this port in the network namespace of the process."""
    try:
        with open(f"/proc/{pid}/net/tcp") as table:
            rows = [line.split() for line in table.readlines()[1:]]
    except FileNotFoundError:
        return False
    return any(int(row[1].rpartition(":")[2], 16) == port and row[3] == "0A" for row in rows)
