# SPDX-License-Identifier: Apache-2.0
"""Small servers in the lab's hosts: each says who it is and whom it sees, then echoes. TCP and UDP, both families."""

import contextlib
import selectors
import socket
import threading


class Speakers:
    """`hosts`: name -> address to listen at. `title`: what it says of its name."""

    def __init__(self, lab, hosts, port, title="{}"):
        self.lab, self.port, self.title = lab, port, title
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        self.stopping = False
        for name, address in hosts.items():
            stream = lab.listen(name, port, address=address)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            datagrams = lab.socket(name, socket.SOCK_DGRAM, family)
            if family == socket.AF_INET6:
                datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            datagrams.bind((address, port))
            for made, kind in ((stream, "listen"), (datagrams, "udp")):
                made.setblocking(False)
                self.sockets.append(made)
                self.selector.register(made, selectors.EVENT_READ, (kind, name))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.stopping:
            for key, _ in self.selector.select(0.1):
                with contextlib.suppress(OSError):
                    self._serve(key.fileobj, *key.data)

    def _serve(self, sock, kind, name):
        said = self.title.format(name)
        if kind == "listen":
            made, peer = sock.accept()
            made.sendall(f"{said} {peer[0]}\n".encode())
            threading.Thread(target=echo, args=(made,), daemon=True).start()
        else:
            data, peer = sock.recvfrom(65536)
            sock.sendto(f"{said} {peer[0]} ".encode() + data, peer)

    def stop(self):
        self.stopping = True
        self.thread.join()
        for sock in self.sockets:
            sock.close()


def echo(made):
    made.setblocking(True)
    with made, contextlib.suppress(OSError):
        while data := made.recv(65536):
            made.sendall(data)


def ask(lab, host, address, source=None, timeout=3.0, keep=False):
    """(who answered, whom it saw), and the connection if it is kept."""
    made = lab.connect(host, address, timeout, source)
    line = b""
    while not line.endswith(b"\n"):
        piece = made.recv(100)
        assert piece, "ended without a word"
        line += piece
    if keep:
        return (*line.decode().split(), made)
    made.close()
    return tuple(line.decode().split())


def talk(made, data):
    """Says it in pieces that both ends' buffers hold, and hears it again."""
    for at in range(0, len(data), 32768):
        part = data[at:at + 32768]
        made.sendall(part)
        heard = b""
        while len(heard) < len(part):
            piece = made.recv(65536)
            assert piece, f"ended after {at + len(heard)} of {len(data)} bytes"
            heard += piece
        assert heard == part


def ask_udp(lab, host, address, timeout=2.0, made=None, source=None):
    own = made or lab.socket(host, socket.SOCK_DGRAM, socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    own.settimeout(timeout)
    try:
        if source:
            own.bind((source, 0))
        if not made:
            own.connect(address)
        own.send(b"q")
        return tuple(own.recv(1000).decode().split())
    finally:
        if not made:
            own.close()
