"""One convolution with its arguments fixed, called with arrays: the fast path of layers and functions.

The first call with arrays of some shape, strides and dtype validates and plans; what comes out is kept,
and later calls with such arrays go from a look-up straight to the kernel.
"""

from __future__ import annotations

from math import prod
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from convforge.autograd import convolution as products
from convforge.autograd.arrays import stand_in_of
from convforge.autograd.grad_mode import mode
from convforge.autograd.tensor import Tensor, from_data, recording
from convforge.errors import ConvArgumentError, ConvDtypeError, ConvMemoryError, ConvShapeError, ConvTypeError
from convforge.memory import references
from convforge.plan import WeightStore
from convforge.problem import ConvSpec, Precision, get_float32_matmul_precision, normalize_conv
from convforge.problem.arguments import listed

from .ready import Ready, WeightWatch, ready

Array = npt.NDArray[Any]
Key = tuple[Any, ...]

# Shapes that one layer remembers; a layer fed with ever new shapes forgets the oldest.
REMEMBERED = 64


class Convolution:
    """A convolution whose arguments are known, to be called with input, weight and bias.

        convolve = Convolution(rank=2, stride=2)
        convolve(x, weight, bias)

    The arguments are those of `problem.normalize_conv`, in any form that it takes. keeps_weights: whether
    packed weights are kept for the next call, as long as their values stay the same. precision: of float32,
    forward and backward; None takes what is in force when each of them runs.
    """

    __slots__ = ("_arguments", "_key", "_known", "_precision", "_rank", "_store", "_transposed", "_watch")

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
        keeps_weights: bool = False,
        precision: Precision | None = None,
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
        self._precision: Precision | None = precision
        self._known: dict[Key, Ready] = {}
        self._watch = WeightWatch() if keeps_weights else None
        self._store = WeightStore()
        self._key: int | None = None

    def __call__(
        self, x: Any, weight: Any, bias: Any = None, *, output_size: Any = None, out: Array | None = None
    ) -> Any:
        """The convolution of x: a Tensor, or an ndarray if no argument is a Tensor.

        x: (batch, in_channels, …) or (in_channels, …). Raises what `normalize_conv` raises, ConvDtypeError
        for mixed dtypes, ConvTypeError for what is not an array.
        """
        xa: Array = x._data if isinstance(x, Tensor) else plain_array(x, "input")
        wa: Array = weight._data if isinstance(weight, Tensor) else plain_array(weight, "weight")
        # 50 ns of a call: what is set may change between any two.
        asked = self._precision or get_float32_matmul_precision()
        if bias is None:
            ba = None
            key = (asked, xa.shape, xa.strides, xa.dtype, wa.shape, wa.strides, wa.dtype)
        else:
            ba = cast(Array, bias._data) if isinstance(bias, Tensor) else plain_array(bias, "bias")
            key = (asked, xa.shape, xa.strides, xa.dtype, wa.shape, wa.strides, wa.dtype, ba.shape, ba.dtype)
        if output_size is not None:
            output_size = listed(output_size, "output_size", self._rank)
            key = (*key, "output_size", output_size)
        known = self._known.get(key)
        if known is None:
            stand_in = stand_in_of((x, weight, bias), {})
            if stand_in is not None:
                given = self._arguments | {"output_size": output_size}
                return stand_in.take_over("convolution", self.spec, (x, weight, bias), given)
            known = self._learn(key, xa, wa, ba, output_size, asked)
        recorded = mode.enabled and recording(x, weight, bias)
        if recorded and out is not None:
            raise ConvArgumentError(
                "out= cannot be recorded for backward: call it under no_grad(), or leave out= away"
            )
        watch = self._watch
        if watch is None:
            weight_key = None
        else:
            holders = references(wa)  # before a call's arguments hold it too
            weight_key = watch.key(wa, ba, weight._vbox if isinstance(weight, Tensor) else None, holders)
            if weight_key != self._key:
                self._renew(weight_key)
        if recorded:
            return self._recorded(known, x, weight, bias, weight_key)
        try:
            if out is None:
                y = known.run(xa, wa, ba, weight_key)
            else:
                y = known.run(xa, wa, ba, weight_key, out=_checked_out(out, known))
        except MemoryError as error:
            raise _too_large(known.spec) from error
        if out is not None:
            return out
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

    def _learn(
        self,
        key: Key,
        x: Array,
        weight: Array,
        bias: Array | None,
        output_size: Any,
        precision: Precision,
    ) -> Ready:
        spec, unbatched = self.spec(x, weight, bias, output_size=output_size)
        native = all(each.dtype.isnative for each in (x, weight, bias) if each is not None)
        known = ready(spec, unbatched, native, self._store, precision)
        if len(self._known) >= REMEMBERED:
            self._known.pop(next(iter(self._known)), None)
        self._known[key] = known
        return known

    def _renew(self, weight_key: int | None) -> None:
        """The weights have changed: no shape holds on to what was packed from the old ones."""
        self._key = weight_key
        for known in list(self._known.values()):
            known.forget()

    def _recorded(self, known: Ready, x: Any, weight: Any, bias: Any, weight_key: int | None) -> Tensor:
        x, weight = _tensor(x), _tensor(weight)
        bias = None if bias is None else _tensor(bias)
        try:
            y = known.run(x._data, weight._data, None if bias is None else bias._data, weight_key)
        except MemoryError as error:
            raise _too_large(known.spec) from error
        # Its own precision, not the one in force: that of backward is the one in force then.
        precision = self._precision
        if not known.unbatched:
            return products.record_output(known.spec, y, x, weight, bias, precision)
        out = products.record_output(known.spec, y[None], x.unsqueeze(0), weight, bias, precision)
        return out.squeeze(0)


def _checked_out(out: Any, ready: Ready) -> Array:
    """The array that the caller wants the output in, if it fits."""
    shape, dtype = ready.output_shape, ready.spec.dtype
    if not isinstance(out, np.ndarray):
        raise ConvTypeError(
            f"out must be a NumPy array, not {type(out).__name__}: use numpy.empty({shape}, {str(dtype)!r})"
        )
    if out.shape != shape or out.dtype != dtype:
        raise ConvShapeError(
            f"out has shape {list(out.shape)} and dtype {out.dtype}, but the output has {list(shape)} and "
            f"{dtype}: use numpy.empty({shape}, {str(dtype)!r})"
        )
    if not out.flags.writeable:
        raise ConvArgumentError("out is read-only: use a writeable array")
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
