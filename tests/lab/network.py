# SPDX-License-Identifier: Apache-2.0
"""The site in network namespaces. Nothing of it is in the namespace of the machine, so labs do not meet.

    client 192.168.0.10   client2 .11          all on one LAN bridge, 192.168.0.0/24
    a 192.168.0.100       b .101               nodes; .150 is an address of node a, or a route to it
    a1 a2 ... 10.244.1.2 ...                   pods of node a, on 10.244.1.0/24
    b1 b2 ... 10.244.2.2 ...                   pods of node b, on 10.244.2.0/24
Every host has an IPv6 address too: fd00:192::a of a.b.c.d, pods fd00:10:244:1::2 and so on.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

CLONE_NEWNET = 0x40000000
STATE = pathlib.Path("/run/hawser-lab")
NODES = {"a": ("192.168.0.100", "10.244.1"), "b": ("192.168.0.101", "10.244.2")}
CLIENTS = {"client": "192.168.0.10", "client2": "192.168.0.11"}
EXTERNAL_IP = "192.168.0.150"
SERVICES_4, SERVICES_6 = ["10.96.0.0/12", "203.0.113.0/24"], ["fd00:96::/64", "2001:db8:250::/64"]


class NotPossible(RuntimeError):
    """This machine cannot hold a lab; says why."""


def why_not():
    if os.geteuid() != 0:
        return "the lab makes network namespaces and needs root"
    if not shutil.which("ip"):
        return "the lab needs ip (iproute2)"
    return None


class Lab:
    def __init__(self, name="lab", external="address", pods=2):
        """external: 'address' (.150 is on node a's interface), 'route' (both nodes hold it as a local
        route, clients are routed to one of them), or 'none'. pods: per node."""
        if not name.isalnum() or len(name) > 12:
            raise ValueError("a lab's name has letters and digits, 12 at most")
        self.name, self.external, self.pods_per_node = name, external, pods
        self.state = STATE / name
        self.pods = {
            f"{node}{i + 1}": (f"{net}.{i + 2}", node) for node, (_, net) in NODES.items() for i in range(pods)
        }
        self._local = {}

    # ---- what there is

    @property
    def hosts(self):
        return ["lan", *NODES, *CLIENTS, *self.pods]

    def address6(self, host):
        """192.168.0.10 is fd00:192::10, 10.244.1.2 is fd00:10:244:1::2."""
        parts = self.address(host).split(".")
        return f"fd00:192::{parts[3]}" if parts[0] == "192" else f"fd00:10:244:{parts[2]}::{parts[3]}"

    def namespace(self, host):
        return f"hl-{self.name}-{host}"

    def address(self, host):
        if host in NODES:
            return NODES[host][0]
        return CLIENTS[host] if host in CLIENTS else self.pods[host][0]

    @classmethod
    def find(cls, name):
        """The lab of that name that is up, or None."""
        try:
            facts = json.loads((STATE / name / "lab.json").read_text())
        except OSError:
            return None
        return cls(name, facts["external"], facts["pods"])

    # ---- up and down

    def up(self):
        reason = why_not()
        if reason:
            raise NotPossible(reason)
        if self.state.exists():
            raise NotPossible(f"lab {self.name} is up already (lab down --name {self.name})")
        self.state.mkdir(parents=True)
        (self.state / "lab.json").write_text(json.dumps({"external": self.external, "pods": self.pods_per_node}))
        self._mount_bpffs()
        try:
            self._make()
        except BaseException:
            self.down()
            raise

    def bpffs(self, node):
        """Where hawser on that node pins its tables: they outlive it, and go with the lab."""
        return self.state / "bpf" / node

    def _mount_bpffs(self):
        (self.state / "bpf").mkdir()
        done = subprocess.run(["mount", "-t", "bpf", "bpf", self.state / "bpf"], capture_output=True, text=True)
        if done.returncode:
            raise NotPossible(f"mount a bpffs: {done.stderr.strip()}")

    def _make(self):
        for host in self.hosts:
            self._ip(None, f"netns add {self.namespace(host)}")
            self._ip(host, "link set lo up")
            # A route of one test must not stay in a client's memory for the next; addresses are there at once.
            self._sysctl(host, *(f"net.{ip}.conf.{which}.accept_redirects=0" for ip in ("ipv4", "ipv6") for which in ("all", "default")),
                         "net.ipv6.conf.default.dad_transmits=0")
        self._bridge("lan", "br0")
        for host in [*NODES, *CLIENTS]:
            self._plug(host, "eth0", "lan", f"p-{host}", "br0", f"{self.address(host)}/24", f"{self.address6(host)}/64")
        for node, (address, net) in NODES.items():
            self._sysctl(node, "net.ipv4.ip_forward=1")
            self._sysctl(node, "net.ipv6.conf.all.forwarding=1")
            self._bridge(node, "cbr0", f"{net}.1/24")
            net6 = f"fd00:10:244:{net.split('.')[2]}::"
            self._ip(node, f"addr add {net6}1/64 dev cbr0 nodad")
            for other, (next_hop, other_net) in NODES.items():
                if other != node:
                    self._ip(node, f"route add {other_net}.0/24 via {next_hop}")
                    self._ip(node, f"route add fd00:10:244:{other_net.split('.')[2]}::/64 via {self.address6(other)}")
        for pod, (address, node) in self.pods.items():
            self._plug(pod, "eth0", node, f"p-{pod}", "cbr0", f"{address}/24", f"{self.address6(pod)}/64")
            self._ip(pod, f"route add default via {NODES[node][1]}.1")
            self._ip(pod, f"route add default via {self.address6(pod).rpartition('::')[0]}::1")
        if self.external == "address":
            self._ip("a", f"addr add {EXTERNAL_IP}/32 dev eth0")
        elif self.external == "route":
            for node in NODES:
                self._ip(node, f"route add local {EXTERNAL_IP}/32 dev lo")
            for client in CLIENTS:
                self.route_external(client, "a")

    def route_external(self, client, node):
        """With external='route': through which node a client reaches the external IP from now on."""
        self._ip(client, f"route replace {EXTERNAL_IP}/32 via {NODES[node][0]}")

    def route(self, host, words):
        """ip route WORDS in a host."""
        self._ip(host, f"route {words}")

    def route_services(self, host, node):
        """Through which node a host reaches ClusterIPs and the external addresses that no machine has."""
        for prefix in SERVICES_4:
            self.route(host, f"replace {prefix} via {self.address(node)}")
        for prefix in SERVICES_6:
            self.route(host, f"replace {prefix} via {self.address6(node)}")

    def add_addresses(self, host, addresses):
        for address in addresses:
            # Deprecated, or the newest IPv6 address would be the host's word for itself.
            self._ip(host, f"addr add {address}/64 dev eth0 preferred_lft 0 nodad" if ":" in address
                     else f"addr add {address}/24 dev eth0")

    def down(self):
        """Ends what runs in the lab and removes it. Also cleans up after a lab that did not come up."""
        prefix = f"hl-{self.name}-"
        names = [line.split()[0] for line in self._output(["ip", "netns", "list"]).splitlines() if line]
        mine = [n for n in names if n.startswith(prefix)]
        for wanted in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + 3
            sent = set()
            while time.monotonic() < deadline:
                pids = {int(p) for n in mine for p in self._output(["ip", "netns", "pids", n]).split()}
                pids.discard(os.getpid())
                if not pids:
                    break
                for pid in pids - sent:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, wanted)
                sent |= pids
                time.sleep(0.05)
        for name in mine:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["umount", self.state / "bpf"], check=False, capture_output=True)
        shutil.rmtree(self.state, ignore_errors=True)

    def _bridge(self, host, name, address=None):
        self._ip(host, f"link add {name} type bridge stp_state 0")
        if address:
            self._ip(host, f"addr add {address} dev {name}")
        self._ip(host, f"link set {name} up")

    def _plug(self, host, name, switch, port, bridge, address, address6):
        self._ip(switch, f"link add {port} type veth peer name {name} netns {self.namespace(host)}")
        self._ip(switch, f"link set {port} master {bridge} up")
        self._ip(host, f"addr add {address} dev {name}")
        self._ip(host, f"addr add {address6} dev {name} nodad")
        self._ip(host, f"link set {name} up")

    def _ip(self, host, words):
        inside = ["-n", self.namespace(host)] if host else []
        done = subprocess.run(["ip", *inside, *words.split()], capture_output=True, text=True)
        if done.returncode:
            raise NotPossible(f"ip {words} ({host or 'machine'}): {done.stderr.strip()}")

    def _sysctl(self, host, *settings):
        subprocess.run(["ip", "netns", "exec", self.namespace(host), "sysctl", "-qw", *settings], check=True)

    @staticmethod
    def _output(command):
        return subprocess.run(command, capture_output=True, text=True).stdout

    # ---- programs

    def command(self, host, argv, private=()):
        """argv to be run in a host. private: directories of the machine that the host has for itself, kept in
        the lab's state directory (var/log/nginx, say, so that two nodes may write the same log)."""
        words = ["ip", "netns", "exec", self.namespace(host)]
        if private:
            script = ""
            for directory in private:
                own = self.state / host / directory.strip("/")
                own.mkdir(parents=True, exist_ok=True)
                os.makedirs(directory, exist_ok=True)
                script += f"mount --bind {own} {directory} && "
            words += ["sh", "-c", script + 'exec "$@"', "sh"]
        return words + [str(a) for a in argv]

    def run(self, host, argv, check=True, timeout=30, **more):
        done = subprocess.run(self.command(host, argv), capture_output=True, text=True, timeout=timeout, **more)
        if check and done.returncode:
            raise RuntimeError(f"{host}: {argv} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def spawn(self, host, argv, log=None, private=(), **more):
        """Starts a program in a host; its output goes to the file `log` of the lab's state directory."""
        path = self.state / (log or f"{host}-{pathlib.Path(str(argv[0])).name}.log")
        with open(path, "ab") as out:
            process = subprocess.Popen(
                self.command(host, argv, private), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, **more,
            )
        process.log = path
        return process

    # ---- sockets of this process inside a host

    def inside(self, host, call):
        """Calls in a thread that is in the host's network namespace: sockets made there stay there."""
        libc = ctypes.CDLL(None, use_errno=True)
        result = {}

        def work():
            try:
                with open(f"/run/netns/{self.namespace(host)}") as namespace:
                    if libc.setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), f"setns {host}")
                result["value"] = call()
            except BaseException as problem:
                result["problem"] = problem

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if "problem" in result:
            raise result["problem"]
        return result["value"]

    def socket(self, host, kind=socket.SOCK_STREAM, family=socket.AF_INET):
        return self.inside(host, lambda: socket.socket(family, kind))

    def connect(self, host, address, timeout=5.0, source=None):
        made = self.socket(host, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        made.settimeout(timeout)
        try:
            if source:
                made.bind((source, 0))
            made.connect(address)
        except BaseException:
            made.close()
            raise
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def listen(self, host, port, backlog=1024, address="0.0.0.0"):
        made = self.socket(host, family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        if ":" in address:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(backlog)
        return made
