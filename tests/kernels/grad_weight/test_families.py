"""Every family of weight gradients against the oracle, wherever it is legal, whatever the planner says."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from convforge import reference
from convforge.plan.box_scatter import scatter_tables
from convforge.plan.grad_weight import groups as grad_weight_groups, pointwise as grad_weight_pointwise
from convforge.plan.grad_weight.depthwise import GradWeightDepthwisePlan
from convforge.plan.grad_weight.planner import FAMILIES, grad_weight_costs
from convforge.plan.grad_weight.tap_runs import tap_runs
from convforge.plan.request import GradWeightRequest, contiguous_strides
from convforge.problem import ConvSpec, Precision, normalize_conv
from convforge.problem.gather import gather_of
from convforge.schedule import layout_of
from convforge.target import Target
from support.convolutions import filled, numpy_dtype, with_layout
from support.targets import MASKS, masked
from support.tile_unit import FEATURES
from support.tolerance import assert_close

BY_NAME = {family.NAME: family for family in FAMILIES}


def make(
    shape: tuple[int, ...], weight: tuple[int, ...], dtype: str = "float32", **arguments: Any
) -> ConvSpec:
    return normalize_conv(shape, weight, None, rank=len(shape) - 2, dtype=numpy_dtype(dtype), **arguments)[0]


def request_of(spec: ConvSpec, precision: Precision = "highest") -> GradWeightRequest:
    """The request for contiguous arrays."""
    x, g = (contiguous_strides(shape, spec.dtype.itemsize) for shape in (spec.input_shape, spec.output_shape))
    return GradWeightRequest(spec, x, g, precision)


def check(
    family: str,
    spec: ConvSpec,
    target: Target,
    layout: str = "plain",
    seed: int = 0,
    precision: Precision = "highest",
) -> bool:
    """A family's gradient against the oracle's, output memory full of noise beforehand; whether it served."""
    dtype = "bfloat16" if spec.dtype.kind == "V" else spec.dtype.name
    generator = np.random.default_rng(seed)
    x, gradient = (
        with_layout(filled(generator, s, dtype), layout) for s in (spec.input_shape, spec.output_shape)
    )
    request = GradWeightRequest(spec, x.strides, gradient.strides, precision)
    plan = BY_NAME[family].plan(request, target, 2)
    found = np.full(spec.weight_shape, 77, spec.dtype)
    served = plan(x, gradient, found)
    assert served or family == "winograd"
    if not served:
        return False
    wide = np.dtype(np.int64 if spec.dtype.kind in "iu" else np.float64)
    exact, sizes = replace(spec, dtype=wide), replace(spec, dtype=np.dtype(np.float64))
    magnitude = reference.grad_weight(
        sizes, np.abs(x.astype(np.float64)), np.abs(gradient.astype(np.float64))
    )
    if family == "winograd":
        # Roundings of a tile's products are those of all its taps; at `high` they are 8 times as large.
        largest = magnitude.max(tuple(range(2, magnitude.ndim)), keepdims=True)
        magnitude = np.broadcast_to(largest, magnitude.shape)
        magnitude = magnitude * (8 if precision == "high" else 1)
    length = spec.batch * int(np.prod(spec.output_size))
    assert_close(found, reference.grad_weight(exact, x, gradient), magnitude, length)
    return True


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("family", [name for name in BY_NAME if name not in ("flat", "tiles", "bf16 pairs")])
@settings(max_examples=25)
@given(
    channels=st.sampled_from((1, 2, 3, 4, 7, 8, 9, 33)),
    outputs=st.sampled_from((1, 2, 4, 15, 17, 33, 70)),
    groups=st.sampled_from((1, 2, 17)),
    size=st.tuples(st.integers(1, 3), st.integers(1, 9), st.sampled_from((1, 7, 15, 16, 17, 33, 50))),
    rank=st.sampled_from((1, 2, 2, 3)),
    kernel=st.sampled_from((1, 2, 3, 5)),
    stride=st.sampled_from((1, 1, 2, 3)),
    dilation=st.sampled_from((1, 1, 2)),
    mode=st.sampled_from(("zeros", "zeros", "reflect", "circular")),
    batch=st.sampled_from((1, 2, 5)),
    dtype=st.sampled_from(("float32", "float32", "float64", "bfloat16", "int8", "int64")),
    precision=st.sampled_from(("highest", "high")),
    layout=st.sampled_from(("plain", "plain", "channels_last", "sliced", "broadcast")),
)
def test_every_family(
    mask: str,
    family: str,
    channels: int,
    outputs: int,
    groups: int,
    size: tuple[int, int, int],
    rank: int,
    kernel: int,
    stride: int,
    dilation: int,
    mode: str,
    batch: int,
    dtype: str,
    precision: Precision,
    layout: str,
) -> None:
    kernel = 1 if family == "pointwise" else kernel
    if family == "winograd":
        kernel, stride = min(max(kernel, 2), 3), 1
        dilation = dilation if mode == "zeros" else 1
        dtype = dtype if "float" in dtype else "float32"
    if family == "groups":
        channels, outputs = min(channels, 3), min(outputs, 3)
    if family == "depthwise":
        channels, outputs, rank, kernel = 1, min(outputs, 3), max(rank, 2), max(kernel, 2)
    precision = precision if dtype == "float32" else "highest"
    sides = size[-rank:]
    pads = tuple(min(dilation * (kernel - 1) // 2, n - 1) for n in sides)
    assume(all(n + 2 * p > dilation * (kernel - 1) for n, p in zip(sides, pads, strict=True)))
    with masked(mask) as target:
        spec = make(
            (batch, channels * groups, *sides), (outputs * groups, channels, *(kernel,) * rank), dtype,
            stride=stride, padding=pads, dilation=dilation, groups=groups, padding_mode=mode,
        )  # fmt: skip
        assume(BY_NAME[family].why_illegal(request_of(spec, precision), target) is None)
        check(family, spec, target, layout, precision=precision)


@pytest.mark.parametrize(
    ("family", "shape", "weight", "arguments"),
    [
        ("outer", (20, 70, 14, 14), (130, 70, 3, 3), {"padding": 1}),
        ("outer", (3, 3, 61, 130), (40, 3, 7, 7), {"padding": 3, "stride": 2}),
        ("outer", (2, 20, 6, 40, 40), (33, 20, 3, 3, 3), {"padding": 1}),
        ("outer", (2, 20, 5000), (33, 20, 3), {"padding": 40, "dilation": 40}),
        ("depthwise", (9, 40, 61, 70), (40, 1, 5, 5), {"padding": 2, "groups": 40}),
        ("depthwise", (3, 21, 70, 61), (42, 1, 2, 3), {"padding": (0, 1), "groups": 21, "stride": (3, 2)}),
        (
            "depthwise",
            (3, 2, 130, 130),
            (2, 1, 7, 7),
            {"padding": 4, "groups": 2, "stride": 2, "dilation": 4},
        ),
        ("depthwise", (40, 9, 7, 7), (9, 1, 3, 3), {"padding": 1, "groups": 9}),
        ("depthwise", (2, 3, 5, 9, 14), (3, 1, 3, 3, 3), {"padding": 1, "groups": 3}),
        ("depthwise", (2, 3, 5, 300, 40), (6, 1, 2, 3, 5), {"groups": 3, "stride": (2, 1, 1)}),
        ("groups", (9, 40, 61, 70), (40, 1, 5, 5), {"padding": 2, "groups": 40}),
        ("groups", (2, 64, 33, 33), (64, 4, 3, 3), {"padding": 1, "groups": 16, "stride": 2}),
        ("groups", (3, 21, 70, 61), (21, 1, 2, 3), {"padding": (0, 1), "groups": 21, "stride": (3, 2)}),
        ("groups", (3, 21, 67, 61), (21, 1, 3, 3), {"padding": 4, "groups": 21, "stride": 2, "dilation": 4}),
        ("groups", (2, 2, 5, 7), (1, 2, 2, 2), {"padding": 1, "stride": 3, "dilation": 2}),
        ("groups", (30, 18, 9, 9), (18, 2, 2, 2), {"stride": 3, "groups": 9, "padding": 1}),
        ("groups", (40, 5, 40, 40), (5, 1, 3, 3), {"padding": 1, "groups": 5}),
        ("groups", (40, 9, 7, 7), (9, 1, 3, 3), {"padding": 1, "groups": 9}),
        ("groups", (40, 18, 7, 7), (9, 2, 1, 1), {"padding": 2, "groups": 9, "stride": 4}),
        ("winograd", (20, 70, 14, 14), (130, 70, 3, 3), {"padding": 1}),
        ("winograd", (3, 37, 61, 130), (40, 37, 3, 3), {"padding": 1}),
        ("winograd", (40, 150, 7, 7), (150, 150, 3, 3), {"padding": 1}),
        ("winograd", (2, 20, 6, 41, 40), (33, 20, 3, 3, 3), {"padding": 1}),
        ("winograd", (2, 64, 5001), (33, 64, 3), {"padding": 1}),
        ("winograd", (2, 64, 301, 3), (33, 64, 2, 3), {"padding": 1}),
        ("winograd", (3, 40, 33, 35), (33, 40, 3, 3), {"padding": 6, "dilation": 6}),
        ("winograd", (2, 40, 1000), (33, 40, 2), {"dilation": 100}),
        ("winograd", (5, 66, 9, 23), (34, 33, 3, 3), {"padding": 1, "groups": 2}),
        ("pointwise", (20, 300, 14, 14), (130, 300, 1, 1), {}),
        ("pointwise", (3, 130, 57, 60), (300, 130, 1, 1), {"stride": 2}),
    ],
)
def test_several_boxes_blocks_and_parts(
    family: str, shape: tuple[int, ...], weight: tuple[int, ...], arguments: dict[str, Any]
) -> None:
    """Sizes that no tile, block, box or part divides."""
    assert check(family, make(shape, weight, **arguments), Target.host())


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elements_that_nobody_reads_spoil_no_other_channel(mask: str, dtype: str) -> None:
    """Several images and channels, whose panels lie one behind the other."""
    with masked(mask) as target:
        for height, width, batch in itertools.product((5, 6, 7), (5, 7, 8, 9), (2, 3, 5)):
            shapes = (batch, 3, height, width), (1, 3, 2, 2)
            check("groups", make(*shapes, dtype, padding=1, stride=3, dilation=2), target)


@pytest.mark.parametrize("size", [5, 7, 9, 28])
def test_places_of_elements_lie_in_their_plane(size: int) -> None:
    """Of every image: what nobody reads has no place, and goes where no image's elements are."""
    for arguments in ({"padding": 1}, {"padding": 1, "stride": 3, "dilation": 2}, {"stride": 2}):
        layout = layout_of(gather_of(make((1, 4, size, size), (4, 1, 2, 2), groups=4, **arguments)))
        _, h, w = layout.gather.axes
        lanes, box = 8, (3, 1, h.columns, w.columns)
        image = (h.columns + h.reach) * (w.columns + w.reach) * lanes
        plane = 3 * image + lanes * lanes
        records, places = scatter_tables(layout, box, plane, lanes)
        [[first, count, begin]] = records
        assert (begin, len(places)) == (0, count + lanes)
        assert first + count <= size * size
        real = places[places >= 0]
        assert len(np.unique(real)) == len(real)
        assert (real % plane + lanes <= image).all(), "an element of one image lies in another's place"
        assert (real < layout.planes * plane).all()
        assert (places[count:] == -1).all()


@pytest.mark.parametrize("family", ["outer", "groups", "depthwise", "pointwise", "winograd"])
def test_bits_know_neither_threads_nor_layout(family: str) -> None:
    weight = {
        "winograd": (64, 40, 3, 3),
        "outer": (64, 40, 3, 3),
        "groups": (40, 1, 3, 3),
        "depthwise": (80, 1, 3, 3),
        "pointwise": (64, 40, 1, 1),
    }[family]
    spec = make((5, 40, 28, 28), weight, padding=weight[2] // 2, groups=40 // weight[1])
    generator = np.random.default_rng(0)
    x, gradient = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.output_shape)
    )
    results = []
    for threads in (1, 2, 5):
        for layout in ("plain", "channels_last", "sliced", "reversed"):
            arrays = with_layout(x, layout), with_layout(gradient, layout)
            request = GradWeightRequest(spec, arrays[0].strides, arrays[1].strides)
            found = np.empty(spec.weight_shape, np.float32)
            BY_NAME[family].plan(request, Target.host(), threads)(*arrays, found)
            results.append(found)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_taps_of_a_row_are_gathered_into_runs() -> None:
    layout = layout_of(gather_of(make((1, 3, 20, 20), (8, 3, 1, 7), stride=2, padding=(0, 3))))
    found = tap_runs(layout, 4)
    assert found.runs == ((0, 2, 4, 6), (1, 3, 5))
    assert (found.shift, found.step) == (1, 2)


@pytest.mark.parametrize(
    ("shape", "weight", "groups", "family"),
    [
        ((16, 64, 56, 56), (64, 64, 3, 3), 1, "winograd"),
        ((16, 64, 56, 56), (64, 64, 5, 5), 1, "outer"),
        ((16, 3, 56, 56), (64, 3, 3, 3), 1, "outer"),
        ((16, 32, 56, 56), (64, 2, 3, 3), 16, "groups"),
        ((16, 32, 56, 56), (32, 1, 3, 3), 32, "depthwise"),
        ((16, 64, 56, 56), (256, 64, 1, 1), 1, "pointwise"),
        # One pixel is one lane of a vector: summed across lanes, 26 times as long.
        ((8, 960, 1, 1), (240, 960, 1, 1), 1, "pointwise"),
        ((8, 512, 4, 4), (100, 512, 4, 4), 1, "outer"),
        ((8, 64, 96, 96), (3, 64, 3, 3), 1, "flat"),
    ],
)
def test_the_planner_knows_what_each_family_is_for(
    shape: tuple[int, ...], weight: tuple[int, ...], groups: int, family: str
) -> None:
    spec = make(shape, weight, padding=weight[2] // 2, groups=groups)
    costs = grad_weight_costs(request_of(spec), Target.host().without(*FEATURES))
    assert min(costs, key=lambda name: costs[name]) == family


@pytest.mark.parametrize("width", [7, 8, 12, 14, 20, 29])
def test_an_infinite_input_reaches_only_the_taps_that_read_it(width: int) -> None:
    """What ends a row is padded with zeros in both factors."""
    spec = make((2, 3, 9, width), (3, 1, 3, 5), padding=(1, 2), groups=3)
    generator = np.random.default_rng(width)
    x, gradient = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.output_shape)
    )
    # The last taps never read the first column, nor the first ones the last.
    x[0, 0, 4, 0] = x[0, 1, 4, -1] = x[1, 2, 0, width // 2] = np.inf
    found = np.empty(spec.weight_shape, np.float32)
    target = Target.host()
    BY_NAME["depthwise"].plan(request_of(spec), target, 2)(x, gradient, found)
    exact = reference.grad_weight(replace(spec, dtype=np.dtype(np.float64)), x, gradient)
    assert 0 < np.isfinite(exact).sum() < exact.size
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)


def test_sums_of_many_channels_keep_to_a_share_of_the_cache() -> None:
    spec = make((1, 5000, 8, 8), (5000, 1, 7, 7), padding=3, groups=5000)
    plan = BY_NAME["depthwise"].plan(request_of(spec), Target.host(), 1)
    assert isinstance(plan, GradWeightDepthwisePlan)
    assert plan.scratch_bytes < 1 << 19
    generator = np.random.default_rng(0)
    x, gradient = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.output_shape)
    )
    found = np.empty(spec.weight_shape, np.float32)
    plan(x, gradient, found)
    few = make((1, 2, 8, 8), (2, 1, 7, 7), padding=3, groups=2)
    alone = reference.grad_weight(few, x[:, 4998:], gradient[:, 4998:])
    np.testing.assert_allclose(found[4998:], alone, rtol=1e-4, atol=1e-4)


def test_illegal_families_say_why() -> None:
    target = Target.host()
    dense, strided = make((1, 64, 9, 9), (64, 64, 3, 3)), make((1, 4, 9, 9), (4, 4, 1, 1), padding=1)
    assert "weights of a group" in (grad_weight_groups.why_illegal(request_of(dense), target) or "")
    assert "9 positions" in (grad_weight_pointwise.why_illegal(request_of(dense), target) or "")
    assert "padding" in (grad_weight_pointwise.why_illegal(request_of(strided), target) or "")
