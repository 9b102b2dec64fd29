# SPDX-License-Identifier: Apache-2.0
"""Prints what a product does with the rows of one file: show.py CONF [PRODUCT] [WORD OF THE ROW'S NAME]."""

import pathlib
import sys
import tempfile

import test_differential as differential


def main():
    conf, kind, word = (sys.argv[1:] + ["", "", ""])[:3]
    rows = [r for r in differential.ROWS if r.conf == conf]
    with tempfile.TemporaryDirectory() as directory:
        site = differential.Site(conf, pathlib.Path(directory))
        outcomes = site.run_all("reference", kind or "nginx", rows)
        for row in rows:
            if word not in row.id:
                continue
            result = outcomes[row.id]
            print(f"== {row.id}")
            if isinstance(result, Exception):
                print(f"   {type(result).__name__}: {result}")
                continue
            for a in result.answers:
                print(f"   < {a.version} {a.status} {a.reason} {a.fields} {a.framing} {a.body[:300]!r}{'' if a.complete else ' CUT'}")
            print(f"   {result.fate} {result.raw[:200]!r}")
            for r in result.requests:
                print(f"   > {r.backend}{' reused' if r.reused else ''} {r.request_line} {r.fields} {r.framing} {r.body[:200]!r} {r.tail[:100]!r}")
            for name, lines in result.logs.items():
                for line in lines:
                    print(f"   {name}: {line}")


main()
