"""One function of arrays, run by convforge and by PyTorch: values, gradients and second gradients must agree.

    compare(lambda F, x: F.relu(x), x)

Where PyTorch is absent, the gradients are checked by finite differences instead.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Array = npt.NDArray[Any]
Call = Callable[..., Any]

ours = importlib.import_module("convforge")
our_functional = importlib.import_module("convforge.nn.functional")


def normal(*shape: int, seed: int = 0, dtype: str = "float64") -> Array:
    """Normal numbers, the same for the same seed."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def distinct(*shape: int, seed: int = 0, dtype: str = "float64") -> Array:
    """Numbers at least 1/100 from each other and from 0: no ties for maxima, no kinks within a step."""
    count = int(np.prod(shape, dtype=int))
    values = np.random.default_rng(seed).permutation(count) - count / 2 + 0.25
    return (values / 50).reshape(shape).astype(dtype)


def _close(mine: Any, expected: Any, what: str, precision: str | None) -> None:
    mine, expected = np.asarray(mine), np.asarray(expected)
    assert mine.dtype == expected.dtype, f"{what}: dtype {mine.dtype}, PyTorch has {expected.dtype}"
    assert mine.shape == expected.shape, f"{what}: shape {mine.shape}, PyTorch has {expected.shape}"
    if mine.dtype.kind != "f":
        np.testing.assert_array_equal(mine, expected, err_msg=what)
        return
    # Sums of at most a few thousand terms of size 1.
    bound = 64 * float(np.finfo(precision or mine.dtype).eps)
    scale = float(np.max(np.abs(expected[np.isfinite(expected)]), initial=1.0))
    np.testing.assert_allclose(mine, expected, rtol=bound, atol=bound * scale, err_msg=what)


def _array(tensor: Any) -> Array:
    # PyTorch has zeros without memory, which it hands over only if forced.
    return tensor.detach().numpy() if isinstance(tensor, ours.Tensor) else tensor.numpy(force=True)


def _run(root: Any, functional: Any, call: Call, arrays: Sequence[Array], double: bool) -> dict[str, Any]:
    tensors = [root.from_numpy(array.copy()) for array in arrays]
    leaves = [tensor.requires_grad_() for tensor in tensors if tensor.is_floating_point()]
    result = call(functional, *tensors)
    outputs = result if isinstance(result, tuple) else (result,)
    found = {f"output {i}": _array(each) for i, each in enumerate(outputs)}
    y = outputs[0]
    if not y.requires_grad:
        return found
    weights = root.from_numpy(normal(*y.shape, seed=7, dtype=str(y.detach().numpy().dtype)))
    grads = root.autograd.grad(y, leaves, weights, create_graph=double, allow_unused=True)
    found |= {f"gradient {i}": _array(each) for i, each in enumerate(grads) if each is not None}
    if double:
        total = sum((each * each).sum() for each in grads if each is not None and each.requires_grad)
        if not isinstance(total, int):
            second = root.autograd.grad(total, leaves, allow_unused=True)
            for i, (each, leaf) in enumerate(zip(second, leaves, strict=True)):
                zero = np.zeros(tuple(leaf.shape), leaf.detach().numpy().dtype)
                found[f"second gradient {i}"] = zero if each is None else _array(each)
    return found


def compare(call: Call, *arrays: Array, double: bool = True, precision: str | None = None) -> None:
    """Assert that call(F, *tensors) agrees: its outputs, and gradients by all floating-point arguments.

    precision: the dtype that PyTorch computes in, where that is not the array's
    """
    mine = _run(ours, our_functional, call, arrays, double)
    if torch is None:
        # A difference quotient says nothing at infinities and NaN.
        if all(array.dtype == np.float64 and np.isfinite(array).all() for array in arrays):
            tensors = [ours.from_numpy(array.copy()).requires_grad_() for array in arrays]
            ours.autograd.gradcheck(lambda *xs: call(our_functional, *xs), tensors)
        return
    expected = _run(torch, torch.nn.functional, call, arrays, double)
    for what, value in expected.items():
        if what not in mine and not np.any(value):
            continue  # no second gradient, and one of zeros, are the same
        _close(mine[what], value, what, precision)


def same_error(call: Callable[[Any, Any], Any]) -> None:
    """Assert that call(root, F) raises, and an error of the type that PyTorch raises."""
    with pytest.raises(Exception) as mine:  # noqa: PT011
        call(ours, our_functional)
    assert str(mine.value)
    if torch is not None:
        with pytest.raises(Exception) as expected:  # noqa: PT011
            call(torch, torch.nn.functional)
        assert isinstance(mine.value, expected.type), f"{mine.value!r} instead of {expected.value!r}"


def same_text(make: Callable[[Any], Any]) -> None:
    """Assert that make(nn) prints as PyTorch's does, and has a state dict of the same keys and shapes."""
    mine = make(ours.nn)
    if torch is None:
        assert repr(mine).startswith(type(mine).__name__)
        return
    expected = make(torch.nn)
    assert repr(mine) == repr(expected)
    shapes = [
        [(key, tuple(value.shape)) for key, value in each.state_dict().items()] for each in (mine, expected)
    ]
    assert shapes[0] == shapes[1]
