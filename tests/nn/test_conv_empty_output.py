"""Transposed convolutions whose padding takes off all that was written: an empty output, and zero gradients.

PyTorch lets an output of size 0 through for an empty batch in every dtype, for bfloat16, and in float32 and
complex64 for groups or a batch of two and more; here it goes through always.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.beside_torch import our_functional, ours, torch

CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 2, 1), (2, 3, 2), {"padding": 1}),
    ((2, 2, 1, 3), (2, 3, 2, 3), {"padding": (1, 0)}),
    ((2, 2, 3, 1), (2, 2, 3, 2), {"padding": (0, 1), "groups": 2}),
    ((1, 2, 2, 2), (2, 2, 2, 2), {"padding": 2, "stride": 2, "groups": 2}),
    ((2, 2, 1, 3, 3), (2, 2, 2, 3, 3), {"padding": (1, 0, 0)}),
    ((0, 2, 1, 3), (2, 3, 2, 3), {"padding": (1, 0)}),
]


def _outcome(root: Any, functional: Any, x_shape: Any, w_shape: Any, arguments: dict[str, Any]) -> list[Any]:
    x, weight = (root.ones(shape).requires_grad_() for shape in (x_shape, w_shape))
    bias = root.ones(w_shape[1] * arguments.get("groups", 1)).requires_grad_()
    name = f"conv_transpose{len(x_shape) - 2}d"
    y = getattr(functional, name)(x, weight, bias, **arguments)
    y.sum().backward()
    return [tuple(y.shape), *(each.grad.tolist() for each in (x, weight, bias))]


@pytest.mark.parametrize(("x_shape", "w_shape", "arguments"), CASES)
def test_output_and_gradients(x_shape: Any, w_shape: Any, arguments: dict[str, Any]) -> None:
    found = _outcome(ours, our_functional, x_shape, w_shape, arguments)
    assert 0 in found[0]
    for grad, shape in zip(found[1:], (x_shape, w_shape), strict=False):
        assert grad == np.zeros(shape).tolist()
    if torch is not None:
        assert found == _outcome(torch, torch.nn.functional, x_shape, w_shape, arguments)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int64", "complex64"])
def test_every_element_type_and_no_batch(dtype: str) -> None:
    x, weight = ours.ones(2, 1, 3).to(getattr(ours, dtype)), ours.ones(2, 3, 2, 3).to(getattr(ours, dtype))
    y = our_functional.conv_transpose2d(x, weight, padding=(1, 0))
    assert tuple(y.shape) == (3, 0, 5)
    assert str(y.dtype) == f"torch.{dtype}"


def test_below_zero_is_no_size() -> None:
    for batch in (0, 1, 2):
        with pytest.raises(RuntimeError, match="Output size is too small"):
            our_functional.conv_transpose1d(ours.ones(batch, 2, 1), ours.ones(2, 3, 1), padding=1)
