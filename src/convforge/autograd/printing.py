"""Tensors as text, as PyTorch prints them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .dtype import bool_, complex64, complex128, get_default_dtype, int64
from .tensor import Tensor


@dataclass(frozen=True, slots=True)
class Options:
    """How to print. precision: digits after the point; threshold: elements from which on to summarise;
    edgeitems: how many to show at each end then; linewidth; sci_mode: None decides by the values."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


class _Current:
    options = Options()


_PROFILES = {
    "default": Options(),
    "short": Options(precision=2, edgeitems=2),
    "full": Options(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Change how tensors print. profile: 'default', 'short' or 'full', before the others count."""
    options = _Current.options if profile is None else _PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    options = replace(options, **{name: value for name, value in given.items() if value is not None})
    _Current.options = replace(options, sci_mode=sci_mode)


class _Formatter:
    """Gives every element of one tensor the same form and width."""

    def __init__(self, values: Any) -> None:
        self.floating = values.dtype.kind in "fV"
        self.integers_only = True
        self.scientific = False
        self.width = 1
        options = _Current.options
        if not self.floating:
            self.width = max((len(str(each)) for each in values.ravel().tolist()), default=1)
            return
        wide = values.astype(np.float64).ravel()
        nonzero = wide[np.isfinite(wide) & (wide != 0)]
        if nonzero.size == 0:
            return
        size = np.abs(nonzero)
        top, bottom = float(size.max()), float(size.min())
        self.integers_only = bool(np.all(np.ceil(nonzero) == nonzero))
        self.scientific = top / bottom > 1000.0 or top > 1.0e8 or bottom < 1.0e-4
        if options.sci_mode is not None:
            self.scientific = options.sci_mode
        # Zeros, infinities and NaN have no say in the width, as in PyTorch.
        self.width = max(len(self.text(each)) for each in nonzero.tolist())

    def text(self, value: Any) -> str:
        """One element without padding."""
        if not self.floating:
            return str(value)
        precision = _Current.options.precision
        if self.scientific:
            return f"{value:.{precision}e}"
        if self.integers_only:
            found = f"{value:.0f}"
            return found if not math.isfinite(value) else f"{found}."
        return f"{value:.{precision}f}"

    def padded(self, value: Any) -> str:
        """One element, right-aligned."""
        return self.text(value).rjust(self.width)


def _scalar_text(value: Any, first: _Formatter, second: _Formatter | None) -> str:
    if second is None:
        return first.padded(value)
    real, imaginary = first.padded(value.real), second.padded(value.imag).lstrip()
    return f"{real}{imaginary}j" if imaginary[0] in "+-" else f"{real}+{imaginary}j"


def _vector_text(
    data: Any, indent: int, summarize: bool, first: _Formatter, second: _Formatter | None
) -> str:
    options = _Current.options
    width = first.width + 2 + (second.width + 1 if second is not None else 0)
    per_line = max(1, (options.linewidth - indent) // width)
    edge = options.edgeitems
    values = [each.item() for each in data] if data.dtype.kind != "V" else data.astype(np.float32).tolist()

    def text(value: Any) -> str:
        return _scalar_text(value, first, second)

    if summarize and not edge:
        cells = ["..."]
    elif summarize and data.size > 2 * edge:
        cells = [*map(text, values[:edge]), " ...", *map(text, values[-edge:])]
    else:
        cells = [*map(text, values)]
    lines = [cells[start : start + per_line] for start in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def _block_text(data: Any, indent: int, summarize: bool, first: _Formatter, second: _Formatter | None) -> str:
    if data.ndim == 0:
        return _scalar_text(data.item() if data.dtype.kind != "V" else float(data), first, second)
    if data.ndim == 1:
        return _vector_text(data, indent, summarize, first, second)
    edge = _Current.options.edgeitems
    if summarize and data.shape[0] > 2 * edge:
        rows: list[Any] = [*data[:edge], None, *data[data.shape[0] - edge :]]
    else:
        rows = [*data]
    texts = [
        "..." if each is None else _block_text(each, indent + 1, summarize, first, second) for each in rows
    ]
    gap = "," + "\n" * (data.ndim - 1) + " " * (indent + 1)
    return f"[{gap.join(texts)}]"


def _summarized(data: Any) -> Any:
    """Only the elements that a summary shows, which alone decide the format."""
    edge = _Current.options.edgeitems
    for axis in range(data.ndim):
        if data.shape[axis] > 2 * edge:
            places = [*range(edge), *range(data.shape[axis] - edge, data.shape[axis])]
            data = np.take(data, places, axis)
    return data


def elements_text(data: Any, indent: int) -> str:
    """The elements in brackets; continuation lines start after `indent` columns."""
    summarize = data.size > _Current.options.threshold
    shown = _summarized(data) if summarize else data
    if data.dtype.kind == "c":
        return _block_text(data, indent, summarize, _Formatter(shown.real), _Formatter(shown.imag))
    return _block_text(data, indent, summarize, _Formatter(shown), None)


def tensor_text(input: Tensor, *, tensor_contents: Any = None) -> str:  # noqa: ARG001 - PyTorch's signature
    """The text of `print(tensor)`."""
    prefix = "tensor("
    data = input._data
    suffixes: list[str] = []
    dtype = input.dtype
    implied = dtype in (get_default_dtype(), int64, bool_) or (
        dtype in (complex64, complex128) and dtype is get_default_dtype().to_complex()
    )
    if data.size == 0:
        if data.ndim != 1:
            suffixes.append(f"size={tuple(data.shape)!s}")
        if dtype is not get_default_dtype():
            suffixes.append(f"dtype={dtype}")
        text = "[]"
    else:
        if not implied:
            suffixes.append(f"dtype={dtype}")
        text = elements_text(data, len(prefix))
    node = input.grad_fn
    if node is not None:
        suffixes.append(f"grad_fn=<{node.name()}>")
    elif input.requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(prefix + text, suffixes, len(prefix))


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """Append ', suffix' for each, on a new line where the last one would grow too long."""
    parts = [text]
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if last + len(suffix) + 2 > _Current.options.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            last = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            last += len(suffix) + 2
    return "".join(parts) + ")"


def formatted(input: Tensor, specification: str) -> str:
    """format(tensor, spec): of a number where there are no dimensions, else str."""
    if not input._data.ndim and type(input) is Tensor:
        return format(input.item(), specification)
    return format(str(input), specification) if not specification else object.__format__(input, specification)
