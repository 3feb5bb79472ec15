"""What the random functions refuse, and how they say it."""

from __future__ import annotations

import numpy as np
import pytest

from convforge.autograd import random
from convforge.autograd.random import Generator

single = np.empty(4, np.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: random.uniform_(single, 2, 1), RuntimeError, r"from=2 > to=1"),
        (lambda: random.uniform_(single, 0, 1e39), RuntimeError, r"to is out of bounds"),
        (lambda: random.uniform_(single, -3e38, 3e38), RuntimeError, r"to-from"),
        (lambda: random.uniform_(single, float("nan"), 1), RuntimeError, r"from is out of bounds"),
        (lambda: random.uniform_(np.empty(3, int)), NotImplementedError, r"check_uniform_bounds"),
        (lambda: random.normal_(single, 0, -1), RuntimeError, r"std >= 0.0, but found std -1"),
        (lambda: random.normal_(single, 0, float("nan")), RuntimeError, r"std >= 0.0"),
        (lambda: random.normal_(np.empty(3, int)), NotImplementedError, r"normal_kernel_cpu"),
        (lambda: random.bernoulli_(single, 1.5), RuntimeError, r"\[0, 1\], but got p=1.5"),
        (lambda: random.bernoulli_(single, np.array([2.0])), RuntimeError, r"every p"),
        (lambda: random.bernoulli_(single, np.array([1])), NotImplementedError, r"bernoulli_tensor_cpu_p_"),
        (lambda: random.bernoulli_(np.empty(3, complex)), NotImplementedError, r"bernoulli_scalar_cpu_"),
        (lambda: random.random_(single, 5, 5), RuntimeError, r"from=5 >= to=5"),
        (lambda: random.random_(np.empty(3, np.int8), 0, 300), RuntimeError, r"to - 1 \(=299\)"),
        (lambda: random.random_(np.empty(3, np.uint8), -1, 3), RuntimeError, r"from \(=-1\)"),
        (lambda: random.random_(np.empty(3, np.int32), 0, 2**63), ValueError, r"Overflow"),
        (lambda: random.random_(np.empty(3, complex)), NotImplementedError, r"random_kernel_cpu"),
        (lambda: random.random_(np.empty(3, np.int32), -(2**63)), RuntimeError, r"full_64_bits"),
        (lambda: random.randperm(-1), RuntimeError, r"negative dimension -1"),
        (lambda: random.randperm(3000, dtype=np.float16), RuntimeError, r"greater than 2049"),
        (lambda: random.exponential_(single, 0), RuntimeError, r"lambda=0"),
        (lambda: random.cauchy_(single, 0, -1), RuntimeError, r"sigma=-1"),
        (lambda: random.log_normal_(single, 0, 0), RuntimeError, r"std=0"),
        (lambda: random.geometric_(single, 1), RuntimeError, r"p=1"),
        (lambda: random.exponential_(np.empty(3, int)), RuntimeError, r"floating"),
        (lambda: random.uniform_(np.broadcast_to(single, (2, 4))), RuntimeError, r"single\s+memory location"),
        (lambda: Generator("meta"), RuntimeError, r"device \(=meta\) must be cpu"),
        (lambda: Generator().manual_seed(1.5), RuntimeError, r"expected a long, but got float"),
        (lambda: Generator().manual_seed(2**64), ValueError, r"Overflow.*use seed % 2\*\*64 \(=0\)"),
        (lambda: random.manual_seed("a"), ValueError, r"invalid literal"),
        (lambda: Generator().set_state(np.zeros(5, np.uint8)), RuntimeError, r"size 5056 .* 5:"),
        (lambda: Generator().set_state(np.zeros(5056, np.uint8)), RuntimeError, r"Invalid mt19937 state"),
        (lambda: Generator().set_state(np.zeros(5056)), TypeError, r"ByteTensor"),
    ],
)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_read_only_memory_is_refused():
    array = np.zeros(3)
    array.setflags(write=False)
    with pytest.raises(RuntimeError, match="read-only"):
        random.normal_(array)


def test_integers_that_a_float_cannot_hold_are_warned_of():
    with pytest.warns(UserWarning, match=r"to - 1 is out of bounds \[-\(2\^24\), 2\^24\]"):
        random.random_(single, 0, 2**24 + 10)


def test_a_refusal_draws_nothing():
    stream = Generator().manual_seed(1)
    before = stream.state_bytes()
    with pytest.raises(RuntimeError):
        random.normal_(single, 0, -1, stream)
    random.uniform_(np.empty((0, 3)), 0, 1, stream)
    assert np.array_equal(stream.state_bytes(), before)
