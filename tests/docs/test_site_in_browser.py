"""The site as its readers see it, opened as files: drawings in the colours of the page, and search."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.explorer import CHROMIUM, CHROMIUM_ARGUMENTS, why_no_browser

SHOWN = "images => images.filter(image => image.checkVisibility()).map(image => image.src)"


def in_browser(site: Path, place: str, seen: Callable[[Any], Any], **options: Any) -> Any:
    """What `seen` returns of an opened page, from which nothing but files of the site was asked for."""
    reason = why_no_browser()
    if reason:
        pytest.skip(reason)

    def look() -> Any:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
            page = browser.new_context(viewport={"width": 1280, "height": 900}, **options).new_page()
            asked: list[str] = []
            errors: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto((site / place).as_uri())
            found = seen(page)
            browser.close()
        assert not errors
        assert not [url for url in asked if not url.startswith((site.as_uri(), "data:", "about:"))]
        return found

    # In a thread of its own: Playwright runs once a thread, and the explorer's tests keep theirs open.
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(look).result()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_drawings_are_in_the_colours_of_the_page(site: Path, scheme: Any) -> None:
    def seen(page: Any) -> Any:
        images = page.locator("img.drawing")
        before = images.evaluate_all(SHOWN)
        page.locator("form[data-md-component=palette] label:visible").click()
        return before, images.evaluate_all(SHOWN), images.count()

    before, after, count = in_browser(site, "zh/tutorial/sizes.html", seen, color_scheme=scheme)
    assert len(before) == len(after) == count // 2 > 2
    assert all(f"-{scheme}.svg" in source and "/zh/" in source for source in before)
    assert not any(f"-{scheme}.svg" in source for source in after)


@pytest.mark.parametrize(
    ("start", "word", "page"),
    [
        ("index.html", "gridding", "tutorial/dilation.html"),
        ("zh/index.html", "棋盘格", "zh/tutorial/transposed.html"),
        ("zh/index.html", "感受野", "zh/tutorial/dilation.html"),
    ],
)
def test_search_finds_a_word_in_pages_opened_as_files(site: Path, start: str, word: str, page: str) -> None:
    def seen(opened: Any) -> list[str]:
        from playwright.sync_api import TimeoutError as NothingFound

        field, links = opened.locator("input[name=query]"), opened.locator(".md-search-result__link")
        # What is typed before the theme listens is lost: a busy machine types it again. The theme reads the
        # field when a key goes up, and `fill` presses none: without one, only a focus that came late enough
        # was a search.
        for _ in range(6):
            field.fill(word)
            field.press("End")
            with contextlib.suppress(NothingFound):
                links.first.wait_for(state="attached", timeout=15_000)
                break
            field.fill("")
        return links.evaluate_all("links => links.map(link => link.href)")

    found = in_browser(site, start, seen)
    assert any(link.startswith((site / page).as_uri()) for link in found), found
