"""Arrays that begin on a line of the cache: outputs, and gradients that are taken over as they are."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import convforge
import convforge.nn.functional as F
from convforge import runtime
from convforge.memory import on_lines


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, np.complex64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5, 7), (3, 1000, 11)])
def test_they_do_and_are_whole(shape: tuple[int, ...], dtype: Any) -> None:
    array = on_lines(shape, dtype)
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert runtime.address_of(array) % 64 == 0
    array[...] = 1
    assert (array == 1).all()


def test_a_large_output_begins_on_one_and_is_a_tensor_of_its_own() -> None:
    x, weight = convforge.randn(1, 3, 80, 90), convforge.randn(4, 3, 3, 3)
    y = F.conv2d(x, weight)
    assert y.data_ptr() % 64 == 0
    assert y.storage_offset() == 0


def test_a_gradient_on_lines_is_taken_over() -> None:
    x = convforge.randn(1, 3, 80, 90, requires_grad=True)
    F.conv2d(x, convforge.randn(4, 3, 3, 3)).sum().backward()
    assert x.grad is not None
    assert x.grad.data_ptr() % 64 == 0, "NumPy's copy begins behind a line"


def test_a_gradient_in_memory_of_somebody_else_is_copied() -> None:
    held = np.ones((40, 50), np.float32)
    x = convforge.zeros(40, 50, requires_grad=True)
    x.backward(convforge.from_numpy(np.frombuffer(held.data, np.float32).reshape(held.shape)))
    assert x.grad is not None
    x.grad.zero_()
    assert (held == 1).all()
