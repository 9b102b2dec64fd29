# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium without a window, driven over the DevTools pipe (file descriptors 3 and 4): no port, no download."""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time

DEADLINE = 20  # s, for everything that a page is waited for

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-domain-reliability",
    "--disable-extensions", "--disable-sync", "--disable-dev-shm-usage", "--disable-breakpad", "--no-proxy-server",
    "--metrics-recording-only", "--password-store=basic", "--use-mock-keychain",
    # Each page here is one that somebody looks at.
    "--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
    "--lang=en-US", "--window-size=1280,800", "--remote-debugging-pipe",
]
NAMES = ("localhost", "*.localhost", "127.0.0.1")


def why_not():
    return None if shutil.which("chromium") else "no chromium: apt-get install chromium"


class PageFailed(AssertionError):
    """A script in a page threw, or the browser refused a command."""


def _pipe():
    # Above the numbers that the child gets them under, so that no redirection hits the other's source.
    return [_raised(end) for end in os.pipe()]


def _raised(descriptor):
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return high


class Chromium:
    def __init__(self, directory, prefix=(), names=NAMES):
        """prefix: words before the command, to start it elsewhere. names: the only hosts that it finds, so that no
        test can leave the machine."""
        self.directory = directory
        self.numbers = itertools.count(1)
        self.answers = {}
        self.pages = {}  # session id -> Page
        self.rest = b""
        commands, self.commands = _pipe()
        self.events, events = _pipe()
        command = ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{events}', "chromium", *prefix, "chromium", *FLAGS,
                   "--host-resolver-rules=" + ", ".join(["MAP * ~NOTFOUND", *(f"EXCLUDE {name}" for name in names)]),
                   f"--user-data-dir={directory}/profile", "about:blank"]
        environment = os.environ | {"HOME": str(directory), "TMPDIR": str(directory), "LANG": "C.UTF-8", "TZ": "UTC"}
        with open(directory / "chromium.log", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=(commands, events), env=environment, start_new_session=True)
        os.close(commands)
        os.close(events)
        self.version = self.command("Browser.getVersion")["product"]

    def command(self, method, session=None, **parameters):
        number = next(self.numbers)
        frame = {"id": number, "method": method, "params": parameters}
        if session:
            frame["sessionId"] = session
        data = json.dumps(frame).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        end = time.monotonic() + DEADLINE
        while number not in self.answers:
            self.read(end, method)
        answer = self.answers.pop(number)
        if "error" in answer:
            raise PageFailed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def read(self, end, what):
        """Takes in what the browser says next."""
        readable, _, _ = select.select([self.events], [], [], max(0, end - time.monotonic()))
        assert readable, f"chromium said nothing of {what} within {DEADLINE} s"
        piece = os.read(self.events, 1 << 16)
        assert piece, f"chromium ended:\n{(self.directory / 'chromium.log').read_text()[-4000:]}"
        *frames, self.rest = (self.rest + piece).split(b"\0")
        for frame in map(json.loads, frames):
            if "id" in frame:
                self.answers[frame["id"]] = frame
            elif page := self.pages.get(frame.get("sessionId")):
                page.happened(frame["method"], frame["params"])

    def open(self, url, dark=False, width=1280, height=800):
        """A page in a context of its own: nothing is shared with the others, as between two people."""
        context = self.command("Target.createBrowserContext")["browserContextId"]
        target = self.command("Target.createTarget", url="about:blank", browserContextId=context, newWindow=True)["targetId"]
        session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, target)
        page.prepare(dark, width, height)
        page.go(url)
        return page

    def close(self):
        """Every process of it is gone when this returns."""
        os.close(self.commands)  # with its pipe closed the browser ends
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # its own session, so only what it started
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.events)


class Page:
    def __init__(self, browser, session, target):
        self.browser = browser
        self.session = session
        self.target = target
        self.thrown = []  # exceptions that no script caught
        self.dialogs = []

    def tell(self, method, **parameters):
        return self.browser.command(method, self.session, **parameters)

    def prepare(self, dark, width, height):
        for domain in ("Page", "Runtime"):
            self.tell(f"{domain}.enable")
        self.tell("Emulation.setFocusEmulationEnabled", enabled=True)
        self.size(width, height)
        self.colours(dark)

    def size(self, width, height):
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def colours(self, dark):
        self.tell("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def happened(self, event, details):
        if event == "Runtime.exceptionThrown":
            thrown = details["exceptionDetails"]
            self.thrown.append(thrown.get("exception", {}).get("description", thrown["text"]))
        elif event == "Page.javascriptDialogOpening":
            self.dialogs.append(details["message"])

    def answer_dialog(self, message):
        """Says yes to the question that the page asks."""
        end = time.monotonic() + DEADLINE
        while not self.dialogs:
            self.browser.read(end, "a dialog")
        assert self.dialogs.pop(0) == message
        self.tell("Page.handleJavaScriptDialog", accept=True)

    def go(self, url):
        answer = self.tell("Page.navigate", url=url)
        assert not answer.get("errorText"), f"{url}: {answer['errorText']}"
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'", f"{url} is loaded")

    def eval(self, script):
        """The value of an expression, as JSON carries it."""
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            thrown = answer["exceptionDetails"]
            raise PageFailed(thrown.get("exception", {}).get("description", thrown["text"]))
        return answer["result"].get("value")

    def until(self, script, what, deadline=DEADLINE):
        """Waits for an expression to be true, and gives its value."""
        end = time.monotonic() + deadline
        while True:
            try:
                if value := self.eval(script):
                    return value
            except PageFailed as failed:  # the page may be between two documents
                if time.monotonic() > end:
                    raise AssertionError(f"{what}: {failed}") from failed
            if time.monotonic() > end:
                raise AssertionError(f"did not happen within {deadline} s: {what}\n{self.eval('document.body.innerText')}")
            time.sleep(0.02)

    def click(self, selector):
        """As a finger does: at the middle of the element, wherever that leads."""
        self.until(f"document.querySelector({json.dumps(selector)})?.checkVisibility()", f"{selector} is there")
        x, y = self.eval(f"""(() => {{ const element = document.querySelector({json.dumps(selector)});
            element.scrollIntoView({{ block: 'nearest' }});
            const box = element.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")
        for kind in ("mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text):
        """Into what has the focus."""
        self.tell("Input.insertText", text=text)

    def press_enter(self):
        for kind in ("keyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r" if kind == "keyDown" else "",
                      windowsVirtualKeyCode=13)

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        self.browser.command("Target.closeTarget", targetId=self.target)
        self.browser.pages.pop(self.session, None)
