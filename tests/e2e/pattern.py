# SPDX-License-Identifier: Apache-2.0
"""WebSocket frames whose every byte follows from (tunnel, side, number): both ends know what has to arrive."""

import asyncio
import random
import struct

CLIENT, POD = 0, 1
PAUSE = (0.2, 1.0)  # seconds between two frames of one side


def frame_of(tunnel, side, number):
    """Frame `number` of a side. Clients mask (RFC 6455 5.3); some frames are long."""
    size = 2 + (tunnel * 131 + side * 17 + number * 71) % 997
    if number % 16 == 7:
        size += 3000
    seed = (tunnel * 2 + side) * 1_000_003 + number
    payload = random.Random(seed).randbytes(size)
    head = b"\x82"
    bit = 0x80 if side == CLIENT else 0
    head += bytes([bit | size]) if size < 126 else bytes([bit | 126]) + struct.pack("!H", size)
    if side == CLIENT:
        return head + struct.pack("!I", seed & 0xFFFFFFFF) + payload  # masked or not, to the tunnel it is bytes
    return head + payload


def last_frame(side):
    return b"\x88\x82\x00\x00\x00\x00\x03\xe8" if side == CLIENT else b"\x88\x02\x03\xe8"


def never():
    return False


async def converse(reader, writer, tunnel, side, finish):
    """Sends one side's frames until finish() and reads the other's, comparing every byte. The client says when it
    ends: it sends a Close frame, the pod answers with one, both are the end. Returns None, or what was wrong."""
    wrong = []
    stop = asyncio.Event()
    jitter = random.Random(tunnel * 2 + side)

    async def send():
        number = 0
        while not finish() and not stop.is_set():
            writer.write(frame_of(tunnel, side, number))
            await writer.drain()
            number += 1
            try:
                await asyncio.wait_for(stop.wait(), jitter.uniform(*PAUSE))
            except asyncio.TimeoutError:
                pass
        writer.write(last_frame(side))
        await writer.drain()
        return number

    async def receive():
        number, other = 0, 1 - side
        try:
            while True:
                expected = frame_of(tunnel, other, number)
                start = await reader.readexactly(4)
                if start == last_frame(other)[:4]:
                    rest = last_frame(other)[4:]
                    if rest and await reader.readexactly(len(rest)) != rest:
                        wrong.append(f"the Close frame of side {other} is damaged")
                    return number
                got = start + await reader.readexactly(len(expected) - 4)
                if got != expected:
                    at = next(i for i in range(len(expected)) if got[i] != expected[i])
                    wrong.append(f"frame {number} of side {other} differs at byte {at} of {len(expected)}")
                    return number
                number += 1
        except (asyncio.IncompleteReadError, ConnectionError) as problem:
            wrong.append(f"cut in frame {number} of side {other}: {type(problem).__name__}")
            return number
        finally:
            if side == POD:
                stop.set()

    sent, received = await asyncio.gather(send(), receive(), return_exceptions=True)
    for result in (sent, received):
        if isinstance(result, BaseException):
            wrong.append(f"{type(result).__name__}: {result}")
    return "; ".join(wrong) or None
