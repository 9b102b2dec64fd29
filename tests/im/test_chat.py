# SPDX-License-Identifier: Apache-2.0
import pytest
from service import Client


def test_two_clients_talk_and_both_get_every_message_once_in_order(start, run):
    service = start()

    async def talk():
        ann = await Client.connect(service, "ann")
        bob = await Client.connect(service, "bob")
        assert ann.welcome["pod"] == f"pod-{service.number}"
        await ann.join()
        await bob.join()
        acks = [await (ann, bob)[n % 2].send(f"message {n}", id=f"m{n}") for n in range(10)]
        assert [ack["seq"] for ack in acks] == list(range(1, 11))
        for client in (ann, bob):
            await client.wait(lambda frame: frame["type"] == "message", 10)
            assert client.seqs() == list(range(1, 11))
            assert [message["text"] for message in client.messages()] == [f"message {n}" for n in range(10)]

    run(talk())


def test_a_message_sent_again_gets_the_same_number_and_nobody_sees_it_twice(start, run):
    service = start()

    async def talk():
        ann = await Client.connect(service, "ann")
        await ann.join()
        first = await ann.send("once", id="same")
        again = await ann.send("once", id="same")
        other = await ann.send("more", id="other")
        assert (first["seq"], first["duplicate"]) == (1, False)
        assert (again["seq"], again["duplicate"]) == (1, True)
        assert other["seq"] == 2
        await ann.wait(lambda frame: frame.get("seq") == 2 and frame["type"] == "message")
        assert ann.seqs() == [1, 2]

    run(talk())


def test_a_client_resumes_from_the_last_number_it_saw(start, run):
    service = start("--rate", "0")

    async def talk():
        ann = await Client.connect(service, "ann")
        bob = await Client.connect(service, "bob")
        await ann.join()
        await bob.join()
        for n in range(3):
            await ann.send(f"before {n}")
        await bob.wait(lambda frame: frame["type"] == "message", 3)
        await bob.close()
        for n in range(250):  # more than one page of the catching up
            await ann.tell(type="send", room="general", id=f"w{n}", text=f"while away {n}")
        await ann.wait(lambda frame: frame["type"] == "ack", 253)
        bob = await Client.connect(service, "bob", resume={"general": 3})
        await ann.send("after")
        await bob.wait(lambda frame: frame["type"] == "message", 251)
        assert bob.seqs() == list(range(4, 255))

    run(talk())


def test_history_is_paged_backwards_and_forwards(start, run):
    service = start("--rate", "0")

    async def talk():
        ann = await Client.connect(service, "ann")
        for n in range(25):
            await ann.send(f"{n}")
        seqs = lambda frame: [message["seq"] for message in frame["messages"]]
        newest = await ann.ask(type="history", room="general", limit=10)
        assert (seqs(newest), newest["more"]) == (list(range(16, 26)), True)
        oldest = await ann.ask(type="history", room="general", limit=10, before=6)
        assert (seqs(oldest), oldest["more"]) == (list(range(1, 6)), False)
        forward = await ann.ask(type="history", room="general", limit=10, after=20)
        assert (seqs(forward), forward["more"]) == (list(range(21, 26)), False)

    run(talk())


def test_direct_messages_reach_both_users_and_nobody_else(start, run):
    service = start()

    async def talk():
        ann, bob, eve = [await Client.connect(service, name) for name in ("ann", "bob", "eve")]
        ack = await ann.ask(type="send", to="bob", id="d1", text="just for you")
        assert ack["room"] == "dm:ann:bob"
        for client in (ann, bob):
            got = await client.wait(lambda frame: frame["type"] == "message")
            assert (got["room"], got["seq"], got["text"]) == ("dm:ann:bob", 1, "just for you")
        for request in ({"type": "join"}, {"type": "history"}, {"type": "send", "id": "x", "text": "x"}):
            assert (await eve.ask(**request, room="dm:ann:bob"))["code"] == "forbidden"
        assert eve.messages("dm:ann:bob") == []
        late = await Client.connect(service, "bob")
        assert late.welcome["direct"] == [{"room": "dm:ann:bob", "last": 1}]

    run(talk())


def test_presence_and_typing_are_told(start, run):
    service = start()

    async def talk():
        ann = await Client.connect(service, "ann")
        await ann.join()
        bob = await Client.connect(service, "bob")
        await bob.join()
        online = lambda name: lambda frame: frame["type"] == "presence" and name in [u["name"] for u in frame["online"]]
        await ann.wait(online("bob"))
        users = await ann.ask(type="users")
        assert [user["name"] for user in users["users"]] == ["ann", "bob"]
        await bob.tell(type="typing", room="general")
        typing = await ann.wait(lambda frame: frame["type"] == "typing")
        assert (typing["room"], typing["from"]) == ("general", "bob")
        await bob.close()
        await ann.wait(lambda frame: frame["type"] == "presence" and frame["offline"] == ["bob"])

    run(talk())


def test_rooms_are_listed_and_left(start, run):
    service = start("--room", "lobby")

    async def talk():
        ann = await Client.connect(service, "ann")
        assert (await ann.ask(type="rooms"))["rooms"] == [{"room": "lobby", "last": 0}]
        await ann.join("news")
        await ann.send("one", room="news")
        await ann.ask(type="leave", room="news")
        await ann.send("two", room="news")
        rooms = (await ann.ask(type="rooms"))["rooms"]
        assert {"room": "news", "last": 2} in rooms
        assert ann.seqs("news") == [1]

    run(talk())


@pytest.mark.parametrize("frame, code", [
    ("no json", "bad_request"),
    ("[]", "bad_request"),
    ('{"type":"dance"}', "bad_request"),
    ('{"type":"join"}', "bad_request"),
    ('{"type":"join","room":"a b"}', "bad_request"),
    ('{"type":"join","room":"general","after":-1}', "bad_request"),
    ('{"type":"send","room":"general","id":"x"}', "bad_request"),
    ('{"type":"send","room":"general","to":"bob","id":"x","text":"x"}', "bad_request"),
    ('{"type":"history","room":"general","limit":100000}', "bad_request"),
    ('{"type":"send","room":"general","id":"x","text":"%s"}' % ("x" * 8001), "too_long"),
    ('{"type":"signin","name":"ann","token":"again"}', "already_signed_in"),
])
def test_a_bad_request_is_answered_and_the_session_goes_on(start, run, frame, code):
    service = start()

    async def talk():
        ann = await Client.connect(service, "ann")
        await ann.socket.send(frame)
        assert (await ann.wait(lambda got: got["type"] == "error"))["code"] == code
        assert (await ann.ask(type="ping"))["type"] == "pong"

    run(talk())


def test_nobody_gets_in_without_a_good_token(start, run, tmp_path):
    service = start()

    async def talk():
        for token in ("", "him1.e30.AAAA", service.token("bob"), service.token("ann")[:-2]):
            ann = Client(service, "ann")
            await ann.open(token=token, resume={})
            assert ann.welcome["code"] == "unauthorized"
            assert (await ann.ask(type="join", room="general"))["code"] == "not_signed_in"
            for _ in range(2):
                await ann.tell(type="signin", name="ann", token=token)
            assert await ann.closed() == 1008

    run(talk())
