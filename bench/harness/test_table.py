# SPDX-License-Identifier: Apache-2.0
import pytest

from . import table
from .measures import DIRECT, Plan, Row

PEERS = {"nginx": "nginx 1", "haproxy": "HAProxy 2", "hawser": "Hawser"}


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
    (True, {"hawser": [100], DIRECT: [1000]}, None),
    (True, {"nginx": [100]}, None),
])
def test_ratio_is_against_the_better_peer_and_above_one_is_better(more_is_better, values, expected):
    assert table.ratio(row(more_is_better, **values), PEERS) == expected


def test_a_row_that_is_not_ranked_has_no_ratio():
    made = Row("idle", "RSS", "bytes", False, ranked=False)
    made.add("nginx", 10)
    made.add("hawser", 5)
    assert table.ratio(made, PEERS) is None


def test_a_value_that_failed_leaves_its_cell_empty_and_the_rest_in_place():
    facts = {"command": "bench/run", "date": "today", "machine": "m", "topology": "t", "rounds": 3,
             "others": {"median": 0, "worst": 0.1}, "skipped": ["hawser: not built"],
             "failures": ["haproxy: echo: broken (x1)"]}
    text = table.markdown(facts, [row(True, nginx=[100, 110, 120], **{DIRECT: [300]}),
                                  row(True, haproxy=[50])], PEERS)
    assert "| 64 tunnels | unit | 300 | 110 ±9% | – | – |" in text
    assert "| 64 tunnels | unit | – | – | 50.0 | – |" in text
    assert "- not run: hawser: not built" in text
    assert "- FAILED: haproxy: echo: broken (x1)" in text


def test_the_quick_plan_keeps_three_rounds():
    assert Plan.quick().rounds == Plan().rounds == 3
