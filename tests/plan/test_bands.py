"""Bands of the packed input: however far a kernel reaches, packing stays in proportion to the input."""

from __future__ import annotations

import pytest

from convforge.kernels.contract import GatherKernel
from convforge.plan.describe import plan_of
from convforge.plan.direct import DirectPlan
from convforge.problem import normalize_conv


@pytest.mark.parametrize("dilation", [1, 100, 250, 300, 450])
def test_far_reaching_kernels_in_an_image(dilation: int) -> None:
    spec, _ = normalize_conv(
        (1, 4, 1000, 1000), (4, 4, 3, 3), None, dilation=dilation, rank=2, dtype="float32"
    )
    assert_packed_rarely(plan_of(spec))


@pytest.mark.parametrize("dilation", [1, 10_000, 100_000, 200_000])
def test_far_reaching_kernels_in_a_signal(dilation: int) -> None:
    spec, _ = normalize_conv((1, 2, 10**6), (1, 2, 5), None, dilation=dilation, rank=1, dtype="float32")
    assert_packed_rarely(plan_of(spec))


def test_far_reaching_kernels_of_many_channels() -> None:
    spec, _ = normalize_conv((1, 2048, 65, 65), (16, 2048, 3, 3), None, 1, 24, 24, rank=2, dtype="float32")
    assert_packed_rarely(plan_of(spec))


def assert_packed_rarely(plan: object) -> None:
    """Halos are at most as long as the input, but for the few bands that keep threads busy."""
    assert isinstance(plan, DirectPlan)
    assert isinstance(plan.kernel, GatherKernel)
    assert plan.schedule.packed
    layout = plan.layout
    tiles = -(-layout.flat // plan.kernel.length)
    bands = -(-tiles // plan.schedule.band_tiles)
    assert bands <= 16 or bands * layout.reach <= layout.flat
