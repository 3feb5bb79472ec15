"""Convolutions to test with: a hypothesis strategy over all arguments, and arrays for what it draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from convforge.problem import ConvSpec, normalize_conv

Array = npt.NDArray[Any]

MODES = ("zeros", "reflect", "replicate", "circular")
FLOATS = ("float32", "float64", "float16", "bfloat16", "complex64", "complex128")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64")
LAYOUTS = ("plain", "channels_last", "sliced", "reversed", "broadcast", "transposed")


def numpy_dtype(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


@dataclass(frozen=True)
class Case:
    """A valid convolution, in the arguments that a user would write."""

    rank: int
    transposed: bool
    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    output_padding: tuple[int, ...]
    padding_mode: str
    has_bias: bool

    @property
    def out_channels(self) -> int:
        return self.weight_shape[1] * self.groups if self.transposed else self.weight_shape[0]

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `normalize_conv` and, but for rank and transposed, of the functional forms."""
        named: dict[str, Any] = {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "padding_mode": self.padding_mode,
        }
        return named | {"output_padding": self.output_padding} if self.transposed else named

    def spec(self, dtype: npt.DTypeLike) -> ConvSpec:
        return normalize_conv(
            self.input_shape,
            self.weight_shape,
            (self.out_channels,) if self.has_bias else None,
            rank=self.rank,
            transposed=self.transposed,
            dtype=dtype,
            **self.arguments,
        )[0]

    def arrays(self, dtype: str, seed: int, layout: str = "plain") -> tuple[Array, Array, Array | None]:
        """(input, weight, bias): small whole numbers for integer dtypes, normal ones for others."""
        generator = np.random.default_rng(seed)
        x = with_layout(filled(generator, self.input_shape, dtype), layout)
        weight = filled(generator, self.weight_shape, dtype)
        return x, weight, filled(generator, (self.out_channels,), dtype) if self.has_bias else None


def filled(generator: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    kind = numpy_dtype(dtype)
    if kind.kind in "iu":
        return generator.integers(0 if kind.kind == "u" else -9, 10, shape).astype(kind)
    values = generator.standard_normal(shape)
    if kind.kind == "c":
        values = values + 1j * generator.standard_normal(shape)
    return values.astype(kind)


def with_layout(array: Array, layout: str) -> Array:
    """The same values (for "broadcast": the first one's along the last axis) at other strides."""
    match layout:
        case "channels_last":
            return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
        case "sliced":
            wide = np.full([2 * n + 1 for n in array.shape], 77, array.dtype)
            view = wide[tuple(slice(1, None, 2) for _ in array.shape)]
            view[...] = array
            return view
        case "reversed":
            flip = tuple(slice(None, None, -1) for _ in array.shape)
            return np.ascontiguousarray(array[flip])[flip]
        case "broadcast":
            return np.broadcast_to(array[..., :1], array.shape)
        case "transposed":
            return np.ascontiguousarray(array.T).T
        case _:
            return array


def _each(rank: int, values: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[values] * rank)


@st.composite
def cases(
    draw: st.DrawFn,
    *,
    ranks: tuple[int, ...] = (1, 2, 3),
    transposed: bool | None = None,
    modes: tuple[str, ...] = MODES,
    batches: tuple[int, ...] = (0, 1, 2, 3),
    unbatched: bool = False,
) -> Case:
    """Valid convolutions of small sizes: all of ranks, groups, strides, per-side pads and modes."""
    rank = draw(st.sampled_from(ranks))
    is_transposed = draw(st.booleans()) if transposed is None else transposed
    groups = draw(st.sampled_from((1, 1, 2, 3)))
    inputs, outputs = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    kernel, stride, dilation = (draw(_each(rank, st.integers(1, 3))) for _ in range(3))
    mode = draw(st.sampled_from(modes))
    size, pads, extra = [], [], []
    for k, s, d in zip(kernel, stride, dilation, strict=True):
        before, after = draw(st.integers(0, 3)), draw(st.integers(0, 3))
        more = draw(st.integers(0, max(s, d) - 1)) if is_transposed else 0
        # What the mode can be applied to: the input, or the output if transposed.
        least = max(before, after) + (mode == "reflect") if mode != "zeros" else 1
        if is_transposed:
            missing = max(least, 1) + before + after - (d * (k - 1) + 1 + more)
            smallest = 1 + max(-(-missing // s), 0)
        else:
            smallest = max(least, 1, d * (k - 1) + 1 - before - after)
        size.append(smallest + draw(st.integers(0, 4)))
        pads.append((before, after))
        extra.append(more)
    batch = () if unbatched and draw(st.booleans()) else (draw(st.sampled_from(batches)),)
    channels = (inputs, outputs // groups) if is_transposed else (outputs, inputs // groups)
    return Case(
        rank=rank,
        transposed=is_transposed,
        input_shape=(*batch, inputs, *size),
        weight_shape=(*channels, *kernel),
        stride=stride,
        padding=tuple(pads),
        dilation=dilation,
        groups=groups,
        output_padding=tuple(extra),
        padding_mode=mode,
        has_bias=draw(st.booleans()),
    )
