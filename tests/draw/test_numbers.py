"""The numbers in the drawings, read back from the SVG, against sums and arrays that are computed here."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from convforge import draw
from convforge.draw.cell import MOST_CHANNELS
from convforge.draw.equation import MOST_TERMS
from convforge.draw.numbers import short, small_input, small_weight
from convforge.draw.size_formula import MOST_POSITIONS
from convforge.draw.subject import subject_of
from convforge.draw.three_ways import single_channel, three_ways
from convforge.explain import as_layer
from convforge.plan import explain
from convforge.problem import ConvLayer, padded_size, padding_map
from convforge.reference import grad_input, grad_weight, output
from convforge.schedule import ChannelsSchedule, GatherSchedule
from convforge.schedule.tile_unit import TileUnitSchedule
from support.drawn import Drawn, layers, read, value_of

NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def float_spec(layer: ConvLayer, size: tuple[int, ...]):
    return layer.spec(size, dtype=np.float64)


def expected_output(layer: ConvLayer, size: tuple[int, ...], x=None) -> np.ndarray:
    spec = float_spec(layer, size)
    x = small_input(spec.input_shape[1:]) if x is None else x
    return output(spec, x[None], small_weight(spec))[0]


def name(*parts: object) -> str:
    """("input", 0, -1) -> input-0-n1"""
    return "-".join(f"n{-p}" if isinstance(p, int) and p < 0 else str(p) for p in parts)


def written_sum(drawn: Drawn, prefix: str) -> tuple[float, int]:
    """The sum of the products that are written out, and how many they are."""
    text = " ".join(t.text for t in drawn.texts if t.name.startswith(prefix)).split(" = ")[0]
    factors = re.findall(r"\(?(−?[\d.e+−]+?)\)?×\(?(−?[\d.]+)\)?", text)
    return sum(value_of(a) * value_of(b) for a, b in factors), len(factors)


def test_the_note_s_example() -> None:
    """Conv1d with weights 0.1, 0.2, 0.3 on 0, 1, 2, …: 0×0.1 + 1×0.2 + 2×0.3 = 0.8, then 1.4, …, 8.6."""
    drawn = read(draw.cell("Conv1d(1, 1, 3, bias=False)", 16, at=0, language="en"))
    assert drawn.said("equation-0") == "0×0.1 + 1×0.2 + 2×0.3"
    assert drawn.said("result") == "= 0.8"
    shown = [value_of(t.text) for t in drawn.texts if t.name.startswith("output-0-")]
    assert shown == [0.8, 1.4, 2.0, 2.6, 3.2, 3.8, 4.4, 5.0, 5.6, 6.2, 6.8, 7.4, 8.0, 8.6]


@given(layers(), st.data())
@settings(max_examples=30)
def test_a_cell_s_equation_adds_up(case, data) -> None:
    layer, size = case
    spec = float_spec(layer, size)
    at = tuple(data.draw(st.integers(0, n - 1)) for n in spec.output_size)
    channel = data.draw(st.integers(0, spec.out_channels - 1))
    drawn = read(draw.cell(layer, size, at=at, out_channel=channel, language="en"))
    y = expected_output(layer, size)
    total, count = written_sum(drawn, "equation-")
    result = drawn.said("result")
    assert value_of(re.split("[=≈] ", result)[1]) == pytest.approx(y[(channel, *at)], rel=1e-3)
    if count < MOST_TERMS and "more" not in " ".join(t.text for t in drawn.texts):
        assert total == pytest.approx(y[(channel, *at)], rel=1e-9, abs=1e-9)
    for position in product(*map(range, spec.output_size)):
        if name("output", channel, *position) in drawn.names("output-"):
            assert drawn.number(name("output", channel, *position)) == pytest.approx(
                y[(channel, *position)], rel=1e-3
            )
    assert drawn.cell(name("output", channel, *at)).role == "output hot"
    hot = {cell.name for cell in drawn.cells if cell.role.endswith(" hot") and cell.name.startswith("input-")}
    channels = min(spec.in_channels // spec.groups, MOST_CHANNELS)
    if not spec.transposed:
        assert len(hot) == channels * prod(spec.kernel_size)


@given(layers(transposed=False, channels=1))
@settings(max_examples=20)
def test_padded_cells_hold_what_numpy_pads(case) -> None:
    layer, size = case
    drawn = read(draw.padding(layer, size, language="en"))
    before = [pair[0] for pair in float_spec(layer, size).padding]
    x = small_input((1, *size), unique=True)[0]
    padded = np.pad(x, float_spec(layer, size).padding, mode=NUMPY_MODES[layer.padding_mode])
    source = np.pad(np.arange(x.size).reshape(size), float_spec(layer, size).padding,
                    mode=NUMPY_MODES[layer.padding_mode])  # fmt: skip
    seen = 0
    for index in np.ndindex(padded.shape):
        position = tuple(int(i) - b for i, b in zip(index, before, strict=True))
        cell = name("input", 0, *position)
        if cell not in drawn.names("input-"):
            continue
        seen += 1
        assert drawn.number(cell) == padded[index]
        inside = all(0 <= p < n for p, n in zip(position, size, strict=True))
        assert drawn.cell(cell).role == ("input" if inside else layer.padding_mode)
        if not inside and layer.padding_mode != "zeros":
            said = tuple(map(int, drawn.said(f"source-{cell}").split(",")))
            assert np.ravel_multi_index(said, size) == source[index]
    assert seen


@given(layers())
@settings(max_examples=20)
def test_windows_lie_where_the_formula_says(case) -> None:
    layer, size = case
    spec = float_spec(layer, size)
    drawn = read(draw.size_formula(layer, size, language="en"))
    for axis in range(spec.rank):
        assert drawn.said(f"formula-{axis}").endswith(f"= {spec.output_size[axis]}")
        count = spec.input_size[axis] if spec.transposed else spec.output_size[axis]
        if padded_size(spec)[axis] > MOST_POSITIONS:
            continue  # the middle is left out
        assert len(drawn.names(f"window{axis}-")) == count * spec.kernel_size[axis]
        for i, tap in product(range(count), range(spec.kernel_size[axis])):
            at = i * layer.stride[axis] + tap * layer.dilation[axis] - spec.padding[axis][0]
            below = drawn.cell(name(f"window{axis}", i, tap)).bounds
            above = drawn.cell(name(f"axis{axis}", at)).bounds
            assert below[0] + below[2] == pytest.approx(above[0] + above[2], abs=0.05)
        if spec.transposed:
            continue
        # Marked is what no window reaches at the end, which the floor drops, and what lies between taps.
        touched = {
            i * layer.stride[axis] + tap * layer.dilation[axis] - spec.padding[axis][0]
            for i in range(count)
            for tap in range(spec.kernel_size[axis])
        }
        before, after = spec.padding[axis]
        for at in range(-before, spec.input_size[axis] + after):
            source = padding_map(spec.padding_mode, spec.input_size[axis], before, after)
            met = {int(source[t + before]) for t in touched}
            unread = at > max(touched) or (0 <= at < spec.input_size[axis] and at not in met)
            assert (drawn.cell(name(f"axis{axis}", at)).role == "unread") == unread


@given(layers(), st.sampled_from(["en", "zh"]))
@settings(max_examples=25)
def test_dilation_marks_every_tap(case, language) -> None:
    layer, size = case
    drawn = read(draw.dilation(layer, size, language=language))
    panels = len(dict.fromkeys([1, *((d + 1) // 2 for d in layer.dilation), *layer.dilation]))
    hot = sum(cell.role.endswith(" hot") or cell.role == "cut" for cell in drawn.cells)
    assert hot >= prod(layer.kernel_size)
    if not layer.transposed and set(layer.dilation) == {1}:
        assert panels == 1
        assert hot == prod(layer.kernel_size)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.booleans())
@settings(max_examples=25)
def test_links_are_the_kernels(groups, inputs, outputs, transposed) -> None:
    kind = "ConvTranspose1d" if transposed else "Conv1d"
    text = f"{kind}({groups * inputs}, {groups * outputs}, 1, groups={groups}, bias=False)"
    drawn = read(draw.groups(text, 3, language="en"))
    layer_links = {link for link in drawn.links if link.startswith(f"{groups}-")}
    expected = {
        f"{groups}-{i}-{o}"
        for i in range(groups * inputs)
        for o in range(groups * outputs)
        if i // inputs == o // outputs
    }
    assert layer_links == expected
    assert f"= {groups * inputs * outputs}" in " ".join(t.text for t in drawn.texts)


@given(layers())
@settings(max_examples=20)
def test_the_matrix_times_the_input_is_the_output(case) -> None:
    layer, size = case
    spec = float_spec(layer, size)
    rows, columns = prod(spec.output_shape[1:]), prod(spec.input_shape[1:])
    assume(max(rows, columns) <= 25)
    drawn = read(draw.matrix(layer, size, language="en"))
    m = np.array([[drawn.number(name("matrix", i, j)) for j in range(columns)] for i in range(rows)])
    turned = np.array([[drawn.number(name("transpose", j, i)) for j in range(columns)] for i in range(rows)])
    assert np.array_equal(m, turned)
    x = small_input(spec.input_shape[1:])
    assert m @ x.ravel() == pytest.approx(expected_output(layer, size).ravel(), rel=1e-3, abs=1e-3)
    for i, value in enumerate(expected_output(layer, size).ravel()):
        assert drawn.number(name("output-flat", i, 0)) == pytest.approx(value, rel=1e-3)


def test_the_notes_matrices() -> None:
    """A 3x3 kernel on 4x4 makes 2x2: K is 4x16, and 16x4 of the transposed layer."""
    plain = read(draw.matrix("Conv2d(1, 1, 3, bias=False)", 4, language="en"))
    assert len(plain.names("matrix-")) == 4 * 16
    assert sum(cell.role == "kernel" for cell in plain.cells if cell.name.startswith("matrix-")) == 36
    back = read(draw.matrix("ConvTranspose2d(1, 1, 3, bias=False)", 2, language="en"))
    assert len(back.names("matrix-")) == 16 * 4
    for i, j in product(range(4), range(16)):
        assert plain.said(name("matrix", i, j)) == back.said(name("matrix", j, i))


@given(layers(transposed=True))
@settings(max_examples=8)
def test_the_three_ways_agree(case) -> None:
    layer, size = case
    assume(prod(size) <= 9)
    drawing = draw.transposed(layer, size, language="en")
    drawn = read(drawing)
    single = single_channel(layer)
    y = expected_output(single, size, small_input((1, *size)) % 9 + 1)
    for index in np.ndindex(y.shape):
        if name("final", *map(int, index)) in drawn.names("final-"):
            assert drawn.number(name("final", *map(int, index))) == pytest.approx(y[index], rel=1e-3)
    assert "< 1e-12" in drawing.description
    for way in three_ways(
        subject_of(single, size, default=("", 1), language="en", theme="auto", numbers=True)
    ):
        assert way == pytest.approx(expected_output(single, size), rel=1e-12, abs=1e-12)
    # Scatter: the stamps add up to the sum, cell by cell.
    sums = drawn.names("sum-")
    for cell in sums:
        at = cell.removeprefix("sum-")
        parts = [t for t in drawn.texts if t.name.startswith("stamp-") and t.name.endswith(f"-{at}")]
        parts = [t for t in parts if len(t.name.split("-")) == 1 + 2 * len(size)]
        assert sum(value_of(t.text) for t in parts) == pytest.approx(drawn.number(cell), rel=2e-3, abs=1e-9)


@given(layers(transposed=True, rank=1))
@settings(max_examples=30)
def test_output_padding_draws_the_sizes_that_a_convolution_maps_back(case) -> None:
    layer, size = case
    assume(layer.stride[0] > 1)
    drawn = read(draw.output_padding(layer, size, language="en"))
    versions = {cell.name.split("-")[0] for cell in drawn.cells if cell.name.startswith("large")}
    assert versions
    for version in versions:
        extra = int(version.removeprefix("large"))
        added = [c for c in drawn.cells if c.name.startswith(f"{version}-") and c.role == "output hot"]
        assert len(added) <= extra
        cells = [c for c in drawn.cells if c.name.startswith(f"{version}-") and c.role.startswith("output")]
        if extra >= layer.stride[0]:
            continue
        before, after = single_channel(layer).spec(size).padding[0]
        span = layer.dilation[0] * (layer.kernel_size[0] - 1) + 1
        # The plain convolution's formula, on the large size, gives the small one.
        assert (len(cells) + before + after - span) // layer.stride[0] + 1 == size[0]


@given(layers(channels=1))
@settings(max_examples=20)
def test_overlap_counts_products(case) -> None:
    layer, size = case
    spec = float_spec(single_channel(layer), size)
    ones = output(spec, np.ones(spec.input_shape), np.ones(spec.weight_shape))[0, 0]
    drawn = read(draw.overlap(layer, size, language="en"))
    for index in np.ndindex(ones.shape):
        if name("output", 0, *map(int, index)) in drawn.names("output-"):
            assert drawn.number(name("output", 0, *map(int, index))) == ones[index]


@given(st.lists(layers(rank=1, channels=1), min_size=1, max_size=3), st.data())
@settings(max_examples=30)
def test_the_receptive_field_is_where_the_gradient_is(cases, data) -> None:
    chain = [single_channel(layer) for layer, _ in cases]
    size = (data.draw(st.integers(3, 14)),)
    specs = []
    for layer in chain:
        try:
            specs.append(float_spec(layer, specs[-1].output_size if specs else size))
        except (RuntimeError, ValueError):
            assume(False)
        assume(specs[-1].output_size[0] > 0)
    at = specs[-1].output_size[0] // 2
    gradient = np.zeros(specs[-1].output_shape)
    gradient[0, 0, at] = 1.0
    for spec in reversed(specs):
        gradient = grad_input(spec, gradient, np.ones(spec.weight_shape))
    drawn = read(draw.receptive_field(chain, size, language="en"))
    inputs = [cell for cell in drawn.cells if cell.name.startswith("level0-0-")]
    assume(inputs)  # else bars
    hot = {int(cell.name.rsplit("-", 1)[1]) for cell in inputs if cell.role == "input hot"}
    assert hot == {int(i) for i in np.flatnonzero(gradient[0, 0])}


@pytest.mark.parametrize(
    ("stack", "size", "span"),
    [
        (["Conv2d(1, 1, 3)"] * 2, 9, "5×5"),
        (["Conv2d(1, 1, 5)"], 9, "5×5"),
        (["Conv2d(1, 1, 3, dilation=2)", "Conv2d(1, 1, 3)"], 12, "7×7"),
        (["Conv2d(1, 1, 7, stride=2, padding=3)", "Conv2d(1, 1, 3, stride=2, padding=1)"], 32, "11×11"),
    ],
)
def test_known_receptive_fields(stack, size, span) -> None:
    assert span in draw.receptive_field(stack, size, language="en").description
    drawn = read(draw.receptive_field(stack, size, language="en"))
    assert drawn.said(f"sees-{len(stack)}").endswith(span)


@given(layers(channels=2))
@settings(max_examples=25)
def test_fused_kernels_are_scaled_ones(case) -> None:
    layer, size = case
    drawn = read(draw.fusion(layer, size, language="en"))
    weight = small_weight(float_spec(layer, size))
    for cell in drawn.names("fused-"):
        index = tuple(map(int, cell.split("-")[1:]))
        per_group = layer.out_channels // layer.groups
        channel = index[1] + index[0] // (layer.in_channels // layer.groups) * per_group
        scale = drawn.number(f"scale-{channel if layer.transposed else index[0]}")
        assert drawn.number(cell) == pytest.approx(weight[index] * scale, rel=1e-3)
    for channel in range(layer.out_channels):
        gamma, beta, mean, var, scale, bias, fused = (
            drawn.number(f"{head}-{channel}") for head in ("γ", "β", "μ", "σ²", "scale", "b", "b′")
        )
        assert scale == pytest.approx(gamma / var**0.5)
        assert fused == pytest.approx((bias - mean) * scale + beta)


@given(layers())
@settings(max_examples=20)
def test_gradients_and_their_equations(case) -> None:
    layer, size = case
    spec = float_spec(layer, size)
    drawn = read(draw.gradient(layer, size, language="en"))
    shape = spec.output_shape[1:]
    upstream = np.arange(prod(shape)).reshape(shape) % 3 + 1.0
    to_input = grad_input(spec, upstream[None], small_weight(spec))[0]
    to_weight = grad_weight(spec, small_input(spec.input_shape[1:])[None], upstream[None])
    for index in np.ndindex(*spec.input_size):
        cell = name("grad-input", 0, *map(int, index))
        if cell in drawn.names("grad-input-"):
            assert drawn.number(cell) == pytest.approx(to_input[(0, *index)], rel=1e-3, abs=1e-9)
    for tap in np.ndindex(*spec.kernel_size):
        cell = name("grad-weight", 0, 0, *map(int, tap))
        assert drawn.number(cell) == pytest.approx(to_weight[(0, 0, *tap)], rel=1e-3, abs=1e-9)
    at = tuple(n // 2 for n in size)
    for prefix, value in (("grad-input", to_input[(0, *at)]), ("grad-weight", to_weight.ravel()[0])):
        lines = [t for t in drawn.texts if re.fullmatch(rf"{prefix}(-\d)?", t.name)]
        text = " ".join(t.text for t in lines)
        assert value_of(text.rsplit("= ", 1)[1]) == pytest.approx(value, rel=1e-3, abs=1e-9)
        if "more" not in text:
            factors = re.findall(r"([\d.]+)×([\d.]+)", text)
            assert sum(float(a) * float(b) for a, b in factors) == pytest.approx(value, rel=1e-6, abs=1e-9)


def test_a_module_brings_its_weights() -> None:
    from convforge import nn

    layer = nn.Conv2d(1, 1, 2)
    x = np.array([[[1.0, -2.0], [3.0, 0.5]]])
    drawn = read(draw.cell(layer, 2, x=x, language="en"))
    weight = layer.weight.detach().numpy()[0, 0]
    for i, j in product(range(2), range(2)):
        assert drawn.said(name("kernel", 0, 0, i, j)) == short(float(weight[i, j]))
    said = drawn.said("result")
    assert "≈" in said
    expected = float((x[0] * weight).sum() + layer.bias.detach().numpy()[0])
    assert value_of(said.split("≈ ")[1]) == pytest.approx(expected, rel=1e-3, abs=1e-4)


def planned(layer: str, size: tuple[int, ...], **changes):
    """The drawn tile of each output, of a plan that is not this machine's."""
    value = as_layer(layer)
    explanation = replace(explain(value.spec(size)), **changes)
    drawn = read(draw.tile_plan(value, explanation=explanation, language="en"))
    spec = value.spec(size)
    return drawn, {
        index: int(drawn.number(name("output", 0, *map(int, index))))
        for index in np.ndindex(*spec.output_size)
    }


def test_direct_tiles_are_of_the_flat_run() -> None:
    """Rows of 6 outputs, 7 apart, for a zero is shared; 8 outputs a tile."""
    schedule = GatherSchedule(
        mr=3, nv=1, lanes=8, channel_block=4, band_tiles=2, tile_group=1, channel_tiles=1, group_block=1,
        packed=True,
    )  # fmt: skip
    drawn, tiles = planned("Conv2d(4, 8, 3, padding=1)", (5, 6), family="direct", schedule=schedule)
    assert tiles == {(i, j): (7 * i + j) // 8 for i, j in np.ndindex(5, 6)}
    roles = [drawn.cell(f"channel-{c}-0").role for c in range(8)]
    assert roles == ["tile0"] * 3 + ["tile1"] * 3 + ["tile2"] * 2


def test_direct_tiles_of_a_transposed_layer_are_phase_by_phase() -> None:
    """Stride 2: even and odd outputs are runs of their own."""
    schedule = GatherSchedule(
        mr=4, nv=1, lanes=4, channel_block=4, band_tiles=2, tile_group=1, channel_tiles=1, group_block=1,
        packed=True,
    )  # fmt: skip
    _, tiles = planned("ConvTranspose1d(4, 8, 4, stride=2)", (9,), family="direct", schedule=schedule)
    assert tiles == {(at,): at % 2 * 3 + at // 2 // 4 for at in range(20)}


def test_tiles_of_a_tile_unit() -> None:
    """2 tiles of 16 positions of the flat run, whose rows are 10 apart, by 3 of 16 channels."""
    schedule = TileUnitSchedule(
        parts=3,
        rows=3,
        columns=2,
        blocks=1,
        depth=2,
        chain=1,
        band_tiles=1,
        window_tiles=1,
        tile_group=1,
        channel_tiles=1,
    )
    drawn, tiles = planned("Conv2d(4, 64, 3, padding=1)", (8, 9), family="split bf16", schedule=schedule)
    assert tiles == {(i, j): (10 * i + j) // 32 for i, j in np.ndindex(8, 9)}
    assert drawn.cell("channel-0-0").role == "tile0"
    assert drawn.cell("channel-63-0").role == "tile1"
    assert "32 outputs × 48 channels" in " ".join(text.text for text in drawn.texts)


def test_tiles_of_channels_and_winograd() -> None:
    schedule = ChannelsSchedule(pixels=5, nv=1, lanes=8, channel_block=4, channel_tiles=1)
    _, tiles = planned("Conv2d(4, 8, 3)", (6, 7), family="channels", schedule=schedule)
    assert tiles == {(i, j): (5 * i + j) // 5 for i, j in np.ndindex(4, 5)}
    changes = {"family": "winograd", "schedule": None, "kernel": "winograd F(2x4, 3x3) 6x2 float32"}
    _, tiles = planned("Conv2d(4, 8, 3)", (8, 10), **changes)
    assert tiles == {(i, j): i // 2 * 2 + j // 4 for i, j in np.ndindex(6, 8)}
    # Two windows of a phase are a tile; output 1, of the second phase, has window 1, and so has output 2.
    changes["kernel"] = "winograd F(2, 2) along channels 6x2 float32"
    with pytest.raises(ValueError, match="tells of no tiles"):
        planned("ConvTranspose1d(8, 8, 4, stride=2, padding=1)", (4,), **changes)
    changes["kernel"] = "winograd F(2x2, 2x2) along channels 6x2 float32"
    _, tiles = planned("ConvTranspose2d(8, 8, (2, 4), stride=(1, 2), padding=(0, 1))", (3, 4), **changes)
    first = [tiles[0, j] for j in range(8)]
    assert [first[0::2], first[1::2]] == [[0, 0, 1, 1], [4, 5, 5, 6]]
    with pytest.raises(ValueError, match="depthwise"):
        planned("Conv2d(4, 8, 3)", (6, 7), family="depthwise", schedule=None, kernel="depthwise map")
