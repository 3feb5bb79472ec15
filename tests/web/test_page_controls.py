"""Every control of the page by mouse and by keyboard, and refusals beside them."""

from __future__ import annotations

from typing import Any

import pytest

from convforge.web import api
from support.page import (
    CELLS,
    SLIDERS,
    layer_text,
    number,
    oracle,
    settled,
    text_of,
)

pytestmark = pytest.mark.xdist_group("browser")


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
    assert layer_text(page) == text
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
        assert layer_text(page).startswith(f"{name}(")
        assert text_of(page, "verified").startswith("✓")
        assert page.get_by_test_id("output_padding-field").is_visible() == ("Transpose" in name)
    page.get_by_test_id("kind-conv2d").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_test_id("kind-conv3d").is_checked()
    page.keyboard.press("ArrowLeft")
    page.get_by_test_id("bias-field").click()
    assert "bias=False" in layer_text(page)
    page.get_by_test_id("bias-field").focus()
    page.keyboard.press("Space")
    assert "bias=False" not in layer_text(page)
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
    settled(page)
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
    settled(page)
    assert error.inner_text() == ""
    assert not page.get_by_test_id("kept").is_visible()


def test_an_address_that_is_impossible_still_draws(open_page: Any) -> None:
    page = open_page({"groups": "3", "in_channels": "4"})
    page.get_by_test_id("error-in_channels").get_by_text("must be divisible by groups").wait_for()
    assert "output:0,0" in page.evaluate(CELLS)


def test_a_typed_layer_sets_the_controls(open_page: Any) -> None:
    page = open_page()
    page.get_by_test_id("layer-text").fill(
        "nn.ConvTranspose1d(4, 8, 5, stride=3, padding=2, groups=4, bias=False)"
    )
    page.get_by_test_id("layer-text").press("Enter")
    settled(page)
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
