# SPDX-License-Identifier: Apache-2.0
"""The console in Chromium, over a hawser that carries two chats."""

import pytest

from chat import SERVICE, ChatPage


class Console:
    def __init__(self, browser, site, view="tunnels", **looks):
        self.page = browser.open(f"http://{site.daemon.admin}/#{view}", **looks)
        self.page.until("document.querySelector('#state').textContent === 'ready'", "the console is ready")

    @property
    def rows(self):
        """The table, each row by its headings."""
        return self.page.eval("""(() => { const heads = [...document.querySelectorAll('thead th')].map((th) => th.innerText);
            return [...document.querySelectorAll('tbody tr')].map((row) =>
                Object.fromEntries([...row.cells].map((cell, i) => [heads[i] || 'action', cell.innerText]))); })()""")

    def until_rows(self, count):
        self.page.until(f"document.querySelectorAll('tbody tr').length === {count}", f"the table has {count} rows")
        return self.rows

    def figure(self, name):
        return self.page.eval(f"""[...document.querySelectorAll('#figures dt')].find((dt) => dt.innerText === '{name}')
            ?.nextElementSibling.firstChild.data""")

    def choose(self, view):
        self.page.eval(f"[...document.querySelectorAll('#tabs button')].find((b) => b.innerText.startsWith('{view}')).click()")


@pytest.fixture
def console(browser, site):
    return Console(browser, site)


def test_live_tunnels_come_count_and_go(browser, site, console):
    assert console.until_rows(0) == []
    assert console.figure("Live tunnels") == "0"
    ann = ChatPage(browser, site, "ann")
    row, = console.until_rows(1)
    assert row["ID"] == site.tunnels()[0]["id"]
    assert (row["Protocol"], row["Service"], row["Endpoint"]) == ("websocket", SERVICE, f"127.0.0.1:{site.pod.port}")
    assert console.figure("Live tunnels") == "1"

    for number in range(5):
        ann.send(f"message {number}")
    ann.until_texts([f"message {number}" for number in range(5)])
    wanted = site.tunnels()[0]["fromClient"]["frames"]
    console.page.until(f"Number(document.querySelector('tbody tr').cells[9].innerText) >= {wanted}", "the frames are counted")

    ann.page.close()
    console.until_rows(0)


def test_a_tunnel_closed_in_the_console_is_gone_and_its_page_comes_back(browser, site, console):
    ann = ChatPage(browser, site, "ann")
    row, = console.until_rows(1)
    console.page.eval("setTimeout(() => document.querySelector('tbody button').click())")
    console.page.answer_dialog(f"Close tunnel {row['ID']}?")
    ann.page.until("told.some(([state]) => state === 'waiting')", "ann's page lost its connection")
    ann.until_online()
    console.page.until(f"""document.querySelectorAll('tbody tr').length === 1 &&
        document.querySelector('tbody td').innerText !== '{row['ID']}'""", "the console shows the new tunnel")


def test_routes_say_where_they_are_written(site, console):
    console.choose("Routes")
    first, second = console.until_rows(2)
    assert first["Hosts"].split() == ["ann.localhost", "(default)"] and second["Hosts"] == "bob.localhost"
    assert first["Written in"].startswith(f"{site.conf}:")


def test_a_refused_reload_is_shown_with_file_and_line(site, console):
    good = site.conf.read_text()
    number = console.figure("Snapshot")
    site.conf.write_text(good.replace("proxy_pass http://chat;", "proxy_pas http://chat;", 1))
    console.page.click("#reload")
    console.page.until("document.querySelector('#problem').checkVisibility()", "the problem is shown")
    words = console.page.eval("document.querySelector('#problem').innerText")
    assert f"snapshot {number} stays in force" in words and f"{site.conf}:" in words and "proxy_pas" in words
    site.conf.write_text(good)
    console.page.click("#reload")
    console.page.until("!document.querySelector('#problem').checkVisibility()", "the problem is gone")


def test_it_says_when_hawser_cannot_be_reached(site, console):
    site.stop_hawser()
    console.page.until("document.querySelector('#state').textContent.startsWith('unreachable')", "the console says unreachable")
