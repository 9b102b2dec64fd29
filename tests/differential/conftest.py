# SPDX-License-Identifier: Apache-2.0
"""Prints how large the differential table is."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))


def pytest_terminal_summary(terminalreporter):
    import test_differential as differential

    deviations = sum(1 for r in differential.ROWS if r.deviation)
    terminalreporter.write_line(
        f"differential table: {len(differential.ROWS)} requests against nginx 1.22.1 and {differential.UNDER_TEST}, "
        f"{deviations} of them with a stated deviation"
    )
