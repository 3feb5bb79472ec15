"""Arrays that begin on a line of the cache: outputs, and gradients that are taken over as they are."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import convforge
import convforge.nn.functional as F
from convforge import memory, runtime
from convforge.memory import on_lines, release_memory


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


# Floats of an array whose memory is kept when it is freed.
_LARGE = (9 << 20,)


def test_the_memory_of_a_large_array_is_given_again_once_nobody_holds_it() -> None:
    array = on_lines(_LARGE, np.float32)
    address = runtime.address_of(array)
    view = array[5:]
    del array
    other = on_lines(_LARGE, np.float32)
    assert runtime.address_of(other) != address, "a view is still held"
    assert not memory.is_shared(other)
    assert memory.base_of(other) is None
    del view
    assert runtime.address_of(on_lines(_LARGE, np.float32)) == address


def test_arrays_of_other_sizes_get_memory_of_their_own() -> None:
    release_memory()
    addresses = []
    for size in (9, 18, 9):
        array = on_lines((size << 20,), np.int32)
        addresses.append(runtime.address_of(array))
        array[...] = size
        assert (array == size).all()
    assert addresses[0] == addresses[2] != addresses[1]


def test_kept_memory_has_a_limit_and_is_given_back() -> None:
    kept = memory._Kept(100 << 20)
    for _ in range(5):
        assert kept.take(40 << 20) is not None
    assert [pages.size for pages in kept._pages] == [40 << 20], "one after the other, in the same pages"
    held = [kept.take(40 << 20) for _ in range(5)]
    assert len({pages.ctypes.data for pages in held if pages is not None}) == 5
    assert sum(pages.size for pages in kept._pages) <= 100 << 20
    assert kept.take(101 << 20) is None
    kept.release()
    assert not kept._pages


def test_who_finds_another_thread_looking_for_memory_does_without() -> None:
    kept = memory._Kept(100 << 20)
    with kept._lock:
        assert kept.take(40 << 20) is None


def test_a_large_output_survives_the_next_one() -> None:
    x, weight = convforge.randn(1, 1, 3000, 3000), convforge.ones(1, 1, 1, 1)
    first, second = F.conv2d(x, weight), F.conv2d(2 * x, weight)
    assert convforge.equal(first, x)
    assert convforge.equal(second, 2 * x)
    release_memory()
    assert convforge.equal(first, x)
