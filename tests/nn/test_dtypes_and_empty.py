"""Inputs at the edge: integers where floats are needed, parameters of another dtype, batches of nothing."""

import numpy as np
import pytest

import convforge
from convforge import nn
from convforge.nn import functional as F

FLOATS_ONLY = [
    nn.LeakyReLU(), nn.SiLU(), nn.Hardswish(), nn.GELU(), nn.ELU(), nn.Mish(), nn.AdaptiveAvgPool2d((2, 3)),
    nn.AdaptiveMaxPool2d((2, 3)), nn.BatchNorm2d(3), nn.RMSNorm(8), nn.LayerNorm(8, elementwise_affine=False),
    nn.GroupNorm(3, 3, affine=False),
]  # fmt: skip


@pytest.mark.parametrize("layer", FLOATS_ONLY, ids=repr)
def test_integers_are_refused(layer):
    with pytest.raises(NotImplementedError, match="not implemented for"):
        layer(convforge.ones(2, 3, 6, 8, dtype=convforge.int64))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.LayerNorm(8), "all inputs must share same datatype"),
        (nn.GroupNorm(3, 3), "all inputs must share same datatype"),
        (nn.PReLU(3), "Type promoting not supported"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [convforge.float64, convforge.int64])
def test_parameters_of_another_dtype_are_refused(layer, words, dtype):
    with pytest.raises(RuntimeError, match=words):
        layer(convforge.ones(2, 3, 6, 8, dtype=dtype))


@pytest.mark.parametrize("reduction", ["sum", "none", "mean"])
def test_cross_entropy_of_nothing(reduction):
    logits = convforge.zeros(0, 4, requires_grad=True)
    loss = F.cross_entropy(logits, convforge.zeros(0, dtype=convforge.int64), reduction=reduction)
    assert loss.shape == ((0,) if reduction == "none" else ())
    if reduction != "none":
        assert np.isnan(loss.item()) == (reduction == "mean")
    loss.sum().backward()
    assert logits.grad.shape == (0, 4)


def test_adaptive_maxima_of_nothing():
    values, positions = F.adaptive_max_pool2d(convforge.zeros(0, 3, 6, 8), 2, return_indices=True)
    assert values.shape == positions.shape == (0, 3, 2, 2)


def test_batch_norm_of_nothing_is_on_the_tape():
    layer = nn.BatchNorm2d(3)
    layer(convforge.zeros(0, 3, 6, 8)).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.zeros(3))


@pytest.mark.parametrize("dims", [2, 5])
def test_circular_padding_of_other_ranks(dims):
    with pytest.raises(ValueError, match=rf"expected 3D or 4D input \(got {dims}D input\)"):
        nn.CircularPad2d(2)(convforge.zeros(*[4] * dims))
