"""How the small-map kernel's work is cut into tasks: no thread is left without, and no bit changes."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from convforge import runtime
from convforge.plan.direct import channels
from convforge.plan.direct.channels_cut import even_block
from convforge.plan.pairs import channels as channels_pairs
from convforge.plan.request import OutputRequest, contiguous_strides
from convforge.problem import ConvSpec, normalize_conv
from convforge.runtime import address_of
from convforge.target import Target
from support.guarded import Guarded, GuardedScratch
from support.pairs import served_by
from support.targets import masked

LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "packed": ((1, 20, 9, 7), (33, 20, 5, 5), {"padding": 2}),
    "in place": ((2, 20, 7, 6), (33, 20, 1, 1), {}),
    "blocks of channels": ((2, 150, 5, 6), (40, 150, 3, 3), {"padding": 1}),
    "copied": ((1, 60, 5, 5), (520, 60, 1, 1), {}),
    "uneven phases": ((1, 20, 4, 3), (20, 16, 4, 4), {"transposed": True, "stride": 3, "padding": 3}),
    "strided": ((1, 3, 35, 35), (24, 3, 5, 5), {"stride": 4}),
    "groups": ((1, 36, 8, 8), (64, 18, 3, 3), {"padding": 1, "groups": 2}),
    "volume": ((1, 20, 2, 5, 4), (48, 20, 3, 3, 3), {"padding": 1}),
    "one output": ((1, 90, 3, 3), (33, 90, 3, 3), {}),
}


def spec_of(layer: str) -> ConvSpec:
    shape, kernel, more = LAYERS[layer]
    return normalize_conv(shape, kernel, None, rank=len(shape) - 2, dtype=np.dtype(np.float32), **more)[0]


def outputs(
    family: ModuleType, spec: ConvSpec, threads: int, pieces: int
) -> tuple[np.ndarray[Any, Any], Any]:
    """Those of `pieces` tasks for each map, in the tiles that are best for one thread; and the plan."""
    generator, guarded = np.random.default_rng(5), Guarded()
    x, weight = (
        guarded.array(generator.standard_normal(shape).astype(np.float32), at_end=True)
        for shape in (spec.input_shape, spec.weight_shape)
    )
    out = guarded.array(np.full(spec.output_shape, np.nan, np.float32), at_end=True)
    request = OutputRequest(spec, x.strides, out.strides, False, "none", "medium")
    schedule = family.plan(request, Target.host(), 1).schedule
    plan = family.plan(request, Target.host(), threads, replace(schedule, map_pieces=pieces))
    packed = plan.weights.pack(weight, threads)
    plan(address_of(x), address_of(packed), 0, address_of(out))
    assert not np.isnan(out).any()
    return out, plan


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("mask", ["host", "avx2"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("family", [channels, channels_pairs], ids=["float32", "words"])
def test_pieces_of_a_map_change_no_bit(
    family: ModuleType, layer: str, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More pieces than a phase has tiles, too; within memory of their own, one after the other and beside."""
    spec = spec_of(layer)
    with masked(mask) if family is channels else served_by(family, mask):
        expected, whole = outputs(family, spec, 1, 1)
        monkeypatch.setattr(runtime, "scratch", GuardedScratch())
        for pieces, threads in ((1, 1), (2, 2), (3, 1), (7, 3), (100, 2)):
            found, plan = outputs(family, spec, threads, pieces)
            assert found.tobytes() == expected.tobytes()
            assert plan.tasks == pieces * whole.tasks
            assert plan.workspace_bytes <= whole.workspace_bytes


@pytest.mark.parametrize("threads", [2, 3, 4, 8])
@pytest.mark.parametrize(
    ("shape", "weight", "stride"),
    [
        pytest.param((1, 6, 14, 14), (16, 6, 5, 5), 1, id="LeNet's second"),
        pytest.param((1, 3, 224, 224), (64, 3, 11, 11), 4, id="AlexNet's first"),
        pytest.param((1, 192, 14, 14), (64, 192, 1, 1), 1, id="MobileNet's 192 to 64"),
        pytest.param((1, 16, 28, 28), (32, 16, 5, 5), 1, id="GoogLeNet's 5x5"),
        pytest.param((3, 64, 7, 7), (48, 64, 3, 3), 1, id="three images of three tiles"),
    ],
)
def test_no_thread_is_left_without_work(
    shape: tuple[int, ...], weight: tuple[int, ...], stride: int, threads: int
) -> None:
    """LeNet's second layer, of one tile of channels, was one task for any number of threads."""
    spec, _ = normalize_conv(shape, weight, None, stride, rank=2, dtype=np.dtype(np.float32))
    x, y = (contiguous_strides(each, 4) for each in (spec.input_shape, spec.output_shape))
    request = OutputRequest(spec, x, y, has_bias=False, activation="none")
    plan = channels.plan(request, Target.host(), threads)
    rounds = -(-plan.tasks // threads)
    assert plan.tasks / threads > 0.7 * rounds, "of the time that the last thread takes"


def test_what_is_not_cut() -> None:
    """One thread's work; a tiny map; maps whose other phases are filled by whole channels."""
    tiny, _ = normalize_conv((1, 2, 6, 6), (16, 2, 3, 3), None, rank=2, dtype=np.dtype(np.float32))
    filled, _ = normalize_conv(
        (1, 64, 14, 14), (64, 16, 1, 1), None, 2, rank=2, dtype=np.dtype(np.float32), transposed=True
    )
    for spec, threads in ((spec_of("packed"), 1), (tiny, 8), (filled, 8)):
        x, y = (contiguous_strides(each, 4) for each in (spec.input_shape, spec.output_shape))
        request = OutputRequest(spec, x, y, has_bias=False, activation="none")
        assert channels.plan(request, Target.host(), threads).schedule.map_pieces == 1


def test_tiles_of_channels_are_shared_out_evenly() -> None:
    assert even_block(10, 8, 1, 2) == 1, "five tasks of two would leave one thread with six tiles"
    assert even_block(12, 8, 1, 2) == 2
    assert even_block(128, 8, 1, 2) == 16
    assert even_block(7, 1, 1, 1) == 7
    for tiles in range(1, 40):
        size = even_block(tiles, min(tiles, 8), 1, 2)
        assert size <= -(-tiles // min(tiles, 8))
        tasks = -(-tiles // size)
        assert -(-tasks // 2) * size <= -(-tiles // 2) + 1, "nearly half of them each"
