"""The names of `nn.init` before they got their underscore: each warns, then does what the new one does."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any


def old_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """`xavier_normal` of `xavier_normal_`, with PyTorch's FutureWarning."""
    new, old = function.__name__, function.__name__[:-1]

    @functools.wraps(function)
    def filled(*args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning, stacklevel=2
        )
        return function(*args, **kwargs)

    filled.__name__ = filled.__qualname__ = old
    filled.__doc__ = f"The old name of `{new}`. Warns (FutureWarning)."
    return filled
