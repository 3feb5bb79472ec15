"""What PyTorch says about a case, in float64, complex128 or int64: the tests' oracle where it is installed.

`torch` is None elsewhere; then `products` are those of `convforge.reference`, which has tests of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from convforge import reference
from support.convolutions import Case

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Array = npt.NDArray[Any]


class Products(NamedTuple):
    """Output and gradients of one convolution, exact but for float64."""

    output: Array
    grad_input: Array
    grad_weight: Array
    grad_bias: Array


def wide(array: Array) -> Array:
    """The array in float64, complex128 or int64."""
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def products(case: Case, x: Array, weight: Array, bias: Array | None, grad_output: Array) -> Products:
    """Output of the case, and gradients with PyTorch's conjugates; arrays in any dtype and layout."""
    x, weight, grad_output = wide(x), wide(weight), wide(grad_output)
    bias = None if bias is None else wide(bias)
    function = _numpy if torch is None or x.dtype.kind in "iu" else _torch
    return function(case, x, weight, bias, grad_output)


def magnitudes(case: Case, x: Array, weight: Array, bias: Array | None, grad_output: Array) -> Products:
    """For every number in `products`, the sum of the absolute values of what was added up."""
    positive = (np.abs(wide(each)) for each in (x, weight, grad_output))
    x, weight, grad_output = positive
    return _numpy(case, x, weight, None if bias is None else np.abs(wide(bias)), grad_output)


def _numpy(case: Case, x: Array, weight: Array, bias: Array | None, grad_output: Array) -> Products:
    spec = case.spec(x.dtype)
    unbatched = x.ndim == case.rank + 1
    if unbatched:
        x, grad_output = x[None], grad_output[None]
    y = reference.output(spec, x, weight, bias)
    grad_x = reference.grad_input(spec, grad_output, weight.conj())
    grad_w = reference.grad_weight(spec, x.conj(), grad_output)
    grad_b = grad_output.sum(axis=(0, *range(2, grad_output.ndim)))
    return Products(*((y[0], grad_x[0]) if unbatched else (y, grad_x)), grad_w, grad_b)


def _torch(case: Case, x: Array, weight: Array, bias: Array | None, grad_output: Array) -> Products:
    tx, tw = (torch.from_numpy(each.copy()).requires_grad_() for each in (x, weight))
    tb = torch.zeros(case.out_channels, dtype=tx.dtype) if bias is None else torch.from_numpy(bias.copy())
    tb.requires_grad_()
    y = convolve(case, tx, tw, tb)
    grads = torch.autograd.grad(y, (tx, tw, tb), torch.from_numpy(grad_output.copy()), allow_unused=True)
    arrays = (
        np.zeros(each.shape, x.dtype) if grad is None else grad.resolve_conj().numpy()
        for each, grad in zip((tx, tw, tb), grads, strict=True)
    )
    return Products(y.detach().numpy(), *arrays)


def convolve(case: Case, x: Any, weight: Any, bias: Any) -> Any:
    """The case by PyTorch's operations: pads first, for PyTorch's convolutions know one pad an axis."""
    flat = [side for pair in reversed(case.padding) for side in pair]
    if not case.transposed:
        mode = {"zeros": "constant"}.get(case.padding_mode, case.padding_mode)
        padded = torch.nn.functional.pad(x, flat, mode=mode) if any(flat) else x
        function = getattr(torch.nn.functional, f"conv{case.rank}d")
        return function(padded, weight, bias, case.stride, 0, case.dilation, case.groups)
    function = getattr(torch.nn.functional, f"conv_transpose{case.rank}d")
    extra = case.output_padding
    full = function(x, weight, None, case.stride, 0, extra, case.groups, case.dilation)
    return _fold(case, full) + bias.reshape(-1, *(1,) * case.rank)


def _fold(case: Case, full: Any) -> Any:
    """The adjoint of padding, by PyTorch's own derivative of it."""
    flat = [side for pair in reversed(case.padding) for side in pair]
    if case.padding_mode == "zeros" or not any(flat):
        return torch.nn.functional.pad(full, [-side for side in flat])
    inner = tuple(n - a - b for n, (a, b) in zip(full.shape[-case.rank :], case.padding, strict=True))
    start = torch.zeros((*full.shape[: -case.rank], *inner), dtype=full.dtype, requires_grad=True)
    padded = torch.nn.functional.pad(start, flat, mode=case.padding_mode)
    return torch.autograd.grad(padded, start, full, create_graph=True)[0]
