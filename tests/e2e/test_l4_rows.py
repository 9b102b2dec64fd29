# SPDX-License-Identifier: Apache-2.0
"""L4_ROWS.md says of every row of the Service tables what proves it, and the proofs are there."""

import pathlib
import re

import site_programs as site

HERE = pathlib.Path(__file__).parent
LAST = {"S": 24, "E": 14, "P": 11, "A": 8, "H": 15}


def rows():
    lines = (HERE / "L4_ROWS.md").read_text().splitlines()
    return {found[1]: line for line in lines if (found := re.match(r"\| ([A-Z]-\d\d) \|", line))}


def test_every_row_is_there_once_and_says_what_proves_it():
    wanted = [f"{table}-{number:02}" for table, last in LAST.items() for number in range(1, last + 1)]
    assert list(rows()) == wanted
    assert all(line.split("|")[4].strip() for line in rows().values())


def test_every_proof_that_is_named_exists():
    for row, line in rows().items():
        for file, name in re.findall(r"`([\w/.]+)::(\w+)`", line):
            path = site.REPO / file if "/" in file else HERE / file
            assert re.search(rf"\b{name}\b", path.read_text()), (row, file, name)


def test_every_test_whose_name_has_an_id_is_named_by_its_row():
    for path in HERE.glob("test_l4_*.py"):
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M):
            for table, number in re.findall(r"_([sepah])(\d\d)(?=_)", name):
                assert f"{path.name}::{name}`" in rows()[f"{table.upper()}-{number}"], name
