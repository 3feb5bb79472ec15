"""One explorer and one browser for all the tests of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from convforge.web import Explorer
from support.explorer import CHROMIUM, CHROMIUM_ARGUMENTS, serving, why_no_browser


@pytest.fixture(scope="session")
def explorer() -> Iterator[Explorer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; skips, saying how to mend it, where there is none."""
    reason = why_no_browser()
    if reason:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        yield launched
        launched.close()
