#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The show: many tunnels over a VIP, the node that carries them dies and returns, and no tunnel loses a byte.

run() is the whole of it and returns what it has measured. By hand, in a lab of its own:
    show.py [--advert SECONDS] [--tunnels N] [--warm] [--how cut|leave|stay]"""

import collections
import contextlib
import itertools
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import threading
import time

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import network
import routers
import site_programs as site
from crowd import KINDS, TICK
from routers import VIP

HERE = pathlib.Path(__file__).resolve().parent
PODS = ("b1", "b2", "b3")
NODE_PORT = 30100
REPLICATION_PORT = 8112
# Of a thousand. The UDP flows come on top of them.
SHARES = {"web": 400, "web, only the pod speaks": 100, "web, silent": 100, "tcp": 210, "tcp, only the pod speaks": 50,
          "tcp, silent": 40, "node port": 100, "udp": 20}
PLACES = {"web": (VIP, 80), "tcp": (VIP, 9080), "node port": (VIP, NODE_PORT), "udp": (VIP, 9080)}
MANIFEST = f"""
kind: Service
apiVersion: v1
metadata: {{name: chat}}
spec:
  selector: {{k8s-app: chat}}
  ports: [{{name: ws, port: 80, targetPort: 9080}}]
---
kind: Service
apiVersion: v1
metadata: {{name: raw}}
spec:
  type: NodePort
  externalIPs: [{VIP}]
  selector: {{k8s-app: chat}}
  ports:
    - {{name: tcp, port: 9080, nodePort: {NODE_PORT}, protocol: TCP}}
    - {{name: udp, port: 9080, nodePort: {NODE_PORT}, protocol: UDP}}
---
kind: Ingress
apiVersion: networking.k8s.io/v1
metadata: {{name: chat}}
spec:
  ingressClassName: hawser
  rules:
    - host: websocket.bbotte.com
      http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: chat, port: {{name: ws}}}}}}}}]}}
"""


def until(condition, seconds, what):
    """Asks less often than routers.until(): who is asked has work to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.05)


class Crowd:
    """One side of the tunnels: crowd.py, and the socket by which it is asked."""

    _numbers = itertools.count(1)

    def __init__(self, lab, side, hosts):
        self.side = side
        name = f"crowd-{side}-{next(self._numbers)}"
        control = lab.state / f"{name}.sock"
        self.process = lab.spawn(hosts[0], [sys.executable, HERE / "crowd.py", side, control,
                                            *(f"{host}={lab.namespace(host)}" for host in hosts)], f"{name}.log")
        until(lambda: control.exists() or self.process.poll() is not None, 10, "crowd.py does not come up")
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.connection.connect(str(control))
        except OSError:
            raise AssertionError(self.process.log.read_text()) from None
        self.connection.settimeout(30)
        self.lines = self.connection.makefile("rb")
        self.one_at_a_time = threading.Lock()  # a view asks, too

    def ask(self, do, **more):
        with self.one_at_a_time:
            self.connection.sendall(json.dumps({"do": do, **more}).encode() + b"\n")
            line = self.lines.readline()
        assert line, f"crowd.py of the {self.side} has ended:\n{self.process.log.read_text()[-3000:]}"
        return json.loads(line)

    def states(self):
        return self.ask("status")["states"]

    def stop(self):
        self.lines.close()
        self.connection.close()  # it ends with it
        self.process.wait(10)


class Tunnels:
    """Both sides, and what they say together."""

    def __init__(self, lab, pods=PODS, clients=tuple(network.CLIENTS)):
        self.pods = Crowd(lab, "pods", pods)
        self.clients = None
        try:
            self.clients = Crowd(lab, "clients", clients)
        except BaseException:
            self.stop()
            raise
        self.both = (self.clients, self.pods)
        self.numbers = {}  # kind -> tunnels
        self.fresh = itertools.count()

    def stop(self):
        for one in (self.clients, self.pods):
            if one:
                one.stop()

    def open(self, count, host="client", places=PLACES, shares=SHARES):
        """Does not wait for them. count: all but UDP."""
        asked = []
        for kind, share in shares.items():
            numbers = [next(self.fresh) for _ in range(max(1, round(share * count / 1000)))]
            self.numbers.setdefault(kind, []).extend(numbers)
            asked += numbers
            self.clients.ask("open", host=host, kind=kind, numbers=numbers, to=places[kind.split(",")[0]])
        return asked

    def count(self, *protocols):
        return sum(len(numbers) for kind, numbers in self.numbers.items() if KINDS[kind].protocol in protocols)

    def wait_open(self, seconds=30):
        until(lambda: self.clients.states().get("open") == self.count("http", "tcp", "udp")
              and self.pods.states().get("open") == self.count("http", "tcp") or self.wrong(), seconds, self.said)
        assert not self.wrong(), self.said()

    def wrong(self):
        return any(one.ask("status")["errors"] for one in self.both) or "unopened" in self.clients.states()

    def phase(self, name):
        for one in self.both:
            one.ask("phase", name=name)

    def mark(self):
        for one in self.both:
            one.ask("mark")

    def wake(self):
        for one in self.both:
            one.ask("wake")

    def waiting(self, messages=2):
        """kind -> tunnels on which there were fewer new messages since the mark, in one of the directions."""
        return {one.side: one.ask("status", messages=messages)["waiting"] for one in self.both}

    def all_talk(self, seconds, messages=2):
        """Every tunnel goes on, in every direction that it has; returns how long that took."""
        began = time.monotonic()
        while any((left := self.waiting(messages)).values()):
            if self.errors():
                time.sleep(1)  # for the others of its kind
                raise AssertionError(self.said())
            assert time.monotonic() < began + seconds, f"after {seconds} s tunnels hear nothing: {left}"
            time.sleep(0.05)
        assert not self.errors(), self.said()
        return time.monotonic() - began

    def errors(self):
        return any(one.ask("status")["errors"] for one in self.both)

    def said(self):
        """A summary of what is wrong."""
        lines = []
        for one in self.both:
            status, errors = one.ask("status"), one.ask("errors")
            kinds = collections.Counter(what.split(":")[0] for what in errors.values())
            lines.append(f"{one.side}: {status['states']}, waiting: {status['waiting']}, {len(errors)} errors: {dict(kinds)}")
            lines += [f"  tunnel {number}: {what}" for number, what in list(errors.items())[:15]]
        lines += [f"  tunnel {number} was not opened: {what}" for number, what in list(self.clients.ask("unopened").items())[:5]]
        return "\n".join(lines)

    def forget_unopened(self):
        """As if nobody had wanted to open them. Returns them, with the reasons."""
        unopened = self.clients.ask("unopened")
        gone = [int(number) for number in unopened]
        for one in self.both:
            one.ask("forget", numbers=gone)
        for kind, numbers in self.numbers.items():
            self.numbers[kind] = [n for n in numbers if n not in gone]
        return unopened

    def wait_decided(self, seconds=15):
        """What was asked for is open, or could not be opened."""
        until(lambda: not {"queued", "connecting", "asking"} & self.clients.states().keys(), seconds, self.said)

    def finish(self, seconds=15):
        """All are closed in order. Both sides' totals are the same; returns the clients' and the pods' reports."""
        self.clients.ask("finish")
        until(lambda: all(set(one.states()) <= {"ended", "failed", "cut", "unopened"} for one in self.both)
              or self.errors(), seconds, self.said)
        heard, said = self.clients.ask("report"), self.pods.ask("report")
        assert not heard["errors"] and not said["errors"], self.said()
        for number, (kind, sent, received) in heard["totals"].items():
            if KINDS[kind].protocol != "udp":
                assert said["totals"][number] == [kind, received, sent], (number, sent, received, said["totals"][number])
        return heard, said


class Show:
    """Two nodes with the same configuration, and the tunnels. Node a has the VIP whenever it can."""

    def __init__(self, lab, directory, advert=0.1, replication=True, options=()):
        self.lab, self.directory, self.advert = lab, directory, advert
        self.manifests = directory / "manifests"
        self.manifests.mkdir()
        (self.manifests / "services.yaml").write_text(MANIFEST)
        site.write_cluster(self.manifests / "cluster.json", lab, dict.fromkeys(PODS, "chat"))
        self.options = [*options]
        if advert < 0.1:
            self.options += ["--vip-real-time", "50"]
        if replication:
            key = directory / "replication.key"
            key.write_text(secrets.token_hex(32) + "\n")
            key.chmod(0o600)
            self.options += ["--replication-key", str(key)]
        self.replication = replication
        self.nodes, self.started = {}, []
        self.tunnels = None

    @contextlib.contextmanager
    def on_stage(self):
        try:
            self.tunnels = Tunnels(self.lab)
            self.start("a").wait_ready()
            self.settle("a")
            self.start("b").wait_ready()
            yield self
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.everything()}") from None
        finally:
            self.stop()

    def start(self, node):
        text = routers.config(priority=150 if node == "a" else 100, advert=self.advert)
        file = self.directory / f"{node}.keepalived.conf"
        file.write_text(text)
        self.nodes[node] = site.Hawser(self.lab, node, [self.manifests], [], ["--keepalived", file, *self.options],
                                       log=f"show-{self.directory.name}-{node}-{len(self.started)}.log")
        self.started.append(self.nodes[node])
        return self.nodes[node]

    def stop(self):
        if self.tunnels:
            self.tunnels.stop()
        for hawser in self.nodes.values():
            hawser.stop(9)
        for node in network.NODES:
            self.heal(node)
            self.connect(node)
            if node in self.nodes:
                self.nodes[node].remove_splice()
            for address in (f"{VIP}/24", f"{VIP}/32"):  # killed, it has left its address behind for a while
                self.lab.run(node, ["ip", "addr", "del", address, "dev", "eth0"], check=False)
        for client in network.CLIENTS:
            self.lab.run(client, ["ip", "neigh", "flush", "dev", "eth0"])

    def everything(self):
        return "\n".join(f"== hawser on {one.node}\n{notable(one.words())[-3000:]}" for one in self.started)

    # ---- what the nodes say

    def holds(self, node):
        return VIP in routers.held(self.lab, node)

    def settle(self, node, seconds=10):
        """That node has the VIP, the other does not."""
        until(lambda: self.holds(node) and not any(self.holds(other) for other in network.NODES if other != node), seconds,
              f"node {node} is not alone with the VIP")

    def became_active(self):
        """node -> how often the VIP came to it."""
        return {node: sum(one.words().count("-> Active ") for one in self.started if one.node == node) for node in self.nodes}

    def carried(self, node, kind):
        return self.nodes[node].metric(f'hawser_splice_tunnels_active{{kind="{kind}"}}')

    def standby(self, node):
        return self.nodes[node].metric("hawser_splice_tunnels_standby")

    def wait_carried(self, node, seconds=30):
        """The kernel of that node carries all tunnels, and the other node knows them all."""
        wanted = {"upgrade": self.tunnels.count("http"), "tcp": self.tunnels.count("tcp"), "udp": self.tunnels.count("udp")}
        began = time.monotonic()
        until(lambda: {kind: self.carried(node, kind) for kind in wanted} == wanted, seconds,
              lambda: f"node {node} carries { {kind: self.carried(node, kind) for kind in wanted} } of {wanted}")
        carried = time.monotonic() - began
        for other in self.nodes:
            if self.replication and other != node and self.nodes[other].process.poll() is None:
                until(lambda: self.standby(other) == sum(wanted.values()), 10,
                      lambda: f"node {other} knows {self.standby(other)} of {sum(wanted.values())} tunnels")
        return carried

    def wait_empty(self, seconds=10):
        """All nodes see that the tunnels have ended; UDP flows last until their idle limit."""
        udp = self.tunnels.count("udp")
        for node, hawser in self.nodes.items():
            if hawser.process.poll() is None:
                until(lambda: not self.carried(node, "upgrade") and not self.carried(node, "tcp"), seconds,
                      lambda: f"node {node} still carries {self.carried(node, 'upgrade')} and {self.carried(node, 'tcp')}")
                if self.replication:
                    until(lambda: self.standby(node) <= udp, seconds, lambda: f"node {node} still knows {self.standby(node)}")

    # ---- what happens to them

    def cut(self, node):
        """As when its power fails: the process is gone, and so are the links."""
        self.nodes[node].process.kill()
        self.batch(node, "link set eth0 down", "link set cbr0 down")
        self.nodes[node].process.wait(10)

    def connect(self, node):
        """Its links are up again, and what went with them is there again: all but IPv4 addresses."""
        lab, net = self.lab, network.NODES[node][1]
        net6 = f"fd00:10:244:{net.split('.')[2]}::"
        other, (other_address, other_net) = next((n, facts) for n, facts in network.NODES.items() if n != node)
        self.batch(node, "link set cbr0 up", "link set eth0 up",
                   f"addr replace {lab.address6(node)}/64 dev eth0 nodad", f"addr replace {net6}1/64 dev cbr0 nodad",
                   f"route replace {other_net}.0/24 via {other_address}",
                   f"route replace fd00:10:244:{other_net.split('.')[2]}::/64 via {lab.address6(other)}")
        until(lambda: self.reaches(node, other_address), 5, f"node {node} is connected, and nothing comes through")

    def reaches(self, node, address):
        """A link that is up may pass nothing yet, for up to a second."""
        try:
            self.lab.connect(node, (address, 1), 0.2).close()
        except ConnectionRefusedError:
            pass
        except OSError:
            return False
        return True

    def come_back(self, node, warm):
        """Starts again. warm: the tables in the kernel are still there, with what they knew."""
        if not warm:
            self.nodes[node].remove_splice()
        self.connect(node)
        self.start(node).wait_ready(20)

    def partition(self):
        """Nothing of VRRP and of the replication comes through between the nodes; all else does."""
        for one in network.NODES:
            other = next(address for name, (address, _) in network.NODES.items() if name != one)
            rules = (f"ip saddr {other} meta l4proto 112 drop", f"ip saddr {other} tcp dport {REPLICATION_PORT} drop",
                     f"ip saddr {other} tcp sport {REPLICATION_PORT} drop")
            self.lab.run(one, ["nft", "add table netdev cut; add chain netdev cut in { type filter hook ingress device eth0 priority 0; }; "
                               + "; ".join(f"add rule netdev cut in {rule}" for rule in rules)])

    def heal(self, node=None):
        for one in [node] if node else network.NODES:
            self.lab.run(one, ["nft", "delete table netdev cut"], check=False)

    def batch(self, node, *lines):
        subprocess.run(["ip", "-n", self.lab.namespace(node), "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True,
                       capture_output=True)

    # ---- parts of the show

    def fill(self, count):
        """So many tunnels, all of them in the kernel. Returns seconds: until they are open, until they are spliced."""
        began = time.monotonic()
        self.tunnels.open(count)
        self.tunnels.wait_open()
        opened = time.monotonic() - began
        return opened, self.wait_carried("a")

    def talk_on(self, began, seconds, patience=20):
        """Every tunnel says something new in both directions; that goes on until `seconds` after `began`."""
        self.tunnels.mark()
        took = self.tunnels.all_talk(patience)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        assert not self.tunnels.errors(), self.tunnels.said()
        return took


def notable(words):
    """A log without the lines of single tunnels."""
    return "\n".join(line for line in words.splitlines() if " tunnel open " not in line and " tunnel close " not in line)


def run(lab, directory, advert=0.1, tunnels=1000, warm=False, how="cut", talk=4.0, replication=True, before=2.0, tell=None):
    """how: the node that has the VIP is cut off ("cut"), is asked to leave ("leave"), or nothing happens to it ("stay").
    talk, before: seconds of talk in each part, and at most in the first. tell(show, phase) is called when a phase begins.
    Returns what was measured, in seconds; raises AssertionError when a tunnel suffers."""
    show = Show(lab, directory, advert, replication)
    facts = {"advert": advert, "tunnels": tunnels, "how": how, "tables": "warm" if warm else "cold", "talks_after": {}}
    tell = tell or (lambda show, phase: None)

    def begin(phase):
        crowd.phase(phase)
        tell(show, phase)

    with show.on_stage():
        crowd = show.tunnels
        tell(show, "open")
        facts["opened"], facts["spliced"] = show.fill(tunnels)
        begin("before")
        facts["talks_after"]["before"] = show.talk_on(time.monotonic(), min(talk, before))

        begin("away")
        began = time.monotonic()
        if how == "cut":
            show.cut("a")
        elif how == "leave":
            show.nodes["a"].stop()
        crowd.wake()
        facts["talks_after"]["away"] = show.talk_on(began, talk)
        if how != "stay":
            show.settle("b")
            show.wait_carried("b")

            begin("return")
            show.come_back("a", warm or how == "leave")
            show.settle("a")
            facts["talks_after"]["return"] = show.talk_on(time.monotonic(), talk)
            show.wait_carried("a", 10)

        begin("end")
        heard, said = crowd.finish()
        show.wait_empty()
    facts["udp"] = heard["udp"]
    facts["messages"] = sum(phase["heard"] + other["heard"] for phase, other in zip(heard["phases"], said["phases"]))
    facts["became_active"] = show.became_active()
    facts["phases"] = {}
    for phase, other in zip(heard["phases"], said["phases"]):
        if phase["name"] not in ("end", "over"):
            facts["phases"][phase["name"]] = {
                "seconds": round(phase["seconds"], 3), "outage": round(phase["outage"], 3),
                "silence": round(max(phase["silence"].values(), default=0.0), 3),
                "silences": {kind: round(seconds, 3) for kind, seconds in phase["silence"].items()},
                "messages": phase["heard"] + other["heard"],
                "cores": {"clients": round(phase["cpu"], 3), "pods": round(other["cpu"], 3)}}
    return facts


def beyond_its_pause(phase):
    """The longest silence of a tunnel in a phase, less what it is silent anyway."""
    pause = {kind: max(KINDS[kind].pauses) if KINDS[kind].protocol == "udp" else KINDS[kind].pauses[1] for kind in KINDS}
    return max((seconds - pause[kind] * TICK for kind, seconds in phase["silences"].items()), default=0.0)


def table(facts):
    """The longest silences, for people."""
    phases = facts["phases"]
    lines = [f"{facts['tunnels']} tunnels, advert {1000 * facts['advert']:.0f} ms, {facts['how']}, {facts['tables']}; opened in "
             f"{facts['opened']:.1f} s, spliced after {facts['spliced']:.1f} s more; {facts['messages']} messages, "
             f"UDP: {facts['udp']['lost']} of {facts['udp']['asked']} lost; the VIP came to {facts['became_active']}",
             f"{'longest silence, ms':28}" + "".join(f"{name:>10}" for name in phases)]
    rows = [("all tunnels at once", lambda phase: phase["outage"]), ("any tunnel", lambda phase: phase["silence"])]
    rows += [("  " + kind, lambda phase, kind=kind: phase["silences"].get(kind, 0.0)) for kind in KINDS]
    lines += [f"{name:28}" + "".join(f"{1000 * of(phase):>10.0f}" for phase in phases.values()) for name, of in rows]
    cores = [phase["cores"] for phase in phases.values()]
    lines.append(f"{'cores, clients + pods':28}" + "".join(f"{c['clients']:>5.2f}+{c['pods']:.2f}" for c in cores))
    return "\n".join(lines)


def main():
    import argparse
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--advert", type=float, default=0.1)
    parser.add_argument("--tunnels", type=int, default=1000)
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--how", choices=["cut", "leave", "stay"], default="cut")
    parser.add_argument("--talk", type=float, default=6.0)
    parser.add_argument("--no-replication", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lab = network.Lab(f"y{os.getpid()}", external="none", pods=3)
    lab.up()
    try:
        with tempfile.TemporaryDirectory(prefix="show") as directory:
            facts = run(lab, pathlib.Path(directory), options.advert, options.tunnels, options.warm, options.how, options.talk,
                        not options.no_replication)
    finally:
        lab.down()
    print(json.dumps(facts, indent=1) if options.json else table(facts))


if __name__ == "__main__":
    main()
