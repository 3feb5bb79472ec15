"""Element types: small objects that wrap a NumPy dtype and print as PyTorch's do."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

BOOL, INTEGER, FLOAT, COMPLEX = range(4)


class DType:
    """An element type. There is one object per type, so `is` and `==` agree.

    numpy: the NumPy dtype; category: BOOL < INTEGER < FLOAT < COMPLEX; scalar_name: 'Float', as
    PyTorch's messages spell it.
    """

    __slots__ = ("_name", "category", "is_complex", "is_floating_point", "itemsize", "numpy", "scalar_name")

    def __init__(self, name: str, numpy: npt.DTypeLike, category: int, scalar_name: str) -> None:
        self._name = name
        self.numpy: np.dtype[Any] = np.dtype(numpy)
        self.category = category
        self.scalar_name = scalar_name
        self.is_floating_point = category == FLOAT
        self.is_complex = category == COMPLEX
        self.itemsize = self.numpy.itemsize

    @property
    def is_signed(self) -> bool:
        """Whether the type has negative values."""
        return self.category >= FLOAT or self.numpy.kind == "i"

    @property
    def tensor_type(self) -> str:
        """'torch.FloatTensor', the name of the old tensor class of this type."""
        return f"torch.{self.scalar_name}Tensor"

    def to_real(self) -> DType:
        """The type of the real part."""
        return {"complex64": float32, "complex128": float64}.get(self._name, self)

    def to_complex(self) -> DType:
        """The complex type with parts of this type; half precision has none and gives complex64."""
        return complex128 if self._name in ("float64", "complex128") else complex64

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_by_name, (self._name,))

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> DType:
        return self


# The name under which PyTorch prints the class of its element types.
DType.__name__ = DType.__qualname__ = "dtype"

bool_ = DType("bool", np.bool_, BOOL, "Bool")
uint8 = DType("uint8", np.uint8, INTEGER, "Byte")
uint16 = DType("uint16", np.uint16, INTEGER, "UInt16")
uint32 = DType("uint32", np.uint32, INTEGER, "UInt32")
uint64 = DType("uint64", np.uint64, INTEGER, "UInt64")
int8 = DType("int8", np.int8, INTEGER, "Char")
int16 = DType("int16", np.int16, INTEGER, "Short")
int32 = DType("int32", np.int32, INTEGER, "Int")
int64 = DType("int64", np.int64, INTEGER, "Long")
float16 = DType("float16", np.float16, FLOAT, "Half")
bfloat16 = DType("bfloat16", ml_dtypes.bfloat16, FLOAT, "BFloat16")
float32 = DType("float32", np.float32, FLOAT, "Float")
float64 = DType("float64", np.float64, FLOAT, "Double")
complex64 = DType("complex64", np.complex64, COMPLEX, "ComplexFloat")
complex128 = DType("complex128", np.complex128, COMPLEX, "ComplexDouble")

ALL = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64,
    float16, bfloat16, float32, float64, complex64, complex128,
)  # fmt: skip
BY_NUMPY: dict[np.dtype[Any], DType] = {each.numpy: each for each in ALL}
_BY_PYTHON: dict[Any, DType] = {bool: bool_, int: int64, float: float64, complex: complex128}

# Half and double and so on, as PyTorch also calls them.
half, float_, double = float16, float32, float64
short, int_, long = int16, int32, int64
cfloat, cdouble = complex64, complex128


class _Default:
    """Holds the one setting of this file: the type that Python floats become."""

    dtype = float32


def get_default_dtype() -> DType:
    """The type given to Python floats; float32 unless `set_default_dtype` was called."""
    return _Default.dtype


def set_default_dtype(dtype: DType) -> None:
    """Set the type given to Python floats. Raises TypeError unless it is a floating type."""
    dtype = resolve(dtype)
    if not dtype.is_floating_point:
        raise TypeError(
            "only floating-point types are supported as the default type: "
            f"set_default_dtype() got {dtype}, use float32, float64, float16 or bfloat16"
        )
    _Default.dtype = dtype


def from_numpy_dtype(dtype: np.dtype[Any]) -> DType:
    """The element type of a NumPy dtype in either byte order. Raises TypeError for object, str, …"""
    found = BY_NUMPY.get(dtype) or BY_NUMPY.get(dtype.newbyteorder("="))
    if found is None:
        scalar = dtype.type
        raise TypeError(
            f"can't convert np.ndarray of type {scalar.__module__}.{scalar.__name__}. The only "
            "supported types "
            "are: float64, float32, float16, bfloat16, complex64, complex128, int64, int32, int16, "
            "int8, uint64, uint32, uint16, uint8, and bool."
        )
    return found


def resolve(dtype: Any) -> DType:
    """The element type that a `dtype=` argument means.

    dtype: a `DType`, a Python type (float is float64, as in PyTorch), or whatever NumPy calls a dtype.
    Raises TypeError for anything else.
    """
    if isinstance(dtype, DType):
        return dtype
    known = _BY_PYTHON.get(dtype) if isinstance(dtype, type) else None
    if known is not None:
        return known
    if isinstance(dtype, (np.dtype, type)):
        return from_numpy_dtype(np.dtype(dtype))
    raise TypeError(
        f"argument 'dtype' must be torch.dtype, not {type(dtype).__name__} (={dtype!r}): "
        "use for example convforge.float32"
    )


def _by_name(name: str) -> DType:
    return next(each for each in ALL if each._name == name)


def numpy_of(dtype: Any, default: DType | None = None) -> np.dtype[Any]:
    """NumPy's name of a dtype; None means `default`, or else the default dtype."""
    return (default or get_default_dtype() if dtype is None else resolve(dtype)).numpy
