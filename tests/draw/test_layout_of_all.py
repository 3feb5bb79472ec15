"""Every drawing of random layers: it parses, nothing overlaps or leaves it, every class has a style."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given, settings, strategies as st

from convforge.draw import DRAWINGS, drawing
from convforge.errors import ConvValueError
from support.drawn import check_layout, check_style, layers, read

TRANSPOSED_ONLY = ("transposed", "output_padding")
# test_blocks.py has these.
CELLS = tuple(name for name in DRAWINGS if name != "blocks")
OTHERS = tuple(name for name in CELLS if name not in (*TRANSPOSED_ONLY, "tile_plan"))


def checked(name: str, **arguments) -> None:
    found = drawing(name, **arguments)
    drawn = read(found)
    check_layout(drawn)
    check_style(drawn)
    assert drawn.texts[0].text == found.title


@pytest.mark.parametrize(
    ("language", "theme", "numbers"),
    [("en", "auto", True), ("zh", "light", True), ("en", "dark", False), ("zh", "auto", False)],
)
@pytest.mark.parametrize("name", CELLS)
def test_the_example_of_each(name: str, language: str, theme: str, numbers: bool) -> None:
    checked(name, language=language, theme=theme, numbers=numbers)


@pytest.mark.parametrize("name", OTHERS)
@given(layers(), st.sampled_from(["en", "zh"]), st.booleans())
@settings(max_examples=6)
def test_random_layers(name: str, case, language: str, numbers: bool) -> None:
    layer, size = case
    arguments = {"layer": layer, "input_size": size, "language": language, "numbers": numbers}
    if name == "matrix" and max(prod(size) * layer.in_channels, prod(layer.spec(size).output_shape)) > 64:
        with pytest.raises(ConvValueError, match="64"):
            drawing(name, **arguments)
        return
    checked(name, **arguments)


def test_labels_that_do_not_fit_their_cells_are_left_out() -> None:
    """64 cells in 560 pixels hold "0.1" and not "w000"; the tip still says it."""
    checked("matrix", layer="Conv3d(2, 1, (1, 1, 2), bias=False)", input_size=(2, 3, 3), numbers=False)
    checked("matrix", layer="Conv1d(1, 1, 5, bias=False)", input_size=64)


@pytest.mark.parametrize("name", TRANSPOSED_ONLY)
@given(layers(transposed=True), st.sampled_from(["en", "zh"]), st.booleans())
@settings(max_examples=8)
def test_random_transposed_layers(name: str, case, language: str, numbers: bool) -> None:
    layer, size = case
    arguments = {"layer": layer, "input_size": size, "language": language, "numbers": numbers}
    refused = prod(size) > 9 if name == "transposed" else set(layer.stride) == {1}
    if refused:
        with pytest.raises(ConvValueError, match="9" if name == "transposed" else "stride"):
            drawing(name, **arguments)
        return
    checked(name, **arguments)


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [
        ("cell", "Conv2d(64, 64, 3, padding=1)", (56, 56)),
        ("cell", "Conv3d(2, 2, 3, padding=1, dilation=3)", (20, 30, 40)),
        ("cell", "ConvTranspose1d(3, 3, 9, stride=4)", 900),
        ("size_formula", "Conv2d(3, 64, 7, stride=2, padding=3)", (224, 225)),
        ("size_formula", "ConvTranspose1d(1, 1, 40, stride=20, padding=5)", 2000),
        ("padding", "Conv2d(1, 1, 9, padding=4, padding_mode='reflect')", (200, 100)),
        ("dilation", "Conv2d(1, 1, 3, dilation=40)", (100, 120)),
        ("overlap", "ConvTranspose2d(1, 1, 3, stride=2)", (100, 50)),
        ("gradient", "Conv2d(3, 5, 5, stride=2, padding=2)", (64, 64)),
        ("output_padding", "ConvTranspose2d(1, 1, 7, stride=5, padding=2)", (64, 64)),
        ("receptive_field", ["Conv2d(1, 1, 3)"] * 30, (224, 200)),
        ("fusion", "Conv2d(16, 64, 7)", (20, 20)),
        ("tile_plan", "Conv2d(64, 512, 1)", (56, 56)),
    ],
)
def test_what_is_large_is_drawn_with_its_middle_left_out(name: str, layer, size) -> None:
    found = drawing(name, layer=layer, input_size=size, language="en")
    check_layout(read(found))
    assert found.width < 2600
    assert len(found.svg) < 600_000


@pytest.mark.parametrize(
    ("name", "layer", "size", "bound"),
    [
        ("cell", "Conv2d(512, 512, 3)", 224, "1,000,000"),
        ("cell", "Conv2d(64, 250, 7)", 64, "500,000,000"),
        ("padding", "Conv1d(1, 1, 3)", 10**6, "100,000"),
        ("matrix", "Conv2d(1, 1, 3)", 12, "64"),
        ("groups", "Conv2d(32, 32, 3)", 5, "16"),
        ("transposed", "ConvTranspose2d(1, 1, 3)", 4, "9"),
    ],
)
def test_what_is_too_large_is_refused_naming_the_bound(name: str, layer, size, bound: str) -> None:
    with pytest.raises(ConvValueError, match=bound) as caught:
        drawing(name, layer=layer, input_size=size)
    assert "\n" not in str(caught.value)
