# SPDX-License-Identifier: Apache-2.0
"""The table that a run writes."""

from .measures import DIRECT

GROUPS = {
    "echo": "Echo round trips",
    "latency": "Echo latency",
    "cpu": "CPU of the proxy while it echoes",
    "bulk": "Bulk",
    "bulk cpu": "CPU of the proxy while it carries bulk",
    "handshakes": "Handshakes (connect, upgrade, one echo, close)",
    "idle": "Memory of an idle tunnel",
}

OURS = ("hawser", "hawser-splice")


def ratio(row, peers):
    """How many times Hawser (its splice, where that takes part) is as good as the better of its peers, 1 being equal; None
    when one side is missing."""
    mine = row.median(OURS[1]) if OURS[1] in peers else row.median(OURS[0])
    theirs = [value for value in (row.median(name) for name in peers if name not in OURS) if value]
    if not row.ranked or not mine or not theirs:
        return None
    return mine / max(theirs) if row.more_is_better else min(theirs) / mine


def _number(value):
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(row, name):
    spread = row.spread(name)
    text = _number(row.median(name))
    return f"{text} ±{spread * 50:.0f}%" if spread is not None and len(row.values[name]) > 1 else text


def markdown(run, rows, titles):
    """`run`: facts of the run; `titles`: peer name -> title, in the order of the columns."""
    out = ["# Relay: Hawser beside nginx and HAProxy", ""]
    out.append(f"Made by `{run['command']}` on {run['date']}; {run['machine']}; {run['topology']}. "
               f"Medians over {run['rounds']} rounds, the proxies in turn within a round; ± is half the distance "
               "between the best and the worst round.")
    out.append(f"Other programs took {run['others']['median']:.0%} of the machine's CPU during a load (median; "
               f"worst {run['others']['worst']:.0%}).")
    out.append(f"Ratio: Hawser against the best of the other proxies, above 1 is better, whatever the unit. "
               f"`{DIRECT}`: client to pod without a proxy.")
    out += [f"- not run: {text}" for text in run["skipped"]]
    out += [f"- FAILED: {text}" for text in run["failures"]]
    for group, heading in GROUPS.items():
        chosen = [row for row in rows if row.group == group]
        if chosen:
            out += ["", f"## {heading}", "", *_group(chosen, titles)]
    return "\n".join(out) + "\n"


def _group(rows, titles):
    columns = [name for name in [DIRECT, *titles] if any(row.values.get(name) for row in rows)]
    yield "| | unit | " + " | ".join(titles.get(name, name) for name in columns) + " | ratio |"
    yield "|---|---|" + "---:|" * (len(columns) + 1)
    for row in rows:
        found = ratio(row, titles)
        cells = [_cell(row, name) for name in columns]
        yield f"| {row.case} | {row.unit} | " + " | ".join(cells) + f" | {f'**{found:.2f}**' if found else '–'} |"


def as_json(run, rows, titles):
    return {
        "run": run,
        "peers": titles,
        "rows": [{
            "group": row.group, "case": row.case, "unit": row.unit, "more_is_better": row.more_is_better,
            "rounds": row.values, "medians": {name: row.median(name) for name in row.values},
            "ratio": ratio(row, titles),
        } for row in rows],
    }
