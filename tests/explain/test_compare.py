"""Two stacks side by side: every number against the real layers."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest

from convforge import nn
from convforge.autograd import Tensor
from convforge.errors import ConvforgeError
from convforge.explain.chain import chain_of, in_a_row, layers_of
from convforge.explain.compare import compare
from convforge.explain.measure import milliseconds, module_of

FIVE = "Conv2d(8, 8, 5, padding=2)"
THREES = ["Conv2d(8, 8, 3, padding=1)"] * 2
PAIRS = [
    (FIVE, THREES, (12, 11)),
    (
        "Conv2d(4, 8, 3, stride=2, padding=1)",
        "Conv2d(4, 4, 3, padding=1, groups=4), Conv2d(4, 8, 1, stride=2)",
        (9, 8),
    ),
    ("Conv1d(2, 2, 9)", ["Conv1d(2, 2, 3, dilation=4)"], (30,)),
    ("ConvTranspose2d(4, 2, 4, stride=2, padding=1)", "ConvTranspose2d(4, 2, 2, stride=2)", (5, 4)),
    ("Conv3d(2, 2, 3, bias=False)", "Conv3d(2, 2, (3, 1, 1)), Conv3d(2, 2, (1, 3, 3))", (5, 5, 5)),
]


def built(what: object) -> list:
    return [module_of(layer) for layer in layers_of(what)]


def run(modules: list, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    x = Tensor(np.zeros((1, modules[0].in_channels, *size), np.float32))
    x.requires_grad_(True)
    y = x
    for module in modules:
        y = module(y)
    return x, y


def seen(modules: list, size: tuple[int, ...]) -> tuple[int, ...]:
    """Extent of the gradient of a middle output, per axis, with all weights one."""
    for module in modules:
        nn.init.ones_(module.weight)
    x, y = run(modules, tuple(6 * n for n in size))
    y[(0, 0, *(n // 2 for n in y.shape[2:]))].backward()
    touched = np.nonzero(np.asarray(x.grad)[0].any(axis=0))
    return tuple(int(axis.max() - axis.min() + 1) for axis in touched)


@pytest.mark.parametrize(("a", "b", "size"), PAIRS)
def test_the_numbers_are_the_layers(a: object, b: object, size: tuple[int, ...]) -> None:
    found = compare(a, b, size, measure=False)
    for side, what in ((found.a, a), (found.b, b)):
        modules = built(what)
        _, y = run(modules, size)
        assert side.output_shape == tuple(y.shape)
        assert side.parameters == sum(p.numel() for module in modules for p in module.parameters())
        assert math.prod(side.receptive_field) >= math.prod(seen(modules, size))
        if not modules[0].transposed:  # what an output of a transposed layer sees depends on where it is
            assert side.receptive_field == seen(modules, size)
        assert side.milliseconds is None


def test_two_3x3_for_a_5x5() -> None:
    found = compare(FIVE, THREES, 12, measure=False)
    assert found.a.receptive_field == found.b.receptive_field == (5, 5)
    assert found.a.output_shape == found.b.output_shape == (1, 8, 12, 12)
    assert (found.a.multiply_adds, found.b.multiply_adds) == (64 * 25 * 144, 2 * 64 * 9 * 144)
    # An axis of 12: 5 taps each, less 1 and 2 at both ends; 3 taps each, less 1 at both ends.
    assert (found.a.real_multiply_adds, found.b.real_multiply_adds) == (64 * 54**2, 2 * 64 * 34**2)
    assert (found.a.parameters, found.b.parameters) == (64 * 25 + 8, 2 * (64 * 9 + 8))
    assert "72%" in found.text("en")
    assert "72%" in found.text("zh")


def test_times_are_of_real_calls() -> None:
    found = compare(FIVE, THREES, 12, batch=2)
    assert found.a.milliseconds is not None
    assert found.a.milliseconds > 0
    assert found.b.milliseconds is not None
    assert found.threads
    assert "ms" in found.text("zh")


def test_samples_are_interleaved_and_the_median_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    clock = iter(range(10**6))
    monkeypatch.setattr("convforge.explain.measure.time.perf_counter", lambda: next(clock) * 1e-2)
    times = milliseconds([lambda: order.append("a"), lambda: order.append("b")])
    # Two warm calls and a trial each, then rounds back and forth.
    assert "".join(order).startswith("aaabbb" + "abba" * 2)
    assert times == pytest.approx((10.0, 10.0))


def test_what_is_too_large_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    # By the module, for the package has a function of its name.
    monkeypatch.setattr(sys.modules["convforge.explain.compare"], "LARGEST_BYTES", 1000)
    found = compare(FIVE, THREES, 12)
    assert found.a.milliseconds is None
    assert "not measured" in found.text("en")


def test_outputs_that_differ_are_said() -> None:
    found = compare("Conv2d(3, 8, 3)", "Conv2d(3, 8, 3, padding=1)", 8, measure=False)
    assert "differ" in found.follows[0]("en")
    assert "不同" in found.follows[0]("zh")


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ("Conv2d(3, 8, 3)", "Conv2d(3, 8, 3), Conv2d(4, 8, 3)", r"in_channels \(=4\).*gives 8"),
        ("Conv2d(3, 8, 3)", [], "no layers"),
        ("Conv2d(3, 8, 3)", "Conv2d(3, 8, 3), 5", "not a call"),
        ("Conv2d(3, 8, 3)", nn.Sequential(nn.ReLU()), "no convolution layers"),
        ("Conv2d(3, 8, 3)", "Conv1d(8, 8, 3), Conv2d(8, 8, 3)", "2-d"),
        ("Conv2d(3, 8, 99)", "Conv2d(3, 8, 3)", "Kernel size"),
    ],
)
def test_mistakes_are_named(a: object, b: object, says: str) -> None:
    with pytest.raises(ConvforgeError, match=says):
        compare(a, b, (8, 8), measure=False)


def test_a_stack_is_read_from_all_its_spellings() -> None:
    text = ", ".join(THREES)
    module = nn.Sequential(*[module_of(layer) for layer in layers_of(THREES)])
    assert layers_of(text) == layers_of(THREES) == layers_of(module) == layers_of(tuple(layers_of(text)))
    assert chain_of(text, (9, 9)).text == text
    assert in_a_row(THREES) == "2 × Conv2d(8, 8, 3, padding=1)"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_it_reads_in_every_form(language: str) -> None:
    for a, b, size in PAIRS:
        found = compare(a, b, size, measure=False, language=language)
        for shown in (str(found), found.markdown(), found._repr_html_()):
            assert f"{found.a.multiply_adds:,}" in shown
            assert found.b.layers[0] in shown or "&#x27;" in shown
        assert json.loads(found.json())["a"]["parameters"] == found.a.parameters
