# SPDX-License-Identifier: Apache-2.0
"""The tables that a run writes."""

from dataclasses import dataclass, field

from .measures import DIRECT, Row

GROUPS = {
    "echo": "Echo round trips",
    "latency": "Echo latency",
    "added latency": "Latency beyond that of plain routing",
    "cpu": "CPU of the proxy while it echoes",
    "machine cpu": "CPU of the whole machine for a message there and back, beyond that of plain routing",
    "bulk": "Bulk",
    "bulk cpu": "CPU of the proxy while it carries bulk",
    "handshakes": "Handshakes (connect, upgrade, one echo, close)",
    "idle": "Memory of an idle tunnel",
    "opening": "Tunnels opened, the hand-off to the kernel included",
    "memory": "Memory of an idle tunnel, all of it",
    "million": "Very many idle tunnels",
    "first packet": "First packet to a Service",
    "programming": "Programming of Services",
}


@dataclass(frozen=True)
class Ratio:
    """A column: how many times `subject` is as good as the best of `others`, above 1 is better."""

    heading: str
    subject: str
    others: tuple

    def of(self, row):
        """None when one side is missing, or when there is nothing to compare."""
        mine = row.median(self.subject)
        theirs = [value for value in map(row.median, self.others) if value]
        if not row.ranked or not mine or not theirs or min(mine, *theirs) <= 0:
            return None
        return mine / max(theirs) if row.more_is_better else min(theirs) / mine


PROXIES = ("nginx", "haproxy", "nginx-64k", "haproxy-splice")
TO_PROXIES = Ratio("ratio", "hawser", PROXIES)


@dataclass
class Part:
    """Rows that were measured in one go. `about`: of command.facts(); `titles`: peer name -> title, in the order of the
    columns."""

    about: dict
    titles: dict
    rows: list = field(default_factory=list)

    def as_json(self, ratios=()):
        return {
            "run": self.about,
            "peers": self.titles,
            "rows": [{
                "group": row.group, "case": row.case, "unit": row.unit, "more_is_better": row.more_is_better,
                "ranked": row.ranked, "rounds": row.values, "medians": {name: row.median(name) for name in row.values},
                **{ratio.heading: ratio.of(row) for ratio in ratios},
            } for row in self.rows],
        }

    @staticmethod
    def from_json(value):
        return Part(value["run"], value["peers"], [
            Row(row["group"], row["case"], row["unit"], row["more_is_better"], row["rounds"], row["ranked"])
            for row in value["rows"]])


def number(value):
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _cell(row, name):
    spread = row.spread(name)
    text = number(row.median(name))
    return f"{text} ±{abs(spread) * 50:.0f}%" if spread is not None and len(row.values[name]) > 1 else text


def markdown(heading, parts, ratios, notes=()):
    """`notes`: lines that stand above the tables."""
    out = [f"# {heading}", ""]
    out += _abouts([part.about for part in parts])
    for ratio in [r for r in ratios if any(r.of(row) for part in parts for row in part.rows)]:
        out.append(f"{ratio.heading[0].upper()}{ratio.heading[1:]}: {_title(ratio.subject, parts)} against "
                   f"{_best_of(ratio.others, parts)}, above 1 is better, whatever the unit.")
    out.append(f"`{DIRECT}`: client to pod without a proxy.")
    out += ["", *notes] if notes else []
    for group, title in GROUPS.items():
        for part in parts:
            chosen = [row for row in part.rows if row.group == group and any(row.values.values())]
            if chosen:
                out += ["", f"## {title}", "", *_group(chosen, part.titles, ratios)]
    return "\n".join(out) + "\n"


def _abouts(runs):
    """Those of one go are told of together."""
    together = {}
    for run in runs:
        together.setdefault((run["command"], run["date"], run["rounds"]), []).append(run)
    for same in together.values():
        yield from _about({
            **same[0],
            "others": {"median": max(run["others"]["median"] for run in same),
                       "worst": max(run["others"]["worst"] for run in same)},
            **{what: list(dict.fromkeys(text for run in same for text in run[what])) for what in ("skipped", "failures")}})


def _about(run):
    yield (f"Made by `{run['command']}` on {run['date']}; {run['machine']}; {run['topology']}. "
           + (f"Medians over {run['rounds']} rounds, the proxies in turn within a round; ± is half the distance "
              "between the best and the worst round." if run["rounds"] > 1 else "One round."))
    if run["others"]["worst"]:
        yield (f"Other programs took {run['others']['median']:.0%} of the machine's CPU during a load (median; "
               f"worst {run['others']['worst']:.0%}).")
    yield from (f"- not run: {text}" for text in run["skipped"])
    yield from (f"- FAILED: {text}" for text in run["failures"])
    yield ""


def _title(name, parts):
    return next((part.titles[name] for part in parts if name in part.titles), name)


def _best_of(names, parts):
    known = [name for name in names if name == DIRECT or any(name in part.titles for part in parts)] or names
    titles = [_title(name, parts) for name in known]
    return titles[0] if len(titles) == 1 else "the best of " + ", ".join(titles[:-1]) + " and " + titles[-1]


def _group(rows, titles, ratios):
    columns = [name for name in [DIRECT, *titles] if any(row.values.get(name) for row in rows)]
    shown = [ratio for ratio in ratios if any(ratio.of(row) for row in rows)]
    yield "| | unit | " + " | ".join([*(titles.get(name, name) for name in columns), *(r.heading for r in shown)]) + " |"
    yield "|---|---|" + "---:|" * (len(columns) + len(shown))
    for row in rows:
        cells = [_cell(row, name) for name in columns]
        cells += [f"**{found:.2f}**" if (found := ratio.of(row)) else "–" for ratio in shown]
        yield f"| {row.case} | {row.unit} | " + " | ".join(cells) + " |"
