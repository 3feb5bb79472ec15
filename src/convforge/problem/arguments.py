"""The many ways in which users write integers, tuples and paddings, brought to one form."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex, cast

import numpy as np

from convforge.errors import ConvArgumentError, ConvTypeError, ConvValueError

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}
LARGEST_INT = 2**63 - 1
_NOT_INTEGERS: tuple[type, ...] = (bool, np.bool_, str, bytes)

# What users may pass for stride, dilation, padding.
IntOrInts = SupportsIndex | Sequence[SupportsIndex]
Padding = IntOrInts | Sequence[Sequence[SupportsIndex]] | str


def integer(value: object, name: str) -> int:
    """The value as a Python int.

    Python and NumPy integers pass, and whatever else says by `__index__` that it is one.
    Raises ConvTypeError for bools, floats, strings and None, ConvValueError beyond 64 bits: both as PyTorch.
    """
    if isinstance(value, _NOT_INTEGERS) or not hasattr(value, "__index__"):
        fix = f"use {int(value)}" if isinstance(value, bool) else "use an integer"
        raise ConvTypeError(f"{name} (={value!r}) must be an int, not {type(value).__name__}: {fix}")
    try:
        number = operator.index(cast(SupportsIndex, value))
    except TypeError:
        raise ConvTypeError(f"{name} (={value!r}) must be an int: give a single integer") from None
    if not -LARGEST_INT - 1 <= number <= LARGEST_INT:
        raise ConvValueError(
            f"{name} (={number}) must fit into 64 bits: use a value of at most {LARGEST_INT} (2^63 - 1)"
        )
    return number


def is_sequence(value: object) -> bool:
    """Whether the value is a list of things, not one thing. Strings and arrays are not, as in PyTorch."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def listed(value: Any, name: str, rank: int) -> tuple[int, ...]:
    """A list of ints as it is, whatever its length; one int `rank` times."""
    if not is_sequence(value):
        return (integer(value, name),) * rank
    return tuple(integer(item, f"{name}[{i}]") for i, item in enumerate(value))


def integers(value: Any, name: str, rank: int) -> tuple[int, ...]:
    """One int for each of `rank` axes: 3 -> (3, 3), [3] -> (3, 3), (3, 5) -> (3, 5).

    Raises ConvArgumentError (a RuntimeError) for a wrong length, ConvTypeError for what is not an integer.
    """
    items = listed(value, name, rank)
    if len(items) == 1:
        return items * rank
    if len(items) != rank:
        raise ConvArgumentError(
            f"{name} (={list(items)}) has {len(items)} values, but must be one integer or {rank} of them "
            f"({', '.join(AXES[rank])}) for a {rank}-d convolution: use {name}={_example(rank, name)}"
        )
    return items


def _example(rank: int, name: str) -> str:
    number = 0 if "padding" in name else 1
    return f"{number}" if rank == 1 else f"{(number,) * rank}"


def at_least(values: tuple[int, ...], name: str, least: int, where: str = "along") -> tuple[int, ...]:
    """The values, if none is below `least`; else ConvArgumentError that names the axis."""
    for axis, value in zip(AXES[len(values)], values, strict=True):
        if value < least:
            rule = "must not be negative" if least == 0 else f"must be at least {least}"
            raise ConvArgumentError(
                f"{name} (={value} {where} the {axis}) {rule}: use {name}={least} or more"
            )
    return values


def padding_pairs(value: Any, rank: int) -> tuple[tuple[int, int], ...]:
    """(before, after) for every axis, from 1, (1, 2) or ((1, 2), (0, 1)); axes may mix ints and pairs.

    Raises ConvArgumentError for wrong lengths and negative pads, ConvTypeError for what is not an integer.
    """
    if not is_sequence(value) or not any(is_sequence(item) for item in value):
        return tuple((pad, pad) for pad in at_least(integers(value, "padding", rank), "padding", 0))
    if len(value) != rank:
        example = "((before, after),)" if rank == 1 else "((top, bottom), (left, right))"
        raise ConvArgumentError(
            f"padding (={value!r}) has {len(value)} entries, but a {rank}-d convolution has {rank} axes "
            f"({', '.join(AXES[rank])}): give one (before, after) pair an axis, as in {example}"
        )
    pairs: list[tuple[int, int]] = []
    for i, item in enumerate(value):
        sides = (
            tuple(integer(side, f"padding[{i}]") for side in item)
            if is_sequence(item)
            else (integer(item, f"padding[{i}]"),) * 2
        )
        if len(sides) != 2:
            raise ConvArgumentError(
                f"padding[{i}] (={item!r}) has {len(sides)} values, but must be (before, after): "
                "use e.g. (1, 1)"
            )
        pairs.append((sides[0], sides[1]))
    for side, column in zip(("before", "after"), zip(*pairs, strict=True), strict=True):
        at_least(tuple(column), "padding", 0, where=side)
    return tuple(pairs)
