# SPDX-License-Identifier: Apache-2.0
"""hawser-im behind a hawser, and a browser: each for one test, on free ports of loopback."""

import os
import pathlib
import sys
import tempfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "control"), str(HERE.parent / "im")]

import chromium  # noqa: E402
from chat import Site  # noqa: E402


@pytest.fixture(scope="session")
def one_browser():
    if reason := chromium.why_not():
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="hawser-browser-", ignore_cleanup_errors=True) as directory:
        browser = chromium.Chromium(pathlib.Path(directory))
        yield browser
        browser.close()


@pytest.fixture
def browser(one_browser, request):
    """The browser; what a test leaves open is closed, and a script of ours that threw fails the test."""
    yield one_browser
    pages = list(one_browser.pages.values())
    thrown = [complaint for page in pages for complaint in page.thrown]
    for number, page in enumerate(pages):
        if pictures := os.environ.get("HAWSER_PICTURES"):
            page.picture(pathlib.Path(pictures) / f"{request.node.name}-{number}.png")
        page.close()
    assert not thrown, thrown


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.stop()
