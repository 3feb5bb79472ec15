"""Whether operations are recorded: per thread, switched by context managers that are also decorators."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    """This thread's switches."""

    enabled = True
    inference = False


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded in this thread."""
    return mode.enabled


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return mode.inference


class _Switch:
    """Sets the mode while a `with` block or a decorated function runs; may be entered again and again."""

    _target = False

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.enabled)
        mode.enabled = self._target

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        mode.enabled = self._before.pop()

    def _fresh(self) -> _Switch:
        return type(self)()

    def __call__(self, function: F) -> F:
        return _decorate(self._fresh, function)


def _decorate(fresh: Callable[[], Any], function: Any) -> Any:
    """Run `function` inside a fresh context; a generator function keeps it only while it runs."""
    if inspect.isclass(function):
        raise TypeError(
            f"the grad modes decorate functions, not classes: decorate {function.__name__}'s methods"
        )
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            reply: Any = None
            while True:
                with fresh():
                    try:
                        value = generator.send(reply)
                    except StopIteration as stop:
                        return stop.value
                reply = yield value

        return steps

    @functools.wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with fresh():
            return function(*args, **kwargs)

    return inside


class _DecoratesBare(_Switch):
    """A switch that also takes the function directly: @no_grad as well as @no_grad()."""

    def __new__(cls, function: Any = None) -> Any:  # pyright: ignore[reportInconsistentConstructor]
        """The context, or the decorated `function`."""
        if function is None:
            return object.__new__(cls)
        return _decorate(cls, function)


class no_grad(_DecoratesBare):  # noqa: N801
    """Do not record operations: results do not require grad. A context manager and a decorator."""

    _target = False


class enable_grad(_DecoratesBare):  # noqa: N801
    """Record operations again, inside `no_grad`. A context manager and a decorator."""

    _target = True


class set_grad_enabled(_Switch):  # noqa: N801
    """Switch recording on or off, at once; as a context manager, until its end."""

    def __init__(self, mode_enabled: bool) -> None:
        super().__init__()
        self._target = bool(mode_enabled)
        self._outside = mode.enabled
        mode.enabled = self._target

    def __enter__(self) -> None:
        self._before.append(self._outside)
        mode.enabled = self._target

    def _fresh(self) -> _Switch:
        return set_grad_enabled(self._target)

    def __call__(self, function: F) -> F:
        """Decorate: what was set at once is set back, and holds inside the function."""
        mode.enabled = self._outside
        return super().__call__(function)


class inference_mode(_Switch):  # noqa: N801
    """`no_grad` by PyTorch's newer name; inference_mode(False) leaves the mode on.

    Results are ordinary tensors: unlike PyTorch's they may later take part in recorded operations.
    """

    def __new__(cls, mode: Any = True) -> Any:
        """The context, or the decorated function that `mode` is."""
        if callable(mode):
            return _decorate(cls, mode)
        return object.__new__(cls)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self._inference = bool(mode)
        self._inference_before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.enabled)
        self._inference_before.append(mode.inference)
        mode.inference = self._inference
        if self._inference:
            mode.enabled = False

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        mode.enabled = self._before.pop()
        mode.inference = self._inference_before.pop()

    def _fresh(self) -> _Switch:
        return inference_mode(self._inference)
