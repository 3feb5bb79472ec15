"""How exact a float32 convolution is asked to be: what is set for the process, and for a block of code.

    setting    ‖y − y64‖ / ‖y64‖, normal data, against float64
    highest    no more than twice that of a plain fp32 FMA convolution
    high       1e-5
    medium     1e-2

A promise of the least: a slower setting's kernel may serve a faster one. Other dtypes know no setting: half
types lose far more where outputs are rounded than `high` does, and are computed with it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from convforge.errors import ConvArgumentError, ConvTypeError

Precision = Literal["highest", "high", "medium"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# Rounding an output to these loses 2^-9 and 2^-12 of it, `high` 3e-6.
_HALF = ("bfloat16", "float16")

F = TypeVar("F", bound=Callable[..., Any])


class _Process:
    """What `set_float32_matmul_precision` has set."""

    precision: Precision = "highest"


# Of this thread or task: the innermost block's precision, and those around it, outermost first.
_innermost: ContextVar[Precision | None] = ContextVar("convforge.precision", default=None)
_around: ContextVar[tuple[Precision | None, ...]] = ContextVar("convforge.precision.around", default=())
_get_innermost = _innermost.get


def set_float32_matmul_precision(precision: str) -> None:
    """Set how exact float32 convolutions of this process are: 'highest' (at first), 'high' or 'medium'.

    Takes effect at the next call, in all threads; inside `with precision(…)`, and in a layer that has a
    precision of its own, that one goes on holding. Raises RuntimeError for other values: PyTorch only
    warns of an unknown word, and leaves what was set.
    """
    _Process.precision = checked_precision(precision, "set_float32_matmul_precision: precision")


def get_float32_matmul_precision() -> Precision:
    """The precision in force here: the innermost `with precision(…)`'s, else what is set for the process."""
    return _get_innermost() or _Process.precision


def checked_precision(value: object, name: str = "precision") -> Precision:
    """The precision, if it is one; else ConvArgumentError (a RuntimeError, as PyTorch's)."""
    if isinstance(value, str):
        for known in PRECISIONS:
            if value == known:
                return known
    raise ConvArgumentError(
        f"{name} (={value!r}) must be one of {', '.join(map(repr, PRECISIONS))}: use 'highest' for the "
        "accuracy of plain float32"
    )


def optional_precision(value: object) -> Precision | None:
    """None (what is in force at the call), or the precision. Raises ConvArgumentError for others."""
    return None if value is None else checked_precision(value)


def precision_of(dtype: np.dtype[Any], asked: Precision | None) -> Precision:
    """What a product of this dtype is computed with; None asks for what is in force.

    One for each other dtype, so that it is planned, compiled and packed once for all settings.
    """
    if dtype.type is np.float32:
        return asked or get_float32_matmul_precision()
    return "high" if dtype.name in _HALF else "highest"


class precision:  # noqa: N801 - a function to its users
    """Ask float32 convolutions for this precision: in a `with` block, or in a function that it decorates.

        with convforge.precision("high"):
            y = layer(x)

    Holds for this thread or asyncio task only, and goes before `set_float32_matmul_precision`; blocks nest.
    A decorated generator or coroutine keeps it only while it runs. Raises RuntimeError for other values.
    """

    def __init__(self, precision: str) -> None:
        self._precision: Precision = checked_precision(precision)

    def __enter__(self) -> None:
        # Nothing is kept in self: one object may be entered by many threads, and by itself.
        _around.set((*_around.get(), _innermost.get()))
        _innermost.set(self._precision)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        *around, before = _around.get()
        _around.set(tuple(around))
        _innermost.set(before)

    def __call__(self, function: F) -> F:
        """The function with this precision in force. Raises TypeError for classes and async generators."""
        return _decorate(self, function)

    def __repr__(self) -> str:
        return f"precision({self._precision!r})"


def _decorate(scope: precision, function: Any) -> Any:
    if not callable(function) or inspect.isclass(function) or inspect.isasyncgenfunction(function):
        raise ConvTypeError(
            f"{scope!r} cannot decorate {function!r}: it decorates functions, methods, generators and "
            "coroutines; use it in a `with` block"
        )
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            # A task has a context of its own; an awaiting caller shares this one, and waits.
            with scope:
                return await function(*args, **kwargs)

        return awaited
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            step: Callable[[Any], Any] = generator.send
            argument: Any = None
            while True:
                with scope:
                    try:
                        value = step(argument)
                    except StopIteration as stop:
                        return stop.value
                try:
                    step, argument = generator.send, (yield value)
                except GeneratorExit:
                    with scope:
                        generator.close()
                    raise
                except BaseException as error:
                    # Whatever is thrown in belongs to the decorated generator.
                    step, argument = generator.throw, error

        return steps

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with scope:
            return function(*args, **kwargs)

    return inside
