# SPDX-License-Identifier: Apache-2.0
"""A server of python3-websockets for talk.html and the other clients here: server.py PORT deflate|plain.

It says back what it hears. Some words ask for more: `ping me` (the answer comes after the pong), `in pieces` (one message
of many frames), `close REASON` (it closes, with 4002). A path that ends in .html is the page. When a connection has ended
it prints a line about it, with the bytes that came and went after the handshake.
"""

import asyncio
import http
import json
import pathlib
import sys

import websockets
from counting import Counting

PAGE = pathlib.Path(__file__).with_name("talk.html").read_bytes()
PIECES = [bytes([number]) * (number * 50 + 1) for number in range(100)]


class Counted(Counting, websockets.WebSocketServerProtocol):
    def write_http_response(self, *answer):
        super().write_http_response(*answer)
        self.heard = self.said = 0  # no client speaks before it has this

    async def process_request(self, path, fields):
        if path.endswith(".html"):
            return http.HTTPStatus.OK, {"Content-Type": "text/html; charset=utf-8"}, PAGE


async def talk(socket):
    try:
        async for message in socket:
            if message == "ping me":
                await asyncio.wait_for(await socket.ping(b"are you there"), 10)
                await socket.send("pong heard")
            elif message == "in pieces":
                await socket.send(PIECES)
            elif isinstance(message, str) and message.startswith("close "):
                await socket.close(4002, message.removeprefix("close "))
            else:
                await socket.send(message)
    finally:
        await socket.wait_closed()
        print(json.dumps({
            "path": socket.path, "heard": socket.heard, "said": socket.said, "code": socket.close_code, "reason": socket.close_reason,
            "extensions": [extension.name for extension in socket.extensions],
        }), flush=True)


async def main(port, compression):
    async with websockets.serve(talk, "0.0.0.0", int(port), create_protocol=Counted, max_size=1 << 21,
                                compression="deflate" if compression == "deflate" else None):
        await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))
