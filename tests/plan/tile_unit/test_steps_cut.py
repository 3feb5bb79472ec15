"""How the work of kernels of one tap on a tile unit is cut: all of it, evenly, within the memory there is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convforge.plan.split_bf16 import products as split_bf16
from convforge.plan.tile_unit.cost import bf16_work
from convforge.plan.tile_unit.steps_cut import StepsCut
from convforge.problem import ConvSpec
from convforge.problem.gather import gather_of
from convforge.schedule import layout_of
from convforge.schedule.fold import folded_whole
from convforge.schedule.tile_unit import TILE_NUMBERS, TILE_ROWS, TileUnitSchedule, maps_as_rows
from support.split_bf16 import plan_request, spec_of
from support.tile_unit import TileUnit


def schedule_of(unit: TileUnit, spec: ConvSpec, threads: int) -> TileUnitSchedule:
    target = replace(unit.target, l2_bytes=2 << 20)
    return split_bf16.candidates(plan_request(spec), target, threads)[0]


def pointwise(channels: int, outs: int, size: int, batch: int = 1) -> ConvSpec:
    return spec_of((batch, channels, size, size), (outs, channels, 1, 1))


def shares(schedule: TileUnitSchedule, spec: ConvSpec, threads: int) -> tuple[int, int]:
    """Products of tiles of the thread that has most of them, and of all together."""
    positions = -(-spec.output_shape[2] * spec.output_shape[3] // (schedule.columns * TILE_NUMBERS))
    outs = -(-spec.out_channels // (schedule.rows * TILE_ROWS))
    bands = [min(schedule.band_tiles, positions - at) for at in range(0, positions, schedule.band_tiles)]
    blocks = [min(schedule.channel_tiles, outs - at) for at in range(0, outs, schedule.channel_tiles)]
    tasks = [band * block for band in bands for block in blocks]
    loads = [0] * threads
    for task in tasks:
        loads[loads.index(min(loads))] += task
    return max(loads), positions * outs


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("channels", "outs", "size"),
    [
        (128, 512, 28),
        (1024, 256, 14),
        (256, 64, 56),
        (64, 256, 56),
        (512, 1024, 14),
        (2048, 512, 7),
        (64, 32, 56),
    ],
)
def test_threads_end_together(channels: int, outs: int, size: int, threads: int, unit: TileUnit) -> None:
    spec = pointwise(channels, outs, size)
    most, everything = shares(schedule_of(unit, spec, threads), spec, threads)
    assert most <= 1.16 * everything / threads


def test_a_map_of_few_tiles_is_cut_by_output_channels(unit: TileUnit) -> None:
    schedule = schedule_of(unit, pointwise(1024, 256, 14), 2)
    assert (schedule.band_tiles, schedule.channel_tiles) == (7, 4)


def test_one_thread_and_many_images_need_no_cut(unit: TileUnit) -> None:
    for threads, batch in ((1, 1), (2, 16)):
        schedule = schedule_of(unit, pointwise(256, 256, 28, batch), threads)
        assert (schedule.band_tiles, schedule.channel_tiles) == (25, 8)


def test_windows_beside_products_have_64_positions(unit: TileUnit) -> None:
    for channels, outs, size in ((16, 96, 112), (64, 256, 56), (256, 64, 56)):
        schedule = schedule_of(unit, pointwise(channels, outs, size), 2)
        assert schedule.beside > 0
        assert schedule.window_tiles * schedule.columns * TILE_NUMBERS == 64
        assert schedule.tile_group == schedule.window_tiles


def test_weights_that_leave_no_room_have_windows_split_before(unit: TileUnit) -> None:
    assert schedule_of(unit, pointwise(2048, 1024, 28), 1).beside == 0


def test_planes_of_a_band_stay_in_the_second_level(unit: TileUnit) -> None:
    spec = spec_of((1, 3, 224, 224), (64, 3, 7, 7), stride=2, padding=3)
    layout = layout_of(gather_of(spec))
    plane_bytes = 4 * 3 * layout.planes
    for l2_bytes in (128 << 10, 256 << 10, 2 << 20):
        target = replace(unit.target, l2_bytes=l2_bytes)
        cut = StepsCut(folded_whole(layout), target, 1, bf16_work(3), (2, 2), "planes", plane_bytes)
        band_tiles, _ = cut.best()
        assert plane_bytes * (band_tiles - 1) * 2 * TILE_NUMBERS <= l2_bytes


def test_what_no_thread_waits_for_costs_least(unit: TileUnit) -> None:
    """Of two bands of 13 and 12 tiles, and two halves of the output channels, the halves."""
    gather = maps_as_rows(gather_of(pointwise(128, 512, 28)))
    assert gather is not None
    cut = StepsCut(
        layout_of(gather), replace(unit.target, l2_bytes=2 << 20), 2, bf16_work(3), (2, 2), "in place", 0
    )
    assert cut.cycles(25, 8, 2) < cut.cycles(13, 16, 2)
    assert cut.cycles(25, 8, 2) < cut.cycles(25, 16, 2) / 1.8
