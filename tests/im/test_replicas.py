# SPDX-License-Identifier: Apache-2.0
import asyncio
import random

from service import Client, Persistent, check_exactly_once, whole_history
from test_durability import chat_while, settle


def replicas(start, nats, count, *arguments):
    pods = [start("--nats", nats.url, *arguments, data=False, ready=False) for _ in range(count)]
    for pod in pods:
        pod.until_ready()
    return pods


def test_replicas_are_one_chat(start, nats, run):
    one, two = replicas(start, nats, 2)

    async def talk():
        ann = await Client.connect(one, "ann")
        bob = await Client.connect(two, "bob")
        assert ann.welcome["epoch"] == bob.welcome["epoch"]
        assert ann.welcome["pod"] != bob.welcome["pod"]
        await ann.join()
        await bob.join()
        for n in range(6):
            await (ann, bob)[n % 2].send(f"message {n}")
        for client in (ann, bob):
            await client.wait(lambda frame: frame["type"] == "message", 6)
            assert client.seqs() == list(range(1, 7))
        # The same message through the other replica.
        again = await (await Client.connect(two, "ann")).send("message 0")
        assert (again["seq"], again["duplicate"]) == (1, True)
        # Presence and typing cross over.
        await ann.wait(lambda frame: frame["type"] == "presence" and {"name": "bob", "pod": bob.welcome["pod"]} in frame["online"])
        await bob.tell(type="typing", room="general")
        await ann.wait(lambda frame: frame["type"] == "typing" and frame["from"] == "bob")
        # A client that lands on the other pod resumes there.
        await ann.close()
        await bob.send("while ann was away")
        ann = await Client.connect(two, "ann", resume={"general": 6})
        await ann.wait(lambda frame: frame["type"] == "message")
        assert ann.seqs() == [7]
        # Direct messages too.
        await (await Client.connect(one, "carl")).ask(type="send", to="bob", id="d", text="psst")
        await bob.wait(lambda frame: frame["type"] == "message" and frame["room"] == "dm:bob:carl")

    run(talk())


def test_acknowledged_messages_survive_kill_9_of_pods_exactly_once(start, nats, run):
    pods = replicas(start, nats, 3, "--rate", "0")
    clients = [Persistent(pods[n % 3:] + pods[:n % 3], f"user{n}") for n in range(6)]

    async def kill_pods():
        for n in range(3):
            await asyncio.sleep(random.uniform(0.2, 0.6))
            pods[n].kill()
            await asyncio.to_thread(pods[n].start, False)

    async def talk():
        tasks = await chat_while(clients, kill_pods, 250)
        for pod in pods:
            await asyncio.to_thread(pod.until_ready)
        history = await asyncio.to_thread(lambda: whole_history(pods[1], "general", pods[1].token("ann")))
        assert len(history) == 6 * 250
        await settle(clients, tasks, len(history))
        check_exactly_once(history, clients)
        assert all(client.connections >= 2 for client in clients)
        # Every replica has the same history.
        for pod in (pods[0], pods[2]):
            assert await asyncio.to_thread(lambda: whole_history(pod, "general", pod.token("ann"))) == history

    run(talk())


def test_without_nats_a_replica_is_not_ready_and_comes_back_without_a_loss(start, nats, run):
    pods = replicas(start, nats, 2, "--rate", "0")
    clients = [Persistent(pods[n:] + pods[:n], f"user{n}") for n in range(2)]

    async def kill_nats():
        await asyncio.sleep(0.3)
        nats.kill()
        await asyncio.to_thread(pods[0].until_ready, 503)
        await asyncio.to_thread(nats.start)
        for pod in pods:
            await asyncio.to_thread(pod.until_ready)

    async def talk():
        tasks = await chat_while(clients, kill_nats, 100)
        history = await asyncio.to_thread(lambda: whole_history(pods[0], "general", pods[0].token("ann")))
        assert len(history) == 200
        await settle(clients, tasks, 200)
        check_exactly_once(history, clients)

    run(talk())


def test_users_of_a_dead_pod_go_offline(start, nats, run):
    one, two = replicas(start, nats, 2)

    async def talk():
        ann = await Client.connect(one, "ann")
        await Client.connect(two, "bob")
        await ann.wait(lambda frame: frame["type"] == "presence" and "bob" in [u["name"] for u in frame["online"]])
        two.kill()
        await ann.wait(lambda frame: frame["type"] == "presence" and frame["offline"] == ["bob"])

    run(talk())
