"""The direct kernel's tiles along the flat run, and along rows: the same outputs, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convforge import reference
from convforge.ir.element import ELEMENTS
from convforge.plan.cut import gather_split
from convforge.plan.direct import gather as direct
from convforge.plan.heuristic import assemble
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import element_steps
from convforge.plan.tables import tiles_along, way_out
from convforge.plan.tiles import chain_block, gather_tile
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.gather import gather_of
from convforge.runtime import address_of
from convforge.schedule import GatherSchedule, Layout, RunTiles, Tile, layout_of
from convforge.target import Target
from support.convolutions import filled
from support.guarded import Guarded
from support.targets import MASKS, masked
from support.tolerance import assert_close

FLOAT32 = ELEMENTS["float32"]


def schedule(spec: ConvSpec, target: Target, tile: Tile, threads: int = 1) -> GatherSchedule:
    """That of a tile, as the planner would cut it."""
    gather = gather_of(spec)
    layout = layout_of(gather)
    pieces = gather_split(layout, FLOAT32, target, threads, tile, packed=True)
    return assemble(layout, FLOAT32, target, tile, pieces, chain_block(gather), packed=True)


def assert_both_ways_agree(spec: ConvSpec, mr: int, nv: int, **choices: int) -> None:
    generator = np.random.default_rng(0)
    x = filled(generator, spec.input_shape, "float32")
    weight = filled(generator, spec.weight_shape, "float32")
    exact = replace(spec, dtype=np.dtype(np.float64))
    wide = x.astype(np.float64), weight.astype(np.float64)
    target = Target.host()
    outputs: list[np.ndarray[Any, Any]] = []
    for along_rows in (False, True):
        guarded = Guarded()
        source = guarded.array(x, at_end=True)
        out = guarded.array(np.full(spec.output_shape, np.nan, np.float32), at_end=along_rows)
        request = OutputRequest(spec, source.strides, out.strides, has_bias=False, activation="none")
        made = replace(schedule(spec, target, Tile(mr, nv, along_rows)), **choices)
        plan = direct.plan(request, target, 1, made)
        packed = plan.weights.pack(weight, 1)
        plan(address_of(source), address_of(packed), 0, address_of(out))
        outputs.append(out.copy())
    assert_close(
        outputs[0], reference.output(exact, *wide), reference.output(exact, *map(np.abs, wide)), x.size
    )
    np.testing.assert_array_equal(outputs[1], outputs[0])


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("vectors", [1, 2])
def test_widths_at_the_edges_of_tiles(mask: str, vectors: int) -> None:
    with masked(mask):
        length = vectors * Target.host().vector_bytes // 4
        for width in (length, length + 1, 2 * length - 1, 2 * length, 2 * length + 1):
            spec, _ = normalize_conv((2, 3, 5, width), (5, 3, 3, 3), None, padding=1, rank=2, dtype="float32")
            assert_both_ways_agree(spec, 3, vectors)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_strides_bands_and_groups_of_tiles(stride: int) -> None:
    spec, _ = normalize_conv(
        (1, 6, 13, 21 * stride), (8, 3, 3, 3), None, stride, 1, groups=2, rank=2, dtype="float32"
    )
    for band_tiles, tile_group in ((1, 1), (4, 3), (7, 7), (64, 5)):
        assert_both_ways_agree(spec, 4, 1, band_tiles=band_tiles, tile_group=tile_group)


def test_volumes_whose_slices_share_rows_of_zeros() -> None:
    spec, _ = normalize_conv((1, 2, 4, 5, 19), (3, 2, 3, 3, 3), None, padding=1, rank=3, dtype="float32")
    assert_both_ways_agree(spec, 2, 1)


@pytest.mark.parametrize("kernel", [2, 4])
def test_phases_of_a_transposed_layer_are_woven(kernel: int) -> None:
    spec, _ = normalize_conv(
        (1, 3, 6, 19), (3, 5, kernel, kernel), None, 2, (kernel - 2) // 2, rank=2, dtype="float32",
        transposed=True,
    )  # fmt: skip
    assert_both_ways_agree(spec, 3, 1)


def test_channels_in_blocks_are_taken_up_again() -> None:
    spec, _ = normalize_conv((1, 7, 6, 20), (5, 7, 3, 3), None, padding=1, rank=2, dtype="float32")
    assert_both_ways_agree(spec, 3, 1, channel_block=2, tile_group=2)


def chosen(width: int, channels: int = 3) -> Tile:
    """The tile of a first layer on a processor with AVX2."""
    spec, _ = normalize_conv(
        (1, channels, 64, width), (32, channels, 3, 3), None, padding=1, rank=2, dtype="float32"
    )
    target = Target("x86_64-unknown-linux-gnu", frozenset({"sse4.2", "avx", "avx2", "fma"}))
    return gather_tile(layout_of(gather_of(spec)), FLOAT32, target, along="either")


def test_wide_rows_are_cut_along_rows_and_narrow_ones_run_together() -> None:
    assert chosen(224).along_rows
    assert chosen(112).along_rows
    assert not chosen(14, channels=64).along_rows
    assert not chosen(7, channels=64).along_rows


def laid_out(*shape: int, **options: Any) -> tuple[Layout, ConvSpec]:
    rank = len(shape) - 2
    spec, _ = normalize_conv(shape, (4, shape[1], *(3,) * rank), None, rank=rank, dtype="float32", **options)
    return layout_of(gather_of(spec)), spec


def test_who_may_lie_along_rows() -> None:
    image, spec = laid_out(1, 3, 9, 20, padding=1)
    dense = element_steps(np.empty(spec.output_shape, np.float32).strides, spec)
    assert tiles_along(image, way_out(image, dense)) == "either"
    last = element_steps(np.empty((1, 9, 20, 4), np.float32).transpose(0, 3, 1, 2).strides, spec)
    assert tiles_along(image, way_out(image, last)) == "run", "neighbours are not side by side"
    signal, spec = laid_out(1, 3, 40)
    steps = element_steps(np.empty(spec.output_shape, np.float32).strides, spec)
    assert tiles_along(signal, way_out(signal, steps)) == "run", "it has but one row, of any length"


def test_rows_and_bands_of_tiles() -> None:
    layout, _ = laid_out(1, 3, 5, 20, padding=1)
    assert layout.pitch == 21
    flat, rows = RunTiles(layout, 8), RunTiles(layout, 8, along_rows=True)
    assert (flat.count, rows.count, rows.row_tiles) == (-(-(4 * 21 + 20) // 8), 15, 3)
    assert [part.tolist() for part in rows.rows()] == [[0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3] * 2
    first, last = flat.rows()
    assert (int(first[2]), int(last[2])) == (0, 1), "outputs 16 to 23 lie in two rows of 21"
    assert (flat.reach(4), rows.reach(4)) == (32, 42)
    assert (flat.tail(4), rows.tail(4), rows.tail(8)) == (0, 1, 0), "4 of 8 are left"
    assert RunTiles(layout, 12, along_rows=True).tail(4) == 2
    assert RunTiles(layout, 4, along_rows=True).tail(4) == 0, "whole tiles to the end"


def test_rows_between_the_slices_of_a_volume_are_left_out() -> None:
    layout, _ = laid_out(1, 2, 3, 4, 9, padding=1)
    assert (layout.pitch, layout.slice_rows) == (10, 5)
    rows = RunTiles(layout, 8, along_rows=True)
    assert rows.count == 3 * 4 * 2
    assert rows.rows()[0][::2].tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]
    assert (rows.reach(2), rows.reach(10), rows.reach(24)) == (20, 70, 140)
