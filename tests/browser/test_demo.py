# SPDX-License-Identifier: Apache-2.0
"""examples/demo/run as a newcomer meets it."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile

import pytest

from daemon import HAWSER, REPO, free_port, wait_for

NOBODY = 65534


class Demo:
    def __init__(self, directory, ports=None, **options):
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self.ports = ports or {name: str(free_port()) for name in ("PORT", "ADMIN_PORT", "POD_PORT")}
        self.printed = directory / "printed"
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.temporary), "TMPDIR": str(self.temporary),
                       "HAWSER_BIN_DIR": str(HAWSER.parent.resolve()), **self.ports}
        if options.get("user"):
            os.chown(self.temporary, NOBODY, NOBODY)
        with self.printed.open("wb") as out:
            self.process = subprocess.Popen([REPO / "examples" / "demo" / "run"], cwd="/", env=environment, stdout=out, stderr=out,
                                            start_new_session=True, **options)

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None, self.text
            return "Ctrl-C ends it" in self.text

        wait_for(ready, "the demo to be up", 20)
        return self

    @property
    def text(self):
        return self.printed.read_text()

    @property
    def links(self):
        return re.findall(r"http://\S+", self.text)

    def processes(self):
        """What lives in its session."""
        found = subprocess.run(["ps", "-o", "pid=,args=", "-s", str(self.process.pid)], capture_output=True, text=True).stdout
        return [line for line in found.splitlines() if "<defunct>" not in line]

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(tmp_path):
    started = []

    def start_demo(directory=tmp_path, **options):
        started.append(Demo(directory, **options))
        return started[-1].wait_ready()

    yield start_demo
    for demo in started:
        demo.end()


def test_its_links_lead_to_a_chat_and_to_the_console(browser, start):
    demo = start()
    ann_link, bob_link, console_link = demo.links
    ann, bob, console = (browser.open(link) for link in demo.links)
    for page in (ann, bob):
        page.until("document.querySelector('[data-testid=connection-state]').dataset.state === 'online'", "the page is online")
    ann.click("[data-testid=composer-input]")
    ann.type("hello from the demo")
    ann.press_enter()
    bob.until("document.querySelector('[data-testid=message-text]')?.innerText === 'hello from the demo'", "bob has the message")
    console.until("document.querySelectorAll('tbody tr').length === 2", "the console shows two tunnels")
    assert console.eval("[...document.querySelectorAll('tbody tr')].map((row) => row.cells[3].innerText)") == ["chat", "chat"]


def test_its_command_for_the_tunnels_and_its_log_are_as_printed(start):
    demo = start()
    command = re.search(r"the tunnels +(.+)", demo.text)[1]
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    assert pathlib.Path(re.search(r"the log +(\S+)", demo.text)[1]).exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=["ctrl_c", "term", "hangup"])
def test_its_end_leaves_no_process_and_no_file(start, how):
    demo = start()
    assert len(demo.processes()) >= 3
    if how == signal.SIGTERM:
        demo.process.send_signal(how)
    else:
        os.killpg(demo.process.pid, how)  # as a terminal does
    demo.process.wait(15)
    assert demo.processes() == []
    assert list(demo.temporary.iterdir()) == []


def test_it_ends_at_once_with_pages_open(browser, start):
    demo = start()
    page = browser.open(demo.links[0])
    page.until("document.querySelector('[data-testid=connection-state]').dataset.state === 'online'", "the page is online")
    os.killpg(demo.process.pid, signal.SIGINT)
    demo.process.wait(5)
    assert demo.processes() == [] and list(demo.temporary.iterdir()) == []


def server_below_the_ephemeral_ports():
    """The ports behind it are not those of some outgoing connection, which nothing that listens can take."""
    for port in range(21000, 32000, 10):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
    raise RuntimeError("no free port")


def test_it_steps_over_a_busy_port(start):
    with server_below_the_ephemeral_ports() as busy:
        port = busy.getsockname()[1]
        demo = start(ports={"PORT": str(port), "ADMIN_PORT": str(port), "POD_PORT": str(port)})
        ports = {int(re.search(r":(\d+)/", link)[1]) for link in demo.links}
        assert port not in ports and len(ports) == 2


def test_it_says_which_program_has_ended(start):
    demo = start()
    service = next(line.split()[0] for line in demo.processes() if "hawser-im " in line and "--demo" in line)
    os.kill(int(service), signal.SIGKILL)
    assert demo.process.wait(10) == 1
    assert "hawser-im has ended:" in demo.text
    assert demo.processes() == [] and list(demo.temporary.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start it as somebody else")
def test_it_needs_no_root(browser, start):
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for needed in (HAWSER, REPO / "examples" / "demo" / "run"):
        if subprocess.run(["test", "-x", needed.resolve()], **nobody).returncode:
            pytest.skip(f"{needed} is where only root can read it")
    with tempfile.TemporaryDirectory(prefix="hawser-nobody-") as directory:
        os.chmod(directory, 0o755)
        demo = start(directory=pathlib.Path(directory), **nobody)
        page = browser.open(demo.links[0])
        page.until("document.querySelector('[data-testid=connection-state]').dataset.state === 'online'", "the page is online")
        demo.process.send_signal(signal.SIGTERM)
        demo.process.wait(15)
        assert demo.processes() == [] and list(demo.temporary.iterdir()) == []
