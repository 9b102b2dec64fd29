# SPDX-License-Identifier: Apache-2.0
"""What runs in the lab: the site's manifests with the lab's pods, hawser on both nodes, the chat service in pods."""

import json
import os
import pathlib
import time

import network

REPO = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("HAWSER_BIN_DIR", REPO / "build" / "bin"))
SITE = REPO / "tests" / "e2e" / "site"
FILES = ["im-service-nodeport.yaml", "testim-service-externalips.yaml"]
ADMIN_PORT = 7070
# As on the site, where the two Services had these addresses.
CLUSTER_IPS = {"im-service": "10.104.253.46", "testim-service": "10.102.64.27"}


def pod_manifest(name, address, node, app, ready=True, terminating=False):
    metadata = {"name": name, "labels": {"k8s-app": app}}
    if terminating:
        metadata["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": metadata,
        "spec": {"nodeName": node, "containers": [{"name": "im", "image": "im", "ports": [{"containerPort": 9080}]}]},
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def node_manifest(name, address, pod_net):
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "spec": {"podCIDR": f"{pod_net}.0/24", "podCIDRs": [f"{pod_net}.0/24"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def write_atomically(path, text):
    """As kubectl, editors and configuration management do: a new file takes the old one's name."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    os.replace(fresh, path)


def write_cluster(path, lab, apps, **changes):
    """The pods and nodes as manifests, in one List. apps: pod -> k8s-app label."""
    items = [node_manifest(n, a, net) for n, (a, net) in network.NODES.items()]
    for pod, app in apps.items():
        address, node = lab.pods[pod]
        items.append(pod_manifest(pod, address, node, app, **changes.get(pod, {})))
    write_atomically(path, json.dumps({"kind": "List", "apiVersion": "v1", "items": items}, indent=1) + "\n")


def hawser_command(lab, node, manifests, nginx=(), options=()):
    """The command line of hawser on a node of the lab; the one place that knows it."""
    command = [BIN / "hawser", "run", "--node-name", node, "--splice-dir", lab.bpffs(node)]
    for path in manifests:
        command += ["-f", path]
    for path in nginx:
        command += ["--nginx", path]
    return [str(word) for word in [*command, *options]]


class Hawser:
    """hawser on one node."""

    def __init__(self, lab, node, manifests, nginx=(), options=(), log=None, **more):
        self.lab, self.node = lab, node
        binary = BIN / "hawser"
        if not binary.exists():
            raise RuntimeError(f"{binary} is missing: make build, or set HAWSER_BIN_DIR")
        self.nginx_log = lab.state / node / "var/log/nginx"
        self.process = lab.spawn(
            node, hawser_command(lab, node, manifests, nginx, options), log or f"{node}-hawser.log",
            private=["/var/log/nginx", "/var/lib/hawser"], **more,
        )

    def words(self):
        return self.process.log.read_text(errors="replace")

    def api(self, path, method="GET"):
        """Status and parsed body of the admin API."""
        connection = self.lab.connect(self.node, ("127.0.0.1", ADMIN_PORT))
        connection.sendall(f"{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        connection.close()
        if b"\r\n\r\n" not in answer:
            raise ConnectionError(f"the admin server said only {answer!r}")
        head, body = answer.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        return status, json.loads(body) if b"application/json" in head else body.decode()

    def metric(self, name):
        """Value of a metric, summed over its labels; 'name{a="b"}' picks lines that start so."""
        _, text = self.api("/metrics")
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith((name + " ", name + "{", name + ","))
                  or ("{" in name and line.startswith(name.rstrip("}")))]
        return sum(float(v) for v in values)

    def get(self, *words):
        return self.lab.run(self.node, [BIN / "hawser", "get", *words], check=False)

    def wait_ready(self, seconds=10):
        self.wait(lambda: self.api("/readyz")[0] == 200, seconds, "is not ready")

    def wait(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                raise AssertionError(f"hawser on {self.node} ended with {self.process.returncode}:\n{self.words()[-3000:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"hawser on {self.node} {what}:\n{self.words()[-3000:]}")
            time.sleep(0.02)

    def remove_splice(self):
        """Takes what the process left in the kernel away, and with it the tunnels."""
        return self.lab.run(self.node, [BIN / "hawser", "splice", "remove", "--splice-dir", self.lab.bpffs(self.node)])

    def stop(self, how=15):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(15)
            except Exception:
                self.process.kill()
                self.process.wait()


def start_chat(lab, apps, nats="10.244.1.1"):
    """The chat service in every pod that has a label: one chat through a nats-server on node a."""
    started = [lab.spawn("a", ["nats-server", "-a", nats, "-p", "4222", "-js", "-sd", lab.state / "nats"], "nats.log")]
    wait_for_port(lab, "a", nats, 4222)
    for pod in apps:
        started.append(lab.spawn(pod, [BIN / "hawser-im", "--demo", "--name", pod, "--nats", f"nats://{nats}:4222",
                                       "--secret-file", secret_file(lab)], f"{pod}-im.log"))
    for pod in apps:
        wait_for_port(lab, lab.pods[pod][1], lab.address(pod), 9080)
    return started


def secret_file(lab):
    path = lab.state / "im.secret"
    if not path.exists():
        path.write_text(os.urandom(16).hex())
        path.chmod(0o600)
    return path


def wait_for_port(lab, host, address, port, seconds=10):
    deadline = time.monotonic() + seconds
    while True:
        try:
            lab.connect(host, (address, port), 1).close()
            return
        except OSError as problem:
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on {address}:{port}: {problem}") from None
            time.sleep(0.05)
