"""The three products of a convolution in NumPy, one kernel tap at a time.

With x padded, y the output and w the weight of a plain convolution, for every tap t, group g:

    output       y[n, g, o, p]  +=  w[g, o, i, t] x[n, g, i, q]    summed over i     where
    grad-input   x[n, g, i, q]  +=  w[g, o, i, t] y[n, g, o, p]    summed over o     q = stride p + dilation t
    grad-weight  w[g, o, i, t]  +=  y[n, g, o, p] x[n, g, i, q]    summed over n, p

A transposed convolution has the same three with output and grad-input exchanged: so each is a few lines here.
Nothing is conjugated: the products are transposes, and autograd conjugates its complex arguments.
Sums run in float64, complex128, or int64 that wraps around, and are cast to the spec's dtype at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge.problem import ConvSpec, fold_padding, pad_array, padded_size

Array = npt.NDArray[Any]


def output(
    spec: ConvSpec, x: Array, weight: Array, bias: Array | None = None, *, out: Array | None = None
) -> Array:
    """The convolution itself.

    x: spec.input_shape, weight: spec.weight_shape, bias: (out_channels,) -> spec.output_shape
    """
    wide = _wide_dtype(spec.dtype)
    x, weight = x.astype(wide), weight.astype(wide)
    y = _gather_adjoint(spec, x, weight) if spec.transposed else _gather(spec, x, weight)
    if bias is not None:
        y = y + bias.astype(wide).reshape(-1, *(1,) * spec.rank)
    return _narrow(y, spec, out)


def grad_input(spec: ConvSpec, grad_output: Array, weight: Array, *, out: Array | None = None) -> Array:
    """The gradient of the input: the transpose of `output` as a linear map of x.

    grad_output: spec.output_shape, weight: spec.weight_shape -> spec.input_shape
    """
    wide = _wide_dtype(spec.dtype)
    grad_output, weight = grad_output.astype(wide), weight.astype(wide)
    product_of = _gather if spec.transposed else _gather_adjoint
    return _narrow(product_of(spec, grad_output, weight), spec, out)


def grad_weight(spec: ConvSpec, x: Array, grad_output: Array, *, out: Array | None = None) -> Array:
    """The gradient of the weight: the transpose of `output` as a linear map of the weight.

    x: spec.input_shape, grad_output: spec.output_shape -> spec.weight_shape
    """
    wide = _wide_dtype(spec.dtype)
    x, grad_output = x.astype(wide), grad_output.astype(wide)
    dense, windows = (grad_output, x) if spec.transposed else (x, grad_output)
    padded = _grouped(pad_array(dense, spec.padding_mode, spec.padding), spec.groups)
    windows = _grouped(windows, spec.groups)
    rows, columns = windows.shape[2], padded.shape[2]
    grad = np.zeros((spec.groups, rows, columns, *spec.kernel_size), wide)
    for tap, window in _taps(spec):
        per_image = _flat(windows) @ _flat(padded[(..., *window)]).swapaxes(-1, -2)
        grad[(..., *tap)] = per_image.sum(axis=0)
    return _narrow(grad.reshape(spec.weight_shape), spec, out)


def _gather(spec: ConvSpec, x: Array, weight: Array) -> Array:
    """Windows of the padded x, times the weight: a convolution's output, a transposed one's grad-input."""
    padded = _grouped(pad_array(x, spec.padding_mode, spec.padding), spec.groups)
    size = spec.input_size if spec.transposed else spec.output_size
    channels = spec.in_channels if spec.transposed else spec.out_channels
    taps = _grouped_weight(spec, weight)
    y = np.zeros((spec.batch, spec.groups, channels // spec.groups, prod(size)), weight.dtype)
    for tap, window in _taps(spec):
        y += taps[(..., *tap)] @ _flat(padded[(..., *window)])
    return y.reshape(spec.batch, channels, *size)


def _gather_adjoint(spec: ConvSpec, y: Array, weight: Array) -> Array:
    """The transpose of `_gather`: every window of the padded x receives what it was multiplied with."""
    y = _grouped(y, spec.groups)
    taps = _grouped_weight(spec, weight)
    padded = np.zeros((spec.batch, spec.groups, taps.shape[2], *padded_size(spec)), weight.dtype)
    for tap, window in _taps(spec):
        part = taps[(..., *tap)].swapaxes(-1, -2) @ _flat(y)
        padded[(..., *window)] += part.reshape(*part.shape[:3], *y.shape[3:])
    x = fold_padding(padded, spec.padding_mode, spec.padding)
    return x.reshape(spec.batch, spec.groups * taps.shape[2], *x.shape[3:])


def _taps(spec: ConvSpec) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Every tap of the kernel, with the elements of the padded array that it meets, one for each window."""
    counts = spec.input_size if spec.transposed else spec.output_size
    for tap in product(*map(range, spec.kernel_size)):
        yield (
            tap,
            tuple(
                slice(
                    t * dilation, t * dilation + (count - 1) * stride + 1 if count else t * dilation, stride
                )
                for t, dilation, count, stride in zip(tap, spec.dilation, counts, spec.stride, strict=True)
            ),
        )


def _grouped(array: Array, groups: int) -> Array:
    """(batch, channels, …) -> (batch, groups, channels // groups, …)"""
    return array.reshape(array.shape[0], groups, array.shape[1] // groups, *array.shape[2:])


def _grouped_weight(spec: ConvSpec, weight: Array) -> Array:
    """(groups, a group's channels of the windows, a group's channels of the padded array, *kernel_size)"""
    return weight.reshape(spec.groups, weight.shape[0] // spec.groups, *weight.shape[1:])


def _flat(array: Array) -> Array:
    """(batch, groups, channels, d_1, …) -> (batch, groups, channels, d_1 · …)"""
    return array.reshape(*array.shape[:3], prod(array.shape[3:]))


def _wide_dtype(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    if dtype.kind in "iu":
        return np.dtype(np.int64)
    return np.dtype(np.complex128 if dtype.kind == "c" else np.float64)


def _narrow(array: Array, spec: ConvSpec, out: Array | None) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        if out is None:
            return array.astype(spec.dtype)
        out[...] = array.astype(spec.dtype)
    return out
