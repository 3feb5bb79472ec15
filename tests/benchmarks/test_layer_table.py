"""The table's arithmetic, and that each library is asked for the same layer."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.arrays import layer_spec, relative_error, round_to
from benchmarks.layer_table import TABLES, load_layers, make_arrays

LAYERS = load_layers()
ALL = [layer for table in TABLES for layer in load_layers(table=table)]


def test_labels_tell_layers_apart():
    assert len(LAYERS) == 63
    assert len({layer.label for layer in ALL}) == len(ALL)


@pytest.mark.parametrize("layer", ALL, ids=lambda layer: layer.label)
def test_sizes_are_the_planners(layer):
    spec = layer_spec(layer, 2, np.dtype(np.float32))
    assert spec.input_shape == layer.input_shape(2)
    assert spec.weight_shape == layer.weight_shape
    assert spec.output_shape == layer.output_shape(2)


def test_flops_by_counting_products():
    layer = next(layer for layer in LAYERS if layer.label == "mobilenet_v2 dw3x3_c144_h56_s2")
    assert layer.flops(1) == 2 * 144 * 28 * 28 * 9
    layer = next(layer for layer in LAYERS if layer.label == "dcgan g2_512_256")
    assert layer.flops(3) == 3 * 2 * 512 * 4 * 4 * 256 * 4 * 4


def test_flops_are_pytorchs_count():
    torch = pytest.importorskip("torch")
    counter = pytest.importorskip("torch.utils.flop_counter")
    for layer in LAYERS:
        if layer.transposed:
            continue  # PyTorch's counter counts these by their output: known to be wrong
        module = getattr(torch.nn, layer.module_name())(**layer.arguments(), bias=False, device="meta")
        with counter.FlopCounterMode(display=False) as count:
            module(torch.empty(layer.input_shape(1), device="meta"))
        assert count.get_total_flops() == layer.flops(1), layer.label


def test_filter():
    assert {layer.net for layer in load_layers("alexnet, tcn")} == {"alexnet", "tcn"}
    with pytest.raises(SystemExit, match="matches no layer; nets: resnet50"):
        load_layers("nothing")


def test_arrays_are_the_same_in_every_run():
    layer = LAYERS[2]
    for one, other in zip(make_arrays(layer, 1), make_arrays(layer, 1), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(make_arrays(layer, 1)[1], make_arrays(LAYERS[4], 1)[1])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_rounded_arrays_survive_the_cast(dtype):
    import ml_dtypes

    narrow = np.dtype(getattr(ml_dtypes, dtype, dtype))
    array = round_to(np.random.default_rng(0).random(100, np.float32), dtype)
    np.testing.assert_array_equal(array.astype(narrow).astype(np.float32), array)


def test_relative_error():
    assert relative_error(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == pytest.approx(0.1)
    assert relative_error(np.ones(2), np.ones(3)) == float("inf")
    assert relative_error(np.array([np.nan]), np.ones(1)) == float("inf")
