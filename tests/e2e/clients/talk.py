# SPDX-License-Identifier: Apache-2.0
"""python3-websockets talks with server.py: talk.py URL client|endpoint (who closes).

Says `open` when it is connected, goes on when a line comes, and says in the end how it was closed.
"""

import asyncio
import json
import random
import sys

import websockets


async def ask(socket, message, wanted=None):
    await socket.send(message)
    heard = await asyncio.wait_for(socket.recv(), 10)
    whole = message if isinstance(message, (str, bytes)) else message[0][:0].join(message)
    assert heard == (whole if wanted is None else wanted), (len(heard), heard[:100])


async def main(url, closer):
    async with websockets.connect(url, max_size=1 << 21) as socket:
        await ask(socket, "before the hand-off")
        print("open", flush=True)
        assert await asyncio.to_thread(sys.stdin.readline)
        await ask(socket, "Grüße ✓")
        await ask(socket, "")
        await ask(socket, "the same words again " * 5000)
        await ask(socket, random.randbytes(1 << 20))
        await ask(socket, ["one ", "", "message ", "x" * 70_000, " in pieces"])
        await ask(socket, [random.randbytes(1000) for _ in range(100)])
        await ask(socket, "in pieces", b"".join(bytes([number]) * (number * 50 + 1) for number in range(100)))
        for number in range(200):
            await socket.send(f"message {number}")
        for number in range(200):
            assert await asyncio.wait_for(socket.recv(), 10) == f"message {number}"
        await asyncio.wait_for(await socket.ping(b"from the client"), 10)
        await ask(socket, "ping me", "pong heard")
        if closer == "client":
            await socket.close(4001, "the client is done")
        else:
            await socket.send("close the endpoint is done")
            await asyncio.wait_for(socket.wait_closed(), 10)
        print(json.dumps({"code": socket.close_code, "reason": socket.close_reason,
                          "deflate": bool(socket.extensions)}))


asyncio.run(main(*sys.argv[1:]))
