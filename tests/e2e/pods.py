# SPDX-License-Identifier: Apache-2.0
"""Pods that the test process plays: one event loop, a listening socket in each pod's namespace.

A path asks for a behaviour:
  /           200, the pod's name and the client's address
  /echo       WebSocket handshake, then every byte comes back
  /pattern/N  WebSocket handshake, then checks and sends the frames of tunnel N (pattern.py)
  /silent     WebSocket handshake, then nothing is read or sent
  /sink       WebSocket handshake, reads and drops
  /say        WebSocket handshake, sends one text frame, a Close frame with 1000, and closes
  /reset      WebSocket handshake, then RST as soon as a byte comes
  /bye        WebSocket handshake, half-closes at the first byte, then goes on echoing the rest into its ears
  /refuse     403
A handshake without Upgrade gets 400. A connection whose first line is 'RAW' is echoed as plain TCP.
"""

import asyncio
import base64
import contextlib
import hashlib
import socket
import struct
import threading

import pattern

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(payload, opcode=2, mask=None):
    head = bytes([0x80 | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
    if mask:
        return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return head + payload


def close_frame(code, reason=b"", mask=None):
    return frame(struct.pack("!H", code) + reason, 8, mask)


class Pods:
    def __init__(self, lab, names, port):
        self.lab, self.port = lab, port
        self.loop = asyncio.new_event_loop()
        self.events = []  # (pod, what, detail)
        self.patterns = {}  # tunnel -> what was wrong, or None when it ended well
        self.dead = set()
        self._servers = {}
        self._writers = {name: set() for name in names}
        self._lock = threading.Condition()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._thread.start()
        for name in names:
            self.start(name)

    def _turn(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def start(self, name):
        listening = self.lab.listen(name, self.port)

        async def serve():
            return await asyncio.start_server(lambda r, w: self._guard(name, r, w), sock=listening)

        self._servers[name] = self._call(serve())

    def kill(self, name):
        """Closes the pod's port and resets its connections, as when the pod's process dies."""

        async def end():
            self._servers.pop(name).close()
            for writer in list(self._writers[name]):
                reset(writer)

        self._call(end())

    def forget(self):
        for name in self._writers:
            if name not in self._servers:
                self.start(name)
        with self._lock:
            self.events.clear()
            self.patterns.clear()

    def stop(self):
        for name in list(self._servers):
            self.kill(name)

        async def end():
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        self._call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def note(self, pod, what, detail=None):
        with self._lock:
            self.events.append((pod, what, detail))
            self._lock.notify_all()

    def wait_for(self, what, count=1, seconds=5):
        with self._lock:
            found = self._lock.wait_for(lambda: sum(1 for e in self.events if e[1] == what) >= count, seconds)
            assert found, f"no {what} in {self.events}"
            return [e for e in self.events if e[1] == what]

    async def _guard(self, name, reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writers[name].add(writer)
        try:
            await self._connection(name, reader, writer)
        except ConnectionResetError:
            self.note(name, "reset")
        except (asyncio.IncompleteReadError, BrokenPipeError):
            pass
        finally:
            self._writers[name].discard(writer)
            with contextlib.suppress(Exception):
                writer.close()

    async def _connection(self, name, reader, writer):
        peer = writer.get_extra_info("peername")
        while True:
            first = await reader.readline()
            if not first:
                return
            if first == b"RAW\n":
                writer.write(f"{name} {peer[0]}\n".encode())
                await self._echo(name, reader, writer)
                return
            lines = []
            while (line := await reader.readline()) not in (b"\r\n", b""):
                lines.append(line.decode("latin-1").rstrip("\r\n"))
            fields = {l.split(":", 1)[0].lower(): l.split(":", 1)[1].strip() for l in lines if ":" in l}
            path = first.split(b" ")[1].decode()
            self.note(name, "request", (path, fields))
            if path == "/":
                body = f"{name} {peer[0]} host={fields.get('host')}\n".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Pod: %s\r\n\r\n%s" % (len(body), name.encode(), body))
                if "close" in fields.get("connection", "") or b"HTTP/1.0" in first:
                    return
                continue
            if path == "/refuse":
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nmembers")
                continue
            if fields.get("upgrade", "").lower() != "websocket" or "upgrade" not in fields.get("connection", "").lower():
                said = b"Handshake failed due to invalid Upgrade header: null"
                writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
                continue
            digest = hashlib.sha1((fields["sec-websocket-key"] + GUID).encode()).digest()
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\nX-Pod: " + name.encode() + b"\r\n\r\n"
            )
            await self._tunnel(name, path, reader, writer)
            return

    async def _tunnel(self, name, path, reader, writer):
        if path == "/echo":
            await self._echo(name, reader, writer)
        elif path.startswith("/pattern/"):
            number = int(path.rsplit("/", 1)[1])
            self.patterns[number] = "unfinished"
            self.patterns[number] = await pattern.converse(reader, writer, number, pattern.POD, pattern.never)
        elif path == "/silent":
            await asyncio.sleep(3600)
        elif path == "/sink":
            while await reader.read(65536):
                pass
            self.note(name, "end")
        elif path == "/say":
            writer.write(frame(b"hello", 1) + close_frame(1000, b"done"))
            await writer.drain()
        elif path == "/reset":
            await reader.read(1)
            reset(writer)
        elif path == "/bye":
            await reader.read(1)
            writer.write(b"last words")
            writer.write_eof()
            heard = b""
            while piece := await reader.read(65536):
                heard += piece
            self.note(name, "heard", heard)

    async def _echo(self, name, reader, writer):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
        self.note(name, "end")


def reset(writer):
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
