"""Rules of products of matrices: elements see all that is summed over, and multiply-adds are counted."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from convforge.autograd.tensor import Tensor, from_data
from convforge.explain.abstract import Ledger
from convforge.explain.places import Axis, Place, met
from convforge.explain.rules import Call, broadcast, places_of, rule, unknown
from convforge.explain.tracing_words import NOT_COUNTED, said
from convforge.nn import functional as F


@rule("linear")
def _linear(call: Call) -> Any:
    first, weight, bias = call.first, call.argument("weight"), call.argument("bias")
    # Of no rows: it costs nothing, and refuses what the real one refuses.
    width = first.shape[-1:]
    rows = from_data(np.zeros((0, *width), first.dtype.numpy))
    F.linear(rows, _zeros(weight), None if bias is None else _zeros(bias))
    shape = (*first.shape[:-1], *weight.shape[:-1])
    places = {
        axis: place.everything(width[0]) if place.dim == first.ndim - 1 else place
        for axis, place in first.places.items()
    }
    _count_products(call.ledger, prod(shape), int(width[0]), bias is not None)
    call.ledger.keep(first)
    return call.result(shape, places)


def _zeros(tensor: Any) -> Tensor:
    """Of its shape and dtype, without memory."""
    return from_data(np.broadcast_to(np.zeros((), tensor.dtype.numpy), tuple(tensor.shape)))


def _count_products(ledger: Ledger, outputs: int, terms: int, bias: bool) -> None:
    counts = ledger.open[-1]
    counts.multiply_adds += outputs * terms
    counts.real_multiply_adds += outputs * terms
    counts.additions += outputs * max(terms - 1, 0)
    counts.bias_additions += outputs if bias else 0


@rule("matmul", "mm", "bmm", "mv", "__matmul__", "__rmatmul__")
def _matmul(call: Call) -> Any:
    a, b = call.args[:2] if call.name != "__rmatmul__" else call.args[1::-1]
    if min(a.ndim, b.ndim) < 2:
        return unknown(call)
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied: {list(a.shape)} and {list(b.shape)}: the last size "
            "of the first must be the last but one of the second"
        )
    lead = broadcast("matmul", [tuple(a.shape[:-2]), tuple(b.shape[:-2])])
    shape = (*lead, a.shape[-2], b.shape[-1])

    def seen(tensor: Any, at: int) -> tuple[dict[Axis, Place], tuple[int, ...]]:
        length = tensor.shape[at]
        places = {
            axis: place.everything(length) if place.dim == at else place
            for axis, place in places_of(tensor).items()
        }
        return places, tuple(1 if dim == at else size for dim, size in enumerate(tensor.shape))

    places = met([seen(a, a.ndim - 1), seen(b, b.ndim - 2)], shape)
    _count_products(call.ledger, prod(shape), int(a.shape[-1]), bias=False)
    call.ledger.keep(a, b)
    return call.ledger.tensor(shape, np.result_type(a.dtype.numpy, b.dtype.numpy), places)


@rule("einsum", "addmm", "baddbmm", "bilinear", "dot", "outer")
def _other_products(call: Call) -> Any:
    call.ledger.note(said(NOT_COUNTED, name=call.name))
    return unknown(call)
