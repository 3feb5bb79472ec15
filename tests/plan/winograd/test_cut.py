"""How a Winograd plan's work is cut, for caches of different sizes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest

from convforge.plan.grad_weight import winograd as grad_weight_winograd
from convforge.plan.request import GradWeightRequest, OutputRequest
from convforge.plan.winograd import channels as winograd_channels, cut as winograd_cut, tiles as winograd
from convforge.plan.winograd.channels_cut import Cutter
from convforge.problem import normalize_conv
from convforge.problem.gather import gather_of
from convforge.schedule.winograd import Tiling
from convforge.target import Target


def cut_of(
    monkeypatch: pytest.MonkeyPatch, target: Target, channels: int, size: int, batch: int, threads: int
) -> tuple[winograd_cut.Cut, int, bool]:
    """The cut chosen for a 3x3 layer, the bytes of a thread's values, and whether less cannot be."""
    kept: list[Any] = []

    def cut(*arguments: Any) -> winograd_cut.Cut:
        cutter = winograd_cut.Cutter(*arguments)
        chosen = min(cutter.candidates(), key=cutter.cost)
        values = chosen.run * cutter.tile_bytes // channels * chosen.value_block
        kept.append((chosen, values, chosen.run == cutter.kernel.length))
        return chosen

    monkeypatch.setattr(winograd, "cut_tasks", cut)
    monkeypatch.setattr(winograd, "channels_are_cheaper", lambda *_: False)
    shapes = (batch, channels, size, size), (channels, channels, 3, 3)
    spec, _ = normalize_conv(*shapes, None, 1, 1, 1, 1, rank=2, dtype=np.float32)
    request = OutputRequest(spec, (), (), has_bias=False, activation="none").without_gaps
    winograd.plan(request, target, threads)
    return kept[0]


@pytest.mark.parametrize("megabytes", [2, 8, 32])
@pytest.mark.parametrize("layer", [(128, 28, 16), (256, 14, 16), (512, 32, 1), (512, 14, 8), (64, 56, 8)])
def test_values_stay_in_a_threads_share_of_the_last_level_cache(
    monkeypatch: pytest.MonkeyPatch, megabytes: int, layer: tuple[int, int, int]
) -> None:
    for features in ((), ("avx512f",)):
        target = replace(Target.host().without(*features), l2_bytes=512 << 10)
        target = replace(target, l3_bytes=megabytes << 20, l3_sharers=4)
        cut, values, is_least = cut_of(monkeypatch, target, *layer, threads=4)
        assert values <= target.l3_share(4) or is_least, (cut, values)


@pytest.mark.parametrize("megabytes", [2, 8, 32])
@pytest.mark.parametrize(
    "layer",
    [(128, 28, 16), (256, 14, 16), (512, 32, 1), (512, 14, 8), (64, 56, 8), (16, 900, 1), (2048, 9, 3)],
)
def test_so_do_values_and_sums_along_channels(megabytes: int, layer: tuple[int, int, int]) -> None:
    """And a task's whole scratch stays below 16 MB."""
    channels, size, batch = layer
    shapes = (batch, channels, size, size), (channels, channels, 3, 3)
    spec, _ = normalize_conv(*shapes, None, 1, 1, 1, 1, rank=2, dtype=np.float32)
    request = OutputRequest(spec, (), (), has_bias=False, activation="none").without_gaps
    for features in ((), ("avx512f",)):
        target = replace(Target.host().without(*features), l2_bytes=512 << 10)
        target = replace(target, l3_bytes=megabytes << 20, l3_sharers=4)
        for threads in (1, 4):
            for outputs in (2, 4):
                tiling = Tiling((1, outputs, outputs), (1, 3, 3))
                found = winograd_channels.WinogradChannelsPlan(request, target, threads, tiling)
                cut, lanes = found.cut, found.kernel.lanes
                tiles = prod(cut.box) // outputs**2
                values = tiling.points * tiles * channels * 4
                sums = tiling.points * tiles * cut.out_group * found.kernel.mr * 4
                one_tile = tiling.points * channels * 4 * lanes
                assert max(values, sums) <= max(target.l3_share(threads), one_tile), cut
                assert found.workspace_bytes <= 16 << 20


@pytest.mark.parametrize("dilation", [2, 6, 12, 18])
@pytest.mark.parametrize("channels", [8, 64, 256, 2048])
@pytest.mark.parametrize("megabytes", [1, 8])
def test_blocks_of_dilated_tiles_fit_or_are_refused(dilation: int, channels: int, megabytes: int) -> None:
    """A block has dilation x dilation tiles: of values that do not fit, the reason is told."""
    shapes = (1, channels, 33, 33), (64, channels, 3, 3)
    spec, _ = normalize_conv(*shapes, None, 1, dilation, dilation, 1, rank=2, dtype=np.float32)
    target = replace(Target.host(), l2_bytes=megabytes << 17, l3_bytes=megabytes << 20, l3_sharers=2)
    outputs = OutputRequest(spec, (), (), has_bias=False, activation="none").without_gaps
    request = GradWeightRequest(spec, outputs.x_strides, outputs.y_strides)
    reason = grad_weight_winograd.why_illegal(request, target)
    if reason is None:
        schedule = grad_weight_winograd.plan(request, target, 1).schedule
        tiles = prod(schedule.box) // prod(schedule.tiling.taps)
        width = max(schedule.channel_block, -(-schedule.output_block // schedule.lanes) * schedule.lanes)
        assert tiles * width + schedule.lanes <= schedule.point
    else:
        assert f"dilation {(dilation, dilation)} does not fit" in reason
    tiling = Tiling((1, 2, 2), (1, 3, 3))
    reason = winograd_channels.why_illegal(outputs, target, tiling)
    if reason is None:
        found = winograd_channels.WinogradChannelsPlan(outputs, target, 2, tiling)
        assert found.workspace_bytes <= 16 << 20
    else:
        assert "bytes of values, above" in reason
    assert (reason is None) == (16 * channels * dilation**2 * 4 <= 6 << 20)


@pytest.mark.parametrize("outputs", [2, 4, 6])
@pytest.mark.parametrize(("channels", "size"), [(1, 1000), (3, 224), (4, 400), (64, 56)])
def test_no_cut_along_channels_holds_more_than_its_room(channels: int, size: int, outputs: int) -> None:
    """Of few input channels the sums are larger than the values: a vector of outputs for a few inputs."""
    shapes = (2, channels, size, size), (64, channels, 3, 3)
    spec, _ = normalize_conv(*shapes, None, 1, 1, 1, 1, rank=2, dtype=np.float32)
    tiling = Tiling((1, outputs, outputs), (1, 3, 3))
    for threads in (1, 2, 8):
        cutter = Cutter(gather_of(spec), tiling, 2, Target.host(), 8, 4, threads)
        cuts = list(cutter.candidates())
        assert cuts
        for cut in cuts:
            tiles = prod(cut.box) // outputs**2
            held = tiling.points * tiles * max(channels, cut.out_group * 16) * 4
            assert held <= 6 << 20 or tiles == 1, cut


def test_even_pieces_are_looked_at_once_for_each_size() -> None:
    """All that there are, of a few; of a thousand million, no more than there are sizes."""
    for total in range(1, 90):
        for fewest in (1, 2, 5, total):
            for most in (fewest, 7, total):
                sizes = [-(-total // pieces) for pieces in range(fewest, most + 1) if pieces <= total]
                found = list(winograd_cut._piece_sizes(total, fewest, min(most, total)))
                assert found == list(dict.fromkeys(sizes))
    assert len(list(winograd_cut._piece_sizes(10**9, 10**7, 10**9))) == 100
