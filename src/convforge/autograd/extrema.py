"""Largest, smallest, sorted: with the places where they stand."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .dims import wrap_dim, wrap_dims
from .gathering import gather
from .indexing import embed
from .node import attach
from .reduction import spread
from .tensor import Tensor, from_data, recording


class _Places(NamedTuple):
    """Elements and where they stand along the dimension."""

    values: Tensor
    indices: Tensor

    def __repr__(self) -> str:
        name = type(self).__name__.rstrip("_")
        return f"torch.return_types.{name}(\nvalues={self.values!r},\nindices={self.indices!r})"


# One class an operation, so that the results print their name; `plain` rebuilds them by class.
class max_(_Places):  # noqa: N801
    """What `max` along a dimension gives."""


class min_(_Places):  # noqa: N801
    """What `min` along a dimension gives."""


class sort_(_Places):  # noqa: N801
    """What `sort` gives."""


class topk_(_Places):  # noqa: N801
    """What `topk` gives."""


class median_(_Places):  # noqa: N801
    """What `median` along a dimension gives."""


_RETURNS: dict[str, type[_Places]] = {
    "max": max_,
    "min": min_,
    "sort": sort_,
    "topk": topk_,
    "median": median_,
}


def _refuse_empty(name: str, data: Any, dims: tuple[int, ...] | None) -> None:
    if dims is None and data.size == 0:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
            "reduction dim with the 'dim' argument."
        )
    for each in dims or ():
        if data.ndim and data.shape[each] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {each} to have non-zero size.")


def _first_place(data: Any, dim: int, largest: bool) -> Any:
    """The index of the extremum along `dim`, the first of equals; NaN counts as extreme."""
    if data.dtype.kind == "V":  # bfloat16 has no argmax of its own
        data = data.astype(np.float32)
    return np.argmax(data, axis=dim) if largest else np.argmin(data, axis=dim)


def _along(name: str, input: Tensor, dim: int, keepdim: bool, largest: bool) -> Any:
    data = input._data
    dim = wrap_dim(dim, data.ndim)
    _refuse_empty(name, data, (dim,))
    if not data.ndim:
        return _RETURNS[name](input.clone(), from_data(np.zeros((), np.int64)))
    places = np.expand_dims(_first_place(data, dim, largest), dim)
    values = from_data(np.take_along_axis(data, places, dim))
    if recording(input):
        node = attach(values, f"{name.capitalize()}Backward0", _place_backward, (input,))
        node.dim, node.places, node.shape = dim, places, data.shape
    if not keepdim:
        shape = data.shape[:dim] + data.shape[dim + 1 :]
        node = values._grad_fn
        if node is not None:
            node.metas[0] = (shape, data.dtype)
        values._data = values._data.reshape(shape)
        places = places.reshape(shape)
    return _RETURNS[name](values, from_data(places))


def _place_backward(node: Any, grad: Tensor) -> Tensor:
    from .gathering import along as index_along

    places = node.places
    return embed(grad.reshape(places.shape), index_along(places, node.dim), node.shape)


def _extremum(name: str, input: Tensor, dim: Any, keepdim: bool, largest: bool, other: Any) -> Any:
    from .selection import maximum, minimum

    if isinstance(dim, Tensor):
        dim, other = None, dim
    if other is not None:
        return (maximum if largest else minimum)(input, other)
    if input._data.dtype.kind == "c":
        raise RuntimeError(f"\"{name}_values_cpu\" not implemented for '{input.dtype.scalar_name}'")
    if dim is not None:
        return _along(name, input, dim, keepdim, largest)
    _refuse_empty(name, input._data, None)
    return _every(f"{name.capitalize()}Backward1", input, None, False, largest)


def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element; with `dim`, (values, indices); with a tensor, `maximum`."""
    return _extremum("max", input, dim, keepdim, True, other)


def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element; with `dim`, (values, indices); with a tensor, `minimum`."""
    return _extremum("min", input, dim, keepdim, False, other)


def _every(title: str, input: Tensor, dim: Any, keepdim: bool, largest: bool) -> Tensor:
    data = input._data
    dims = wrap_dims(dim, data.ndim)
    out = from_data((np.maximum if largest else np.minimum).reduce(data, axis=dims, keepdims=keepdim))
    if out._data is data:
        out = from_data(data.copy())
    if recording(input):
        node = attach(out, title, _every_backward, (input,))
        kept = out._data.reshape([1 if i in dims else s for i, s in enumerate(data.shape)])
        hit = (data == kept) | (np.isnan(data) & np.isnan(kept))
        node.spread = data.shape, dims, keepdim
        share = hit.astype(data.dtype)
        node.share = from_data(np.asarray(share / hit.sum(axis=dims, keepdims=True), data.dtype))
    return out


def _every_backward(node: Any, grad: Tensor) -> Tensor:
    return spread(grad, *node.spread) * node.share


def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest over several dimensions; ties share the gradient."""
    _refuse_empty("amax", input._data, wrap_dims(dim, input._data.ndim) if dim != () else None)
    return _every("AmaxBackward0", input, dim, keepdim, True)


def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest over several dimensions; ties share the gradient."""
    _refuse_empty("amin", input._data, wrap_dims(dim, input._data.ndim) if dim != () else None)
    return _every("AminBackward0", input, dim, keepdim, False)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """(smallest, largest)."""
    dims = () if dim is None else dim
    return amin(input, dims, keepdim), amax(input, dims, keepdim)


def _arg(name: str, input: Tensor, dim: int | None, keepdim: bool, largest: bool) -> Tensor:
    data = input._data
    if data.dtype.kind == "b":
        raise NotImplementedError(f"{name}(): does not support bool input: convert it with .int()")
    if dim is None:
        _refuse_empty(name, data, None)
        found = np.asarray(_first_place(data.reshape(-1), 0, largest))
        return from_data(found.reshape((1,) * data.ndim) if keepdim else found)
    dim = wrap_dim(dim, data.ndim)
    _refuse_empty(name, data, (dim,))
    if not data.ndim:
        return from_data(np.zeros((), np.int64))
    found = _first_place(data, dim, largest)
    return from_data(np.expand_dims(found, dim) if keepdim else found)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element stands: in the flat tensor, or along `dim`."""
    return _arg("argmax", input, dim, keepdim, True)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element stands: in the flat tensor, or along `dim`."""
    return _arg("argmin", input, dim, keepdim, False)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:  # noqa: ARG001 - PyTorch's signature
    """The order that sorts `dim`, equals in their order."""
    data = input._data
    if not data.ndim:
        return from_data(np.zeros((), np.int64))
    dim = wrap_dim(dim, data.ndim)
    if descending:
        # Sorting the mirror image and mirroring back keeps equals in their order.
        order = np.flip(np.argsort(np.flip(data, dim), axis=dim, kind="stable"), dim)
        return from_data(np.ascontiguousarray(data.shape[dim] - 1 - order))
    return from_data(np.argsort(data, axis=dim, kind="stable"))


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:  # noqa: ARG001 - PyTorch's signature
    """(values, indices) with `dim` in order."""
    order = argsort(input, dim, descending)
    return _RETURNS["sort"](gather(input, dim, order), order)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:  # noqa: ARG001 - PyTorch's signature
    """(values, indices) of the k largest along `dim`, in order."""
    size = input._data.shape[wrap_dim(dim, input._data.ndim)] if input._data.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError("selected index k out of range")
    order = (
        argsort(input, dim, largest).narrow(dim, 0, k).contiguous() if input._data.ndim else argsort(input)
    )
    return _RETURNS["topk"](gather(input, dim, order), order)


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower of two; with `dim`, (values, indices)."""
    if dim is None:
        flat = input.reshape(-1)
        return gather(flat, 0, argsort(flat).narrow(0, (flat._data.size - 1) // 2, 1)).reshape(())
    size = input._data.shape[wrap_dim(dim, input._data.ndim)]
    place = argsort(input, dim).narrow(dim, (size - 1) // 2, 1)
    values = gather(input, dim, place.contiguous())
    return _RETURNS["median"](
        values if keepdim else values.squeeze(dim), place if keepdim else place.squeeze(dim)
    )
