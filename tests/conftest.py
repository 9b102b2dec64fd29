# SPDX-License-Identifier: Apache-2.0
"""What all end-to-end tests share: where the binaries are, and what to do when the machine cannot hold a lab."""

import os
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
for folder in ("lab", "differential"):
    sys.path.insert(0, str(TESTS / folder))

import network  # noqa: E402


@pytest.fixture(scope="session")
def lab_is_possible():
    """Skips with the reason where the lab cannot be made; on CI that is a failure."""
    reason = network.why_not()
    if reason:
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
