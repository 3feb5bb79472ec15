"""What vectors along channels are thought to cost: taps that meet only padding are left out."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from convforge.plan import channels
from convforge.problem import normalize_conv
from convforge.problem.gather import gather_of


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
        assert channels._met(axis, phase, together) == met / (len(blocks) * len(phase.taps))


def test_each_output_of_a_one_pixel_input_takes_one_row_of_taps() -> None:
    """DCGAN's first layer: 4x4 outputs, each with one of 4x4 taps."""
    spec, _ = normalize_conv(
        (1, 100, 1, 1), (100, 512, 4, 4), None, rank=2, dtype=np.dtype(np.float32), transposed=True
    )
    height = gather_of(spec).axes[1]
    assert channels._met(height, height.phases[0], 1) == 1 / 4
