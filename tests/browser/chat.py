# SPDX-License-Identifier: Apache-2.0
"""The site of the browser tests, and a chat page as a person sees it."""

import json
import signal

from daemon import Daemon, free_port, wait_for
from service import Service

# ann and bob come by names of their own, so that one of the two can be turned away alone.
RECIPE = """\
map $http_upgrade $connection_upgrade {{
    default upgrade;
    ''      close;
}}
upstream chat {{
    server 127.0.0.1:{pod};
}}
{servers}
"""
SERVER = """\
server {{
    listen 127.0.0.1:{front};
    server_name {name}.localhost;
    {closed}
    location / {{
        proxy_pass http://chat;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_set_header Host $http_host;
    }}
}}
"""
SERVICE = "chat"  # what the console and the API call the upstream


class Site:
    """hawser-im with hawser before it. Everything that changes is waited for."""

    def __init__(self, directory):
        self.directory = directory
        self.front = free_port()
        self.pod = Service(directory)
        self.conf = directory / "nginx.conf"
        self.daemon = None
        try:
            self.write()
            self.start_hawser()
        except BaseException:
            self.stop()
            raise

    def write(self, away=()):
        """The nginx.conf, in which WebSockets of the names in `away` get 503."""
        servers = (SERVER.format(front=self.front, name=name, closed="location = /ws { return 503; }" if name in away else "")
                   for name in ("ann", "bob"))
        self.conf.write_text(RECIPE.format(pod=self.pod.port, servers="".join(servers)))

    def start_hawser(self):
        # Only HUP reads the file anew: a test knows when.
        self.daemon = Daemon(self.directory, "--nginx", self.conf, "--no-watch", drain="0.5").wait_ready()

    def stop_hawser(self):
        code = self.daemon.stop()
        assert code == 0, self.daemon.log.read_text()

    def reload(self):
        before = self.snapshot()["reloads"]["succeeded"]
        self.daemon.signal(signal.SIGHUP)
        wait_for(lambda: self.snapshot()["reloads"]["succeeded"] > before, "HUP has been obeyed")

    def snapshot(self):
        return self.daemon.ask("/api/v1/snapshot")[1]

    def tunnels(self):
        return self.daemon.ask("/api/v1/tunnels")[1]["items"]

    def tunnel_ids(self):
        return {tunnel["id"] for tunnel in self.tunnels()}

    def kill_tunnel(self, id):
        done = self.daemon.command("kill", "tunnel", id)
        assert done.returncode == 0, done.stderr

    def url(self, name, room="general"):
        return f"http://{name}.localhost:{self.front}/?name={name}&room={room}"

    def stop(self):
        try:
            if self.daemon:
                self.daemon.stop()
        finally:
            self.pod.kill()


class ChatPage:
    """Somebody at the chat page; finds things by data-testid as web/chat/README.md promises."""

    def __init__(self, browser, site, name, **looks):
        self.name = name
        self.page = browser.open(site.url(name), **looks)
        # Every state and every order of messages that the page ever shows from here on.
        self.page.eval("""(() => {
            const state = document.querySelector('[data-testid=connection-state]');
            window.told = [];
            const look = () => told.push([state.dataset.state, state.innerText.trim()]);
            look();
            new MutationObserver(look).observe(state, { subtree: true, childList: true, attributes: true, characterData: true });
        })()""")
        self.until_online()

    def until_online(self):
        self.page.until("document.querySelector('[data-testid=connection-state]').dataset.state === 'online'",
                        f"{self.name} is online")

    def until_offline(self):
        self.page.until("document.querySelector('[data-testid=connection-state]').dataset.state !== 'online'",
                        f"{self.name} is offline")

    @property
    def state(self):
        return self.page.eval("document.querySelector('[data-testid=connection-state]').innerText.trim()")

    @property
    def told(self):
        """(state, words) of the connection, as they followed each other."""
        return [tuple(one) for one in self.page.eval("told")]

    def send(self, text):
        self.page.click("[data-testid=composer-input]")
        self.page.type(text)
        self.page.press_enter()

    @property
    def messages(self):
        """(seq, from, text, delivery) in the order of the page; seq None: not stored yet."""
        return [tuple(one) for one in self.page.eval("""[...document.querySelectorAll('[data-testid=message]')].map((element) => [
            element.dataset.seq ? Number(element.dataset.seq) : null, element.dataset.from,
            element.querySelector('[data-testid=message-text]').innerText, element.dataset.state])""")]

    @property
    def texts(self):
        return [text for _, _, text, _ in self.messages]

    def until_texts(self, texts):
        """Exactly these are there, in this order, and all of them are stored."""
        self.page.until(f"""(() => {{ const all = [...document.querySelectorAll('[data-testid=message]')];
            return all.every((element) => element.dataset.state === 'sent' && element.dataset.seq) && all.length >= {len(texts)}; }})()""",
                        f"{self.name} has {len(texts)} messages, all stored")
        assert self.texts == list(texts)
        assert [seq for seq, *_ in self.messages] == list(range(1, len(texts) + 1))

    def until_people(self, count):
        self.page.until(f"document.querySelector('[data-testid=people-count]').innerText === {json.dumps(str(count))}",
                        f"{self.name} sees {count} people")
