"""The page in a real Chromium: every control, every view, read from the DOM and compared with the library."""

from __future__ import annotations

import io
import itertools
import json
import random
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from convforge import reference
from convforge.explain import as_layer, costs_of, size_formula, trace_of
from convforge.web import Explorer, api
from convforge.web.numbers import Numbers
from support.explorer import serving

pytestmark = pytest.mark.xdist_group("browser")

VIEWS = ("trace", "matrix", "transposed", "channels", "stack", "photo")
# What a test waits for: the page has drawn, and the library has answered.
SETTLED = "document.getElementById('verified').className !== ''"
CELLS = """() => Object.fromEntries([...document.querySelectorAll("svg [data-testid]")].map(
  (cell) => [cell.dataset.testid, cell.textContent]))"""
HOT = """() => [...document.querySelectorAll(".cell.hot")].map((cell) => cell.dataset.testid).sort()"""


def until(page: Any, condition: str, arg: Any = None) -> None:
    """Waits for a condition in the page. Playwright's own way evaluates strings, which the page forbids."""
    deadline = time.monotonic() + 30
    while not page.evaluate(condition, arg):
        assert time.monotonic() < deadline, f"never: {condition} {arg or ''}"
        page.wait_for_timeout(15)


@pytest.fixture
def open_page(browser: Any, explorer: Explorer) -> Iterator[Callable[..., Any]]:
    """Opens the page at an address; at the end nothing was complained of, and nothing left loopback."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def watched(request: Any) -> None:
        if not request.url.startswith((explorer.url, f"blob:{explorer.url}")):
            complaints.append(f"left loopback: {request.url}")

    def opened(state: dict[str, str] | None = None, *, settle: bool = True, **options: Any) -> Any:
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
        if settle:
            until(page, SETTLED)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def text_of(page: Any, name: str) -> str:
    return page.get_by_test_id(name).inner_text()


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("\u202f", "").replace(" ", ""))


def layer_text(page: Any) -> str:
    until(page, SETTLED)
    return page.get_by_test_id("layer-text").input_value()


def oracle(text: str, size: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(input, weight, output) of what the page shows, without the batch."""
    layer = as_layer(text)
    spec, numbers = layer.spec(size, dtype="float64"), Numbers(seed)
    x, weight = numbers.input_array(spec), numbers.weight_array(spec)
    bias = numbers.bias_array(spec) if layer.bias else None
    return x[0], weight, reference.output(spec, x, weight, bias)[0]


def state_of(text: str, size: tuple[int, ...], **more: str) -> dict[str, str]:
    """The address of a layer."""
    layer = as_layer(text)
    plain = str(layer.padding) if isinstance(layer.padding, str) else ",".join(map(str, layer.padding))
    return {
        "kind": layer.name.lower(),
        "input_size": ",".join(map(str, size)),
        "in_channels": str(layer.in_channels),
        "out_channels": str(layer.out_channels),
        "kernel_size": ",".join(map(str, layer.kernel_size)),
        "stride": ",".join(map(str, layer.stride)),
        "padding": plain,
        "dilation": ",".join(map(str, layer.dilation)),
        "output_padding": ",".join(map(str, layer.output_padding)),
        "groups": str(layer.groups),
        "bias": "1" if layer.bias else "0",
        "padding_mode": layer.padding_mode,
        **more,
    }


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
        answer = api.answer("/api/trace", {"layer": text, "input_size": list(size)})
        if "error" not in answer and 0 not in answer["spec"]["output_size"]:
            return text, size


VISIT = """async (addresses) => {
  const found = [];
  for (const address of addresses) {
    const moved = new Promise((done) => addEventListener("popstate", done, { once: true }));
    location.hash = address;
    await moved;
    const cells = Object.fromEntries([...document.querySelectorAll("svg [data-testid]")].map(
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
    layers = [drawn_layer(dice) for _ in range(60)]
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


SLIDERS = (
    "input_size",
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
)


def test_every_slider_by_mouse_and_by_keyboard(open_page: Any) -> None:
    page = open_page({"kind": "convtranspose2d", "in_channels": "2", "out_channels": "2", "stride": "2"})
    for name in (*SLIDERS, "output_padding"):
        slider, field = page.get_by_test_id(f"{name}-slider"), page.get_by_test_id(f"{name}-field")
        before = field.input_value()
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert field.input_value() == str(int(before) + 1), name
        page.keyboard.press("ArrowLeft")
        assert field.input_value() == before, name
        box = slider.bounding_box()
        page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
        assert field.input_value() == slider.get_attribute("max"), name
        page.mouse.move(box["x"] + box["width"] - 3, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 3, box["y"] + box["height"] / 2, steps=4)
        page.mouse.up()
        assert field.input_value() == slider.get_attribute("min"), name
        field.fill(before)
        field.press("Enter")
    assert layer_text(page) == "ConvTranspose2d(2, 2, 3, stride=2, padding=1)"


def test_every_field_by_keyboard(open_page: Any) -> None:
    page = open_page()
    wanted = {
        "input_size": "5, 7",
        "in_channels": "4",
        "out_channels": "6",
        "kernel_size": "3, 2",
        "stride": "2, 1",
        "padding": "(1, 0), (0, 2)",
        "dilation": "1, 2",
        "groups": "2",
    }
    for name, value in wanted.items():
        field = page.get_by_test_id(f"{name}-field")
        field.focus()
        page.keyboard.press("Control+A")
        page.keyboard.type(value)
        page.keyboard.press("Tab")
    text = "Conv2d(4, 6, (3, 2), stride=(2, 1), padding=((1, 0), (0, 2)), dilation=(1, 2), groups=2)"
    until(page, "text => document.getElementById('layer-text').value === text", arg=text)
    assert text_of(page, "verified").startswith("✓")
    x, _, y = oracle(text, (5, 7))
    cells = page.evaluate(CELLS)
    assert number(cells["output:1,3"]) == y[0, 1, 3]
    assert number(cells["input:4,6"]) == x[0, 4, 6]
    field = page.get_by_test_id("stride-field")
    field.press("ArrowUp")
    assert field.input_value() == "3, 2"
    field.press("ArrowDown")
    field.press("ArrowDown")
    assert field.input_value() == "1, 0"
    page.get_by_test_id("error-stride").get_by_text("stride (=0 along the width)").wait_for()


def test_kinds_choices_and_boxes_by_mouse_and_by_keyboard(open_page: Any) -> None:
    page = open_page()
    for kind in ("conv1d", "conv3d", "convtranspose1d", "convtranspose2d", "convtranspose3d", "conv2d"):
        page.get_by_test_id(f"kind-{kind}").click()
        name = kind.replace("conv", "Conv").replace("transpose", "Transpose")
        until(page, "name => document.getElementById('layer-text').value.startsWith(name)", arg=f"{name}(")
        assert text_of(page, "verified").startswith("✓")
        assert page.get_by_test_id("output_padding-field").is_visible() == ("Transpose" in name)
    page.get_by_test_id("kind-conv2d").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_test_id("kind-conv3d").is_checked()
    page.keyboard.press("ArrowLeft")
    page.get_by_test_id("bias-field").click()
    until(page, "document.getElementById('layer-text').value.includes('bias=False')")
    page.get_by_test_id("bias-field").focus()
    page.keyboard.press("Space")
    until(page, "!document.getElementById('layer-text').value.includes('bias=False')")
    for mode in ("reflect", "replicate", "circular", "zeros"):
        page.get_by_test_id("padding_mode-field").select_option(mode)
        kinds = page.evaluate(
            "[...document.querySelectorAll('[data-panel=input] .cell')].map((c) => c.classList[1])"
        )
        assert set(kinds) == {"input", mode}
    page.get_by_test_id("padding_mode-field").focus()
    page.keyboard.press("ArrowDown")
    assert page.get_by_test_id("padding_mode-field").input_value() == "reflect"
    page.get_by_test_id("x-field").select_option("counting")
    page.get_by_test_id("w-field").select_option("impulse")
    cells = page.evaluate(CELLS)
    assert [cells[f"input:0,{n}"] for n in range(6)] == list("012345")
    assert (cells["kernel:1,1"], cells["kernel:0,0"]) == ("1", "0")
    page.get_by_test_id("new-seed").click()
    assert page.get_by_test_id("seed-field").input_value() == "1"
    page.get_by_test_id("seed-field").fill("-1")
    page.get_by_test_id("error-seed").get_by_text("seed (=-1)").wait_for()


@pytest.mark.parametrize(
    ("state", "name", "value", "control"),
    [
        ({"in_channels": "4", "out_channels": "4"}, "groups", "3", "groups"),
        ({"groups": "2", "in_channels": "2", "out_channels": "2"}, "in_channels", "3", "in_channels"),
        ({}, "kernel_size", "9", "kernel_size"),
        ({}, "dilation", "5", "dilation"),
        ({}, "stride", "0", "stride"),
        ({}, "stride", "fast", "stride"),
        ({}, "padding", "-1", "padding"),
        ({}, "padding", "sam", "padding"),
        ({}, "kernel_size", "1, 2, 3", "kernel_size"),
        ({"padding_mode": "reflect"}, "padding", "6", "padding"),
        ({"kind": "convtranspose2d"}, "output_padding", "1", "output_padding"),
        ({"kind": "convtranspose2d"}, "padding", "5", "padding"),
        ({}, "input_size", "65", "input_size"),
    ],
)
def test_a_refusal_stands_beside_its_control_and_the_drawing_stays(
    open_page: Any, state: dict[str, str], name: str, value: str, control: str
) -> None:
    page = open_page(state)
    panels = page.get_by_test_id("panels")
    before = panels.inner_html()
    field = page.get_by_test_id(f"{name}-field")
    old = field.input_value()
    field.fill(value)
    error = page.get_by_test_id(f"error-{control}")
    until(page, "id => document.getElementById(id).textContent !== ''", arg=f"error-{control}")
    parameters = page.evaluate(
        "async () => { const s = await import('/state.js'); const state = s.readAddress(location.hash);"
        "return { layer: s.layerOf(state), size: s.sizeOf(state) }; }"
    )
    # What the library says of the same parameters, word for word.
    changed = page.evaluate("async (text) => (await import('/state.js')).parseValue(text)", value)
    if name == "input_size":
        parameters["size"] = [changed] * len(parameters["size"])
    else:
        parameters["layer"][name] = changed
    said = api.answer("/api/trace", {"layer": parameters["layer"], "input_size": parameters["size"]})
    assert error.inner_text() == said["error"]
    assert field.get_attribute("aria-invalid") == "true"
    assert error.get_attribute("role") == "alert"
    assert page.get_by_test_id("kept").is_visible()
    assert panels.inner_html() == before
    assert page.locator(".error:not(:empty)").count() == 1
    field.fill(old)
    until(page, "id => document.getElementById(id).textContent === ''", arg=f"error-{control}")
    assert not page.get_by_test_id("kept").is_visible()


def test_an_address_that_is_impossible_still_draws(open_page: Any) -> None:
    page = open_page({"groups": "3", "in_channels": "4"}, settle=False)
    page.get_by_test_id("error-in_channels").get_by_text("must be divisible by groups").wait_for()
    assert "output:0,0" in page.evaluate(CELLS)


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
    outline = page.evaluate("getComputedStyle(document.activeElement.querySelector('rect')).strokeWidth")
    assert outline == "3.4px"


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
        "[...document.querySelectorAll('svg .cell')].map((c) => [c.dataset.testid, "
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


def test_pages_of_a_volume_are_turned_by_keys(open_page: Any) -> None:
    page = open_page(state_of("Conv3d(1, 1, 2)", (3, 3, 3)))
    page.get_by_test_id("output:0,1,1").click()
    page.keyboard.press("PageDown")
    assert page.evaluate("document.activeElement.dataset.testid") == "output:1,1,1"
    page.keyboard.press("PageUp")
    assert page.evaluate("document.activeElement.dataset.testid") == "output:0,1,1"


def test_language_and_theme_are_in_the_address(open_page: Any) -> None:
    page = open_page()
    assert page.get_by_role("heading", level=1).inner_text() == "Convolution explorer"
    page.get_by_test_id("language").click()
    assert page.get_by_role("heading", level=1).inner_text() == "卷积探索"
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert "lang=zh" in page.url
    for view in VIEWS:
        page.get_by_test_id(f"tab-{view}").click()
        until(page, "view => document.getElementById('view').dataset.view === view", arg=view)
        until(page, "document.getElementById('view').children.length > 0")
        words = page.evaluate("document.body.innerText")
        # What stays English is PyTorch's own, and code.
        assert not re.search(
            r"\b(the|is|of|padding zero|Download|channel \d|Input|Output|Kernel)\b", words
        ), view
    until(page, SETTLED)
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
    until(page, SETTLED)


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
        until(page, "view => document.getElementById('view').dataset.view === view", arg=view)
        page.wait_for_timeout(150)
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
    assert text_of(page, "said") == "Copied"
    link = page.evaluate("navigator.clipboard.readText()")
    cells, text = page.evaluate(CELLS), layer_text(page)
    other = open_page()
    other.goto("about:blank")
    other.goto(link)
    until(other, SETTLED)
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
    until(page, SETTLED)


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
    page = open_page({**nonsense, "padding_mode": "<script>alert(1)</script>"}, settle=False)
    page.get_by_test_id("error-padding_mode").get_by_text("<script>alert(1)</script>").wait_for()
    for view in VIEWS:
        page.get_by_test_id(f"tab-{view}").click()
        until(page, "view => document.getElementById('view').dataset.view === view", arg=view)
    page.wait_for_timeout(200)


def test_a_typed_layer_sets_the_controls(open_page: Any) -> None:
    page = open_page()
    page.get_by_test_id("layer-text").fill(
        "nn.ConvTranspose1d(4, 8, 5, stride=3, padding=2, groups=4, bias=False)"
    )
    page.get_by_test_id("layer-text").press("Enter")
    until(page, "document.querySelector('[data-testid=kind-convtranspose1d]').checked")
    shown = {
        name: page.get_by_test_id(f"{name}-field").input_value() for name in (*SLIDERS[1:], "output_padding")
    }
    assert shown == {
        "in_channels": "4",
        "out_channels": "8",
        "kernel_size": "5",
        "stride": "3",
        "padding": "2",
        "dilation": "1",
        "groups": "4",
        "output_padding": "0",
    }
    assert not page.get_by_test_id("bias-field").is_checked()
    page.get_by_test_id("layer-text").fill("Conv2d(3, 64, kernel=3)")
    page.get_by_test_id("layer-use").click()
    page.get_by_test_id("error-layer").get_by_text("missing a required argument: 'kernel_size'").wait_for()
    assert page.get_by_test_id("kind-convtranspose1d").is_checked()


def test_code_is_copied(open_page: Any) -> None:
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    page.get_by_test_id("copy-code").click()
    page.get_by_test_id("said").get_by_text("Copied").wait_for()
    code = page.evaluate("navigator.clipboard.readText()")
    assert (
        code == api.answer("/api/code", {"layer": "Conv2d(1, 1, 3, padding=1)", "input_size": [6, 6]})["code"]
    )


@pytest.mark.parametrize("view", VIEWS[:5])
def test_the_drawing_is_downloaded_whole(open_page: Any, view: str, tmp_path: Path) -> None:
    page = open_page({"view": view, "input_size": "4"})
    page.locator("svg.panel").first.wait_for()
    with page.expect_download() as caught:
        page.get_by_test_id("download").click()
    file = tmp_path / "drawing.svg"
    caught.value.save_as(file)
    text = file.read_text("utf-8")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    cells = [g for g in root.iter(f"{space}g") if "cell" in g.get("class", "").split()]
    assert len(cells) == page.locator("svg.panel .cell").count()
    assert root.find(f"{space}style") is not None
    assert "var(" not in text
    assert "light-dark" not in text
    assert "data-testid" not in text


def test_the_matrix_makes_the_output(open_page: Any) -> None:
    page = open_page({"view": "matrix", "input_size": "4", "padding": "0", "bias": "0"})
    page.get_by_test_id("panel-matrix").wait_for()
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
    page.get_by_test_id("panel-turned").wait_for()
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
    plain = open_page({"view": "transposed", "padding": "same"})
    assert "Shown: the transposed layer" in plain.get_by_test_id("view").inner_text()


def test_groups_are_links_between_channels(open_page: Any) -> None:
    page = open_page({"view": "channels", "in_channels": "4", "out_channels": "6", "groups": "2"})
    page.get_by_test_id("out:0").wait_for()
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
    page.get_by_test_id("stack-row-2").wait_for()
    assert [text_of(page, f"stack-field-{n}") for n in range(3)] == ["3", "7", "9"]
    assert [text_of(page, f"stack-jump-{n}") for n in range(3)] == ["1", "1", "2"]
    assert text_of(page, "stack-size-2") == "8 × 8"
    page.get_by_test_id("row-3:4").click()
    assert "Element 4 of the last layer sees input 4 to 12." in text_of(page, "says")
    assert {h for h in page.evaluate(HOT) if h.startswith("row-0")} == {f"row-0:{n}" for n in range(4, 13)}
    page.get_by_test_id("stack-up-2").click()
    until(page, "document.querySelector('[data-testid=stack-field-2]')?.textContent === '13'")
    page.get_by_test_id("stack-remove-0").focus()
    page.keyboard.press("Enter")
    page.get_by_test_id("stack-row-1").wait_for()
    assert page.get_by_test_id("stack-row-2").count() == 0
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
    page.get_by_test_id("advice-dropped-rows").wait_for()
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
    until(page, "document.getElementById('layer-text').value.includes('padding=1')")
    page.get_by_test_id("advice-dropped-rows").wait_for(state="detached")


def test_advice_of_several_layers_becomes_a_stack(open_page: Any) -> None:
    page = open_page(state_of("Conv2d(8, 8, 5, padding=2)", (12, 12)))
    page.get_by_test_id("use-two-3x3").click()
    page.get_by_test_id("stack-row-1").wait_for()
    assert [text_of(page, f"stack-field-{n}") for n in range(2)] == ["3", "5"]


def test_advice_that_speaks_of_speed_is_measured_when_asked(open_page: Any) -> None:
    page = open_page({"in_channels": "8", "out_channels": "8", "groups": "8", "input_size": "8"})
    page.get_by_test_id("measure").click()
    page.get_by_test_id("measure").wait_for(state="detached")


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path_factory.mktemp("photo") / "photograph.png"
    pixels = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    image.fromarray(pixels).save(path)
    return path


def shown_size(page: Any, name: str) -> list[int]:
    until(page, "id => document.querySelector(`[data-testid=${id}]`)?.complete", arg=f"photo-{name}")
    return page.get_by_test_id(f"photo-{name}").evaluate("image => [image.naturalHeight, image.naturalWidth]")


def test_a_photograph_is_convolved(open_page: Any, photograph: Path) -> None:
    page = open_page({"view": "photo"})
    page.get_by_test_id("photo-file").set_input_files(photograph)
    page.get_by_test_id("photo-after").wait_for()
    assert (shown_size(page, "before"), shown_size(page, "after")) == ([30, 40], [30, 40])
    source = page.get_by_test_id("photo-after").get_attribute("src")
    page.get_by_test_id("photo-kernel-select").select_option("laplacian")
    until(page, "was => document.querySelector('[data-testid=photo-after]')?.src !== was", arg=source)
    until(page, "document.querySelector('[data-testid=kernel-cell-1-1]')?.value === '-4'")
    page.get_by_test_id("stride-field").fill("2")
    until(page, "document.querySelector('[data-testid=photo-after-size]')?.textContent === '15 × 20'")
    page.get_by_test_id("photo-side-select").select_option("5")
    page.get_by_test_id("kernel-cell-4-4").wait_for()
    page.get_by_test_id("kernel-cell-0-0").fill("9")
    page.get_by_test_id("kernel-cell-0-0").press("Enter")
    until(page, "document.querySelector('[data-testid=photo-kernel-select]')?.value === 'drawn'")
    assert "kernel=drawn" in page.url
    assert "grid=9," in page.url
    page.get_by_test_id("kernel-cell-0-0").fill("nine")
    page.get_by_test_id("kernel-cell-0-0").press("Enter")
    page.get_by_test_id("photo-error").get_by_text("kernel value (='nine') must be a number").wait_for()
    assert page.get_by_test_id("photo-after").is_visible()
    page.get_by_test_id("photo-own").check()
    page.get_by_test_id("photo-error").get_by_text("use 3").wait_for(state="detached")
    page.get_by_test_id("in_channels-field").fill("3")
    page.get_by_text("Conv2d(3, 1, 3, stride=2, padding=1)", exact=True).wait_for()


def test_a_photograph_is_dropped(open_page: Any, photograph: Path) -> None:
    page = open_page({"view": "photo"})
    drop = page.get_by_test_id("drop")
    drop.wait_for()
    data = page.evaluate_handle(
        "bytes => { const data = new DataTransfer();"
        "data.items.add(new File([new Uint8Array(bytes)], 'p.png')); return data; }",
        list(photograph.read_bytes()),
    )
    drop.dispatch_event("dragover", {"dataTransfer": data})
    assert drop.evaluate("zone => zone.classList.contains('over')")
    drop.dispatch_event("drop", {"dataTransfer": data})
    page.get_by_test_id("photo-after").wait_for()
    page.get_by_test_id("photo-sample").click()
    until(page, "document.querySelector('[data-testid=photo-before-size]').textContent === '240 × 320'")


def test_a_broken_photograph_is_refused_with_the_reason(
    open_page: Any, photograph: Path, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    page = open_page({"view": "photo"})
    choose, error = page.get_by_test_id("photo-file"), page.get_by_test_id("photo-error")

    def refused(name: str, content: bytes, words: str) -> None:
        choose.set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
        error.get_by_text(words).wait_for()

    refused("text.png", b"not an image", "not an image of a known kind")
    refused("cut.png", photograph.read_bytes()[:900], "damaged or cut short")
    refused("empty.png", b"", "is empty")
    file = io.BytesIO()
    image.new("1", (5000, 4000)).save(file, "PNG")
    refused("wide.png", file.getvalue(), "20.0 megapixels, more than 16")
    large = tmp_path / "large.png"
    large.write_bytes(b"x" * (20 * 2**20 + 1))
    choose.set_input_files(large)
    error.get_by_text("20.0 MB, more than 20 MB").wait_for()
    choose.set_input_files(photograph)
    page.get_by_test_id("photo-after").wait_for()
    assert error.inner_text() == ""


def test_a_server_that_is_gone_is_said(browser: Any) -> None:
    context = browser.new_context(locale="en-GB")
    page = context.new_page()
    with serving() as server:
        page.goto(server.url)
        until(page, SETTLED)
    page.get_by_test_id("stride-field").fill("2")
    page.get_by_test_id("verified").get_by_text("The server does not answer").wait_for()
    assert (
        json.loads(
            page.evaluate("JSON.stringify(document.querySelectorAll('[data-panel=output] .cell').length)")
        )
        == 9
    )
    context.close()


def test_all_of_it_can_be_reached_by_the_tab_key(open_page: Any) -> None:
    page = open_page({"in_channels": "2", "out_channels": "2"})
    wanted = set(
        page.evaluate(
            "[...document.querySelectorAll('main button, main select, main input, header button')]"
            ".filter((e) => e.checkVisibility() && e.tabIndex >= 0 && !(e.type === 'radio' && !e.checked))"
            ".map((e) => e.dataset.testid)"
        )
    )
    reached = set()
    for _ in range(len(wanted) + 12):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.testid"))
    assert wanted <= reached, wanted - reached
    assert {name.partition(":")[0] for name in reached if name and ":" in name} == {
        "input",
        "kernel",
        "output",
    }
