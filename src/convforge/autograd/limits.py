"""The numerical limits of element types: `torch.finfo` and `torch.iinfo`."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from .dtype import BOOL, FLOAT, DType, get_default_dtype, resolve


def _dtype_of(name: str, type: Any) -> DType:
    if isinstance(type, str):
        raise TypeError(f"{name}(): argument 'type' (position 1) must be torch.dtype, not str (={type!r})")
    return resolve(type)


class finfo:  # noqa: N801 - PyTorch's name
    """Limits of a floating type; of a complex one, those of its parts. Without a type, of the default one.

    eps: the step above 1; tiny and smallest_normal: the least number of full precision; resolution: 10 to
    minus the number of decimal digits that are kept

    Raises TypeError for integers.
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: Any = None) -> None:
        found = get_default_dtype() if type is None else _dtype_of("finfo", type)
        if found.category < FLOAT:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        real = found.to_real()
        limits: Any = ml_dtypes.finfo(real.numpy)
        self.bits = real.itemsize * 8
        self.dtype = real._name
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.smallest_normal)
        self.resolution = 10.0 ** -int(limits.precision)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        values = ", ".join(f"{name}={getattr(self, name):g}" for name in names)
        return f"finfo({values}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("finfo", self.dtype))


class iinfo:  # noqa: N801 - PyTorch's name
    """Limits of an integer type. Raises TypeError for other types."""

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: Any) -> None:
        found = _dtype_of("iinfo", type)
        if found.category == BOOL:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if found.category >= FLOAT:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'"
            )
        limits = np.iinfo(found.numpy)
        self.bits, self.dtype = found.itemsize * 8, found._name
        self.min, self.max = int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("iinfo", self.dtype))
