# SPDX-License-Identifier: Apache-2.0
"""What the splice is meant to reach, beside what a run has measured. Nothing fails by it: it is a table."""

from dataclasses import dataclass
from typing import Callable, Optional

from .measures import DIRECT
from .table import number

SUBJECT = "hawser-splice"
PROXIES = ("nginx", "haproxy")


@dataclass(frozen=True)
class Expectation:
    what: str
    limit: str
    measured: Callable     # rows -> a number, or None when it was not measured
    holds: Callable        # the number -> whether that is enough
    unit: str = ""
    why_short: Callable = lambda rows: ""  # what is known to hold it


def find(rows, group, *words):
    return [row for row in rows if row.group == group and all(word in row.case for word in words)]


def against(row, names):
    """How many times the splice is as good as the best of `names`."""
    mine = row.median(SUBJECT)
    theirs = [value for value in map(row.median, names) if value]
    if not mine or not theirs:
        return None
    return mine / max(theirs) if row.more_is_better else min(theirs) / mine


def worst(rows, value, pick=min) -> Optional[float]:
    found = [v for v in map(value, rows) if v is not None]
    return pick(found) if found else None


def ceiling(rows):
    """Plain routing against the better proxy: more than that cannot be had where all share the cores."""
    found = [row.median(DIRECT) / max(row.median(name) or 0 for name in PROXIES) for row in rows
             if row.median(DIRECT) and any(row.median(name) for name in PROXIES)]
    return f"plain routing itself is {min(found):.2f} times the better proxy: load and endpoint take the rest of the cores" \
        if found else ""


def share_of_nginx(row):
    mine, theirs = row.median(SUBJECT), row.median("nginx")
    return 100 * mine / theirs if mine is not None and theirs else None


def of_splice(row):
    return row.median(SUBJECT)


def echo(rows):
    return find(rows, "echo", "64 tunnels, 64 B")


def bulk(rows):
    return find(rows, "bulk")


def memory(rows):
    """The row with the most tunnels that the kernel holds: the noise of the machine is smallest there."""
    found = [row for row in find(rows, "million", "of a tunnel: everything")
             + find(rows, "memory", "beyond plain routing") if of_splice(row) is not None]
    return found[:1] if found and found[0].group == "million" else found[-1:]


def programming(rows, which):
    return find(rows, "programming", "44,000", which)


EXPECTED = (
    Expectation("echo, 64 tunnels of 64 B, against the better proxy", "≥ 2 times",
                lambda rows: worst(echo(rows), lambda row: against(row, PROXIES)), lambda v: v >= 2, "times",
                lambda rows: ceiling(echo(rows))),
    Expectation("echo, 64 tunnels of 64 B, against plain routing", "≥ 1 times",
                lambda rows: worst(echo(rows), lambda row: against(row, (DIRECT,))), lambda v: v >= 1, "times",
                lambda rows: "a difference within ± is none"),
    Expectation("bulk, every row, against the better proxy", "≥ 4 times",
                lambda rows: worst(bulk(rows), lambda row: against(row, PROXIES)), lambda v: v >= 4, "times",
                lambda rows: ceiling(bulk(rows))),
    Expectation("the proxy's own CPU for a message, every row, of nginx's", "≤ 10 %",
                lambda rows: worst(find(rows, "cpu"), share_of_nginx, max), lambda v: v <= 10, "%"),
    Expectation("an idle spliced tunnel, everything on the node", "≤ 1,024 bytes",
                lambda rows: worst(memory(rows), of_splice, max), lambda v: v <= 1024, "bytes"),
    Expectation("idle spliced tunnels", "1,000,000",
                lambda rows: worst(find(rows, "million", "tunnels spliced"), of_splice), lambda v: v >= 1_000_000),
    Expectation("44,000 Services programmed", "< 5 s",
                lambda rows: worst([r for r in programming(rows, "programmed") if "changed" not in r.case], of_splice, max),
                lambda v: v < 5, "s"),
    Expectation("one endpoint of 264,000 changed", "< 10 ms",
                lambda rows: worst(programming(rows, "changed: programmed"), of_splice, max), lambda v: v < 10, "ms"),
)


def notes(rows):
    yield "| expected of the splice | | measured | |"
    yield "|---|---:|---:|---|"
    for expectation in EXPECTED:
        value = expectation.measured(rows)
        if value is None:
            yield f"| {expectation.what} | {expectation.limit} | – | not measured |"
            continue
        verdict = "reached"
        if not expectation.holds(value):
            reason = expectation.why_short(rows)
            verdict = "**short**" + (f": {reason}" if reason else "")
        yield f"| {expectation.what} | {expectation.limit} | {number(value)} {expectation.unit}".rstrip() + f" | {verdict} |"
