"""One piece of code run with PyTorch and with convforge: the same values, or the same error and words.

    def two_layers(s):
        return repr(s.nn.Sequential(s.nn.ReLU(), s.nn.ReLU()))

    def test_two_layers():
        same(two_layers)

Without PyTorch the comparison is skipped, after our side has run.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Side:
    """A library under the names of PyTorch: `root` is torch, `nn` is torch.nn."""

    root: Any
    nn: Any

    def tensor(self, values: Any, dtype: str = "float32") -> Any:
        """A tensor of the values."""
        return self.root.tensor(values, dtype=getattr(self.root, dtype))

    def parameter(self, *shape: int, requires_grad: bool = True) -> Any:
        """A parameter that holds 0, 1, 2, … in float32."""
        values = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
        return self.nn.Parameter(self.tensor(values.tolist()), requires_grad=requires_grad)


@dataclass(frozen=True)
class Outcome:
    """What a piece of code gave: a plain value, or an error, and the words of its warnings."""

    value: Any
    error: Exception | None
    warned: tuple[str, ...]


def ours() -> Side:
    return Side(importlib.import_module("convforge"), importlib.import_module("convforge.nn"))


def theirs() -> Side | None:
    if importlib.util.find_spec("torch") is None:
        return None
    return Side(importlib.import_module("torch"), importlib.import_module("torch.nn"))


def plain(value: Any) -> Any:
    """Without the library's types: tensors as (dtype, nested list), modules as text."""
    if hasattr(value, "detach") and hasattr(value, "tolist"):
        return (str(value.dtype), plain(value.detach().tolist()))
    if hasattr(value, "named_parameters"):
        return repr(value)
    if isinstance(value, float):
        return float(np.float32(value))
    if isinstance(value, Mapping):
        return [(plain(k), plain(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def outcome(code: Callable[[Side], Any], side: Side) -> Outcome:
    """Run the code and keep what came out."""
    value, error = None, None
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            value = plain(code(side))
        except Exception as raised:
            error = raised
    return Outcome(value, error, tuple(str(each.message).split(". ")[0] for each in warned))


def words_of(error: Exception | None) -> str:
    """The message, with the files that classes come from left out."""
    return re.sub(r"\b(torch\.nn\.modules|torch\.nn|convforge\.nn)\.(\w+\.)?(?=[A-Z])", "nn.", str(error))


def same(code: Callable[[Side], Any], words: bool = True) -> Outcome:
    """Assert that both libraries do the same; `words=False` compares the error's type alone."""
    mine = outcome(code, ours())
    side = theirs()
    if side is None:
        pytest.skip("PyTorch is not installed: nothing to compare with")
    expected = outcome(code, side)
    if expected.error is None:
        if mine.error is not None:
            raise mine.error
        assert mine.value == expected.value
    else:
        assert isinstance(mine.error, type(expected.error)), f"{mine} instead of {expected}"
        if words:
            assert words_of(mine.error) == words_of(expected.error)
    assert mine.warned == expected.warned
    return mine
