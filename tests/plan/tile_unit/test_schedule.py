"""What the split bf16 family serves, how it cuts the work, and when it is chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from convforge.plan import planner
from convforge.plan.split_bf16 import products as split_bf16
from convforge.plan.tile_unit.cost import bf16_work, loads
from convforge.plan.tile_unit.schedule import tile_unit_schedule
from convforge.problem.gather import gather_of
from convforge.schedule import layout_of
from convforge.schedule.tile_unit import channel_blocks, tile_shapes, why_shape_illegal
from convforge.target.target import X86_FEATURES
from support.split_bf16 import (
    CASES,
    plan_request,
    spec_of,
)
from support.tile_unit import TileUnit, tile_unit

Array = Any


@pytest.mark.parametrize(
    ("case", "dtype", "reason"),
    [
        (
            {"shape": (1, 15, 9, 9), "weight": (32, 15, 1, 1)},
            "float32",
            "15 input channels a group fill",
        ),
        ({"shape": (1, 30, 9, 9), "weight": (4, 15, 3, 3), "groups": 2}, "float32", "15 input channels"),
        ({"shape": (1, 32, 9, 9), "weight": (32, 32, 3, 3)}, "float64", "float64 is neither float32 nor"),
        ({"shape": (1, 32, 9, 9), "weight": (32, 32, 3, 3)}, "int32", "int32 is neither"),
        ({"shape": (1, 8192, 5, 5), "weight": (1, 8192, 5, 5), "padding": 2}, "float32", "sums of 204800"),
    ],
)
def test_what_it_does_not_serve_it_says_why(case: Any, dtype: str, reason: str, unit: TileUnit) -> None:
    request = plan_request(spec_of(dtype=dtype, **case))
    found = split_bf16.why_illegal(request, unit.target)
    assert found is not None
    assert found.startswith(reason)


def test_plain_requests_are_for_others(unit: TileUnit) -> None:
    request = plan_request(spec_of(**CASES["batch"]))
    assert split_bf16.why_illegal(request, unit.target) is None
    assert "not exact" in str(split_bf16.why_illegal(replace(request, plain=True), unit.target))


def test_it_serves_where_it_is_cheaper_only() -> None:
    """Of 3x3 taps, or 9 in a row, the unit's products are the cheapest, and of 3x3x3 of many channels; not of
    fewer, of which Winograd's algorithm saves most, nor where an input is split for few outputs. Two cores of
    Granite Rapids: 13.8 ms and 16.7 by Winograd's, 6.8 and 5.9.
    """
    with tile_unit(cycles=None) as unit:
        target = replace(unit.target, features=frozenset({*X86_FEATURES}), l2_bytes=2 << 20)
        dense = spec_of((1, 128, 28, 28), (128, 128, 3, 3), padding=1)
        signal = spec_of((1, 128, 1000), (128, 128, 9), padding=4)
        few = spec_of((1, 16, 56, 56), (4, 16, 1, 1))
        volumes = [
            spec_of((1, 128, 8, 28, 28), (256, 128, 3, 3, 3), padding=1),
            spec_of((1, 64, 16, 28, 28), (128, 64, 3, 3, 3), padding=1),
        ]
        specs = (dense, signal, few, *volumes)
        names = [planner._ranked(plan_request(spec), target)[0].NAME for spec in specs]
    assert names[0] == "split bf16"
    assert names[1] == "split bf16"
    assert names[2] != "split bf16"
    assert names[3] == "split bf16"
    assert names[4] == "winograd bf16"


def test_channels_are_cut_into_even_blocks() -> None:
    assert [channel_blocks(c, 2) for c in (16, 32, 33, 48, 64, 65)] == [
        (1, 8), (1, 16), (2, 9), (2, 12), (2, 16), (3, 11),
    ]  # fmt: skip
    assert all(2 * b * p >= c and p <= 16 for c in range(1, 500) for b, p in [channel_blocks(c, 2)])


def test_shapes_of_tiles_fit_the_unit() -> None:
    assert tile_shapes() == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1)]
    assert why_shape_illegal(2, 3) == "11 tiles (6 sums, 2 weights, 3 inputs) exceed 8"
    assert loads(bf16_work(3), 2, 2) == (8, 6)


def test_long_signals_of_any_length_share_their_code(unit: TileUnit) -> None:
    kernels = set()
    for length in range(1025, 2000, 111):
        request = plan_request(spec_of((1, 32, length), (32, 32, 3), padding=1))
        kernels.add(repr(split_bf16.plan(request, unit.target, 1).kernel))
    assert len(kernels) == 1


def test_workspaces_are_bounded(unit: TileUnit) -> None:
    for shape, weight, dilation in (
        ((1, 512, 64, 64), (512, 512, 3, 3), 1),
        ((1, 64, 512, 512), (64, 64, 3, 3), 1),
        ((1, 2048, 33, 33), (256, 2048, 3, 3), 6),
    ):
        request = plan_request(spec_of(shape, weight, padding=dilation, dilation=dilation))
        made = split_bf16.plan(request, unit.target, 2)
        assert made.workspace_bytes <= 16 << 20


def test_images_share_tiles_where_that_saves_some(unit: TileUnit) -> None:
    def tasks(images: int, size: int, taps: int, outs: int = 64) -> int:
        spec = spec_of((images, 64, size, size), (outs, 64, taps, taps), padding=taps // 2)
        return split_bf16.plan(plan_request(spec), unit.target, 1).tasks

    assert tasks(16, 7, 1, outs=1024) < 16
    assert tasks(4, 7, 1) < 4
    assert tasks(4, 16, 1) >= 4, "whole tiles are read in place for less than by a table"
    assert tasks(4, 2, 1) < 4
    assert tasks(9, 2, 3) < 9
    assert tasks(4, 56, 3) >= 4


def test_layouts_are_those_of_all_kernels(unit: TileUnit) -> None:
    """The flat run packs rows with shared zeros: 7x7 maps fill 55 of 64 positions."""
    layout = layout_of(gather_of(spec_of((1, 64, 7, 7), (64, 64, 3, 3), padding=1)))
    assert layout.flat == 55
    assert tile_unit_schedule(layout, unit.target, 1, bf16_work(3)).columns * 16 <= 64
