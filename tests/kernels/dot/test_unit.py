"""Convolutions of bytes on a tile unit, the host's own or an emulated one: exact, whatever the cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from convforge import quantize_per_tensor, quint8, reference
from convforge.nn import quantized
from convforge.plan.dot import planner as dot_planner, unit as dot_tiles
from convforge.plan.dot.quantized import QuantizedProduct
from convforge.plan.dot.unit import DotTilesPlan
from convforge.plan.request import DotRequest
from convforge.plan.tile_unit import permission as amx
from convforge.problem import ConvSpec
from convforge.problem.quantization import Rescaling
from convforge.runtime import address_of
from convforge.schedule.tile_unit import tile_shapes
from convforge.target import Target
from support.convolutions import LAYOUTS, Case, cases, with_layout
from support.guarded import Guarded
from support.quantized import some_bytes, some_rescaling
from support.split_bf16 import CASES, spec_of
from support.tile_unit import TileUnit, tile_unit

Array = np.ndarray[Any, Any]
ZERO_PADDED = sorted(name for name, case in CASES.items() if "padding_mode" not in case)


def make(
    name: str, x_dtype: Any = np.uint8, y_dtype: Any = "uint8"
) -> tuple[ConvSpec, Array, Array, Rescaling]:
    spec, generator = spec_of(dtype=x_dtype, **CASES[name]), np.random.default_rng(7)
    x = some_bytes(generator, spec.input_shape, x_dtype)
    weight = some_bytes(generator, spec.weight_shape, np.int8)
    return spec, x, weight, some_rescaling(generator, spec, y_dtype)


def run(
    spec: ConvSpec,
    x: Array,
    weight: Array,
    rescaling: Rescaling,
    *,
    threads: int = 1,
    shape: tuple[int, int] | None = None,
    out: Array | None = None,
) -> Array:
    """One convolution on tiles."""
    out = np.full(spec.output_shape, 77, rescaling.y_dtype) if out is None else out
    request = DotRequest(spec, x.strides, out.strides, rescaling.y_dtype.name)  # type: ignore[arg-type]
    plan = DotTilesPlan(request, Target.host(), threads, shape)
    weights, scales = plan.weights.pack(weight), plan.weights.pack_scales(weight, rescaling)
    plan(address_of(x), address_of(weights), address_of(scales), address_of(out))
    return out


@pytest.mark.parametrize("y_dtype", ["uint8", "int8", "float32"])
@pytest.mark.parametrize("x_dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("name", CASES)
def test_against_the_oracle(name: str, x_dtype: Any, y_dtype: str, unit: TileUnit) -> None:
    spec, x, weight, rescaling = make(name, x_dtype, y_dtype)
    before = unit.products
    y = run(spec, x, weight, rescaling)
    np.testing.assert_array_equal(y, reference.quantized_output(spec, x, weight, rescaling))
    assert before is None or unit.products > before, "tiles were multiplied"
    assert not unit.configured, "every task releases its tiles"


@pytest.mark.parametrize("hidden", [("avx512f",), ("avx512f", "fma"), ("avx512f", "fma", "avx")])
@pytest.mark.parametrize("name", ["batch", "transposed, stride 2", "stride 2", "reflect"])
def test_vectors_of_every_width(name: str, hidden: tuple[str, ...]) -> None:
    with tile_unit(*hidden):
        spec, x, weight, rescaling = make(name, np.int8, "int8")
        y = run(spec, x, weight, rescaling)
    np.testing.assert_array_equal(y, reference.quantized_output(spec, x, weight, rescaling))


@pytest.mark.parametrize("channels", [1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 127, 129])
def test_input_channels_at_the_edges_of_words_and_tiles(channels: int, unit: TileUnit) -> None:
    generator = np.random.default_rng(channels)
    for outputs in (15, 33):
        spec = spec_of((1, channels, 5, 7), (outputs, channels, 3, 3), np.uint8, padding=1)
        x = some_bytes(generator, spec.input_shape, np.uint8)
        weight = some_bytes(generator, spec.weight_shape, np.int8)
        rescaling = some_rescaling(generator, spec, "uint8")
        expected = reference.quantized_output(spec, x, weight, rescaling)
        np.testing.assert_array_equal(run(spec, x, weight, rescaling), expected)


@pytest.mark.parametrize("outputs", [1, 15, 16, 17, 33, 49])
@pytest.mark.parametrize("width", [1, 15, 16, 17, 31, 33, 47, 48, 49])
def test_outputs_and_positions_at_the_edges_of_tiles(outputs: int, width: int, unit: TileUnit) -> None:
    generator = np.random.default_rng(width)
    for shape, kernel in (((1, 32, width), (outputs, 32, 1)), ((2, 32, 2, width), (outputs, 32, 1, 3))):
        spec = spec_of(shape, kernel, np.int8, padding=(0, 1)[-len(kernel) + 2 :])
        x = some_bytes(generator, spec.input_shape, np.int8)
        weight = some_bytes(generator, spec.weight_shape, np.int8)
        rescaling = some_rescaling(generator, spec, "int8")
        expected = reference.quantized_output(spec, x, weight, rescaling)
        np.testing.assert_array_equal(run(spec, x, weight, rescaling), expected)


@settings(max_examples=60)
@given(
    case=cases(batches=(1, 2)),
    x_dtype=st.sampled_from([np.uint8, np.int8]),
    y_dtype=st.sampled_from(["uint8", "int8", "float32"]),
    layout=st.sampled_from(LAYOUTS),
    threads=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_layers_of_every_kind(
    case: Case, x_dtype: Any, y_dtype: str, layout: str, threads: int, seed: int
) -> None:
    assume(not case.transposed or case.padding_mode == "zeros")
    spec, generator = case.spec(x_dtype), np.random.default_rng(seed)
    x = with_layout(some_bytes(generator, spec.input_shape, x_dtype), layout)
    weight = some_bytes(generator, spec.weight_shape, np.int8)
    rescaling = some_rescaling(generator, spec, y_dtype)
    with tile_unit():
        y = run(spec, x, weight, rescaling, threads=threads)
    np.testing.assert_array_equal(y, reference.quantized_output(spec, x, weight, rescaling))


@pytest.mark.parametrize("shape", tile_shapes())
@pytest.mark.parametrize("name", ["batch", "chains", "transposed, stride 2", "groups"])
def test_every_shape_of_tiles(name: str, shape: tuple[int, int], unit: TileUnit) -> None:
    spec, x, weight, rescaling = make(name)
    for threads in (1, 3):
        y = run(spec, x, weight, rescaling, shape=shape, threads=threads)
        np.testing.assert_array_equal(y, reference.quantized_output(spec, x, weight, rescaling))


@pytest.mark.parametrize("ends", ["all smallest", "all largest"])
@pytest.mark.parametrize("x_dtype", [np.uint8, np.int8])
def test_the_largest_sums_there_are(x_dtype: Any, ends: str, unit: TileUnit) -> None:
    info = np.iinfo(x_dtype)
    spec = spec_of((1, 130, 4, 19), (5, 130, 3, 3), x_dtype, padding=1)
    x = np.full(spec.input_shape, info.max if ends == "all largest" else info.min, x_dtype)
    weight = np.full(spec.weight_shape, 127 if ends == "all largest" else -128, np.int8)
    for x_zero in (info.min, info.max):
        rescaling = Rescaling.of(
            x_scale=1.0, x_zero=x_zero, weight_scales=np.ones(5), bias=None, relu=False,
            y_dtype=np.dtype(np.float32),
        )  # fmt: skip
        expected = reference.quantized_output(spec, x, weight, rescaling)
        np.testing.assert_array_equal(run(spec, x, weight, rescaling), expected)


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_arrays_is_touched(name: str, at_end: bool, unit: TileUnit) -> None:
    spec, *arrays, rescaling = make(name)
    guarded = Guarded()
    x, weight = (guarded.array(array, at_end=at_end) for array in arrays)
    out = guarded.array(np.full(spec.output_shape, 77, np.uint8), at_end=at_end)
    run(spec, x, weight, rescaling, out=out)
    np.testing.assert_array_equal(out, reference.quantized_output(spec, *arrays, rescaling))


def test_gaps_of_the_output_are_not_written(unit: TileUnit) -> None:
    spec, x, weight, rescaling = make("transposed, stride 2")
    held = np.full([2 * n + 1 for n in spec.output_shape], 77, np.uint8)
    out = held[tuple(slice(1, None, 2) for _ in spec.output_shape)]
    expected = reference.quantized_output(spec, x, weight, rescaling)
    np.testing.assert_array_equal(run(spec, x, weight, rescaling, out=out), expected)
    out[...] = 77
    assert (held == 77).all()


def request_of(channels: int) -> DotRequest:
    spec = spec_of((1, channels, 28, 28), (64, channels, 3, 3), np.uint8, padding=1)
    strides = (784 * channels, 784, 28, 1)
    return DotRequest(spec, strides, (64 * 784, 784, 28, 1), "uint8")


def test_it_is_taken_where_it_is_cheaper() -> None:
    with tile_unit() as unit:
        assert isinstance(dot_planner.dot_plan(request_of(64)), DotTilesPlan)
        assert not isinstance(dot_planner.dot_plan(request_of(31)), DotTilesPlan)
        assert dot_tiles.why_illegal(request_of(31), unit.target) == (
            "31 input channels a group fill less than half of a tile: 32 do"
        )
        # Of few products vectors may cost less, by the caches of the processor that runs the test.
        spec, generator = request_of(64).spec, np.random.default_rng(7)
        x = some_bytes(generator, spec.input_shape, np.uint8)
        weight = some_bytes(generator, spec.weight_shape, np.int8)
        rescaling = some_rescaling(generator, spec, "uint8")
        product, before = QuantizedProduct(weight, rescaling), unit.products
        y = product(spec, x)
        np.testing.assert_array_equal(y, reference.quantized_output(spec, x, weight, rescaling))
        assert before is None or unit.products > before


def test_without_the_unit_vectors_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    with tile_unit("amx-int8") as unit:
        assert dot_tiles.why_illegal(request_of(64), unit.target) == "the processor has no amx-int8"
        assert not isinstance(dot_planner.dot_plan(request_of(64)), DotTilesPlan)
    with tile_unit() as unit:
        monkeypatch.setattr(amx, "why_tiles_refused", lambda: "the system refuses tiles to this process")
        dot_planner._dot_plan.cache_clear()
        assert "refuses tiles" in str(dot_tiles.why_illegal(request_of(64), unit.target))
        spec, x, weight, rescaling = make("batch")
        before = unit.products
        y = QuantizedProduct(weight, rescaling)(spec, x)
        np.testing.assert_array_equal(y, reference.quantized_output(spec, x, weight, rescaling))
        assert unit.products == before
    dot_planner._dot_plan.cache_clear()


def test_a_unit_that_computes_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    amx._why_wrong.cache_clear()
    with tile_unit() as unit:
        shapes = amx.tile_shapes_bytes
        monkeypatch.setattr(amx, "tile_shapes_bytes", lambda _: shapes([(8, 64), (8, 64), (16, 64)]))
        found = dot_tiles.why_illegal(request_of(64), unit.target)
        assert found == "the tile unit got 128 of 256 sums of a known product wrong"
    amx._why_wrong.cache_clear()


def test_long_signals_of_any_length_share_their_code(unit: TileUnit) -> None:
    kernels = set()
    for length in range(1025, 2000, 111):
        spec = spec_of((1, 32, length), (32, 32, 3), np.uint8, padding=1)
        request = DotRequest(spec, (32 * length, length, 1), (32 * length, length, 1), "uint8")
        kernels.add(repr(DotTilesPlan(request, unit.target, 1).kernel))
    assert len(kernels) == 1


def test_workspaces_are_bounded(unit: TileUnit) -> None:
    for channels, side in ((512, 64), (64, 512)):
        spec = spec_of((1, channels, side, side), (channels, channels, 3, 3), np.uint8, padding=1)
        strides = (channels * side * side, side * side, side, 1)
        request = DotRequest(spec, strides, strides, "uint8")
        assert DotTilesPlan(request, unit.target, 2).workspace_bytes <= 16 << 20


def test_a_layer_says_which_family_serves_it() -> None:
    layer = quantized.Conv2d(64, 16, 3, padding=1)
    x = quantize_per_tensor(np.zeros((1, 64, 9, 9), np.float32), 0.1, 3, quint8)
    with tile_unit():
        told = layer.explain_plan(x)
        assert (told.family, told.verdicts[-1].family) == ("dot tiles", "dot")
        assert told.kernel.startswith("dot tiles")
        assert str(told.schedule).startswith("TileUnitSchedule")
    with tile_unit("amx-int8"):
        told = layer.explain_plan(x, measure=True)
        assert told.family == "dot"
        assert told.verdicts[-1].reason == "the processor has no amx-int8"
        assert told.measured_s is not None
        assert "chosen" in str(told)
    empty = quantize_per_tensor(np.zeros((0, 64, 9, 9), np.float32), 0.1, 3, quint8)
    assert layer.explain_plan(empty).kernel == "nothing to compute: an array is empty"
    with pytest.raises(RuntimeError, match="channels"):
        layer.explain_plan(quantize_per_tensor(np.zeros((1, 3, 9, 9), np.float32), 0.1, 3, quint8))
