"""What vectors along channels are thought to cost: taps that meet only padding are left out."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from convforge.kernels.contract import Activation
from convforge.kernels.direct.contract import CHANNELS_TILE_FIELDS
from convforge.plan.direct import channels, channels_tiles, gather as direct, met_taps
from convforge.plan.direct.channels import ChannelsPlan
from convforge.plan.request import OutputRequest, contiguous_strides
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.gather import gather_of
from convforge.runtime import address_of
from convforge.schedule import layout_of
from convforge.target import Target
from support.convolutions import numpy_dtype
from support.guarded import Guarded
from support.targets import MASKS, masked


@given(
    size=st.integers(1, 12),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 3),
    padding=st.integers(0, 7),
    transposed=st.booleans(),
    together=st.integers(1, 5),
)
def test_the_share_of_taps_that_meet_an_input(
    size: int, kernel: int, stride: int, padding: int, transposed: bool, together: int
) -> None:
    """Against all outputs, one by one."""
    pads = min(padding, kernel - 1) if transposed else max(padding, kernel - size)
    room = (size - 1) * stride + kernel - 2 * pads
    spec, _ = normalize_conv(
        (1, 4, size), (4, 4, kernel), None, stride, pads if room > 0 or not transposed else 0, 1, 1,
        rank=1, dtype=np.dtype(np.float32), transposed=transposed,
    )  # fmt: skip
    axis = gather_of(spec).axes[2]
    for phase in axis.phases:
        if not phase.taps or not phase.count:
            continue
        blocks = [range(i, min(i + together, phase.count)) for i in range(0, phase.count, together)]
        met = sum(
            any(0 <= at * axis.in_step + tap.offset < axis.in_size for at in block)
            for block in blocks
            for tap in phase.taps
        )
        assert channels_tiles.share_met(axis, phase, together) == met / (len(blocks) * len(phase.taps))


def test_each_output_of_a_one_pixel_input_takes_one_row_of_taps() -> None:
    """DCGAN's first layer: 4x4 outputs, each with one of 4x4 taps."""
    spec, _ = normalize_conv(
        (1, 100, 1, 1), (100, 512, 4, 4), None, rank=2, dtype=np.dtype(np.float32), transposed=True
    )
    height = gather_of(spec).axes[1]
    assert channels_tiles.share_met(height, height.phases[0], 1) == 1 / 4


def read_as(monkeypatch: pytest.MonkeyPatch, reading: channels_tiles.Reading) -> None:
    """Have inputs that are no planes as they lie read in this way, whatever it costs."""
    by_cost = channels.reading_of

    def reading_of(*arguments: Any) -> channels_tiles.Reading:
        found = by_cost(*arguments)
        return found if found == "dense" else reading

    monkeypatch.setattr(channels, "reading_of", reading_of)


def plan_with_the_direct_kernels_bits(
    spec: ConvSpec, x: np.ndarray[Any, Any], weight: np.ndarray[Any, Any], guarded: Guarded
) -> ChannelsPlan:
    """The plan of this family, whose output is the direct kernel's bit for bit, in guarded memory."""
    outputs: list[np.ndarray[Any, Any]] = []
    plans: list[Any] = []
    for family in (channels, direct):
        out = guarded.array(np.full(spec.output_shape, np.nan, np.float32), at_end=True)
        request = OutputRequest(spec, x.strides, out.strides, has_bias=False, activation="none")
        plans.append(family.plan(request, Target.host(), 2))
        packed = plans[-1].weights.pack(weight, 1)
        plans[-1](address_of(x), address_of(packed), 0, address_of(out))
        outputs.append(out)
    assert np.isfinite(outputs[0]).all()
    np.testing.assert_array_equal(outputs[0], outputs[1])
    return plans[0]


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
def test_taps_beside_the_map_are_left_out_and_bits_are_the_direct_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """5x5 on 9x9: 3 of 5 columns of taps at the edge, 4 beside it; tiles of neighbours down the columns."""
    read_as(monkeypatch, "packed")
    generator = np.random.default_rng(0)
    spec, _ = normalize_conv((1, 3, 9, 9), (32, 3, 5, 5), None, padding=2, rank=2, dtype=np.dtype(np.float32))
    x = generator.standard_normal(spec.input_shape).astype(np.float32)
    weight = generator.standard_normal(spec.weight_shape).astype(np.float32)
    plan = plan_with_the_direct_kernels_bits(spec, x, weight, Guarded())
    pixels = plan.kernel.pixels
    records = plan._keep[-2].reshape(-1, len(CHANNELS_TILE_FIELDS) + 2 * pixels)
    assert records[:, 0].min() <= 5 * 4 < 5 * 5 == records[:, 0].max()
    assert records[:, 0].sum() * pixels < 0.95 * 25 * 81
    assert sorted(set(records[:, -pixels:].ravel())) == list(range(81))


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (1, 6), (7, 1), (2, 4), (3, 3), (7, 7)])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2), (1, 2), (3, 3)])
def test_inputs_of_many_output_channels_are_copied_and_bits_are_the_same(
    mask: str, size: tuple[int, int], kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs below, at and above those of a tile; of pixels, and of patches that do not overlap."""
    read_as(monkeypatch, "packed")
    generator, guarded = np.random.default_rng(0), Guarded()
    height, width = (stride * side for side in size)
    spec, _ = normalize_conv(
        (2, 9, height, width), (520, 9, kernel, kernel), None, stride, rank=2, dtype=np.dtype(np.float32)
    )
    x = guarded.array(generator.standard_normal(spec.input_shape).astype(np.float32), at_end=True)
    weight = generator.standard_normal(spec.weight_shape).astype(np.float32)
    with masked(mask):
        plan = plan_with_the_direct_kernels_bits(spec, x, weight, guarded)
    # Where outputs are one row or column the stride is 1 along it, and taps are neighbours.
    beside = kernel > 1 and 1 in size
    assert plan.kernel.copied == (plan.kernel.pixels <= size[0] * size[1] and not beside)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int8"])
@pytest.mark.parametrize("pixels", range(1, channels_tiles.PIXEL_LIMIT + 1))
def test_tiles_of_any_size_leave_in_runs(mask: str, dtype: str, pixels: int) -> None:
    """Whole tiles of channels and one that is not; an output of one run, and one whose rows have gaps."""
    generator, guarded = np.random.default_rng(pixels), Guarded()
    activation: Activation = "none" if dtype == "int8" else "relu"
    spec, _ = normalize_conv(
        (2, 5, 3, 5), (520, 5, 1, 1), (520,), rank=2, dtype=numpy_dtype(dtype)
    )  # fmt: skip
    x, weight, bias = (
        guarded.array(generator.integers(-9, 9, shape).astype(spec.dtype), at_end=True)
        for shape in (spec.input_shape, spec.weight_shape, (520,))
    )
    whole = np.full((*spec.output_shape[:3], 7), 77, spec.dtype)
    outputs = [guarded.array(np.full(spec.output_shape, 77, spec.dtype), at_end=True), whole[..., :5]]
    with masked(mask) as target:
        for nv in (1, 2):
            for out, most in zip(outputs, (15, 5)):
                request = OutputRequest(spec, x.strides, out.strides, True, activation)
                own = channels.plan(request, target, 2).schedule
                schedule = replace(own, pixels=pixels, nv=nv, channel_tiles=3)
                plan = channels.plan(request, target, 2, schedule)
                assert plan.kernel.runs == (1 < pixels <= min(most, schedule.lanes))
                packed = plan.weights.pack(weight, 2)
                offsets = plan.weights.pack_bias(bias)
                plan(address_of(x), address_of(packed), address_of(offsets), address_of(out))
            expected = np.zeros(spec.output_shape, spec.dtype)
            request = OutputRequest(spec, x.strides, expected.strides, True, activation)
            other = direct.plan(request, target, 1)
            packed, offsets = other.weights.pack(weight, 1), other.weights.pack_bias(bias)
            other(address_of(x), address_of(packed), address_of(offsets), address_of(expected))
            for out in outputs:
                np.testing.assert_array_equal(out.astype(float), expected.astype(float))
                out[...] = 77
            assert (whole[..., 5:] == 77).all()


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("pixels", range(1, channels_tiles.PIXEL_LIMIT + 1))
@pytest.mark.parametrize("reading", ["packed", "met"])
def test_tiles_leave_in_runs_where_their_outputs_are_neighbours(
    reading: channels_tiles.Reading, pixels: int, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some tiles within a row, some across; rows with gaps; every second column; rows in another order."""
    read_as(monkeypatch, reading)
    generator = np.random.default_rng(pixels)
    for transposed in (False, True):
        spec, _ = normalize_conv(
            (2, 9, 7, 13), (9, 40, 3, 3) if transposed else (40, 9, 3, 3), None,
            2 if transposed else 1, 1, rank=2, dtype=np.dtype(np.float32), transposed=transposed,
        )  # fmt: skip
        x, weight = (
            generator.standard_normal(shape).astype(np.float32)
            for shape in (spec.input_shape, spec.weight_shape)
        )
        batch, outs, rows, columns = spec.output_shape
        guarded = Guarded()
        found = [
            guarded.array(np.full(spec.output_shape, np.nan, np.float32), at_end=True),
            np.full((batch, outs, rows, columns + 3), np.nan, np.float32)[..., :columns],
            np.full((batch, rows, outs, columns), np.nan, np.float32).swapaxes(1, 2),
            np.full(spec.output_shape, np.nan, np.float32)[:, :, ::-1],
        ]
        with masked(mask) as target:
            expected = np.full(spec.output_shape, np.nan, np.float32)
            other = direct.plan(OutputRequest(spec, x.strides, expected.strides, False, "none"), target, 1)
            packed = other.weights.pack(weight, 1)
            other(address_of(x), address_of(packed), 0, address_of(expected))
            for out in found:
                request = OutputRequest(spec, x.strides, out.strides, False, "none")
                schedule = replace(channels.plan(request, target, 2).schedule, pixels=pixels, nv=1)
                plan = channels.plan(request, target, 2, schedule)
                assert plan.kernel.runs == (not transposed and 1 < pixels <= schedule.lanes)
                packed = plan.weights.pack(weight, 1)
                plan(address_of(x), address_of(packed), 0, address_of(out))
        for out in found:
            np.testing.assert_array_equal(out, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("layer", ["many blocks", "copied", "phases", "one output"])
def test_weights_fetched_ahead_change_no_bit(mask: str, layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as behind the last tile's weights, where there is no memory."""
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
        "many blocks": ((2, 150, 5, 6), (40, 150, 3, 3), {"padding": 1}),
        "copied": ((1, 600, 5, 5), (520, 600, 1, 1), {}),
        "phases": ((1, 70, 3, 4), (70, 35, 4, 4), {"transposed": True, "stride": 2, "padding": 1}),
        "one output": ((1, 90, 3, 3), (33, 90, 3, 3), {}),
    }
    shape, kernel, more = shapes[layer]
    generator, guarded = np.random.default_rng(0), Guarded()
    spec, _ = normalize_conv(shape, kernel, None, rank=2, dtype=np.dtype(np.float32), **more)
    x = guarded.array(generator.standard_normal(spec.input_shape).astype(np.float32), at_end=True)
    weight = generator.standard_normal(spec.weight_shape).astype(np.float32)
    for module in (channels, channels_tiles):
        monkeypatch.setattr(module, "fetches_ahead", lambda *_: True)
    with masked(mask):
        plan = plan_with_the_direct_kernels_bits(spec, x, weight, guarded)
    assert plan.kernel.fetches


@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 4)),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 8),
    pixels=st.integers(1, 9),
    transposed=st.booleans(),
)
def test_outputs_of_a_tile_meet_the_same_data(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: int,
    dilation: int,
    pixels: int,
    transposed: bool,
) -> None:
    """Against all outputs, one by one: each in some tile, whose taps are those that meet an element."""
    padding = tuple((dilation * (k - 1) + (not transposed)) // 2 for k in kernel)
    spec, _ = normalize_conv(
        (1, 4, *size), (4, 4, *kernel), None, stride, padding, dilation, rank=3,
        dtype=np.dtype(np.float32), transposed=transposed,
    )  # fmt: skip
    gather = gather_of(spec)
    for phase, (along, taps) in enumerate(zip(gather.phase_triples, gather.taps_by_phase)):
        counts = tuple(axis.count for axis in along)
        outputs, needed = met_taps.tiles_of(gather, phase, pixels)
        assert met_taps.met_tiles(gather, pixels)[phase][-1][:2] == (len(outputs), int(needed.sum()))
        assert sorted(set(outputs.ravel())) == list(range(int(np.prod(counts))))
        for tile, chosen in zip(outputs, needed):
            for output in tile:
                at = np.unravel_index(output, counts)
                met = [
                    all(
                        0 <= q * axis.in_step + t.offset < axis.in_size
                        for q, t, axis in zip(at, tap, gather.axes)
                    )
                    for tap in taps
                ]
                assert met == list(chosen)


@given(
    size=st.integers(1, 14),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 5),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 3),
)
def test_whether_all_of_an_input_is_read(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    """Where the gradient of a sum of outputs, of a kernel of ones, is nowhere zero."""
    if size + 2 * padding < dilation * (kernel - 1) + 1:
        return
    spec, _ = normalize_conv(
        (1, 1, size), (1, 1, kernel), None, stride, padding, dilation, rank=1, dtype=np.dtype(np.float32)
    )
    starts = np.arange(spec.output_shape[2]) * stride - padding
    at = starts[:, None] + np.arange(kernel) * dilation
    assert met_taps.reads_all(gather_of(spec)) == (set(range(size)) <= set(at.ravel().tolist()))


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "layer", ["3x3", "dilated", "strided", "transposed", "1x1 strided", "1-d", "3-d", "groups"]
)
@pytest.mark.parametrize("reading", channels_tiles.BY_MET_TAPS)
def test_tiles_of_outputs_that_meet_the_same_data_give_the_same_bits(
    reading: channels_tiles.Reading, mask: str, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At both ends of memory, and from arrays that lie in other ways; nothing outside them is read."""
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
        "3x3": ((2, 150, 7, 6), (40, 150, 3, 3), {"padding": 1}),
        "dilated": ((1, 70, 9, 11), (33, 70, 3, 3), {"padding": 6, "dilation": 6}),
        "strided": ((1, 35, 9, 8), (64, 35, 4, 3), {"stride": 2, "padding": (2, 1)}),
        "transposed": ((1, 70, 3, 4), (70, 35, 4, 4), {"transposed": True, "stride": 2, "padding": 1}),
        "1x1 strided": ((2, 33, 9, 8), (70, 33, 1, 1), {"stride": (3, 2)}),
        "1-d": ((2, 20, 31), (32, 20, 5), {"padding": 8, "dilation": 4}),
        "3-d": ((1, 20, 2, 5, 4), (48, 20, 3, 3, 3), {"padding": 1}),
        "groups": ((2, 36, 8, 8), (64, 18, 3, 3), {"padding": 1, "groups": 2}),
    }
    shape, kernel, more = shapes[layer]
    generator, guarded = np.random.default_rng(0), Guarded()
    spec, _ = normalize_conv(shape, kernel, None, rank=len(shape) - 2, dtype=np.dtype(np.float32), **more)
    x = generator.standard_normal(spec.input_shape).astype(np.float32)
    weight = generator.standard_normal(spec.weight_shape).astype(np.float32)
    read_as(monkeypatch, reading)
    last = np.moveaxis(guarded.array(np.ascontiguousarray(np.moveaxis(x, 1, -1)), at_end=True), -1, 1)
    with masked(mask):
        for each in (guarded.array(x, at_end=True), guarded.array(x, at_end=False), last):
            plan = plan_with_the_direct_kernels_bits(spec, each, weight, guarded)
            assert plan.reading == reading
            assert (plan.kernel.columns is None) == (reading == "met")
            assert not plan.kernel.copied


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("kernel", [(1, 1), (1, 2), (2, 1)])
@pytest.mark.parametrize("activation", ["none", "hardswish"])
def test_outputs_that_no_tap_reaches_are_filled(
    mask: str, dtype: str, kernel: tuple[int, int], activation: Activation
) -> None:
    """As those of the direct kernel, zeros' signs too; where rows have gaps they are written one by one."""
    generator, guarded = np.random.default_rng(0), Guarded()
    spec, _ = normalize_conv(
        (2, 6, 4, 5), (6, 20, *kernel), (40,), (2, 3), groups=2, rank=2, dtype=numpy_dtype(dtype),
        transposed=True, output_padding=(1, 0),
    )  # fmt: skip
    x, weight, bias = (
        guarded.array(generator.integers(-9, 9, shape).astype(spec.dtype), at_end=True)
        for shape in (spec.input_shape, spec.weight_shape, (40,))
    )
    bias[:3] = -0.0
    whole = np.full((*spec.output_shape[:3], spec.output_shape[3] + 2), 77, spec.dtype)
    outputs = [guarded.array(np.full(spec.output_shape, 77, spec.dtype), at_end=True), whole[..., :-2]]
    expected = np.full(spec.output_shape, 77, spec.dtype)
    with masked(mask) as target:
        for family, out, fills in (
            (channels, outputs[0], True), (channels, outputs[1], False), (direct, expected, None),
        ):  # fmt: skip
            plan = family.plan(OutputRequest(spec, x.strides, out.strides, True, activation), target, 2)
            assert fills in (None, getattr(plan.kernel, "fills", None))
            packed, offsets = plan.weights.pack(weight, 2), plan.weights.pack_bias(bias)
            plan(address_of(x), address_of(packed), address_of(offsets), address_of(out))
    for out in outputs:
        assert out.tobytes() == expected.tobytes()
    assert (whole[..., -2:] == 77).all()


def test_layers_that_meet_mostly_padding_are_read_where_they_meet_data() -> None:
    """DeepLab's widest dilations, which would have to be packed with nine times as many zeros."""
    for target in (Target.host(), Target.host().without("amx-tile", "avx512f")):
        for dilation, channels_in, reading in ((12, 64, None), (18, 2048, "met"), (24, 2048, "met")):
            spec, _ = normalize_conv(
                (1, channels_in, 33, 33), (256, channels_in, 3, 3), None, 1, dilation, dilation, rank=2,
                dtype=np.dtype(np.float32),
            )  # fmt: skip
            x, y = (contiguous_strides(shape, 4) for shape in (spec.input_shape, spec.output_shape))
            request = OutputRequest(spec, x, y, has_bias=False, activation="none")
            assert channels.why_illegal(request, target) is None
            plan = channels.plan(request, target, 2)
            assert reading in (None, plan.reading)
            assert plan.workspace_bytes < 16 << 20
    wide, _ = normalize_conv(
        (1, 2048, 65, 65), (256, 2048, 3, 3), None, 1, 36, 36, rank=2, dtype=np.dtype(np.float32)
    )
    x, y = (contiguous_strides(shape, 4) for shape in (wide.input_shape, wide.output_shape))
    request = OutputRequest(wide, x, y, has_bias=False, activation="none")
    assert channels.why_illegal(request, Target.host()) is None
    dense = replace(wide, padding=((1, 1), (1, 1)), dilation=(1, 1))
    request = OutputRequest(dense, x, y, has_bias=False, activation="none")
    assert channels.why_illegal(request, Target.host()) == "4225 outputs of a channel are more than 2048"


def test_only_far_weights_are_fetched_ahead() -> None:
    features = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"})
    far = replace(Target.host(), triple="x86_64-unknown-linux-gnu", features=features, l2_bytes=2 << 20)
    spec, _ = normalize_conv((1, 512, 7, 7), (512, 512, 3, 3), None, rank=2, dtype=np.dtype(np.float32))
    gather = gather_of(spec)
    assert channels_tiles.fetches_ahead(gather, 4, far)
    assert not channels_tiles.fetches_ahead(gather, 4, replace(far, features=frozenset({"avx2"}))), (
        "16 registers"
    )
    assert not channels_tiles.fetches_ahead(gather, 4, replace(far, l2_bytes=8 << 20)), "they stay near"
    assert not channels_tiles.fetches_ahead(gather, 4, replace(far, l2_bytes=1 << 20)), "no mesh"


def test_outputs_that_need_taps_of_their_own_are_not_copied() -> None:
    """DCGAN's first layer: rows share their zeros, so outputs are neighbours, but each needs another tap."""
    spec, _ = normalize_conv(
        (1, 9, 1, 1), (9, 520, 4, 4), None, rank=2, dtype=np.dtype(np.float32), transposed=True
    )
    assert not channels.is_copied(layout_of(gather_of(spec)), 1)
    patches, _ = normalize_conv(
        (1, 3, 32, 32), (520, 3, 16, 16), None, 16, rank=2, dtype=np.dtype(np.float32)
    )
    assert channels.is_copied(layout_of(gather_of(patches)), 4)
    assert not channels.is_copied(layout_of(gather_of(patches)), 5), "more pixels than there are"
