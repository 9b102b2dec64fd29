# SPDX-License-Identifier: Apache-2.0
import asyncio
import random

from service import Persistent, check_exactly_once, whole_history


async def chat_while(clients, disturb, messages):
    """Every client sends `messages` messages while `disturb` does its worst; then all wait for the last ack."""
    tasks = [asyncio.create_task(client.run()) for client in clients]

    async def talk(client):
        for n in range(messages):
            await client.send(f"{client.name}-{n}")
            await asyncio.sleep(random.uniform(0, 0.01))

    talking = [asyncio.create_task(talk(client)) for client in clients]
    await disturb()
    await asyncio.gather(*talking)
    while any(client.outbox for client in clients):
        await asyncio.sleep(0.02)
    return tasks


async def settle(clients, tasks, total):
    while any(client.position != total for client in clients):
        await asyncio.sleep(0.02)
    for client in clients:
        await client.stop()
    await asyncio.gather(*tasks)


def test_every_acknowledged_message_survives_kill_9_exactly_once(start, run):
    service = start("--rate", "0")
    clients = [Persistent([service], f"user{n}") for n in range(4)]

    async def kill_and_start():
        for _ in range(5):
            await asyncio.sleep(random.uniform(0.1, 0.5))
            service.kill()
            await asyncio.to_thread(service.start)

    async def talk():
        tasks = await chat_while(clients, kill_and_start, 300)
        history = await asyncio.to_thread(lambda: whole_history(service, "general", service.token("ann")))
        assert len(history) == 4 * 300
        await settle(clients, tasks, len(history))
        check_exactly_once(history, clients)
        assert all(client.connections >= 3 for client in clients)

    run(talk())
