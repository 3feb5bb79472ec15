"""The same draws from the same seed as PyTorch, and the same state afterwards."""

from __future__ import annotations

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convforge.autograd import random
from convforge.autograd.generator import STATE_LAYOUT, Generator

torch = pytest.importorskip("torch", reason="compares with PyTorch; test_stream needs it not")

FLOATS = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
INTEGERS = {name: np.dtype(name) for name in ("bool", "uint8", "int8", "int16", "int32", "int64")}
ALL = {**FLOATS, **INTEGERS}
# One rounding of the type, and what float32 sines and logarithms of two libraries differ by.
NORMAL_TOLERANCE = {"float16": 2e-3, "bfloat16": 1.6e-2, "float32": 1e-6, "float64": 1e-12}

SHAPES = st.sampled_from([(), (1,), (3,), (15,), (16,), (17,), (40,), (3, 5), (4, 4, 2), (2, 0), (1000,)])
LAYOUTS = st.sampled_from(["plain", "reversed axes", "every second"])


def same_state(ours: Generator, theirs: Any) -> None:
    """Equal, but for the last bit of the normal number that waits: two libraries have two sines."""
    mine, other = (x.view(STATE_LAYOUT)[0] for x in (ours.state_bytes(), theirs.get_state().numpy()))
    for field in STATE_LAYOUT.names or ():
        if field == "normal_y":
            np.testing.assert_allclose(mine[field], other[field], rtol=1e-14)
        else:
            np.testing.assert_array_equal(mine[field], other[field])


class Pair:
    """An array and a tensor of one layout, and the two streams."""

    def __init__(self, seed: int) -> None:
        self.ours = Generator().manual_seed(seed)
        self.theirs = torch.Generator().manual_seed(seed)

    def arrays(self, shape: tuple[int, ...], layout: str, dtype: str) -> tuple[Any, Any]:
        whole = tuple(2 * n for n in shape) if layout == "every second" else shape
        array, tensor = np.zeros(whole, ALL[dtype]), torch.zeros(whole, dtype=getattr(torch, dtype))
        if layout == "reversed axes" and shape:
            return array.transpose(), tensor.permute(*reversed(range(tensor.ndim)))
        if layout == "every second" and shape:
            return array[(slice(None, None, 2),) * len(shape)], tensor[(slice(None, None, 2),) * len(shape)]
        return array, tensor

    def check(self, array: Any, tensor: Any, tolerance: float = 0.0) -> None:
        expected = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        got = array.astype(np.float32) if array.dtype.name == "bfloat16" else array
        assert got.shape == expected.shape
        if tolerance:
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(got, expected)
        same_state(self.ours, self.theirs)


uniform_steps = st.tuples(
    st.just("uniform_"), st.sampled_from(list(FLOATS)), st.floats(-50, 50), st.floats(0, 60).map(abs)
)
normal_steps = st.tuples(
    st.just("normal_"), st.sampled_from(list(FLOATS)), st.floats(-1, 1), st.sampled_from([0.02, 1.0, 1.4])
)
integer_steps = st.tuples(
    st.just("random_"),
    st.sampled_from(["int64", "int32", "float64"]),
    st.integers(-(2**31), 0),
    st.sampled_from([1, 7, 2**28 - 1, 2**28, 2**30]),
)
bernoulli_steps = st.tuples(
    st.just("bernoulli_"), st.sampled_from(list(ALL)), st.floats(0, 1), st.sampled_from([0.0])
)


@settings(max_examples=60)
@given(
    st.integers(0, 2**40),
    st.lists(
        st.tuples(SHAPES, LAYOUTS, st.one_of(uniform_steps, normal_steps, integer_steps, bernoulli_steps)),
        min_size=1,
        max_size=12,
    ),
)
def test_mixed_draws(seed, steps):
    pair = Pair(seed)
    for shape, layout, (name, dtype, first, second) in steps:
        array, tensor = pair.arrays(shape, layout, dtype)
        arguments = {
            "uniform_": (first, first + second),
            "normal_": (first, second),
            "random_": (first, first + second),
            "bernoulli_": (first,),
        }[name]
        getattr(random, name)(array, *arguments, generator=pair.ours)
        getattr(tensor, name)(*arguments, generator=pair.theirs)
        pair.check(array, tensor, NORMAL_TOLERANCE[dtype] if name == "normal_" else 0.0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.3, 0.711), (-100, 3), (1.5, 2.25), (2, 2)])
def test_uniform(dtype, low, high):
    pair = Pair(42)
    for size in (1, 1000, 50_000):
        array, tensor = pair.arrays((size,), "plain", dtype)
        random.uniform_(array, low, high, pair.ours)
        pair.check(array, tensor.uniform_(low, high, generator=pair.theirs))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 31, 33, 40_007])
def test_normal(dtype, size):
    pair = Pair(3)
    for mean, std in ((0, 1), (3, 0.01), (0, 0), (-1, 2)):
        array, tensor = pair.arrays((size,), "plain", dtype)
        random.normal_(array, mean, std, pair.ours)
        pair.check(array, tensor.normal_(mean, std, generator=pair.theirs), NORMAL_TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("size", [3, 7, 8, 33])
def test_complex(dtype, size):
    pair = Pair(3)
    array, tensor = np.empty((2, size), dtype), torch.empty(2, size, dtype=getattr(torch, dtype))
    for a, t in ((array, tensor), (array.T, tensor.T), (array[:, ::2], tensor[:, ::2])):
        random.normal_(a, 0.0, 2.0, pair.ours)
        pair.check(a, t.normal_(0, 2, generator=pair.theirs), 1e-6)
        random.uniform_(a, -1, 2, pair.ours)
        pair.check(a, t.uniform_(-1, 2, generator=pair.theirs))


@pytest.mark.parametrize("dtype", ALL)
def test_integers_of_the_whole_dtype(dtype):
    pair = Pair(1)
    array, tensor = pair.arrays((3000,), "plain", dtype)
    random.random_(array, generator=pair.ours)
    pair.check(array, tensor.random_(generator=pair.theirs))


@pytest.mark.parametrize("dtype", [*ALL, "uint16", "uint32", "uint64"])
@pytest.mark.parametrize(
    "limits",
    [
        *(
            (0, 1),
            (0, 2),
            (-3, 100),
            (0, 2**28 - 1),
            (5, 2**28 + 5),
            (-(2**40), 2**50),
            (3, None),
            (-5, None),
        ),
        *((-(2**63), 2**63 - 1), (-(2**63), None), (2**60 + 1, 2**60 + 9)),
    ],
)
def test_integers_of_a_range(dtype, limits):
    if dtype == "uint64" and limits == (3, None):
        pytest.skip("PyTorch refuses it: its upper end, 2**64 - 1, wraps around to -1")
    pair = Pair(1)
    array, tensor = np.zeros(500, ALL.get(dtype, dtype)), torch.zeros(500, dtype=getattr(torch, dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn of integers that a float cannot hold
        refusal = _refusal(lambda: tensor.random_(*limits, generator=pair.theirs))
        if refusal is not None:
            with pytest.raises(refusal):
                random.random_(array, *limits, generator=pair.ours)
            return
        random.random_(array, *limits, generator=pair.ours)
    pair.check(array, tensor)


def _refusal(call: Any) -> type[Exception] | None:
    try:
        call()
    except RuntimeError:  # NotImplementedError is one
        return RuntimeError
    return None


@pytest.mark.parametrize("size", [0, 1, 2, 10, 1000, 30_000])
def test_permutations(size):
    pair = Pair(9)
    pair.check(random.randperm(size, pair.ours), torch.randperm(size, generator=pair.theirs))


@pytest.mark.parametrize("dtype", ["int32", "float64", "float32", "int16"])
def test_permutations_of_other_types(dtype):
    pair = Pair(9)
    expected = torch.randperm(300, generator=pair.theirs, dtype=getattr(torch, dtype))
    pair.check(random.randperm(300, pair.ours, dtype), expected)


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("chances", FLOATS)
def test_bernoulli_with_a_chance_for_each(dtype, chances):
    pair = Pair(9)
    p = torch.rand(7, 1, generator=torch.Generator().manual_seed(1)).to(getattr(torch, chances))
    for layout in ("plain", "reversed axes"):
        array, tensor = pair.arrays((7, 7), layout, dtype)
        given_p = p.float().numpy().astype(FLOATS[chances])
        random.bernoulli_(array, given_p, pair.ours)
        pair.check(array, tensor.bernoulli_(p, generator=pair.theirs))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("exponential_", (2.0,)), ("log_normal_", (0.5, 0.3)), ("cauchy_", (1.0, 2.0)), ("geometric_", (0.3,))],
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_other_distributions(name, arguments, dtype):
    pair = Pair(9)
    for size in (1, 7, 100):
        array, tensor = pair.arrays((size,), "plain", dtype)
        getattr(random, name)(array, *arguments, generator=pair.ours)
        getattr(tensor, name)(*arguments, generator=pair.theirs)
        pair.check(array, tensor, max(NORMAL_TOLERANCE[dtype], 1e-10))


@settings(max_examples=40)
@given(st.integers(-(2**63), 2**64 - 1))
def test_seeds(seed):
    pair = Pair(seed)
    assert pair.ours.initial_seed() == pair.theirs.initial_seed()
    assert pair.ours.state_bytes().tobytes() == pair.theirs.get_state().numpy().tobytes()
    array, tensor = pair.arrays((3,), "plain", "float32")
    pair.check(random.uniform_(array, generator=pair.ours), tensor.uniform_(generator=pair.theirs))


def test_a_state_crosses_over():
    pair = Pair(5)
    torch.empty(5).normal_(generator=pair.theirs)
    pair.ours.set_state(pair.theirs.get_state().numpy())
    array, tensor = pair.arrays((700,), "plain", "float32")
    pair.check(random.uniform_(array, generator=pair.ours), tensor.uniform_(generator=pair.theirs))
    array, tensor = pair.arrays((3,), "plain", "float32")
    pair.check(random.normal_(array, generator=pair.ours), tensor.normal_(generator=pair.theirs), 1e-6)
    pair.theirs.set_state(torch.from_numpy(pair.ours.state_bytes()))
    pair.check(random.normal_(array, generator=pair.ours), tensor.normal_(generator=pair.theirs), 1e-6)


def test_the_default_generator():
    random.manual_seed(-7)
    torch.manual_seed(-7)
    assert random.initial_seed() == torch.initial_seed()
    assert np.array_equal(random.uniform_(np.empty(4, np.float32)), torch.rand(4).numpy())


def test_dropouts_mask():
    # torch.nn.functional.dropout multiplies by bernoulli_(1 - p) / (1 - p) of the default generator.
    torch.manual_seed(4)
    expected = torch.nn.functional.dropout(torch.ones(3, 50), 0.3, training=True).numpy()
    random.manual_seed(4)
    kept = random.bernoulli_(np.empty((3, 50), np.float32), 1 - 0.3)
    np.testing.assert_allclose(kept / np.float32(0.7), expected, rtol=1e-6)
