"""The numbers of the findings, counted by running real layers and asking gradients what was read."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from convforge import nn
from convforge.autograd import Tensor
from convforge.explain.advice import Finding, advise
from convforge.explain.chain import layers_of
from convforge.explain.layers import as_layer
from convforge.explain.measure import module_of
from convforge.explain.trace import trace_of
from convforge.nn.utils import fuse_conv_bn_eval


def finding(rule: str, what: Any, size: Any, **options: Any) -> Finding:
    (found,) = (each for each in advise(what, size, **options).findings if each.rule == rule)
    return found


def built(what: Any) -> list[Any]:
    modules = [module_of(layer) for layer in layers_of(what)]
    for module in modules:
        nn.init.ones_(module.weight)
    return modules


def read_by(what: Any, size: tuple[int, ...], *, output: tuple[int, ...] | None = None) -> np.ndarray:
    """Whether each position of the input is read: by all outputs, or by one."""
    modules = built(what)
    x = Tensor(np.zeros((1, modules[0].in_channels, *size), np.float32))
    x.requires_grad_(True)
    y = nn.Sequential(*modules)(x)
    (y.sum() if output is None else y[(0, 0, *output)]).backward()
    return np.asarray(x.grad)[0].any(axis=0)


def products_on_padding(text: str, size: tuple[int, ...]) -> tuple[int, int]:
    """(on padding, all): every product of every output, one by one."""
    trace = trace_of(as_layer(text).spec(size))
    terms = [
        term.source is None
        for position in itertools.product(*map(range, trace.spec.output_size))
        for term in trace.terms(0, position)
    ]
    return sum(terms) * trace.spec.out_channels, len(terms) * trace.spec.out_channels


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Conv2d(2, 3, 3, stride=2)", (14, 15)),
        ("Conv2d(2, 3, 2, stride=2)", (15, 15)),
        ("Conv1d(2, 3, 5, stride=4)", (23,)),
        ("Conv3d(1, 2, 3, stride=2)", (6, 5, 8)),
        ("Conv2d(2, 3, 3, stride=3, padding=1)", (6, 9)),
        ("Conv2d(2, 3, 3, stride=5, dilation=3)", (14, 19)),
    ],
)
def test_dropped_rows(text: str, size: tuple[int, ...]) -> None:
    found = finding("dropped-rows", text, size)
    read = read_by(text, size)
    for axis, left in enumerate(found.evidence["unread_at_end"]):
        along = read.any(axis=tuple(i for i in range(read.ndim) if i != axis))
        assert left == size[axis] - 1 - int(np.flatnonzero(along)[-1])
    dense = all(s <= 3 for s in as_layer(text).stride) and max(as_layer(text).dilation) == 1
    if dense:
        assert found.evidence["unread_positions"] == read.size - read.sum()
    assert found.fix is not None
    fixed = read_by(list(found.fix.layers), size)
    assert fixed[tuple(-1 for _ in size)] or not dense


@pytest.mark.parametrize(
    ("text", "size"),
    [("Conv2d(2, 3, 1, stride=2)", (14, 15)), ("Conv2d(2, 3, (1, 2), stride=(2, 3))", (9, 11))],
)
def test_gaps(text: str, size: tuple[int, ...]) -> None:
    found = finding("gaps", text, size)
    read = read_by(text, size)
    assert found.evidence["share"] == pytest.approx(1 - read.mean())
    assert found.fix is not None
    fixed = read_by(list(found.fix.layers), size)
    assert f"{fixed.mean():.0%}" in found.fix.effect("en")


@pytest.mark.parametrize("dilations", [(2, 2, 2), (4, 4), (2, 4), (1, 1, 4, 4, 4), (3, 3, 1)])
@pytest.mark.parametrize("rank", [1, 2])
def test_gridding(dilations: tuple[int, ...], rank: int) -> None:
    stack = [f"Conv{rank}d(1, 1, 3, padding={d}, dilation={d})" for d in dilations]
    size = (2 * sum(dilations) + 11,) * rank
    middle = tuple(n // 2 for n in size)
    read = read_by(stack, size, output=middle)
    reach = 2 * sum(dilations) + 1
    found = [each for each in advise(stack, size).findings if each.rule == "gridding"]
    if read.sum() == reach**rank:
        assert not found
        return
    (grid,) = found
    assert grid.evidence["read"] == read.sum()
    assert grid.evidence["receptive_field"] == reach**rank
    assert grid.fix is not None
    at = int(grid.where[0])
    better = [*stack[:at], *grid.fix.texts, *stack[at + len(grid.where) :]]
    fixed = read_by(better, size, output=middle)
    touched = np.argwhere(fixed)
    extent = touched.max(axis=0) - touched.min(axis=0) + 1
    assert fixed.sum() == math.prod(extent)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Conv2d(2, 3, 3, padding=12, dilation=12)", (14, 14)),
        ("Conv1d(2, 3, 5, padding=10, dilation=5)", (12,)),
    ],
)
def test_dilated_on_padding(text: str, size: tuple[int, ...]) -> None:
    found = finding("dilated-on-padding", text, size)
    on_padding, everything = products_on_padding(text, size)
    assert found.evidence["idle_multiply_adds"] == on_padding
    assert found.evidence["multiply_adds"] == everything
    assert found.fix is not None
    after, every = products_on_padding(found.fix.texts[0], size)
    assert after / every <= 1 / 3
    assert f"{after / every:.0%}" in found.fix.effect("zh")
    assert found.fix.layers[0].spec(size).output_size == as_layer(text).spec(size).output_size


def test_large_kernel() -> None:
    found = finding("large-kernel", "Conv2d(2, 3, 7, padding=3)", (12, 11))
    on_padding, everything = products_on_padding("Conv2d(2, 3, 7, padding=3)", (12, 11))
    assert found.evidence["share_on_padding"] == pytest.approx(on_padding / everything)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Conv2d(4, 4, 5, padding=2)", (13, 12)),
        ("Conv2d(4, 6, 7, stride=2, padding=1)", (20, 21)),
        ("Conv3d(2, 2, 5)", (8, 7, 9)),
    ],
)
def test_two_3x3_see_and_give_what_one_large_kernel_does(text: str, size: tuple[int, ...]) -> None:
    found = finding("two-3x3", text, size)
    assert found.fix is not None
    stack = list(found.fix.layers)
    counts = [sum(p.numel() for m in built(what) for p in m.parameters()) for what in (text, stack)]
    assert (found.evidence["parameters"], found.evidence["stacked_parameters"]) == tuple(counts)
    assert counts[1] < counts[0]
    output = as_layer(text).spec(size).output_size
    middle = tuple(n // 2 for n in output)
    assert (read_by(text, size, output=middle) == read_by(stack, size, output=middle)).all()
    y: Any = Tensor(np.zeros((1, as_layer(text).in_channels, *size), np.float32))
    for module in built(stack):
        y = module(y)
    assert tuple(y.shape[2:]) == output


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)", (9, 8)),
        ("ConvTranspose1d(1, 1, 5, stride=3)", (12,)),
        ("ConvTranspose2d(1, 1, (4, 5), stride=(2, 4))", (9, 8)),
        ("ConvTranspose1d(1, 1, 3, stride=2, dilation=2)", (12,)),
    ],
)
def test_uneven_overlap(text: str, size: tuple[int, ...]) -> None:
    """With all weights and inputs one, an output is the number of its products."""

    def inner(what: str) -> np.ndarray:
        module = nn.ConvTranspose2d if "2d" in what else nn.ConvTranspose1d
        layer = as_layer(what)
        made = module_of(layer)
        assert isinstance(made, module)
        nn.init.ones_(made.weight)
        nn.init.zeros_(made.bias)
        y = np.asarray(made(Tensor(np.ones((1, 1, *size), np.float32))).detach())[0, 0]
        border = [
            slice(k * d, n - k * d)
            for k, d, n in zip(layer.kernel_size, layer.dilation, y.shape, strict=True)
        ]
        return np.round(y[tuple(border)])

    found = finding("uneven-overlap", text, size)
    counts = inner(text)
    assert (found.evidence["fewest_products"], found.evidence["most_products"]) == (
        counts.min(),
        counts.max(),
    )
    assert found.fix is not None
    fixed = inner(found.fix.texts[0])
    assert fixed.min() == fixed.max()
    assert found.fix.layers[0].spec(size).output_size == as_layer(text).spec(size).output_size


def test_keep_size() -> None:
    found = finding("keep-size", "Conv2d(2, 3, (3, 5), dilation=2)", (20, 21))
    y = module_of(as_layer("Conv2d(2, 3, (3, 5), dilation=2)"))(Tensor(np.zeros((1, 2, 20, 21), np.float32)))
    assert found.evidence["share_of_positions"] == pytest.approx(math.prod(y.shape[2:]) / 420 - 1)
    assert found.fix is not None
    assert tuple(module_of(found.fix.layers[0])(Tensor(np.zeros((1, 2, 20, 21), np.float32))).shape[2:]) == (
        20,
        21,
    )


def test_a_kernel_wider_than_its_input() -> None:
    found = finding("field-within-input", "Conv2d(2, 3, 9, padding=4)", (6, 7))
    trace = trace_of(as_layer("Conv2d(2, 3, 9, padding=4)").spec((6, 7)))
    for axis in trace.axes:
        for output in range(axis.output_size):
            assert any(contact.source is None for contact in axis.contacts(output))
    assert found.evidence["span"] == (9, 9)


def test_a_receptive_field_beyond_the_input() -> None:
    stack = ["Conv2d(1, 1, 3, padding=1)"] * 6
    found = finding("field-within-input", stack, (9, 10))
    at = int(found.where[0])
    assert found.evidence["receptive_field"] == (11, 11)
    for number, beyond in ((at, False), (at + 1, True)):
        read = read_by(stack[:number], (40, 40), output=(20, 20))
        assert (int(read.any(axis=1).sum()) > 10) is beyond
    assert found.evidence["last_receptive_field"] == (13, 13)


def test_a_bias_before_a_norm_changes_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))
    found = finding("bias-before-norm", model, (9, 9))
    assert found.evidence == {"bias_parameters": 8, "bias_additions": 8 * 81}
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 9, 9)).astype(np.float32))
    before = np.asarray(model(x).detach())
    nn.init.ones_(model[0].bias)
    np.testing.assert_allclose(np.asarray(model(x).detach()), before, atol=1e-5)


def test_a_fused_norm_is_the_layer_of_the_fix() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)).eval()
    found = finding("fuse-norm", model, (9, 9))
    assert found.fix is not None
    assert as_layer(fuse_conv_bn_eval(model[0], model[1])) == found.fix.layers[0]
    assert found.evidence == {"elements": 8 * 81, "bytes": 2 * 4 * 8 * 81}


def test_separable_costs() -> None:
    found = finding("depthwise-separable", "Conv2d(32, 64, 3, padding=1)", (10, 9), small_device=True)
    assert found.evidence["multiply_adds"] == 90 * 32 * 64 * 9
    assert found.evidence["separable_multiply_adds"] == 90 * (32 * 9 + 32 * 64)


def test_in_channels() -> None:
    found = finding("in-channels", "Conv2d(3, 8, 3, padding=1)", (4, 9, 9))
    assert found.evidence == {"in_channels": 3, "given_channels": 4}
    assert found.fix is not None
    module_of(found.fix.layers[0])(Tensor(np.zeros((1, 4, 9, 9), np.float32)))
