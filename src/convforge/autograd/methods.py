"""Puts the operations on `Tensor`: one table a kind, read once at import. tensor.pyi declares them."""

# ruff: noqa: ARG005 - functions in tables share one form  # noqa: RUF100

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import (
    arithmetic,
    casting,
    creation,
    division,
    drawing,
    extrema,
    gathering,
    index_writing,
    indexing,
    inplace,
    interop,
    joining,
    linalg,
    nan_reduction,
    pointwise,
    printing,
    reduction,
    sampling,
    scan,
    selection,
    shape,
    softmax,
)  # fmt: skip
from .tensor import Tensor

_FROM_MODULES: dict[Any, str] = {
    arithmetic: "add sub mul neg positive pow addcmul addcdiv lerp square",
    division: "div floor_divide remainder fmod",
    gathering: "index_select gather scatter scatter_add index_add masked_select take_along_dim",
    casting: "to type_as clone contiguous is_contiguous detach detach_ cpu cuda",
    extrema: "max min amax amin aminmax argmax argmin argsort sort topk median",
    indexing: "select narrow",
    inplace: "copy_ fill_ zero_",
    drawing: "uniform_ normal_ random_ bernoulli_ exponential_ geometric_ cauchy_ log_normal_",
    index_writing: "index_put index_fill index_copy",
    interop: """numpy item tolist size stride numel dim element_size data_ptr storage_offset
        is_floating_point is_complex""",
    joining: """split chunk tensor_split unbind repeat tile repeat_interleave flip roll tril triu
        diagonal diag""",
    linalg: "matmul mm bmm mv dot outer addmm baddbmm",
    pointwise: """sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh
        cosh tanh sigmoid reciprocal relu abs sign sgn floor ceil trunc round frac isnan isinf
        isfinite nan_to_num conj angle erf""",
    nan_reduction: "nansum nanmean",
    reduction: "sum mean prod var std all any count_nonzero norm",
    scan: "cumsum cumprod",
    selection: """eq ne lt le gt ge bitwise_and bitwise_or bitwise_xor bitwise_not
        bitwise_left_shift bitwise_right_shift logical_not logical_and logical_or logical_xor equal
        isclose allclose maximum minimum clamp clamp_min clamp_max masked_fill nonzero""",
    shape: """view reshape view_as reshape_as flatten unflatten ravel permute transpose t movedim
        unsqueeze squeeze expand expand_as broadcast_to""",
    softmax: "softmax log_softmax logsumexp",
    sampling: "bernoulli",
}

_OTHER_NAMES: dict[str, Callable[..., Any]] = {
    "absolute": pointwise.abs, "arccos": pointwise.acos, "arcsin": pointwise.asin, "arctan": pointwise.atan,
    "clip": selection.clamp, "divide": division.div, "greater": selection.gt, "greater_equal": selection.ge,
    "less": selection.lt, "less_equal": selection.le, "moveaxis": shape.movedim, "multiply": arithmetic.mul,
    "ndimension": interop.dim, "negative": arithmetic.neg, "nelement": interop.numel,
    "not_equal": selection.ne,
    "subtract": arithmetic.sub, "swapaxes": shape.transpose, "swapdims": shape.transpose,
    "true_divide": division.div, "type": casting.type_of, "ger": linalg.outer,
}  # fmt: skip

# The forms with a trailing underscore.
_IN_PLACE: dict[Any, str] = {
    arithmetic: "neg pow addcmul addcdiv lerp square",
    division: "floor_divide remainder fmod",
    gathering: "scatter scatter_add index_add",
    index_writing: "index_put index_fill index_copy",
    linalg: "addmm baddbmm",
    joining: "tril triu",
    pointwise: """sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh
        cosh tanh sigmoid reciprocal relu abs sign sgn floor ceil trunc round frac nan_to_num erf""",
    scan: "cumsum cumprod",
    selection: """eq ne lt le gt ge bitwise_and bitwise_or bitwise_xor bitwise_not
        bitwise_left_shift bitwise_right_shift logical_not logical_and logical_or logical_xor clamp
        clamp_min clamp_max masked_fill""",
}

_DIRECT = {
    "add_": (np.add, arithmetic.add), "sub_": (np.subtract, arithmetic.sub),
    "mul_": (np.multiply, arithmetic.mul), "div_": (np.true_divide, division.div),
}  # fmt: skip

_PROPERTIES: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "T": (shape.reversed_dims, "All dimensions in reverse order."),
    "mT": (shape.matrix_transpose, "The last two dimensions swapped."),
    "H": (lambda input: shape.t(input).conj(), "The conjugate transpose of a matrix."),
    "real": (pointwise.real, "The real part, a view."),
    "imag": (pointwise.imag, "The imaginary part, a view."),
    "itemsize": (interop.element_size, "Bytes of an element."),
    "nbytes": (lambda input: input._data.nbytes, "Bytes of all elements."),
    "is_cuda": (lambda input: False, "Whether the memory is on a GPU: never."),
    "is_sparse": (lambda input: False, "Whether the layout is sparse: never."),
}


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def swapped(input: Tensor, other: Any) -> Any:
        try:
            return function(other, input)
        except TypeError:
            return NotImplemented

    return swapped


def _operator(function: Callable[..., Any]) -> Callable[..., Any]:
    """The operation as an operator: an operand it does not know gets its own chance."""

    def operated(input: Tensor, other: Any) -> Any:
        try:
            return function(input, other)
        except TypeError:
            return NotImplemented

    return operated


def _equality(function: Callable[..., Any], otherwise: bool) -> Callable[..., Any]:
    def compared(input: Tensor, other: Any) -> Any:
        try:
            return function(input, other)
        except TypeError:
            return otherwise

    return compared


def _matmul(input: Any, other: Any) -> Any:
    return linalg.matmul(
        *[each if isinstance(each, Tensor) else creation.as_tensor(each) for each in (input, other)]
    )


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "truediv": division.div,
    "floordiv": division.floor_divide, "mod": division.remainder, "pow": arithmetic.pow, "matmul": _matmul,
    "and": selection.bitwise_and, "or": selection.bitwise_or, "xor": selection.bitwise_xor,
    "lshift": selection.bitwise_left_shift, "rshift": selection.bitwise_right_shift,
}  # fmt: skip

_SPECIAL: dict[str, Callable[..., Any]] = {
    "__neg__": arithmetic.neg, "__pos__": arithmetic.positive, "__abs__": pointwise.abs,
    "__invert__": selection.bitwise_not, "__eq__": _equality(selection.eq, False),
    "__ne__": _equality(selection.ne, True), "__lt__": _operator(selection.lt),
    "__le__": _operator(selection.le),
    "__gt__": _operator(selection.gt), "__ge__": _operator(selection.ge), "__getitem__": indexing.getitem,
    "__setitem__": indexing.setitem, "__bool__": interop.to_bool, "__float__": interop.to_float,
    "__int__": interop.to_int, "__complex__": interop.to_complex, "__index__": interop.to_index,
    "__len__": interop.length, "__iter__": interop.iterate, "__contains__": interop.contains,
    "__array__": interop.to_numpy, "__array_wrap__": interop.from_ufunc, "__dlpack__": interop.dlpack,
    "__dlpack_device__": interop.dlpack_device, "__deepcopy__": interop.deep_copy,
    "__reduce_ex__": interop.reduce_ex,
    "__repr__": printing.tensor_text, "__str__": printing.tensor_text, "__format__": printing.formatted,
}  # fmt: skip


def _where(input: Tensor, condition: Tensor, other: Any) -> Tensor:
    """input where the condition holds, else other."""
    return selection.where(condition, input, other)


def _new(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def made(input: Tensor, *args: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        return function(*args, dtype=dtype or input.dtype, **kwargs)

    made.__doc__ = f"`{function.__name__}` of this tensor's dtype unless told otherwise."
    return made


def install(cls: type) -> None:
    """Set every method of the tables on `cls`."""
    for module, names in _FROM_MODULES.items():
        for name in names.split():
            setattr(cls, name, getattr(module, name))
    for name, function in (_OTHER_NAMES | casting.CONVERTERS | _SPECIAL).items():
        setattr(cls, name, function)
    for module, names in _IN_PLACE.items():
        for name in names.split():
            setattr(cls, f"{name}_", inplace.in_place(getattr(module, name)))
    for name, (ufunc, function) in _DIRECT.items():
        setattr(cls, name, inplace.direct(name, ufunc, function))
    for name in ("unsqueeze", "squeeze", "transpose", "t"):
        setattr(cls, f"{name}_", inplace.set_shape(getattr(shape, name)))
    for name, function in _OPERATORS.items():
        setattr(cls, f"__{name}__", _operator(function))
        setattr(cls, f"__r{name}__", _reflected(function))
        if f"{name}_" in _DIRECT or name in ("pow", "mod", "truediv", "floordiv", "and", "or", "xor"):
            changed = {"truediv": "div_", "floordiv": "floor_divide_", "mod": "remainder_"}.get(name)
            changed = changed or (f"bitwise_{name}_" if name in ("and", "or", "xor") else f"{name}_")
            setattr(cls, f"__i{name}__", getattr(cls, changed))
    for name, (getter, doc) in _PROPERTIES.items():
        setattr(cls, name, property(getter, doc=doc))
    for name in ("empty", "zeros", "ones", "full"):
        setattr(cls, f"new_{name}", _new(getattr(creation, name)))
    cls.new_tensor = _new(creation.tensor)
    for name, function in _OTHER_NAMES.items():
        same = getattr(cls, f"{function.__name__}_", None)
        if same is not None:
            setattr(cls, f"{name}_", same)
    cls.where = _where


install(Tensor)
