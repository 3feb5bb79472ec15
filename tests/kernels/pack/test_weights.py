"""Packed weights, against the same order by NumPy: however an array lies, whatever vectors there are."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS
from convforge.kernels.pack.contract import WeightSide
from convforge.plan.depthwise.weights import DepthwiseWeights
from convforge.plan.weight_places import WeightPlaces
from convforge.plan.weights import WeightPacking
from convforge.problem import ConvSpec, grad_input_spec, normalize_conv
from convforge.problem.gather import gather_of
from convforge.schedule import Layout, layout_of
from convforge.target import Target
from support.guarded import Guarded
from support.targets import MASKS, masked

Array = NDArray[Any]

WAYS = ("in order", "out channels together", "in channels together", "backwards", "every second")
DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "int32": np.dtype(np.int32),
}
# (input shape, weight shape, arguments): channels and taps around whole vectors, one and several groups.
LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1x1": ((1, 130, 5, 5), (70, 130, 1, 1), {}),
    "1x1 whole": ((1, 128, 5, 5), (96, 128, 1, 1), {}),
    "3x3": ((1, 19, 9, 9), (65, 19, 3, 3), {"padding": 1}),
    "groups": ((1, 66, 6), (140, 33, 3), {"groups": 2}),
    "stride 2": ((1, 33, 9, 9), (70, 33, 3, 3), {"stride": 2}),
}


def normal_weights(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    rng = np.random.default_rng(7)
    return (rng.standard_normal(shape) * 64).astype(dtype)


def lain(weight: Array, how: str) -> Array:
    """The same numbers, in memory in another way."""
    if how == "in order":
        return weight
    if how == "out channels together":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(weight, 0, -1)), -1, 0)
    if how == "in channels together":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(weight, 1, -1)), -1, 1)
    if how == "backwards":
        return np.ascontiguousarray(weight[::-1, ::-1])[::-1, ::-1]
    assert how == "every second"
    spread = np.zeros((weight.shape[0], 2 * weight.shape[1], *weight.shape[2:]), weight.dtype)
    spread[:, ::2] = weight
    return spread[:, ::2]


def ordered(layout: Layout, weight: Array, mr: int, *, transposed: bool) -> tuple[Array, NDArray[np.bool_]]:
    """[phase][group][tile][channel][tap][m], and which of them are channels of the array."""
    gather = layout.gather
    first, second = gather.out_channels, gather.in_channels
    kernel = (1, 1, 1, *weight.shape[2:])[-3:]
    if transposed:
        first, second = second, first
    grouped = weight.reshape(gather.groups, first, second, *kernel)
    if transposed:
        grouped = np.swapaxes(grouped, 1, 2)
    tiles = -(-gather.out_channels // mr)
    parts: list[Array] = []
    are_real: list[NDArray[np.bool_]] = []
    for taps in gather.taps_by_phase:
        places = [tuple(axis.kernel for axis in tap) for tap in taps]
        chosen = np.stack([grouped[:, :, :, d, h, w] for d, h, w in places], axis=-1)
        beyond = [(0, 0), (0, tiles * mr - gather.out_channels), (0, 0), (0, 0)]
        for values, into in ((chosen, parts), (np.ones(chosen.shape, bool), are_real)):
            tiled = np.pad(values, beyond).reshape(gather.groups, tiles, mr, *chosen.shape[2:])
            into.append(tiled.transpose(0, 1, 3, 4, 2).ravel())
    return np.concatenate(parts), np.concatenate(are_real)


def spec_of(layer: str, dtype: np.dtype[Any], *, gradient: bool) -> ConvSpec:
    x, w, arguments = LAYERS[layer]
    spec = normalize_conv(x, w, None, rank=len(x) - 2, dtype=dtype, **arguments)[0]
    return grad_input_spec(spec) if gradient else spec


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("mr", [1, 4, 6, 8, 12, 16, 24, 64])
@pytest.mark.parametrize("gradient", [False, True], ids=["output", "input's gradient"])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_order_in_memory_is_packed_alike(layer: str, mr: int, mask: str, *, gradient: bool) -> None:
    spec = spec_of(layer, np.dtype(np.float32), gradient=gradient)
    layout = layout_of(gather_of(spec))
    weight = normal_weights(LAYERS[layer][1], spec.dtype)
    expected, is_real = ordered(layout, weight, mr, transposed=spec.transposed)
    with masked(mask) as target:
        packing = WeightPacking(layout, ELEMENTS["float32"], target, mr, transposed=spec.transposed)
    for way in WAYS:
        packed = packing.pack(lain(weight, way), 2)
        assert np.array_equal(packed[is_real], expected[is_real]), way
        assert np.isfinite(packed).all(), f"{way}: lanes that are never looked at may not slow kernels down"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mr", [4, 8, 32])
def test_every_type_is_packed_in_its_compute_type(dtype: str, mr: int) -> None:
    spec = spec_of("3x3", DTYPES[dtype], gradient=False)
    layout = layout_of(gather_of(spec))
    weight = normal_weights(LAYERS["3x3"][1], DTYPES[dtype])
    packing = WeightPacking(layout, ELEMENTS[dtype], Target.host(), mr, transposed=False)
    expected, is_real = ordered(layout, weight, mr, transposed=False)
    for way in WAYS:
        packed = packing.pack(lain(weight, way), 1)
        assert np.array_equal(packed[is_real], expected[is_real].astype(packed.dtype)), way


@pytest.mark.parametrize(
    ("layer", "way", "gradient", "side"),
    [
        ("1x1", "in order", False, "taps"),
        ("3x3", "in order", False, "taps"),
        ("groups", "in order", False, "taps"),
        ("3x3", "out channels together", False, "outs"),
        ("1x1", "in order", True, "outs"),
        ("3x3", "in order", True, "numbers"),
        ("1x1", "every second", False, "numbers"),
        ("3x3", "backwards", False, "numbers"),
        ("stride 2", "in order", True, "numbers"),
    ],
)
def test_what_lies_side_by_side_is_seen(layer: str, way: str, gradient: bool, side: WeightSide) -> None:
    spec = spec_of(layer, np.dtype(np.float32), gradient=gradient)
    weight = lain(normal_weights(LAYERS[layer][1], spec.dtype), way)
    places = WeightPlaces(
        layout_of(gather_of(spec)), [0] * len(gather_of(spec).taps_by_phase), (), {},
        transposed=spec.transposed,
    )  # fmt: skip
    assert places.side(weight) == side


def test_only_what_exists_is_read() -> None:
    """Whole vectors end where the array does: it lies beside memory that may not be touched."""
    for layer, mr, gradient in (("1x1", 64, False), ("3x3", 12, False), ("1x1", 96, True)):
        spec = spec_of(layer, np.dtype(np.float32), gradient=gradient)
        layout = layout_of(gather_of(spec))
        plain = normal_weights(LAYERS[layer][1], spec.dtype)
        guarded = Guarded()
        packing = WeightPacking(layout, ELEMENTS["float32"], Target.host(), mr, transposed=spec.transposed)
        expected, is_real = ordered(layout, plain, mr, transposed=spec.transposed)
        for at_end in (True, False):
            packed = packing.pack(guarded.array(plain, at_end=at_end), 1)
            assert np.array_equal(packed[is_real], expected[is_real])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gradient", [False, True], ids=["output", "input's gradient"])
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_weights(dtype: str, stride: int, *, gradient: bool) -> None:
    shape = (6, 1, 3, 3)
    spec = normalize_conv(
        (1, 6, 9, 9), shape, None, rank=2, dtype=DTYPES[dtype], groups=6, padding=1, stride=stride
    )[0]
    spec = grad_input_spec(spec) if gradient else spec
    layout = layout_of(gather_of(spec))
    weight = normal_weights(shape, DTYPES[dtype])
    expected, _ = ordered(layout, weight, 1, transposed=spec.transposed)
    for way in ("in order", "out channels together", "backwards"):
        packed = DepthwiseWeights(layout, ELEMENTS[dtype]).pack(lain(weight, way), 2)
        assert np.array_equal(packed, expected.astype(packed.dtype))
