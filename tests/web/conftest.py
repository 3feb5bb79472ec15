"""One explorer and one browser for all the tests of the page."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from convforge.web import Explorer
from support.explorer import CHROMIUM, CHROMIUM_ARGUMENTS, serving, why_no_browser
from support.page import settled


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


@pytest.fixture
def open_page(browser: Any, explorer: Explorer) -> Iterator[Callable[..., Any]]:
    """Opens the page at an address; at the end nothing was complained of, and nothing left loopback."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def watched(request: Any) -> None:
        if not request.url.startswith((explorer.url, f"blob:{explorer.url}")):
            complaints.append(f"left loopback: {request.url}")

    def opened(state: dict[str, str] | None = None, **options: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("request", watched)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
        page.goto(f"{explorer.url}#{urllib.parse.urlencode(state or {})}")
        settled(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
