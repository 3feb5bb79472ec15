"""Taps that meet only padding are left out, tile by tile: by rows of taps, however many taps lie in one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convforge import reference
from convforge.plan.direct import gather as direct
from convforge.plan.request import OutputRequest
from convforge.plan.selections import select_taps
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.gather import gather_of
from convforge.runtime import address_of
from convforge.schedule import RunTiles, layout_of
from convforge.target import Target

LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "21x5": ((1, 2, 25, 40), (3, 2, 21, 5), {"padding": (10, 2)}),
    "21x5 of stride 2": ((1, 2, 25, 40), (3, 2, 21, 5), {"padding": (10, 2), "stride": (2, 1)}),
    "9x9 dilated": ((1, 2, 25, 30), (3, 2, 9, 9), {"padding": 12, "dilation": 3}),
    "3x5x5": ((1, 2, 4, 9, 20), (3, 2, 3, 5, 5), {"padding": (1, 2, 2)}),
    "transposed": ((1, 2, 15, 20), (2, 3, 17, 5), {"padding": (2, 2), "stride": 2, "transposed": True}),
}


def spec_of(layer: str) -> ConvSpec:
    shape, kernel, more = LAYERS[layer]
    return normalize_conv(shape, kernel, None, rank=len(shape) - 2, dtype=np.dtype(np.float32), **more)[0]


@pytest.mark.parametrize("length", [8, 16, 48])
@pytest.mark.parametrize("layer", LAYERS)
def test_exactly_what_meets_only_padding_is_left_out(layer: str, length: int) -> None:
    """Against all rows of a tile, one by one."""
    layout = layout_of(gather_of(spec_of(layer)))
    tiles = RunTiles(layout, length)
    left_out = 0
    for phase, taps in enumerate(layout.gather.taps_by_phase):
        found = select_taps(tiles, phase, exact=True)
        _, real = layout.row_sources(0, 0)
        d, h, _ = layout.gather.axes
        for tile, first, last in zip(found.tiles, *tiles.rows()):
            expected: list[int] = []
            for number, (depth, height, _) in enumerate(taps):
                (rd, sd), (rh, sh) = d.split(depth), h.split(height)
                read = range(first + sd * layout.slice_rows + sh, last + sd * layout.slice_rows + sh + 1)
                inside = [row for row in read if row < layout.total_rows]
                if any(real[rd * len(h.residues) + rh][row] for row in inside):
                    expected.append(number)
            assert found.taps[tile].tolist() == expected
            left_out += len(taps) - len(expected)
    assert left_out > 0


def test_kernels_of_more_taps_than_rows_to_look_at() -> None:
    """DeepSpeech's 21x11: 231 taps in 21 rows; a 9x9x9 kernel has 81."""
    speech, _ = normalize_conv(
        (1, 2, 81, 100), (2, 2, 21, 11), None, (2, 1), (10, 5), rank=2, dtype=np.dtype(np.float32)
    )
    volume, _ = normalize_conv(
        (1, 1, 12, 12, 12), (1, 1, 9, 9, 9), None, padding=4, rank=3, dtype=np.dtype(np.float32)
    )
    for spec, kinds in ((speech, 11), (volume, 1)):
        found = select_taps(RunTiles(layout_of(gather_of(spec)), 16), 0)
        assert len(found.taps) >= kinds
        assert (len(found.taps) == 1) == (kinds == 1)


@pytest.mark.parametrize("layer", LAYERS)
def test_outputs_do_not_miss_them(layer: str) -> None:
    """Whole numbers, whose sums are exact: by the direct kernel, as by the reference."""
    spec, generator = spec_of(layer), np.random.default_rng(3)
    x, weight = (
        generator.integers(-9, 9, shape).astype(np.float32) for shape in (spec.input_shape, spec.weight_shape)
    )
    out = np.full(spec.output_shape, np.nan, np.float32)
    request = OutputRequest(spec, x.strides, out.strides, has_bias=False, activation="none")
    plan = direct.plan(request, Target.host(), 2)
    packed = plan.weights.pack(weight, 2)
    plan(address_of(x), address_of(packed), 0, address_of(out))
    np.testing.assert_array_equal(out, reference.output(spec, x, weight))
