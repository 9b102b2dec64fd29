# SPDX-License-Identifier: Apache-2.0
"""Two nodes on a LAN: hawser on one, hawser, keepalived or nobody on the other."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import network
import routers


@pytest.fixture(scope="session")
def lab(lab_is_possible):
    made = network.Lab(f"v{os.getpid()}", external="none", pods=1)
    made.up()
    yield made
    made.down()


@pytest.fixture
def site(lab, tmp_path):
    made = routers.Site(lab, tmp_path)
    yield made
    made.leave()
