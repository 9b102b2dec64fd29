# SPDX-License-Identifier: Apache-2.0
import pytest

from . import expected
from .measures import DIRECT, Row


def row(group, case, more_is_better=True, **values):
    return Row(group, case, "unit", more_is_better, {name: [value] for name, value in values.items()})


ECHO = "64 tunnels, 64 B"


def verdicts(rows):
    """What stands in the last column, by the first."""
    lines = list(expected.notes(rows))[2:]
    return {cells[1].strip(): cells[4].strip() for cells in (line.split("|") for line in lines)}


def test_nothing_measured_is_said_for_every_expectation():
    assert set(verdicts([]).values()) == {"not measured"}


@pytest.mark.parametrize("splice, routing, to_proxy, to_routing", [
    (210, 200, "reached", "reached"),
    (190, 200, "**short**: plain routing itself is 2.00 times the better proxy", "**short**: a difference within ± is none"),
])
def test_echo_is_against_the_better_proxy_and_against_routing(splice, routing, to_proxy, to_routing):
    found = verdicts([row("echo", ECHO, **{"nginx": 90, "haproxy": 100, "hawser": 500, "nft": 500,
                                           "hawser-splice": splice, DIRECT: routing})])
    assert found["echo, 64 tunnels of 64 B, against the better proxy"].startswith(to_proxy)
    assert found["echo, 64 tunnels of 64 B, against plain routing"] == to_routing


def test_the_worst_row_of_bulk_counts():
    rows = [row("bulk", case, **{"nginx": 10, "hawser-splice": mine}) for case, mine in (("1 tunnel", 50), ("16", 39))]
    assert "**short**" in verdicts(rows)["bulk, every row, against the better proxy"]
    assert verdicts(rows[:1])["bulk, every row, against the better proxy"] == "reached"


@pytest.mark.parametrize("cpu, verdict", [(0, "reached"), (1, "reached"), (1.1, "**short**")])
def test_no_cpu_at_all_is_little_enough(cpu, verdict):
    rows = [row("cpu", ECHO, False, **{"nginx": 10, "hawser-splice": cpu})]
    assert verdicts(rows)["the proxy's own CPU for a message, every row, of nginx's"] == verdict


def test_memory_is_that_of_the_most_tunnels():
    few = row("memory", "8,000 tunnels: kernel and proxy, beyond plain routing", False, **{"hawser-splice": 2000})
    many = row("memory", "32,000 tunnels: kernel and proxy, beyond plain routing", False, **{"hawser-splice": 1000})
    million = row("million", "memory of a tunnel: everything on the node", False, **{"hawser-splice": 1100})
    what = "an idle spliced tunnel, everything on the node"
    assert verdicts([few])[what] == "**short**"
    assert verdicts([few, many])[what] == "reached"
    assert verdicts([few, many, million])[what] == "**short**"


def test_programming_and_changing_are_two_things():
    rows = [row("programming", "44,000 Services, 264,000 endpoints, programmed", False, **{"hawser-splice": 6, "nft": 1}),
            row("programming", "44,000 Services, 264,000 endpoints, one endpoint changed: programmed", False,
                **{"hawser-splice": 7}),
            row("programming", "10 Services, 60 endpoints, programmed", False, **{"hawser-splice": 0.1})]
    found = verdicts(rows)
    assert found["44,000 Services programmed"] == "**short**"
    assert found["one endpoint of 264,000 changed"] == "reached"
