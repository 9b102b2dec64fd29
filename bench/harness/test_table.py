# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from . import table
from .measures import DIRECT, Plan, Row

PEERS = {"nginx": "nginx 1", "haproxy": "HAProxy 2", "hawser": "Hawser"}
RATIO = table.TO_PROXIES
TO_ROUTING = table.Ratio("to routing", "hawser", (DIRECT,))
FACTS = {"command": "bench/run", "date": "today", "machine": "m", "topology": "t", "rounds": 3,
         "others": {"median": 0, "worst": 0.1}, "skipped": [], "failures": []}


def row(more_is_better, **values):
    made = Row("echo", "64 tunnels", "unit", more_is_better)
    for name, rounds in values.items():
        for value in rounds:
            made.add(name, value)
    return made


@pytest.mark.parametrize("more_is_better, values, expected", [
    (True, {"nginx": [100], "haproxy": [80], "hawser": [120]}, 1.2),
    (True, {"nginx": [100], "haproxy": [200], "hawser": [100]}, 0.5),
    (False, {"nginx": [10], "haproxy": [40], "hawser": [20]}, 0.5),
    (False, {"nginx": [40], "haproxy": [20], "hawser": [10]}, 2.0),
    (True, {"nginx": [1, 100, 1000], "hawser": [50, 500, 200]}, 2.0),
    (True, {"nginx": [100], DIRECT: [1000], "hawser": [100]}, 1.0),
    (True, {"nginx": [100], "hawser-splice": [1000], "nft": [1000], "hawser": [100]}, 1.0),
    (True, {"hawser": [100], DIRECT: [1000]}, None),
    (True, {"nginx": [100]}, None),
    (False, {"nginx": [10], "hawser": [0]}, None),
    (False, {"nginx": [10], "hawser": [-1]}, None),
])
def test_ratio_is_against_the_better_peer_and_above_one_is_better(more_is_better, values, expected):
    assert RATIO.of(row(more_is_better, **values)) == expected


def test_a_ratio_can_be_against_the_baseline():
    assert TO_ROUTING.of(row(False, hawser=[20], nginx=[1], **{DIRECT: [10]})) == 0.5


def test_a_row_that_is_not_ranked_has_no_ratio():
    made = Row("idle", "RSS", "bytes", False, ranked=False)
    made.add("nginx", 10)
    made.add("hawser", 5)
    assert RATIO.of(made) is None


def test_a_value_that_failed_leaves_its_cell_empty_and_the_rest_in_place():
    facts = {**FACTS, "skipped": ["hawser: not built"], "failures": ["haproxy: echo: broken (x1)"]}
    rows = [row(True, nginx=[100, 110, 120], **{DIRECT: [300]}), row(True, haproxy=[50])]
    text = table.markdown("Relay", [table.Part(facts, PEERS, rows)], [RATIO])
    assert "| 64 tunnels | unit | 300 | 110 ±9% | – |" in text
    assert "| 64 tunnels | unit | – | – | 50.0 |" in text
    assert "- not run: hawser: not built" in text
    assert "- FAILED: haproxy: echo: broken (x1)" in text


def test_every_ratio_has_a_column_where_it_has_a_value():
    text = table.markdown("Splice", [table.Part(FACTS, PEERS, [row(True, hawser=[30], nginx=[10], **{DIRECT: [60]})])],
                          [RATIO, TO_ROUTING, table.Ratio("to nft", "hawser", ("nft",))])
    assert "| | unit | routing | nginx 1 | Hawser | ratio | to routing |" in text
    assert "| 64 tunnels | unit | 60.0 | 10.0 | 30.0 | **3.00** | **0.50** |" in text


def test_a_part_comes_back_from_its_json():
    part = table.Part(FACTS, PEERS, [row(True, nginx=[1.5, 2], hawser=[3])])
    again = table.Part.from_json(json.loads(json.dumps(part.as_json([RATIO]))))
    assert again == part


def test_the_quick_plan_keeps_three_rounds():
    assert Plan.quick().rounds == Plan().rounds == 3
