# SPDX-License-Identifier: Apache-2.0
"""Same file, same requests, same answers as nginx: one case per row of the table.

Both products run with the same file on the same ports, one after the other, in front of the same backends. The
product under test is HAWSER_DIFF_PRODUCT (hawser; nginx compares nginx with itself, which proves the harness).
"""

import dataclasses
import importlib
import os
import pathlib
import pkgutil
import re
import time

import pytest

import backend
import product
import row as table
import rows

HERE = pathlib.Path(__file__).parent
UNDER_TEST = os.environ.get("HAWSER_DIFF_PRODUCT", "hawser")
PORTS = ("http", "alt", "third")


def load_rows():
    loaded = []
    for module in sorted(m.name for m in pkgutil.iter_modules(rows.__path__)):
        for row in importlib.import_module(f"rows.{module}").ROWS:
            row.conf = module
            loaded.append(row)
    return loaded


ROWS = load_rows()


class Logs:
    """What was written to the access logs since the last mark."""

    def __init__(self, directory):
        self.directory = directory
        self.offsets = {}

    def mark(self):
        self.offsets = {f: f.stat().st_size for f in self.directory.glob("*.log")}

    def _read(self):
        found = {}
        for file in sorted(self.directory.glob("*.log")):
            with open(file, "rb") as stream:
                stream.seek(self.offsets.get(file, 0))
                whole, _, _ = stream.read().decode("latin-1").rpartition("\n")  # what is being written now is not a line yet
                lines = whole.splitlines()
            if lines:
                found[file.name] = lines
        return found

    def take(self, count, seconds=1.5):
        deadline = time.monotonic() + seconds
        while True:
            found = self._read()
            if sum(len(lines) for lines in found.values()) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.005)


class Site:
    """One file of conf/ with its ports and backends; runs all of its rows against a product once."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self.backends = backend.Backends(["b1", "b2", "b3"])
        self.ports = {name: product.free_port() for name in PORTS}
        self.dead = product.socket.socket()  # bound, not listening: connections to it are refused
        self.dead.bind(("127.0.0.1", 0))
        self.logs = directory / "logs"
        self.logs.mkdir()
        self.file = directory / f"{name}.conf"
        words = {**self.ports, **self.backends.ports, "dead": self.dead.getsockname()[1], "logs": self.logs}
        text = (HERE / "conf" / f"{name}.conf").read_text().replace("@common@", (HERE / "conf/common.inc").read_text())
        self.listening = [port for name, port in self.ports.items() if f":@{name}@" in text]
        self.file.write_text(re.sub(r"@(\w+)@", lambda m: str(words[m.group(1)]), text))
        self.outcomes = {}

    def run_all(self, role, kind, chosen):
        """role: 'reference' or 'under test'. Outcomes, or the exception that a row met, by row."""
        if role in self.outcomes:
            return self.outcomes[role]
        results = {}
        for file in self.logs.glob("*.log"):
            file.unlink()
        proxy = product.Proxy(kind, self.file, self.directory, self.listening)
        logs = Logs(self.logs)
        try:
            for row in chosen:
                try:
                    results[row.id] = table.run(row, self.ports[row.port], self.backends, logs)
                except Exception as problem:  # told where the row's case runs
                    self.backends.end()
                    results[row.id] = problem
        finally:
            proxy.stop()
        self.outcomes[role] = results
        return results


@pytest.fixture(scope="module")
def sites(tmp_path_factory, request):
    made = {}
    chosen = {}
    for item in request.session.items:
        if item.module is request.module and hasattr(item, "callspec"):
            row = item.callspec.params["row"]
            chosen.setdefault(row.conf, []).append(row)

    def outcome(row, role, kind):
        if row.conf not in made:
            made[row.conf] = Site(row.conf, tmp_path_factory.mktemp(row.conf))
        try:
            result = made[row.conf].run_all(role, kind, chosen[row.conf])[row.id]
        except RuntimeError as problem:
            made[row.conf].outcomes[role] = {r.id: problem for r in chosen[row.conf]}
            result = problem
        if isinstance(result, Exception):
            pytest.fail(f"{kind}: {type(result).__name__}: {result}", pytrace=False)
        return result

    yield outcome
    for site in made.values():
        site.backends.close()
        site.dead.close()


@pytest.mark.parametrize("row", ROWS, ids=[f"{r.conf}-{r.id.replace(' ', '_')}" for r in ROWS])
def test_row(row, sites):
    reference = sites(row, "reference", "nginx")
    assert table.statuses(reference) == table.expected_statuses(row), f"nginx itself: {table.normal(reference, row)}"
    if row.check:
        row.check(reference)
    tested = sites(row, "under test", UNDER_TEST)
    if row.deviation and UNDER_TEST != "nginx":
        deviation = row.deviation
        if deviation.differs:
            same = dataclasses.replace(row, blind=(*row.blind, *deviation.differs))
            assert table.normal(tested, same) == table.normal(reference, same)
            if deviation.check:
                deviation.check(tested)
            return
        wanted = [] if deviation.status is None else [deviation.status]
        assert table.statuses(tested)[-1:] == wanted, deviation.reason
        assert tested.fate == deviation.fate, deviation.reason
        if deviation.requests is not None:
            assert len(tested.requests) == deviation.requests, deviation.reason
        if deviation.check:
            deviation.check(tested)
        return
    assert table.normal(tested, row) == table.normal(reference, row)


def test_the_table_is_large_enough_and_its_rows_have_names_of_their_own():
    names = [(r.conf, r.id) for r in ROWS]
    assert len(names) == len(set(names))
    assert len(ROWS) >= 120
    assert all(r.deviation.reason for r in ROWS if r.deviation)
