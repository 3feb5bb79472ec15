"""The numbers in the page, from the DOM, against the library; pointing at them and walking them."""

from __future__ import annotations

import contextlib
import itertools
import random
import urllib.parse
from typing import Any

import numpy as np
import pytest

from convforge.errors import ConvforgeError
from convforge.explain import as_layer, size_formula, trace_of
from support.page import (
    HOT,
    number,
    oracle,
    state_of,
    text_of,
    until,
)

pytestmark = pytest.mark.xdist_group("browser")


def drawn_layer(dice: random.Random) -> tuple[str, tuple[int, ...]]:
    """A possible layer of any kind, and an input for it."""
    while True:
        rank, transposed = dice.choice((1, 2, 2, 3)), dice.random() < 0.4
        groups = dice.choice((1, 1, 2))
        keys: dict[str, Any] = {
            "stride": dice.randint(1, 3),
            "padding": dice.randint(0, 2),
            "dilation": dice.randint(1, 2),
            "groups": groups,
            "bias": dice.random() < 0.7,
            "padding_mode": dice.choice(("zeros", "reflect", "replicate", "circular")),
        }
        if transposed:
            keys["output_padding"] = dice.randint(0, 1)
        rest = ", ".join(f"{name}={value!r}" for name, value in keys.items())
        kernel = tuple(dice.randint(1, 3) for _ in range(rank))
        text = f"Conv{'Transpose' * transposed}{rank}d({groups}, {2 * groups}, {kernel}, {rest})"
        size = tuple(dice.randint(2, {1: 12, 2: 6, 3: 3}[rank]) for _ in range(rank))
        # Not asked of the server, which would forge a kernel for each.
        with contextlib.suppress(ConvforgeError):
            if 0 not in as_layer(text).spec(size).output_size:
                return text, size


VISIT = """async (addresses) => {
  const found = [];
  for (const address of addresses) {
    const moved = new Promise((done) => addEventListener("popstate", done, { once: true }));
    location.hash = address;
    await moved;
    const cells = Object.fromEntries([...document.querySelectorAll(".panel [data-testid]")].map(
      (cell) => [cell.dataset.testid, cell.textContent]));
    const lines = [...document.querySelectorAll("#formula [data-testid^=formula]")];
    const formula = lines.map((line) => line.textContent);
    const result = document.querySelector("[data-testid=equation-result]").textContent;
    const hot = [...document.querySelectorAll(".cell.hot")].map((cell) => cell.dataset.testid);
    found.push({ cells, formula, result, hot });
  }
  return found;
}"""


@pytest.mark.parametrize("seed", range(4))
def test_the_numbers_in_the_page_are_the_librarys(open_page: Any, seed: int) -> None:
    dice = random.Random(seed)
    page = open_page()
    layers = [drawn_layer(dice) for _ in range(300)]
    channels = [dice.randrange(as_layer(text).out_channels) for text, _ in layers]
    addresses = [
        urllib.parse.urlencode(state_of(text, size, seed=str(seed), out=str(channel)))
        for (text, size), channel in zip(layers, channels, strict=True)
    ]
    for (text, size), channel, shown in zip(layers, channels, page.evaluate(VISIT, addresses), strict=True):
        layer = as_layer(text)
        spec = layer.spec(size)
        x, weight, y = oracle(text, size, seed)
        first = channel // (layer.out_channels // layer.groups) * (layer.in_channels // layer.groups)
        pair = (first, channel % (layer.out_channels // layer.groups)) if layer.transposed else (channel, 0)
        for name, array in (("input", x[first]), ("kernel", weight[pair]), ("output", y[channel])):
            for at in np.ndindex(*array.shape):
                cell = f"{name}:{','.join(map(str, at))}"
                assert number(shown["cells"][cell]) == array[at], (text, size, cell)
        assert shown["formula"] == size_formula(spec, layer.stride, layer.dilation)[1:]
        # Padding holds what its mode says; of a transposed layer it is the output that has the border.
        trace = trace_of(spec)
        if not layer.transposed:
            for at in itertools.product(
                *(range(-a.padding[0], a.input_size + a.padding[1]) for a in trace.axes)
            ):
                sources = [a.sources[n + a.padding[0]] for a, n in zip(trace.axes, at, strict=True)]
                value = 0 if None in sources else x[(first, *sources)]
                assert number(shown["cells"][f"input:{','.join(map(str, at))}"]) == value
        [at] = [h for h in shown["hot"] if h.startswith("output:")][:1] or [""]
        # The output chosen lights up the taps of its trace, and its equation ends in it.
        lit = {h for h in shown["hot"] if h.startswith("kernel:")}
        if not layer.transposed:
            position = tuple(map(int, at.partition(":")[2].split(",")))
            terms = [t for t in trace.terms(channel, position) if t.weight[:2] == pair]
            assert lit == {f"kernel:{','.join(map(str, t.weight[2:]))}" for t in terms}
            inputs = {f"input:{','.join(map(str, t.positions))}" for t in terms}
            assert {h for h in shown["hot"] if h.startswith("input:")} == inputs
            assert number(shown["result"]) == y[(channel, *position)]


def test_pointing_touching_and_walking(open_page: Any) -> None:
    page = open_page(state_of("Conv2d(1, 1, 3, stride=2, padding=2, padding_mode='reflect')", (6, 6)))
    layer = "Conv2d(1, 1, 3, stride=2, padding=2, padding_mode='reflect')"
    trace = trace_of(as_layer(layer).spec((6, 6)))
    _, _, y = oracle(layer, (6, 6))
    for at in ((0, 0), (2, 3), (3, 1)):
        page.get_by_test_id(f"output:{at[0]},{at[1]}").hover()
        terms = list(trace.terms(0, at))
        wanted = {f"output:{at[0]},{at[1]}"}
        wanted |= {f"kernel:{t.weight[2]},{t.weight[3]}" for t in terms}
        wanted |= {f"input:{t.positions[0]},{t.positions[1]}" for t in terms}
        assert set(page.evaluate(HOT)) == wanted
        assert number(text_of(page, "equation-result")) == y[(0, *at)]
    page.get_by_test_id("input:-2,-1").hover()
    assert "padding (−2, −1): copy of input (2, 1)" in text_of(page, "says")
    assert page.get_by_test_id("input:2,1").evaluate("cell => cell.classList.contains('source')")
    page.get_by_test_id("kernel:1,1").hover()
    assert "kernel:1,1" in page.evaluate(HOT)
    # An input lights up every output that reads it.
    page.get_by_test_id("input:2,2").hover()
    readers = {
        f"output:{a},{b}"
        for a, b in np.ndindex(*y.shape[1:])
        if any(t.positions == (2, 2) for t in trace.terms(0, (a, b)))
    }
    assert {h for h in page.evaluate(HOT) if h.startswith("output")} == readers
    page.get_by_test_id("output:1,1").click()
    for key, cell in (
        ("ArrowRight", "1,2"),
        ("ArrowDown", "2,2"),
        ("ArrowLeft", "2,1"),
        ("ArrowUp", "1,1"),
        ("End", f"1,{y.shape[2] - 1}"),
        ("Home", "1,0"),
        ("ArrowLeft", "1,0"),
    ):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.dataset.testid") == f"output:{cell}"
    assert number(text_of(page, "equation-result")) == y[0, 1, 0]
    until(page, "location.hash.includes('at=1,0')")
    stops = page.evaluate(
        "[...document.querySelectorAll('.panel')].map((p) => p.querySelectorAll('[tabindex=\"0\"]').length)"
    )
    assert stops == [1, 1, 1]
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"


def test_a_finger_will_do(open_page: Any) -> None:
    page = open_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.get_by_test_id("output:0,0").tap()
    assert "output:0,0" in page.evaluate(HOT)
    assert "4 of them with a padding zero" not in text_of(page, "says")
    assert "5 of them with a padding zero" in text_of(page, "says")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Conv1d(1, 1, 3, padding=1)", (7,)),
        ("Conv3d(1, 1, 2)", (3, 3, 3)),
        ("ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)", (3, 3)),
        ("ConvTranspose1d(1, 1, 3, padding=1, padding_mode='circular')", (5,)),
    ],
)
def test_every_cell_says_what_it_is(open_page: Any, text: str, size: tuple[int, ...]) -> None:
    page = open_page(state_of(text, size))
    cells = page.evaluate(
        "[...document.querySelectorAll('.panel .cell')].map((c) => [c.dataset.testid, "
        "c.getAttribute('aria-label'), c.getAttribute('role'), c.hasAttribute('tabindex')])"
    )
    assert len({cell[0] for cell in cells}) == len(cells)
    assert all(label and role == "gridcell" and stop for _, label, role, stop in cells)
    spec = as_layer(text).spec(size)
    border = spec.output_size if spec.transposed else spec.input_size
    padded = np.prod([n + sum(pads) for n, pads in zip(border, spec.padding, strict=True)])
    other = spec.input_size if spec.transposed else spec.output_size
    assert len(cells) == padded + np.prod(other) + np.prod(spec.kernel_size)
    if spec.transposed and spec.padding_mode == "zeros":
        assert page.locator(".cell.cut").count() == padded - np.prod(spec.output_size)


@pytest.mark.parametrize(
    ("text", "size"),
    [("Conv1d(1, 1, 3)", (5,)), ("Conv2d(1, 1, 3, padding=1)", (5, 5)), ("Conv3d(1, 1, 2)", (3, 3, 3))],
)
def test_coordinates_stand_over_their_columns(open_page: Any, text: str, size: tuple[int, ...]) -> None:
    page = open_page(state_of(text, size))
    middles = page.evaluate(
        """() => [...document.querySelectorAll("[data-panel=input] [role=rowgroup]")].map((slice) =>
        [".indices .index", "[role=row]:not(.indices) .cell"].map((what) => [...slice.querySelectorAll(what)]
        .map((node) => node.getBoundingClientRect()).map((box) => (box.left + box.right) / 2)))"""
    )
    for above, cells in middles:
        assert above == pytest.approx(cells[: len(above)], abs=0.6)


def test_pages_of_a_volume_are_turned_by_keys(open_page: Any) -> None:
    page = open_page(state_of("Conv3d(1, 1, 2)", (3, 3, 3)))
    page.get_by_test_id("output:0,1,1").click()
    page.keyboard.press("PageDown")
    assert page.evaluate("document.activeElement.dataset.testid") == "output:1,1,1"
    page.keyboard.press("PageUp")
    assert page.evaluate("document.activeElement.dataset.testid") == "output:0,1,1"
