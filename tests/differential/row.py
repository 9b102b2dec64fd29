# SPDX-License-Identifier: Apache-2.0
"""One row of the table, how it is run against a product, and how two outcomes are compared."""

import dataclasses
import re
import time

import wire


@dataclasses.dataclass
class Deviation:
    """Where hawser means to differ from nginx: why, and what hawser does instead."""

    reason: str
    status: int | None = None  # of the last answer; None: the connection ends without one
    fate: str = "closed"
    requests: int | None = None  # that reach a backend
    check: object = None  # called with the outcome
    # Instead of all this: the parts that differ, "log:comp", "body"; everything else is as with nginx.
    differs: tuple = ()


@dataclasses.dataclass
class Row:
    id: str
    send: object  # bytes, or a list of bytes and steps (below)
    status: object = 200  # of the last answer, or a list with all; None: closed without an answer
    answers: list = dataclasses.field(default_factory=list)  # scripts of the backends, see backend.py
    port: str = "http"
    source: str | None = None  # the client's address
    head: bool = False  # answers have no body (HEAD)
    holder: bytes | None = None  # a request that is held by its backend while the row runs
    log: int | None = None  # lines in the access logs; default: one per final answer
    exact_names: tuple = ()  # fields whose names are compared letter by letter, both directions
    blind: tuple = ()  # parts that are not compared: "backend" (which one), "log", "log:KEY", "body", "reason"
    deviation: Deviation | None = None
    check: object = None  # called with nginx's outcome: the row tests what it says
    conf: str = ""  # set by the table


class Step:
    pass


@dataclasses.dataclass
class Answers(Step):
    count: int = 1


@dataclasses.dataclass
class Bytes(Step):
    count: int


@dataclasses.dataclass
class Pause(Step):
    seconds: float


@dataclasses.dataclass
class Seen(Step):
    """Waits until the backends have seen that many requests."""

    count: int


class HalfClose(Step):
    pass


class End(Step):
    """Reads raw bytes until the end of the stream."""


class Hangup(Step):
    """The client closes."""


class Release(Step):
    """Lets backends that HOLD go on."""


@dataclasses.dataclass
class Outcome:
    answers: list
    fate: str
    raw: bytes
    requests: list
    logs: dict
    held: object = None


def run(row, port, backends, logs, default_answers=None):
    logs.mark()
    backends.begin(row.answers)
    holder = None
    if row.holder:
        holder = wire.Client(("127.0.0.1", port), row.source)
        holder.send(row.holder)
        if not backends.wait_for_requests(1):
            raise AssertionError("the request that was to be held did not reach a backend")
    client = wire.Client(("127.0.0.1", port), row.source)
    answers, raw, expected = [], b"", 0
    steps = [row.send] if isinstance(row.send, bytes) else row.send

    def read_answer():
        while True:
            answer = client.answer(row.head)
            if answer is None:
                return False
            answers.append(answer)
            if answer.status >= 200 or answer.status == 101:
                return True

    hung_up = False
    for step in steps:
        if isinstance(step, bytes):
            client.send(step)
        elif isinstance(step, Answers):
            for _ in range(step.count):
                expected += 1
                read_answer()
        elif isinstance(step, Bytes):
            raw += client.take(step.count)
        elif isinstance(step, Pause):
            time.sleep(step.seconds)
        elif isinstance(step, Seen):
            backends.wait_for_requests(step.count)
        elif isinstance(step, HalfClose):
            client.half_close()
        elif isinstance(step, End):
            raw += client.rest()
        elif isinstance(step, Release):
            backends.release()
        elif isinstance(step, Hangup):
            client.close()
            hung_up = True
    if not any(isinstance(step, Step) and not isinstance(step, (Pause, HalfClose, Seen, Release)) for step in steps):
        wanted = len(row.status) if isinstance(row.status, list) else 1
        for _ in range(wanted):
            if not read_answer():
                break
    final = [a for a in answers if a.status >= 200 or a.status == 101]
    if hung_up:
        fate = "hung up"
    else:
        switched = bool(final) and final[-1].status == 101
        fate = client.fate(not final or (final[-1].says_close() and not switched))
        client.close()
    held = None
    backends.release()
    if holder:
        held = holder.answer()
        holder.close()
    lines = row.log if row.log is not None else len(final) + (1 if holder else 0)
    requests = backends.end()
    return Outcome(answers, fate, raw, requests, logs.take(lines), held)


# ---- comparison

PAGE_NAME = re.compile(rb"<center>(nginx|hawser)(/[0-9A-Za-z.+-]+)?</center>")
MASKED_LOG_KEYS = {"time", "iso", "msec", "rt", "urt", "uct", "uht", "pid", "conn", "rport", "rid", "sent", "ctime"}


# While a request is refused in its head, $request_length says how far the parser had got, which is its own business.
REFUSED_HEAD = re.compile(r"\|st=(400|414|501|505)\|.*\|up=-\|")


def normal_answer(answer, row):
    body, page = PAGE_NAME.subn(b"<center>PRODUCT</center>", answer.body)
    fields = {}
    for name, value in answer.fields:
        key = name if name.lower() in row.exact_names else name.lower()
        if key in ("date", "connection") or (key == "x-backend" and "backend" in row.blind):
            continue
        if key == "server" and re.fullmatch(r"(nginx|hawser)(/[0-9A-Za-z.+-]+)?", value):
            value = "PRODUCT"
        if key == "content-length" and (page or is_page_without_body(answer, row)):
            value = "(of the page)"
        fields.setdefault(key, []).append(value)
    if answer.status == 101:
        fields["connection"] = [v.lower() for v in answer.values("Connection")]
    return {
        "status": answer.status,
        "version": answer.version,
        "reason": "" if "reason" in row.blind else answer.reason,
        "fields": fields,
        "body": b"" if "body" in row.blind else body,
        "framing": answer.framing,
        "complete": answer.complete,
        "says close": answer.says_close() if answer.status != 101 else None,
    }, bool(page)


def is_page_without_body(answer, row):
    """HEAD: the length is that of a page with the product's name in it."""
    product = re.fullmatch(r"(nginx|hawser)(/[0-9A-Za-z.+-]+)?", (answer.values("Server") or [""])[0])
    return row.head and product and answer.status >= 400 and answer.values("Content-Type") == ["text/html"]


def normal_request(request, row):
    fields = {}
    for name, value in request.fields:
        key = name if name.lower() in row.exact_names else name.lower()
        fields.setdefault(key, []).append(value)
    return {
        "backend": "any" if "backend" in row.blind else request.backend,
        "reused": request.reused,
        "line": request.request_line,
        "fields": fields,
        "body": request.body,
        "framing": request.framing,
        "tail": request.tail,
    }


def normal_log_line(line, masks_length, blind=()):
    """Lines are 'key=value|key=value'; times, ports and numbers of processes are masked, not their shape."""
    if "|" not in line:
        line = re.sub(r"\d+\.\d{3}\b", "T", line)
        return re.sub(r'(" \d{3}) \d+ "', r'\1 N "', line) if masks_length else line
    refused = REFUSED_HEAD.search(line)
    parts = []
    for part in line.split("|"):
        key, _, value = part.partition("=")
        if key in MASKED_LOG_KEYS or (masks_length and key == "bb") or (refused and key == "len"):
            value = re.sub(r"[0-9a-f]+", "N", value) if key in ("rid",) else re.sub(r"\d+", "N", value)
            value = re.sub(r"[A-Z][a-z]{2}", "M", value) if key == "time" else value
        parts.append(f"{key}={'' if f'log:{key}' in blind else value}")
    return "|".join(parts)


def normal(outcome, row):
    masks_length = False
    answers = []
    for answer in outcome.answers + ([outcome.held] if outcome.held else []):
        made, page = normal_answer(answer, row)
        answers.append(made)
        masks_length = masks_length or page or answer.framing == "chunked"
    logs = {name: [normal_log_line(line, masks_length, row.blind) for line in lines] for name, lines in outcome.logs.items()}
    return {
        "answers": answers,
        "fate": outcome.fate,
        "raw": outcome.raw,
        "requests": [normal_request(r, row) for r in outcome.requests],
        "logs": {} if "log" in row.blind else logs,
    }


def statuses(outcome):
    return [a.status for a in outcome.answers if a.status >= 200 or a.status == 101]


def expected_statuses(row):
    if row.status is None:
        return []
    return row.status if isinstance(row.status, list) else [row.status]
