"""What tests of the page share: how to wait for it, how to read it, and what the library says of it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from convforge import reference
from convforge.explain import as_layer
from convforge.web.numbers import Numbers

VIEWS = ("trace", "matrix", "transposed", "channels", "stack", "photo")


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


# What a test waits for: the view has come and is drawn, nothing is being dragged, the library has answered.
SETTLED = "document.querySelector('main').getAttribute('aria-busy') === 'false'"


CELLS = """() => Object.fromEntries([...document.querySelectorAll(".panel [data-testid]")].map(
  (cell) => [cell.dataset.testid, cell.textContent]))"""


HOT = """() => [...document.querySelectorAll(".cell.hot")].map((cell) => cell.dataset.testid).sort()"""


def until(page: Any, condition: str, arg: Any = None) -> None:
    """Waits for a condition in the page. Playwright's own way evaluates strings, which the page forbids."""
    deadline = time.monotonic() + 30
    while not page.evaluate(condition, arg):
        assert time.monotonic() < deadline, f"never: {condition} {arg or ''}"
        page.wait_for_timeout(15)


def settled(page: Any) -> None:
    until(page, SETTLED)


def text_of(page: Any, name: str) -> str:
    return page.get_by_test_id(name).inner_text()


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("\u202f", "").replace(" ", ""))


def layer_text(page: Any) -> str:
    settled(page)
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
