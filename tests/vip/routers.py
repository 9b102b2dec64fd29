# SPDX-License-Identifier: Apache-2.0
"""Virtual routers on the nodes of a lab: hawser and keepalived, from the same text."""

import itertools
import json
import pathlib
import re
import shutil
import socket
import time

import network
import site_programs

VIP, VIP6, LINK_LOCAL6 = "192.168.0.150", "fd00:192::150", "fe80::150"


def config(name="VI_1", priority=100, vrid=51, version=3, advert=0.1, v6=False, peers=None, source=None, password=None,
           interface="eth0", addresses=None, words=(), head=()):
    """keepalived.conf of one virtual router."""
    if addresses is None:
        addresses = [f"{LINK_LOCAL6}/64", f"{VIP6}/64"] if v6 else [f"{VIP}/24"]
    lines = ["global_defs {", "    script_user root", *(f"    {word}" for word in head), "}",
             f"vrrp_instance {name} {{", "    state BACKUP", f"    interface {interface}", f"    virtual_router_id {vrid}",
             f"    priority {priority}", f"    advert_int {advert}", f"    version {version}"]
    if password:
        lines += ["    authentication {", "        auth_type PASS", f"        auth_pass {password}", "    }"]
    if peers:
        lines += [f"    unicast_src_ip {source}", "    unicast_peer {", *(f"        {peer}" for peer in peers), "    }"]
    lines += [f"    {word}" for word in words]
    lines += ["    virtual_ipaddress {", *(f"        {address}" for address in addresses), "    }", "}"]
    return "\n".join(lines) + "\n"


class Node:
    """What both programs are asked."""

    def __init__(self, lab, node):
        self.lab, self.node = lab, node

    def holds(self, address=VIP):
        return address in held(self.lab, self.node)

    def alive(self):
        return self.process.poll() is None

    def words(self):
        return self.process.log.read_text(errors="replace")


class Keepalived(Node):
    _numbers = itertools.count(1)

    def __init__(self, lab, node, directory, text):
        super().__init__(lab, node)
        number = next(self._numbers)
        self.file = directory / f"keepalived-{node}-{number}.conf"
        self.file.write_text(text)
        program = shutil.which("keepalived") or "/usr/sbin/keepalived"
        run = directory / f"keepalived-{node}-{number}"
        run.mkdir()
        self.process = lab.spawn(node, [program, "--dont-fork", "--log-console", "--log-detail", "--vrrp", "--no-syslog",
                                        "-f", self.file, "-p", run / "main.pid", "-r", run / "vrrp.pid"],
                                 f"keepalived-{node}-{number}.log")

    def stop(self, how=15):
        if self.alive():
            if how == 9:  # its parent would start another child
                self.lab.run("lan", ["pkill", "-9", "-s", str(self.process.pid)], check=False)
            else:
                self.process.send_signal(how)
            self.process.wait(15)


class Hawser(Node):
    def __init__(self, lab, node, directory, text, options=()):
        super().__init__(lab, node)
        self.file = directory / f"hawser-{node}.keepalived.conf"
        self.file.write_text(text)
        self.hawser = site_programs.Hawser(lab, node, [], [], ["--keepalived", self.file, "--splice", "off", *options],
                                           log=f"hawser-{directory.name}-{node}-{next(Keepalived._numbers)}.log")
        self.process = self.hawser.process
        self.hawser.wait_ready()

    def stop(self, how=15):
        self.hawser.stop(how)

    def view(self, name="VI_1"):
        _, body = self.hawser.api("/api/v1/vips")
        return next(item for item in body["items"] if item["name"] == name)

    def state(self, name="VI_1"):
        return self.view(name)["state"]

    def metric(self, name):
        return self.hawser.metric(name)

    def reload(self, text):
        self.file.write_text(text)
        status, body = self.hawser.api("/api/v1/reload", "POST")
        assert status == 200, body


def held(lab, host):
    """Addresses of a host's eth0."""
    return [line["local"] for link in json.loads(lab.run(host, ["ip", "-j", "addr"]).stdout) for line in link["addr_info"]]


def until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.005)
    return value


class Site:
    def __init__(self, lab, directory):
        self.lab, self.directory = lab, directory
        self.running = []

    def start(self, kind, node, *more, **facts):
        made = {"hawser": Hawser, "keepalived": Keepalived}[kind](self.lab, node, self.directory, config(**facts), *more)
        self.running.append(made)
        return made

    def frr(self, node, **facts):
        made = Vrrpd.__new__(Vrrpd)
        self.running.append(made)  # also when it does not come up
        made.__init__(self.lab, node, **facts)
        return made

    def leave(self):
        for one in self.running:
            one.stop()
            if isinstance(one, Keepalived):  # killed, it has left its address behind
                for address in (f"{VIP}/24", f"{VIP6}/64", f"{LINK_LOCAL6}/64"):
                    self.lab.run(one.node, ["ip", "addr", "del", address, "dev", "eth0"], check=False)
        for node in network.NODES:
            self.lab.run(node, ["ip", "link", "set", "eth0", "up"])
            self.lab.run(node, ["nft", "flush", "ruleset"], check=False)
            until(lambda: not any(a in held(self.lab, node) for a in (VIP, VIP6)), 8, f"a VIP was left on {node}")
        self.lab.run("client", ["ip", "neigh", "flush", "dev", "eth0"])

    def everything(self):
        return "\n".join(f"== {type(one).__name__} on {one.node}\n{one.words()[-2500:]}" for one in self.running)

    def settle(self, active, others=(), address=VIP, seconds=8):
        """`active` holds the address, the others do not."""
        until(lambda: active.holds(address) and not any(o.holds(address) for o in others), seconds,
              lambda: f"{type(active).__name__} on {active.node} is not alone with {address}\n{self.everything()}")

    def partition(self, node):
        """Nothing of VRRP reaches that node any more."""
        self.lab.run(node, ["nft", "add table netdev cut; add chain netdev cut in { type filter hook ingress device eth0 priority 0; }; "
                            "add rule netdev cut in meta l4proto 112 drop"])

    def heal(self, node):
        self.lab.run(node, ["nft", "delete table netdev cut"])

    def mac_at_client(self, address=VIP):
        """Which MAC the client believes to have the address."""
        with self.lab.socket("client", socket.SOCK_DGRAM) as speaker:
            speaker.sendto(b"?", (address, 9))
        time.sleep(0.1)
        found = re.search(r"lladdr (\S+)", self.lab.run("client", ["ip", "neigh", "show", address, "dev", "eth0"]).stdout)
        return found and found.group(1)

    def mac(self, node):
        return json.loads(self.lab.run(node, ["ip", "-j", "link", "show", "eth0"]).stdout)[0]["address"]


class Vrrpd(Node):
    """frr's vrrpd, version 3; it wants a macvlan with the virtual MAC to be there."""

    def __init__(self, lab, node, priority=100, vrid=51, advert=100):
        super().__init__(lab, node)
        self.directory = lab.state / f"frr-{next(Keepalived._numbers)}"
        self.directory.mkdir()
        shutil.chown(self.directory, "frr", "frr")
        mac = f"00:00:5e:00:01:{vrid:02x}"
        self.vrid, self.zebra, self.process = vrid, None, None
        # What frr's manual asks of the host: the interface itself keeps silent about the VIP.
        self._set(arp_ignore=1, arp_announce=2)
        for words in (f"link add vrrp4-{vrid} link eth0 type macvlan mode bridge",
                      f"link set dev vrrp4-{vrid} address {mac}", f"addr add {VIP}/24 dev vrrp4-{vrid}", f"link set dev vrrp4-{vrid} up"):
            lab.run(node, ["ip", *words.split()])
        (self.directory / "frr.conf").write_text(
            f"interface eth0\n vrrp {vrid} version 3\n vrrp {vrid} priority {priority}\n vrrp {vrid} advertisement-interval {advert}\n"
            f" vrrp {vrid} ip {VIP}\n")
        where = self.directory
        common = ["--vty_socket", where, "-z", where / "zserv.api", "-u", "frr", "-g", "frr", "-P", "0", "--log", "stdout"]
        self.zebra = lab.spawn(node, ["/usr/lib/frr/zebra", "-i", where / "zebra.pid", *common], f"zebra-{node}.log")
        until(lambda: (where / "zserv.api").exists(), 5, lambda: self.zebra.log.read_text())
        self.process = lab.spawn(node, ["/usr/lib/frr/vrrpd", "-i", where / "vrrpd.pid", "-f", where / "frr.conf", *common],
                                 f"vrrpd-{node}.log")

    def view(self):
        shown = self.lab.run(self.node, ["vtysh", "--vty_socket", self.directory, "-c", "show vrrp json"], check=False).stdout
        return json.loads(shown or "[]")

    def holds(self, address=VIP):
        routers = self.view()
        return bool(routers) and routers[0]["v4"]["status"] == "Master"

    def stop(self, how=15):
        for process in (self.process, self.zebra):
            if process and process.poll() is None:
                process.send_signal(how)
                process.wait(15)
        self.lab.run(self.node, ["ip", "link", "del", f"vrrp4-{self.vrid}"], check=False)
        self._set(arp_ignore=0, arp_announce=0)

    def _set(self, **values):
        for name, value in values.items():
            self.lab.run(self.node, ["sysctl", "-qw", f"net.ipv4.conf.eth0.{name}={value}"])
