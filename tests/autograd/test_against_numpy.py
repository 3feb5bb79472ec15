"""Values of operations against NumPy's, where both mean the same: runs with and without PyTorch."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

import convforge

FLOATS = ["float32", "float64"]
DTYPES = [*FLOATS, "int64", "int32"]


def agree(ours, expected, dtype="float64"):
    expected = np.asarray(expected)
    assert tuple(ours.shape) == expected.shape
    tolerance = {"rtol": 2e-6, "atol": 2e-6} if "32" in str(dtype) else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(ours.detach().numpy().astype(expected.dtype), expected, **tolerance)


BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide,
    "floor_divide": np.floor_divide, "remainder": np.remainder, "fmod": np.fmod, "maximum": np.maximum,
    "minimum": np.minimum, "eq": np.equal, "ne": np.not_equal, "lt": np.less, "ge": np.greater_equal,
    "logical_and": np.logical_and,
}  # fmt: skip


@given(
    name=st.sampled_from(sorted(BINARY)),
    dtype=st.sampled_from(DTYPES),
    shapes=st.sampled_from([((3,), (3,)), ((), (3,)), ((2, 1), (3,)), ((0, 3), (3,)), ((4, 1, 2), (3, 1))]),
    seed=st.integers(0, 99),
)
def test_two_operands(name, dtype, shapes, seed):
    draws = np.random.default_rng(seed)
    a, b = (draws.integers(-6, 7, shape).astype(dtype) for shape in shapes)
    b[b == 0] = 2
    agree(getattr(convforge, name)(convforge.tensor(a), convforge.tensor(b)), BINARY[name](a, b), "float32")


UNARY = {
    "sqrt": np.sqrt, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "abs": np.abs,
    "sign": np.sign, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.round,
    "neg": np.negative,
    "square": np.square, "reciprocal": np.reciprocal, "isnan": np.isnan, "erf": np.vectorize(math.erf),
    "relu": lambda x: np.maximum(x, 0), "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}  # fmt: skip


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_one_operand(name, dtype):
    values = np.array([[0.1, 0.25, 0.5], [0.6, 0.75, 0.99]], dtype)
    agree(getattr(convforge.tensor(values), name)(), UNARY[name](values), dtype)
    agree(getattr(convforge.tensor(values.T), name)(), UNARY[name](values.T), dtype)


REDUCTIONS = {
    "sum": np.sum, "mean": np.mean, "amax": np.max, "amin": np.min, "all": np.all, "any": np.any,
    "var": lambda x, **how: np.var(x, ddof=1, **how), "std": lambda x, **how: np.std(x, ddof=1, **how),
    "norm": lambda x, **how: np.sqrt(np.sum(x * x, **how)),
    "logsumexp": lambda x, **how: np.log(np.sum(np.exp(x), **how)),
}  # fmt: skip


@given(
    name=st.sampled_from(sorted(REDUCTIONS)),
    dtype=st.sampled_from(FLOATS),
    dim=st.sampled_from([0, 1, -1, (0, 1), (0, -1), (1, 2)]),
    keepdim=st.booleans(),
    seed=st.integers(0, 99),
)
def test_reductions(name, dtype, dim, keepdim, seed):
    values = np.random.default_rng(seed).standard_normal((3, 4, 2)).astype(dtype)
    expected = REDUCTIONS[name](values, axis=dim, keepdims=keepdim)
    agree(getattr(convforge.tensor(values), name)(dim=dim, keepdim=keepdim), expected, dtype)


ENDS = st.none() | st.integers(-4, 4)
SLICES = st.builds(slice, ENDS, ENDS, st.none() | st.integers(1, 3))
KEYS = st.integers(-2, 1) | st.none() | st.just(...) | SLICES


@given(keys=st.lists(KEYS, min_size=1, max_size=3), arrays=st.booleans(), write=st.booleans())
def test_indexing(keys, arrays, write):
    if sum(each is ... for each in keys) > 1:
        return
    # An array stands alone: in company NumPy and PyTorch order dimensions differently.
    key = (np.array([[0, 1], [1, 0]]),) if arrays else tuple(keys)
    values = np.arange(24.0).reshape(4, 3, 2)
    ours = convforge.tensor(values)
    agree(ours[key], values[key])
    if write:
        ours[key], values[key] = -5.0, -5.0
        agree(ours, values)


SHAPES = {
    "reshape": (lambda x: x.transpose(0, 1).reshape(-1), lambda x: x.swapaxes(0, 1).reshape(-1)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda x: x.transpose(2, 0, 1)),
    "expand": (lambda x: x[:, :1].expand(4, 3, 2), lambda x: np.broadcast_to(x[:, :1], (4, 3, 2))),
    "repeat": (lambda x: x.repeat(2, 1, 2), lambda x: np.tile(x, (2, 1, 2))),
    "flip": (lambda x: x.flip(0, 2), lambda x: np.flip(x, (0, 2))),
    "roll": (lambda x: x.roll((1, -1), (0, 1)), lambda x: np.roll(x, (1, -1), (0, 1))),
    "cumsum": (lambda x: x.cumsum(1), lambda x: np.cumsum(x, 1)),
    "sort": (lambda x: x.sort(1).values, lambda x: np.sort(x, 1)),
    "argmax": (lambda x: x.argmax(2), lambda x: np.argmax(x, 2)),
    "diagonal": (lambda x: x.diagonal(1), lambda x: np.diagonal(x, 1)),
    "tril": (lambda x: x.tril(), lambda x: np.tril(x)),
    "matmul": (lambda x: x @ x.mT, lambda x: x @ x.swapaxes(1, 2)),
    "einsum": (lambda x: convforge.einsum("bij,bkj->ki", x, x), lambda x: np.einsum("bij,bkj->ki", x, x)),
    "cat": (lambda x: convforge.cat([x, x + 1], 1), lambda x: np.concatenate([x, x + 1], 1)),
    "stack": (lambda x: convforge.stack([x, -x], -1), lambda x: np.stack([x, -x], -1)),
    "chunk": (lambda x: x.chunk(2)[1], lambda x: np.array_split(x, 2)[1]),
    "where": (lambda x: x.where(x > 0, -x), np.abs),
    "clamp": (lambda x: x.clamp(-0.5, 0.5), lambda x: np.clip(x, -0.5, 0.5)),
    "softmax": (lambda x: x.softmax(1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    "gather": (lambda x: x.gather(1, x.argsort(1)), lambda x: np.sort(x, 1)),
    "nonzero": (lambda x: (x > 0).nonzero(), lambda x: np.argwhere(x > 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_methods(name):
    values = np.random.default_rng(1).standard_normal((4, 3, 2))
    ours, numpys = SHAPES[name]
    agree(ours(convforge.tensor(values)), numpys(values))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.0, 2.0], "tensor([1., 2.])"),
        ([1, 20], "tensor([ 1, 20])"),
        ([[True], [False]], "tensor([[ True],\n        [False]])"),
        ([0.1, 1000.0], "tensor([1.0000e-01, 1.0000e+03])"),
        ([float("nan"), -1.5], "tensor([    nan, -1.5000])"),
        (2.5, "tensor(2.5000)"),
        ([], "tensor([])"),
        (np.arange(2), "tensor([0, 1])"),
        (np.float64([1.0]), "tensor([1.], dtype=torch.float64)"),
    ],
)
def test_printing(values, text):
    assert repr(convforge.tensor(values)) == text
