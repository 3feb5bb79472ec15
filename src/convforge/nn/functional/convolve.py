"""One convolution with its arguments fixed, called with arrays: the fast path of layers and functions.

The first call with arrays of some shape, strides and dtype validates and plans; what comes out is kept,
and later calls with such arrays go from a look-up straight to the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from convforge import plan, reference
from convforge.autograd import convolution as products
from convforge.autograd.grad_mode import mode
from convforge.autograd.tensor import Tensor, from_data, recording
from convforge.errors import ConvArgumentError, ConvDtypeError, ConvMemoryError, ConvShapeError, ConvTypeError
from convforge.plan.fallback import executable_memory_refused
from convforge.problem import ConvSpec, normalize_conv
from convforge.problem.arguments import listed

Array = npt.NDArray[Any]
Key = tuple[Any, ...]
Run = Callable[..., Array]

# Shapes that one layer remembers; a layer fed with ever new shapes forgets the oldest.
REMEMBERED = 64


class Convolution:
    """A convolution whose arguments are known, to be called with input, weight and bias.

        convolve = Convolution(rank=2, stride=2)
        convolve(x, weight, bias)

    The arguments are those of `problem.normalize_conv`, in any form that it takes.
    """

    __slots__ = ("_arguments", "_known", "_rank", "_transposed")

    def __init__(
        self,
        rank: int,
        transposed: bool = False,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: Any = 1,
        output_padding: Any = 0,
        padding_mode: str = "zeros",
    ) -> None:
        self._rank = rank
        self._transposed = transposed
        self._arguments: dict[str, Any] = {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
            "output_padding": output_padding,
            "padding_mode": padding_mode,
        }
        self._known: dict[Key, tuple[ConvSpec, bool, Run]] = {}

    def __call__(
        self, x: Any, weight: Any, bias: Any = None, *, output_size: Any = None, out: Array | None = None
    ) -> Any:
        """The convolution of x: a Tensor, or an ndarray if no argument is a Tensor.

        x: (batch, in_channels, …) or (in_channels, …). Raises what `normalize_conv` raises, ConvDtypeError
        for mixed dtypes, ConvTypeError for what is not an array.
        """
        xa: Array = x._data if isinstance(x, Tensor) else plain_array(x, "input")
        wa: Array = weight._data if isinstance(weight, Tensor) else plain_array(weight, "weight")
        if bias is None:
            ba = None
            key = (xa.shape, xa.strides, xa.dtype, wa.shape, wa.strides, wa.dtype)
        else:
            ba = cast(Array, bias._data) if isinstance(bias, Tensor) else plain_array(bias, "bias")
            key = (xa.shape, xa.strides, xa.dtype, wa.shape, wa.strides, wa.dtype, ba.shape, ba.dtype)
        if output_size is not None:
            output_size = listed(output_size, "output_size", self._rank)
            key = (*key, "output_size", output_size)
        known = self._known.get(key)
        if known is None:
            known = self._learn(key, xa, wa, ba, output_size)
        if mode.enabled and recording(x, weight, bias):
            if out is not None:
                raise ConvArgumentError(
                    "out= cannot be recorded for backward: call it under no_grad(), or leave out= away"
                )
            return self._recorded(known, x, weight, bias)
        try:
            y = known[2](xa, wa, ba) if out is None else _into(out, known, xa, wa, ba)
        except MemoryError as error:
            raise _too_large(known[0]) from error
        if isinstance(x, Tensor) or isinstance(weight, Tensor) or isinstance(bias, Tensor):
            return from_data(y)
        return y

    def spec(
        self, x: Any, weight: Any, bias: Any = None, *, output_size: Any = None
    ) -> tuple[ConvSpec, bool]:
        """The canonical form of this convolution of these arrays, and whether the input has no batch axis."""
        arrays = {"input": x, "weight": weight} | ({} if bias is None else {"bias": bias})
        xa, wa, *rest = (_data(each, name) for name, each in arrays.items())
        ba = rest[0] if rest else None
        _check_dtypes(xa, wa, ba)
        return normalize_conv(
            xa.shape,
            wa.shape,
            None if ba is None else ba.shape,
            rank=self._rank,
            transposed=self._transposed,
            output_size=output_size,
            dtype=xa.dtype,
            **self._arguments,
        )

    def _learn(self, key: Key, x: Array, weight: Array, bias: Array | None, output_size: Any) -> Any:
        spec, unbatched = self.spec(x, weight, bias, output_size=output_size)
        run = _prepared(spec, unbatched)
        if not all(each.dtype.isnative for each in (x, weight, bias) if each is not None):
            run = _in_native_order(run, spec.dtype)
        known = (spec, unbatched, run)
        if len(self._known) >= REMEMBERED:
            self._known.pop(next(iter(self._known)), None)
        self._known[key] = known
        return known

    def _recorded(self, known: tuple[ConvSpec, bool, Run], x: Any, weight: Any, bias: Any) -> Tensor:
        spec, unbatched, run = known
        x, weight = _tensor(x), _tensor(weight)
        bias = None if bias is None else _tensor(bias)
        try:
            y = run(x._data, weight._data, None if bias is None else bias._data)
        except MemoryError as error:
            raise _too_large(spec) from error
        if not unbatched:
            return products.record_output(spec, y, x, weight, bias)
        return products.record_output(spec, y[None], x.unsqueeze(0), weight, bias).squeeze(0)


def _prepared(spec: ConvSpec, unbatched: bool) -> Run:
    """(x, weight, bias, out=None) -> output, nothing left to decide."""
    if executable_memory_refused():

        def compute(x: Array, weight: Array, bias: Array | None, out: Array | None = None) -> Array:
            return reference.output(spec, x, weight, bias, out=out)
    else:
        prepared = plan.Prepared(spec)

        def compute(x: Array, weight: Array, bias: Array | None, out: Array | None = None) -> Array:
            return prepared(x, weight, bias, out=out)

    if not unbatched:
        return compute

    def run(x: Array, weight: Array, bias: Array | None, out: Array | None = None) -> Array:
        return compute(x[None], weight, bias, None if out is None else out[None])[0]

    return run


def _in_native_order(run: Run, dtype: np.dtype[Any]) -> Run:
    def native(x: Array, weight: Array, bias: Array | None, out: Array | None = None) -> Array:
        bias = None if bias is None else bias.astype(dtype)
        return run(x.astype(dtype), weight.astype(dtype), bias, out)

    return native


def _into(
    out: Array, known: tuple[ConvSpec, bool, Run], x: Array, weight: Array, bias: Array | None
) -> Array:
    """The convolution written into `out`, also where `out` shares memory with an argument."""
    spec, unbatched, run = known
    shape = spec.output_shape[1:] if unbatched else spec.output_shape
    given: Any = out
    if not isinstance(given, np.ndarray):
        raise ConvTypeError(
            f"out must be a NumPy array, not {type(given).__name__}: use numpy.empty({shape})"
        )
    if out.shape != shape or out.dtype != spec.dtype:
        raise ConvShapeError(
            f"out has shape {list(out.shape)} and dtype {out.dtype}, but the output has {list(shape)} and "
            f"{spec.dtype}: use numpy.empty({shape}, {str(spec.dtype)!r})"
        )
    if not out.flags.writeable:
        raise ConvArgumentError("out is read-only: use a writeable array")
    run(x, weight, bias, out)
    return out


def _too_large(spec: ConvSpec) -> ConvMemoryError:
    size_bytes = prod(spec.output_shape) * spec.dtype.itemsize
    return ConvMemoryError(
        f"the output of shape {list(spec.output_shape)} takes {size_bytes} bytes, for which there is no "
        "memory: use a smaller batch, padding or output_size"
    )


def _check_dtypes(x: Array, weight: Array, bias: Array | None) -> None:
    for name, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.dtype.newbyteorder("=") != x.dtype.newbyteorder("="):
            raise ConvDtypeError(
                f"Input type ({x.dtype}) and {name} type ({array.dtype}) should be the same: "
                f"convert one of them to the other's dtype"
            )


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else from_data(value)


def _data(value: Any, name: str) -> Array:
    return value._data if isinstance(value, Tensor) else plain_array(value, name)


def plain_array(value: Any, name: str) -> Array:
    """The value as a base-class ndarray, without a copy."""
    if value.__class__ is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise ConvTypeError(
            f"{name} is a masked array, whose mask would be ignored: fill it, as in {name}.filled(0)"
        )
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    raise ConvTypeError(
        f"{name} must be a Tensor or a NumPy array, not {type(value).__name__}: use numpy.asarray({name})"
    )
