"""A slider under the hand: what is in sight is drawn at once, the rest when it rests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.page import CELLS, settled

pytestmark = pytest.mark.xdist_group("browser")


DRAG = """([name, values]) => {
  const slider = document.getElementById(`${name}-slider`);
  const shown = () => [...document.querySelectorAll(".grid .row")].flatMap((row) => {
    const { top, bottom } = row.getBoundingClientRect();
    const written = (cell) => `${cell.dataset.testid}=${cell.textContent}`;
    const isInSight = bottom > 0 && top < innerHeight && !row.classList.contains("indices");
    return isInSight ? [[...row.querySelectorAll(".cell")].map(written)] : [];
  });
  return values.map((value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    const side = getComputedStyle(document.querySelector(".grid")).getPropertyValue("--side");
    return { side: parseFloat(side), rows: shown(), waiting: document.querySelectorAll(".later").length };
  });
}"""


@pytest.mark.parametrize("view", ["trace", "transposed"])
@pytest.mark.parametrize("name", ["stride", "input_size", "kernel_size"])
def test_a_drag_draws_what_is_in_sight_and_the_rest_when_it_rests(
    open_page: Any, view: str, name: str
) -> None:
    state = {"kind": "convtranspose2d", "input_size": "12", "stride": "2", "view": view}
    page = open_page(state, viewport={"width": 1280, "height": 560})
    steps = page.evaluate(DRAG, [name, [4, 1, 5, 3]])
    assert any(step["waiting"] for step in steps)
    assert all(step["rows"] and all(step["rows"]) for step in steps), "a row in sight is empty"
    sides = [step["side"] for step in steps]
    assert sides == sorted(sides, reverse=True), "cells grew under the hand"
    settled(page)
    assert page.evaluate("document.querySelectorAll('.later').length") == 0
    # What was seen at the last step is what stands there in the end, and all of it.
    cells = page.evaluate(CELLS)
    for cell in [cell for row in steps[-1]["rows"] for cell in row]:
        place, _, text = cell.partition("=")
        assert cells[place] == text
    fresh = open_page(state | {name: "3"}, viewport={"width": 1280, "height": 560})
    assert fresh.evaluate(CELLS) == cells
    # Let go, the cells grow as far as they may.
    page.evaluate(f"document.getElementById('{name}-slider').dispatchEvent(new Event('change'))")
    side = "getComputedStyle(document.querySelector('.grid')).getPropertyValue('--side')"
    assert page.evaluate(side) == fresh.evaluate(side)


def test_a_drawing_is_downloaded_whole_though_half_of_it_waits(open_page: Any, tmp_path: Path) -> None:
    page = open_page({"kind": "convtranspose2d", "input_size": "12", "stride": "2"})
    waiting = page.evaluate(DRAG, ["stride", [3]])[0]["waiting"]
    assert waiting
    with page.expect_download() as started:
        page.evaluate("document.querySelector('[data-testid=download]').click()")
    started.value.save_as(tmp_path / "drawing.svg")
    text = (tmp_path / "drawing.svg").read_text(encoding="utf-8")
    assert text.count("<rect") >= 12 * 12 + 36 * 36


@pytest.mark.parametrize("view", ["trace", "matrix", "transposed"])
def test_a_channel_that_is_chosen_by_keys_keeps_the_focus(open_page: Any, view: str) -> None:
    page = open_page({"in_channels": "3", "kind": "convtranspose2d", "input_size": "4", "view": view})
    before = page.evaluate(CELLS)
    choice = page.get_by_test_id("in-channel-select")
    choice.select_option("1")
    choice.focus()
    page.keyboard.press("ArrowDown")
    settled(page)
    assert page.evaluate("document.activeElement.id") == "in-channel-select"
    assert choice.input_value() == "2"
    assert page.evaluate(CELLS) != before
