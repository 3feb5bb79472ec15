"""Pairs of bf16 numbers in vectors, by the processor's instruction or spelt out: the machine code that LLVM
made, against the oracle at the edges of tiles.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge import plan, reference, runtime
from convforge.plan import weight_places
from convforge.plan.describe import plan_of
from convforge.plan.direct import gather as direct
from convforge.plan.pairs import channels as channels_pairs, gather as pairs
from convforge.plan.weight_places import WeightPlaces
from convforge.target import Target
from support.convolutions import LAYOUTS, Case, cases, numpy_dtype
from support.families import costing
from support.guarded import Guarded, GuardedScratch
from support.pairs import FAMILIES, SPELT_OUT, computes_again, served_by
from support.split_bf16 import CASES, RNG, error, exact, make, plan_request, poisoned, spec_of
from support.targets import masked
from support.tolerance import assert_close

Array = Any
BF16 = np.dtype(ml_dtypes.bfloat16)
# Inputs and weights are rounded to 8 bits each: 1.7e-3 of long sums, more of short ones.
ROUNDING = 3e-3
# Words of channels serve no lone one, and the small-map kernel no output channels that fill no vector.
ONE_CHANNEL, FEW_OUTPUTS = "sound", ("uneven stride", "strided volume")
SERVED = [
    (name, family)
    for family in FAMILIES
    for name in CASES
    if family is pairs or name not in (ONE_CHANNEL, *FEW_OUTPUTS)
]


def of_bf16(array: Array) -> Array:
    """The nearest bfloat16 numbers, as float32."""
    return array.astype(BF16).astype(np.float32)


@pytest.mark.parametrize("mask", ["host", "avx2"])
@pytest.mark.parametrize(("name", "family"), SERVED)
def test_against_the_oracle(name: str, mask: str, family: ModuleType) -> None:
    """With numbers that are bf16 already there is but fp32's own rounding."""
    spec, x, weight, bias = make(name)
    with served_by(family, mask):
        assert plan_of(spec, precision="medium").describe().startswith("bf16 ")
        y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision="medium")
        assert 1e-4 < error(y, spec, x, weight, bias) < ROUNDING
        x, weight = of_bf16(x), of_bf16(weight)
        y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision="medium")
    assert error(y, spec, x, weight, bias) < 5e-7


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("channels", [2, 3, 4, 5, 31, 32, 33])
@pytest.mark.parametrize("outputs", [16, 17, 31, 33])
def test_channels_at_the_edges_of_tiles(outputs: int, channels: int, family: ModuleType) -> None:
    for width in (1, 15, 16, 17, 33):
        spec = spec_of((2, channels, 2, width), (outputs, channels, 1, 3), padding=(0, 1))
        x, weight = (
            of_bf16(RNG.standard_normal(s).astype(np.float32)) for s in (spec.input_shape, spec.weight_shape)
        )
        with served_by(family):
            assert plan_of(spec, precision="medium").describe().startswith("bf16 ")
            y = plan.output(spec, x, weight, out=poisoned(spec), precision="medium")
        assert error(y, spec, x, weight) < 5e-7


@st.composite
def paired_cases(draw: st.DrawFn) -> Case:
    """Layers of all ranks, strides, paddings and modes, with channels enough for both families."""
    case = draw(cases(batches=(1, 2, 3)))
    groups = min(case.groups, 2)
    inputs, outputs = draw(st.sampled_from((2, 3, 8, 17))), draw(st.sampled_from((1, 9, 16, 17, 33)))
    channels = (groups * inputs, outputs) if case.transposed else (groups * outputs, inputs)
    return replace(
        case,
        groups=groups,
        input_shape=(case.input_shape[0], groups * inputs, *case.input_shape[2:]),
        weight_shape=(*channels, *case.weight_shape[2:]),
    )


@settings(max_examples=60)
@given(
    case=paired_cases(),
    dtype=st.sampled_from(["float32", "bfloat16"]),
    layout=st.sampled_from(LAYOUTS),
    family=st.sampled_from(FAMILIES),
    mask=st.sampled_from(["host", *SPELT_OUT]),
)
def test_layers_of_every_kind(case: Case, dtype: str, layout: str, family: ModuleType, mask: str) -> None:
    spec = case.spec(numpy_dtype(dtype))
    x, weight, bias = case.arrays("bfloat16", 0, layout)
    x, weight = x.astype(spec.dtype), weight.astype(spec.dtype)
    bias = None if bias is None else bias.astype(spec.dtype)
    with served_by(family, mask):
        y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision="medium")
    wide = [None if a is None else a.astype(np.float64) for a in (x, weight, bias)]
    sizes = [None if a is None else np.abs(a) for a in wide]
    double = replace(spec, dtype=np.dtype(np.float64))
    length = spec.in_channels // spec.groups * int(np.prod(spec.kernel_size))
    assert_close(y, reference.output(double, *wide), reference.output(double, *sizes), length)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["batch", "stride 2", "groups", "transposed, stride 2", "volume"])
def test_bfloat16_arrays(name: str, family: ModuleType) -> None:
    spec, x, weight, bias = make(name, BF16)
    with served_by(family):
        assert plan_of(spec).describe().startswith("bf16 ")
        y = plan.output(spec, x, weight, bias, out=poisoned(spec))
    # Products are exact; what is left is one rounding to bfloat16.
    np.testing.assert_allclose(y.astype(np.float64), exact(spec, x, weight, bias), rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["batch", "stride 2", "transposed, stride 2", "groups", "dilated"])
def test_the_input_gradient(name: str, family: ModuleType) -> None:
    spec, _, weight, _ = make(name)
    gradient = RNG.standard_normal(spec.output_shape).astype(np.float32)
    with served_by(family):
        found = plan.grad_input(spec, gradient, weight, precision="medium")
    wide = replace(spec, dtype=np.dtype(np.float64))
    expected = reference.grad_input(wide, gradient.astype(np.float64), weight.astype(np.float64))
    assert 1e-4 < np.linalg.norm(found - expected) / np.linalg.norm(expected) < ROUNDING


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, 1e20, 1e-20, 1e-35, 1e-42])
@pytest.mark.parametrize("where", ["input", "weight", "bias"])
@pytest.mark.parametrize("name", ["batch", "stride 2", "pointwise"])
def test_hard_values_come_out_as_of_a_plain_convolution(
    name: str, where: str, value: float, family: ModuleType
) -> None:
    """The image that has one is computed as if alone by a family that takes all values; others are not."""
    spec, x, weight, bias = make(name)
    ({"input": x, "weight": weight, "bias": bias}[where]).flat[7] = value
    with np.errstate(all="ignore"), served_by(family):
        y = plan.output(spec, x, weight, bias, out=poisoned(spec), precision="medium")
        with costing(family, float("inf")):
            plain = plan.output(spec, x, weight, bias)
    if where == "bias":
        np.testing.assert_allclose(y, plain, rtol=1e-2, atol=0.2)
        return
    hit = slice(0, 1) if where == "input" else slice(None)
    np.testing.assert_array_equal(y[hit], plain[hit])
    if where == "input" and spec.batch > 1:
        assert (y[1:] != plain[1:]).any()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [np.float32, BF16])
@pytest.mark.parametrize("value", [np.inf, np.nan, 1e20, 1e-20, 1e-40])
@pytest.mark.parametrize("place", [(0, 0, 0), (36, 0, 1), (5, 30, 29), (36, 29, 30), (35, 30, 30)])
def test_hard_values_are_seen_in_words_made_from_the_input(
    place: tuple[int, int, int],
    value: float,
    dtype: Any,
    family: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 37 channels of 31 x 31: in whole vectors and behind the last, in the channel without a partner."""
    spec = spec_of((2, 37, 31, 31), (40, 37, 1, 1), dtype)
    x, weight = (RNG.standard_normal(s).astype(dtype) for s in (spec.input_shape, spec.weight_shape))
    with served_by(family), costing(direct, 0.0):
        assert plan_of(spec, precision="medium").describe().startswith("bf16 ")
        again = computes_again(monkeypatch)
        plan.output(spec, x, weight, out=poisoned(spec), precision="medium")
        assert not again
        x[1, *place] = value
        with np.errstate(all="ignore"):
            y = plan.output(spec, x, weight, out=poisoned(spec), precision="medium")
        assert again
    with costing(direct, -1.0):
        plain = plan.output(spec, x, weight)
    np.testing.assert_array_equal(y[1].astype(np.float32), plain[1].astype(np.float32))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", "hardswish"])
def test_activations(activation: Any, family: ModuleType) -> None:
    spec, x, weight, bias = make("batch")
    with served_by(family):
        y = plan.output(spec, x, weight, bias, activation=activation, precision="medium")
        plain = plan.output(spec, x, weight, bias, precision="medium")
    with costing(family, float("inf")):
        identity = spec_of(spec.output_shape, (spec.out_channels, spec.out_channels, 1, 1))
        eye = np.eye(spec.out_channels, dtype=np.float32)[:, :, None, None]
        expected = plan.output(identity, plain, eye, activation=activation)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["batch", "stride 2", "windows", "transposed, stride 2", "signal"])
def test_the_same_bits_whatever_threads_batch_and_layout(name: str, family: ModuleType) -> None:
    spec, x, weight, bias = make(name)
    with served_by(family):
        y = plan.output(spec, x, weight, bias, precision="medium")
        last = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
        np.testing.assert_array_equal(plan.output(spec, last, weight, bias, precision="medium"), y)
        one = replace(spec, batch=1)
        for image in range(spec.batch):
            alone = plan.output(one, x[image : image + 1].copy(), weight, bias, precision="medium")
            np.testing.assert_array_equal(alone[0], y[image])
        before = runtime.get_num_threads()
        try:
            runtime.set_num_threads(1 if before > 1 else 2)
            np.testing.assert_array_equal(plan.output(spec, x, weight, bias, precision="medium"), y)
        finally:
            runtime.set_num_threads(before)


@pytest.mark.parametrize("mask", ["host", "avx2"])
@pytest.mark.parametrize("name", ["batch", "dilated", "groups", "transposed, stride 2", "signal", "volume"])
def test_words_packed_as_they_are_give_the_same_bits(
    name: str, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the padding around them, by tiles that meet the same data."""
    spec, x, weight, bias = make(name)
    outputs: list[Array] = []
    for reading in ("packed", "compact"):
        monkeypatch.setattr(channels_pairs, "_reading", lambda *_, reading=reading: reading)
        with served_by(channels_pairs, mask):
            assert plan_of(spec, precision="medium").describe().startswith("bf16 channels")
            outputs.append(plan.output(spec, x, weight, bias, out=poisoned(spec), precision="medium"))
    np.testing.assert_array_equal(outputs[0], outputs[1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("channels", [2, 5])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_weights_of_no_stride(axis: int, channels: int, family: ModuleType) -> None:
    """One number stands for all along an axis, as in expanded tensors."""
    spec = spec_of((2, channels, 6, 9), (33, channels, 3, 3), padding=1)
    x = of_bf16(RNG.standard_normal(spec.input_shape).astype(np.float32))
    shape = [1 if i == axis else size for i, size in enumerate(spec.weight_shape)]
    one = of_bf16(RNG.standard_normal(shape).astype(np.float32))
    weight = np.broadcast_to(one, spec.weight_shape)
    assert weight.strides[axis] == 0
    with served_by(family):
        y = plan.output(spec, x, weight, out=poisoned(spec), precision="medium")
    assert error(y, spec, x, weight) < 5e-7


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_that_reach_far_are_copied(family: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, x, weight, bias = make("batch")
    turned = np.ascontiguousarray(weight.T).T
    with served_by(family):
        expected = plan.output(spec, x, weight, bias, precision="medium")
        np.testing.assert_array_equal(plan.output(spec, x, turned, bias, precision="medium"), expected)
        # As if 32 bits were fewer.
        contiguous = _seen_by_places(monkeypatch)
        monkeypatch.setattr(weight_places, "FAR", 2)
        np.testing.assert_array_equal(plan.output(spec, x, turned, bias, precision="medium"), expected)
    assert contiguous == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="guard pages are made with Linux's mprotect")
@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, BF16])
@pytest.mark.parametrize(("name", "family"), SERVED)
def test_nothing_outside_the_arrays_is_touched(
    name: str, dtype: Any, at_end: bool, family: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scratch is full of NaN at first: what was never written must not be taken for values."""
    spec, *arrays = make(name, dtype)
    guarded = Guarded()
    monkeypatch.setattr(runtime, "scratch", GuardedScratch())
    x, weight, bias = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(np.full(spec.output_shape, np.nan, dtype), at_end=at_end)
    with served_by(family):
        computed = plan_of(spec, precision="medium").describe()
        again = computes_again(monkeypatch)
        plan.output(spec, x, weight, bias, out=out, precision="medium")
    assert computed.startswith("bf16 ")
    assert not again
    assert error(out, spec, x, weight, bias) < 5e-3


def test_what_cannot_be_served_says_why() -> None:
    spec = make("batch")[0]
    with masked("avx2"):
        assert "avx512bf16" in str(pairs.why_illegal(plan_request(spec, "medium"), Target.host()))
    with served_by(pairs):
        reasons = {
            "more than one bf16 part": plan_request(spec, "high"),
            "not exact": replace(plan_request(spec, "medium"), plain=True),
            "half of each pair": plan_request(spec_of((1, 1, 9, 9), (16, 1, 3, 1)), "medium"),
            "neither float32": plan_request(replace(spec, dtype=np.dtype(np.float64)), "medium"),
        }
        for reason, request in reasons.items():
            assert reason in str(pairs.why_illegal(request, Target.host()))


def _seen_by_places(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each array of weights that is packed from now on is contiguous."""
    found: list[bool] = []
    original = WeightPlaces.parameters

    def parameters(self: WeightPlaces, weight: Array) -> Array:
        found.append(weight.flags.c_contiguous)
        return original(self, weight)

    monkeypatch.setattr(WeightPlaces, "parameters", parameters)
    return found
