"""Bands of the packed input: however far a kernel reaches, packing stays in proportion to the input."""

from __future__ import annotations

import numpy as np
import pytest

from convforge import plan, reference
from convforge.kernels.direct.contract import GatherKernel
from convforge.plan.describe import plan_of
from convforge.plan.direct import channels
from convforge.plan.direct.gather import DirectPlan
from convforge.plan.split_bf16 import products as split_bf16
from convforge.plan.winograd import tiles as winograd
from convforge.problem import ConvSpec, normalize_conv
from convforge.schedule import RunTiles
from support.families import costing


@pytest.mark.parametrize("dilation", [1, 100, 250, 300, 450])
def test_far_reaching_kernels_in_an_image(dilation: int) -> None:
    spec, _ = normalize_conv(
        (1, 4, 1000, 1000), (4, 4, 3, 3), None, dilation=dilation, rank=2, dtype="float32"
    )
    assert_packed_rarely(directly(spec))


@pytest.mark.parametrize("dilation", [1, 10_000, 100_000, 200_000])
def test_far_reaching_kernels_in_a_signal(dilation: int) -> None:
    spec, _ = normalize_conv((1, 2, 10**6), (1, 2, 5), None, dilation=dilation, rank=1, dtype="float32")
    assert_packed_rarely(directly(spec))


def test_far_reaching_kernels_of_many_channels() -> None:
    spec, _ = normalize_conv((1, 2048, 65, 65), (16, 2048, 3, 3), None, 1, 24, 24, rank=2, dtype="float32")
    assert_packed_rarely(directly(spec))


def directly(spec: ConvSpec) -> object:
    """The direct family's plan."""
    dear = float("inf")
    with costing(winograd, dear), costing(split_bf16, dear), costing(channels, dear):
        return plan_of(spec)


def assert_packed_rarely(made: object) -> None:
    """Halos are at most as long as the input, but for the few bands that keep threads busy."""
    assert isinstance(made, DirectPlan)
    assert isinstance(made.kernel, GatherKernel)
    assert made.schedule.packed
    layout = made.layout
    tiles = RunTiles(layout, made.kernel.length, made.kernel.along_rows).count
    bands = -(-tiles // made.schedule.band_tiles)
    assert bands <= 16 or bands * layout.reach <= layout.flat


@pytest.mark.parametrize("mode", ["replicate", "reflect", "circular"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_margins_that_span_many_bands(mode: str, stride: int) -> None:
    """Margins of 70 000 columns on each side, longer than a band: each band fills its part."""
    generator = np.random.default_rng(3)
    x = generator.standard_normal((1, 2, 70_001)).astype(np.float32)
    weight = generator.standard_normal((3, 2, 3)).astype(np.float32)
    spec, _ = normalize_conv(
        x.shape, weight.shape, None, stride, 70_000, rank=1, padding_mode=mode, dtype="float32"
    )
    expected = reference.output(spec, x.astype(np.float64), weight.astype(np.float64))
    np.testing.assert_allclose(plan.output(spec, x, weight), expected, rtol=1e-4, atol=1e-5)
