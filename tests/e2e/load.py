# SPDX-License-Identifier: Apache-2.0
"""Many WebSocket tunnels that talk all the time."""

import asyncio
import threading

import pattern
import visits
import wire
from visits import ASK, SITE


class Load:
    """Tunnels in a thread of their own, every byte of them checked at both ends."""

    def __init__(self, lab, pods, addresses, count):
        self.lab, self.pods, self.addresses, self.count = lab, pods, addresses, count
        self.stopping = False
        self.results = {}
        self.opened = threading.Barrier(2)
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self.thread.start()
        self.opened.wait(60)
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join(60)

    def failures(self):
        self.stopping = True
        self.thread.join(60)
        assert not self.thread.is_alive(), "the tunnels did not end"
        visits.wait(lambda: all(w != "unfinished" for w in self.pods.patterns.values()), 10, "the pods' ends")
        found = {f"client of {n}": w for n, w in self.results.items() if w}
        found.update({f"pod of {n}": w for n, w in self.pods.patterns.items() if w})
        assert len(self.results) == len(self.pods.patterns) == self.count
        return found

    async def _run(self):
        streams = {}
        for number in range(self.count):
            sock = self.lab.connect("client", self.addresses[number % len(self.addresses)])
            client = wire.Client(sock)
            client.send(wire.get(f"/pattern/{number}", *ASK, host=SITE))
            answer = client.answer()
            assert answer.status == 101, answer
            sock.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=sock)
            reader.feed_data(client.buffer)
            streams[number] = (reader, writer)
        self.opened.wait(60)

        async def one(number, reader, writer):
            self.results[number] = await pattern.converse(reader, writer, number, pattern.CLIENT, lambda: self.stopping)
            writer.close()

        await asyncio.gather(*(one(n, *s) for n, s in streams.items()))
