"""The views of the page beside the first: their numbers, their links, their drawings as files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from convforge.explain import as_layer, costs_of
from convforge.web.handler import Handler
from support.page import (
    CELLS,
    HOT,
    VIEWS,
    layer_text,
    number,
    oracle,
    settled,
    state_of,
    text_of,
)

pytestmark = pytest.mark.xdist_group("browser")


@pytest.mark.parametrize("view", VIEWS[:5])
def test_the_drawing_is_downloaded_whole(open_page: Any, view: str, tmp_path: Path) -> None:
    page = open_page({"view": view, "input_size": "4"})
    with page.expect_download() as caught:
        page.get_by_test_id("download").click()
    file = tmp_path / "drawing.svg"
    caught.value.save_as(file)
    text = file.read_text("utf-8")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    cells = [g for g in root.iter(f"{space}g") if "cell" in g.get("class", "").split()]
    assert len(cells) == page.locator(".panel .cell").count()
    # Every node has its own paint: no style sheet, which many readers of SVG would pass over.
    assert root.find(f"{space}style") is None
    for cell in cells:
        rect = cell.find(f"{space}rect")
        assert rect is not None
        assert rect.get("fill", "").startswith("rgb")
        assert rect.get("stroke", "").startswith("rgb")
    assert "var(" not in text
    assert "light-dark" not in text
    assert "data-testid" not in text


def test_the_page_is_busy_until_its_view_is_there(open_page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    send_file = Handler.send_file

    def slowly(handler: Handler) -> None:
        if "view_" in handler.path:
            time.sleep(0.3)
        send_file(handler)

    monkeypatch.setattr(Handler, "send_file", slowly)
    page = open_page()
    page.get_by_test_id("tab-transposed").click()
    assert page.get_by_role("main").get_attribute("aria-busy") == "true"
    assert page.locator("[data-panel=stamp-output]").count() == 0
    settled(page)
    assert page.locator("[data-panel=stamp-output]").count() == 1


def test_the_matrix_makes_the_output(open_page: Any) -> None:
    page = open_page({"view": "matrix", "input_size": "4", "padding": "0", "bias": "0"})
    cells = page.evaluate(CELLS)
    matrix = np.array([[number(cells[f"matrix:{r},{c}"] or "0") for c in range(16)] for r in range(4)])
    x, _, y = oracle("Conv2d(1, 1, 3, bias=False)", (4, 4))
    assert (matrix @ x.ravel() == y.ravel()).all()
    assert [number(cells[f"matrix-y:{r},0"]) for r in range(4)] == list(y.ravel())
    page.get_by_test_id("matrix:0,5").hover()
    assert "y (0, 0) takes x (1, 1)" in text_of(page, "says")
    page.get_by_test_id("matrix:0,15").focus()
    assert "does not see" in text_of(page, "says")
    page.get_by_test_id("input_size-field").fill("16")
    assert "too large to be seen" in text_of(page, "matrix-words")


def test_three_ways_are_drawn_and_equal(open_page: Any) -> None:
    text = "ConvTranspose2d(1, 1, 3, stride=2, padding=1, bias=False)"
    page = open_page(state_of(text, (3, 3), view="transposed"))
    _, _, y = oracle(text, (3, 3))
    cells = page.evaluate(CELLS)
    for panel in ("stamp-output", "zeros-output"):
        assert all(number(cells[f"{panel}:{a},{b}"]) == y[0, a, b] for a, b in np.ndindex(5, 5))
    assert [number(cells[f"turned-y:{n},0"]) for n in range(25)] == list(y.ravel())
    assert page.get_by_test_id("ways").get_attribute("data-difference") == "0"
    page.get_by_test_id("stamp-input:1,1").hover()
    lit = {h for h in page.evaluate(HOT) if h.startswith("stamp-output")}
    assert lit == {f"stamp-output:{a},{b}" for a in (1, 2, 3) for b in (1, 2, 3)}
    page.get_by_test_id("zeros-output:0,0").focus()
    assert len([h for h in page.evaluate(HOT) if h.startswith("zeros-input")]) == 9
    large = open_page({"kind": "convtranspose2d", "input_size": "16", "view": "transposed"})
    hint = large.locator(".ways section:last-child .says")
    assert "256" in hint.inner_text()
    large.get_by_test_id("input_size-field").fill("3")
    large.get_by_test_id("input_size-field").press("Enter")
    settled(large)
    assert hint.inner_text() == "", "what is drawn is not too large"
    assert large.locator('[data-panel="turned"] .cell').count() > 0
    plain = open_page({"view": "transposed", "padding": "same"})
    assert "Shown: the transposed layer" in plain.get_by_test_id("view").inner_text()


def test_groups_are_links_between_channels(open_page: Any) -> None:
    page = open_page({"view": "channels", "in_channels": "4", "out_channels": "6", "groups": "2"})
    links = page.evaluate(
        "[...document.querySelectorAll('.link')].map((l) => [+l.dataset.in, +l.dataset.out])"
    )
    assert sorted(map(tuple, links)) == [(i, o) for i in range(4) for o in range(6) if i // 2 == o // 3]
    assert "6 × 2 × 3 × 3" in text_of(page, "weight-shape")
    page.get_by_test_id("out:4").hover()
    assert page.evaluate(HOT) == ["in:2", "in:3", "out:4"]
    assert text_of(page, "says") == "Output channel 4 reads input channels 2–3."
    page.get_by_test_id("out:4").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.testid") == "out:5"
    page.get_by_test_id("groups-field").fill("4")
    page.get_by_test_id("out_channels-field").fill("8")
    assert "Depthwise" in text_of(page, "channels-words")


def test_a_stack_is_built_and_its_field_seen(open_page: Any) -> None:
    page = open_page({"view": "stack", "stack": "Conv2d(3, 8, 3, padding=1)", "stack_size": "16"})
    page.get_by_test_id("stack-add_dilated").click()
    page.get_by_test_id("stack-add_stride").click()
    settled(page)
    assert [text_of(page, f"stack-field-{n}") for n in range(3)] == ["3", "7", "9"]
    assert [text_of(page, f"stack-jump-{n}") for n in range(3)] == ["1", "1", "2"]
    assert text_of(page, "stack-size-2") == "8 × 8"
    page.get_by_test_id("row-3:4").click()
    assert "Element 4 of the last layer sees input 4 to 12." in text_of(page, "says")
    assert {h for h in page.evaluate(HOT) if h.startswith("row-0")} == {f"row-0:{n}" for n in range(4, 13)}
    page.get_by_test_id("stack-up-2").click()
    settled(page)
    assert text_of(page, "stack-field-2") == "13"
    page.get_by_test_id("stack-remove-0").focus()
    page.keyboard.press("Enter")
    settled(page)
    assert page.locator("[data-testid^=stack-row-]").count() == 2
    page.get_by_test_id("stack-1").fill("Conv2d(9, 8, 3)")
    page.get_by_test_id("stack-1").press("Enter")
    page.get_by_test_id("stack-error-1").get_by_text("use in_channels=8").wait_for()
    page.get_by_test_id("stack-size").fill("0")
    page.get_by_test_id("stack-size").press("Enter")
    page.get_by_test_id("stack-error-size").get_by_text("must be at least 1").wait_for()
    page.go_back()
    page.get_by_test_id("stack-error-1").get_by_text("use in_channels=8").wait_for()


def test_costs_and_advice_stand_beside(open_page: Any) -> None:
    text = "Conv2d(4, 8, 4, stride=2)"
    page = open_page(state_of(text, (7, 7)))
    costs = costs_of(as_layer(text), (7, 7)).to_dict()
    shown = page.evaluate(
        "[...document.querySelectorAll('#costs dd')].map((d) => [d.dataset.testid, +d.dataset.value])"
    )
    assert dict(shown) == {
        f"cost-{name.removeprefix('cost-')}": pytest.approx(costs[name.removeprefix("cost-")])
        for name, _ in shown
    }
    assert number(text_of(page, "cost-multiply_adds")) == costs["multiply_adds"]
    assert text_of(page, "dropped-H").startswith("1 of the padded H is left over")
    page.get_by_test_id("use-dropped-rows").click()
    assert "padding=1" in layer_text(page)
    assert page.get_by_test_id("advice-dropped-rows").count() == 0


def test_advice_of_several_layers_becomes_a_stack(open_page: Any) -> None:
    page = open_page(state_of("Conv2d(8, 8, 5, padding=2)", (12, 12)))
    page.get_by_test_id("use-two-3x3").click()
    settled(page)
    assert [text_of(page, f"stack-field-{n}") for n in range(2)] == ["3", "5"]


def test_advice_that_speaks_of_speed_is_measured_when_asked(open_page: Any) -> None:
    page = open_page({"in_channels": "8", "out_channels": "8", "groups": "8", "input_size": "8"})
    page.get_by_test_id("measure").click()
    page.get_by_test_id("measure").wait_for(state="detached")
