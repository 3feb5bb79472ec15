"""The page's address, language, theme and width; what is copied from it; and its server gone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from convforge.web import api
from support.explorer import serving
from support.page import (
    CELLS,
    HOT,
    VIEWS,
    layer_text,
    settled,
    until,
)

pytestmark = pytest.mark.xdist_group("browser")


def test_language_and_theme_are_in_the_address(open_page: Any) -> None:
    page = open_page()
    assert page.get_by_role("heading", level=1).inner_text() == "Convolution explorer"
    page.get_by_test_id("language").click()
    assert page.get_by_role("heading", level=1).inner_text() == "卷积探索"
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert "lang=zh" in page.url
    for view in VIEWS:
        page.get_by_test_id(f"tab-{view}").click()
        settled(page)
        words = page.evaluate("document.body.innerText")
        # What stays English is PyTorch's own, and code.
        assert not re.search(
            r"\b(the|is|of|padding zero|Download|channel \d|Input|Output|Kernel)\b", words
        ), view
    settled(page)
    page.get_by_test_id("theme").click()
    page.get_by_test_id("theme").click()
    assert "theme=dark" in page.url
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    assert page.get_by_role("heading", level=1).inner_text() == "卷积探索"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark == "rgb(11, 15, 20)"
    page.get_by_test_id("theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(244, 245, 242)"
    assert page.get_by_test_id("language").inner_text() == "English"
    page.get_by_test_id("language").click()
    settled(page)


def test_the_system_chooses_language_and_theme_first(open_page: Any) -> None:
    page = open_page(color_scheme="dark", locale="zh-CN")
    assert page.get_by_role("heading", level=1).inner_text() == "卷积探索"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(11, 15, 20)"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", ["conv2d", "convtranspose3d"])
def test_it_fits_a_phone(open_page: Any, lang: str, kind: str) -> None:
    state = {
        "kind": kind,
        "lang": lang,
        "input_size": "4",
        "stride": "2",
        "in_channels": "4",
        "groups": "2",
        "out_channels": "2",
    }
    page = open_page(state, viewport={"width": 360, "height": 740})
    for view in VIEWS:
        page.get_by_test_id(f"tab-{view}").click()
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
        too_wide = page.evaluate(
            "[...document.querySelectorAll('button, input, select, p, h1, h2, h3, dl')]"
            ".filter((e) => e.checkVisibility() && !e.closest('.tabs, .scroll, .visually-hidden, .skip')"
            "&& e.getBoundingClientRect().right > 361).map((e) => e.outerHTML.slice(0, 90))"
        )
        assert too_wide == [], view


def test_a_copied_link_restores_everything_and_back_goes_back(open_page: Any) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_test_id("kind-convtranspose2d").click()
    for name, value in {
        "stride": "2",
        "output_padding": "1",
        "in_channels": "2",
        "out_channels": "4",
        "groups": "2",
    }.items():
        page.get_by_test_id(f"{name}-field").fill(value)
        page.get_by_test_id(f"{name}-field").press("Enter")
    page.get_by_test_id("padding_mode-field").select_option("replicate")
    page.get_by_test_id("seed-field").fill("42")
    page.get_by_test_id("seed-field").press("Enter")
    page.get_by_test_id("out-channel-select").select_option("3")
    page.get_by_test_id("output:2,1").click()
    page.get_by_test_id("copy-link").click()
    page.get_by_test_id("said").get_by_text("Copied").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    settled(page)
    cells, text = page.evaluate(CELLS), layer_text(page)
    other = open_page()
    other.goto("about:blank")
    other.goto(link)
    settled(other)
    assert other.evaluate(CELLS) == cells
    assert layer_text(other) == text
    assert text.endswith("stride=2, padding=1, output_padding=1, groups=2, padding_mode='replicate')")
    assert "output:2,1" in other.evaluate(HOT)
    assert other.get_by_test_id("seed-field").input_value() == "42"
    page.get_by_test_id("tab-matrix").click()
    until(page, "document.getElementById('view').dataset.view === 'matrix'")
    page.go_back()
    until(page, "document.getElementById('view').dataset.view === 'trace'")
    page.go_back()
    until(page, "!location.hash.includes('out=3')")
    page.go_back()
    until(page, "document.querySelector('[data-testid=seed-field]').value === '0'")
    page.go_forward()
    until(page, "document.querySelector('[data-testid=seed-field]').value === '42'")
    settled(page)


def test_an_address_of_nonsense_is_harmless(open_page: Any) -> None:
    nonsense = {
        "kind": "linear",
        "view": "<img>",
        "x": "%00",
        "at": "a,b",
        "out": "-5",
        "stack": "|||",
        "grid": "<b>",
        "evil": "1",
    }
    page = open_page({**nonsense, "padding_mode": "<script>alert(1)</script>"})
    page.get_by_test_id("error-padding_mode").get_by_text("<script>alert(1)</script>").wait_for()
    for view in VIEWS:
        page.get_by_test_id(f"tab-{view}").click()
        settled(page)


def test_code_is_copied(open_page: Any) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_test_id("copy-code").click()
    page.get_by_test_id("said").get_by_text("Copied").wait_for()
    code = page.evaluate("navigator.clipboard.readText()")
    assert (
        code == api.answer("/api/code", {"layer": "Conv2d(1, 1, 3, padding=1)", "input_size": [6, 6]})["code"]
    )


def test_a_server_that_is_gone_is_said(browser: Any) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    with serving() as server:
        page.goto(server.url)
        settled(page)
    page.get_by_test_id("stride-field").fill("2")
    page.get_by_test_id("verified").get_by_text("The server does not answer").wait_for()
    assert (
        json.loads(
            page.evaluate("JSON.stringify(document.querySelectorAll('[data-panel=output] .cell').length)")
        )
        == 9
    )
    context.close()
