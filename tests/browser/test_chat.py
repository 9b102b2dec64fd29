# SPDX-License-Identifier: Apache-2.0
"""Two chat pages in Chromium talk through hawser, and lose nothing when the way breaks."""

import pytest

from chat import SERVICE, ChatPage
from daemon import wait_for


@pytest.fixture
def two(browser, site):
    ann, bob = ChatPage(browser, site, "ann"), ChatPage(browser, site, "bob")
    for person in (ann, bob):
        person.until_people(2)
    return ann, bob


def tunnel_of(site, *others):
    """The id of the one tunnel that is none of the others."""
    one, = site.tunnel_ids() - set(others)
    return one


def test_two_pages_sign_in_and_hear_each_other(site, two):
    ann, bob = two
    assert ann.state == bob.state == f"online · pod-{site.pod.number}"
    ann.send("hello bob")
    bob.until_texts(["hello bob"])
    bob.send("hello ann")
    for page in two:
        page.until_texts(["hello bob", "hello ann"])
    assert [sender for _, sender, _, _ in ann.messages] == ["ann", "bob"]
    tunnels = site.tunnels()
    assert len(tunnels) == 2
    for tunnel in tunnels:
        assert (tunnel["protocol"], tunnel["service"], tunnel["endpoint"]) == ("websocket", SERVICE, f"127.0.0.1:{site.pod.port}")


def test_text_is_shown_as_text(two):
    ann, bob = two
    ann.send("<b onclick=alert(1)>bold</b> & https://example.com/a?b=1.")
    bob.until_texts(["<b onclick=alert(1)>bold</b> & https://example.com/a?b=1."])
    assert bob.page.eval("document.querySelectorAll('[data-testid=message-text] b').length") == 0
    assert bob.page.eval("document.querySelector('[data-testid=message-text] a').href") == "https://example.com/a?b=1"


def test_the_other_sees_that_one_types(two):
    ann, bob = two
    ann.page.click("[data-testid=composer-input]")
    ann.page.type("I am")
    bob.page.until("document.querySelector('[data-testid=typing]').innerText === 'ann is typing…'", "bob sees ann typing")


def test_a_page_that_was_cut_comes_back_by_itself_with_every_message_once(browser, site):
    ann = ChatPage(browser, site, "ann")
    anns = tunnel_of(site)
    bob = ChatPage(browser, site, "bob")
    bobs = tunnel_of(site, anns)
    said = []
    for number in range(3):
        said += [f"ann {number}", f"bob {number}"]
        ann.send(said[-2])
        bob.until_texts(said[:-1])
        bob.send(said[-1])
        ann.until_texts(said)

    # A reload that turns ann's next WebSocket away: the two that are open do not notice.
    site.write(away=["ann"])
    site.reload()
    assert site.tunnel_ids() == {anns, bobs}
    assert "waiting" not in {state for state, _ in ann.told}

    site.kill_tunnel(anns)
    ann.until_offline()
    wait_for(lambda: site.tunnel_ids() == {bobs}, "ann's tunnel is gone")
    for number in range(3, 23):
        said.append(f"bob {number}, while ann is away")
        bob.send(said[-1])
    bob.until_texts(said)
    # What ann writes meanwhile is kept, and marked as not stored.
    ann.send("ann, from nowhere")
    assert ann.messages[-1] == (None, "ann", "ann, from nowhere", "pending")
    assert ann.texts[:-1] == said[:6]
    ann.page.until("told.some(([state, words]) => state === 'waiting' && /^reconnecting in \\d+ s…/.test(words))",
                   "ann's page says that it reconnects")

    site.write()
    site.reload()
    said.append("ann, from nowhere")
    ann.until_texts(said)
    bob.until_texts(said)
    ann.until_online()
    assert bobs in site.tunnel_ids() and anns not in site.tunnel_ids() and len(site.tunnels()) == 2
    assert "waiting" not in {state for state, _ in bob.told}

    bob.send("welcome back")
    ann.until_texts([*said, "welcome back"])


def test_the_beginning_of_a_room_stands_above_its_messages(two):
    ann, bob = two
    ann.send("first")
    bob.send("second")
    for page in two:
        page.page.until("document.querySelectorAll('[data-testid=message]').length === 2", "both are there")
        lines = page.page.eval("[...document.querySelector('[data-testid=message-list]').children].map((one) => one.className.split(' ')[0])")
        assert lines == ["note", "day", "message", "message"]


def test_the_newest_message_stays_in_sight_when_the_window_shrinks(two):
    ann, bob = two
    said = [f"message {number}, " + "with some words in it " * 8 for number in range(12)]
    said = [text.strip() for text in said]
    for text in said:
        bob.send(text)
    ann.until_texts(said)
    ann.page.size(420, 500)
    ann.page.until("""(() => { const last = [...document.querySelectorAll('[data-testid=message]')].at(-1).getBoundingClientRect();
        const log = document.querySelector('[data-testid=message-list]').getBoundingClientRect();
        return last.bottom <= log.bottom; })()""", "the newest message is in sight")


def test_reloads_disturb_no_page(site, two):
    ann, bob = two
    tunnels = site.tunnel_ids()
    said = []
    for number in range(10):
        site.reload()
        said.append(f"message {number}")
        (ann if number % 2 else bob).send(said[-1])
    for page in two:
        page.until_texts(said)
        assert "waiting" not in {state for state, _ in page.told}
    assert site.tunnel_ids() == tunnels and len(tunnels) == 2


def test_both_pages_outlive_a_restart_of_hawser(site, two):
    ann, bob = two
    ann.send("before")
    bob.until_texts(["before"])
    site.stop_hawser()
    for page in two:
        page.until_offline()
    ann.send("while there was no hawser")
    site.start_hawser()
    for page in two:
        page.until_texts(["before", "while there was no hawser"])


def test_both_pages_outlive_the_death_of_the_pod(site, two):
    ann, bob = two
    ann.send("before")
    bob.until_texts(["before"])
    site.pod.kill()
    for page in two:
        page.until_offline()
    bob.send("while there was no pod")
    site.pod.start()
    for page in two:
        page.until_texts(["before", "while there was no pod"])


def test_what_was_not_acknowledged_outlives_a_reload_of_the_page(browser, site):
    ann = ChatPage(browser, site, "ann")
    site.pod.kill()
    ann.until_offline()
    ann.send("kept over a reload")
    ann.page.tell("Page.reload")
    # hawser answers 502 while the pod is away; then the same tab opens the page again.
    ann.page.until("!window.told && document.readyState === 'complete'", "the page has been left")
    site.pod.start()
    ann.page.go(site.url("ann"))
    ann.until_texts(["kept over a reload"])
