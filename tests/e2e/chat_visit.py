# SPDX-License-Identifier: Apache-2.0
"""Run inside the lab's client: two people in one room, each through another URL. Prints what both have heard."""

import asyncio
import json
import sys
import urllib.request

import websockets

HOST = {"Host": "websocket.bbotte.com"}


class Person:
    def __init__(self, name):
        self.name, self.heard = name, []

    async def come(self, url):
        request = urllib.request.Request(
            url.replace("ws://", "http://").replace("/ws", "/api/v1/token"),
            json.dumps({"name": self.name}).encode(), {"Content-Type": "application/json", **HOST},
        )
        token = json.load(urllib.request.urlopen(request, timeout=5))["token"]
        self.socket = await websockets.connect(url)
        await self.tell(type="signin", name=self.name, token=token)
        await self.await_frame("welcome")
        await self.tell(type="join", room="general")
        await self.await_frame("joined")

    async def tell(self, **frame):
        await self.socket.send(json.dumps(frame))

    async def await_frame(self, kind):
        while True:
            frame = json.loads(await asyncio.wait_for(self.socket.recv(), 5))
            if frame["type"] == "message":
                self.heard.append(f"{frame['from']}: {frame['text']}")
            if frame["type"] == "error":
                raise RuntimeError(frame)
            if frame["type"] == kind:
                return frame

    async def hear(self, count):
        while len(self.heard) < count:
            await self.await_frame("message")


async def main(first_url, second_url):
    ann, bob = Person("ann"), Person("bob")
    await ann.come(first_url)
    await bob.come(second_url)
    await ann.tell(type="send", room="general", id="1", text="hello from ann")
    await bob.hear(1)
    await bob.tell(type="send", room="general", id="2", text="hello from bob")
    await ann.hear(2)
    await bob.hear(2)
    for person in (ann, bob):
        print(person.name, person.heard)
        await person.socket.close()


asyncio.run(main(*sys.argv[1:]))
