# SPDX-License-Identifier: Apache-2.0
"""Prints only what differs between nginx and a product, row by row: differences.py [PRODUCT] [CONF ...]."""

import pathlib
import sys
import tempfile

import row as table
import test_differential as differential


def leaves(path, a, b):
    """Pairs that differ, as deep as the two have the same shape."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in {**a, **b}:
            yield from leaves(f"{path}.{key}", a.get(key), b.get(key))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            yield from leaves(f"{path}[{i}]", x, y)
    elif isinstance(a, str) and isinstance(b, str) and a.count("|") == b.count("|") > 3:
        for x, y in zip(a.split("|"), b.split("|")):
            yield from leaves(f"{path}", x, y)
    elif a != b:
        yield f"{path}: nginx {str(a)[:160]!r}, here {str(b)[:160]!r}"


def main():
    kind = (sys.argv[1:] or ["hawser"])[0]
    for conf in sys.argv[2:] or sorted({r.conf for r in differential.ROWS}):
        rows = [r for r in differential.ROWS if r.conf == conf]
        with tempfile.TemporaryDirectory() as directory:
            site = differential.Site(conf, pathlib.Path(directory))
            theirs = site.run_all("reference", "nginx", rows)
            ours = site.run_all("under test", kind, rows)
            for row in rows:
                a, b = theirs[row.id], ours[row.id]
                if isinstance(a, Exception) or isinstance(b, Exception):
                    print(f"{conf}: {row.id}\n    nginx {a if isinstance(a, Exception) else 'answers'}, here {b if isinstance(b, Exception) else 'answers'}")
                    continue
                found = list(leaves("", table.normal(a, row), table.normal(b, row)))
                if found:
                    print(f"{conf}: {row.id}{' (stated deviation)' if row.deviation else ''}")
                    print("\n".join(f"    {line}" for line in found))


if __name__ == "__main__":
    main()
