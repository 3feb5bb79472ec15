"""Arrays that begin on a line of the cache, how to tell them from views, and memory that is used again."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE_BYTES = 64
"""Of a cache."""


# From so many bytes on the C library asks the system for each array anew and gives it back after, whatever
# was freed before: 51 MB of fresh pages take 2.8 ms, 200 MB 24 ms, as much as a layer that writes them.
_FRESH_BYTES = 32 << 20
# Of the machine's memory, what arrays of that size may keep when nobody holds them any more.
_KEPT_SHARE = 1 / 32


def _no_references(kept: object) -> int:
    del kept
    return 0


# How many refer to an object, the call itself included; 0 where that is not known for certain.
_counts = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
references: Callable[[object], int] = sys.getrefcount if _counts else _no_references


class _Pages(np.ndarray[Any, Any]):
    """Memory in which one array of `on_lines` after the other lies."""


class _Kept:
    """Memory of large arrays, given again as soon as nobody holds the array that was in it.

    A network at work asks for the same few sizes over and over. limit: bytes of all that is looked after, in
    use or not; what would be more is let go of, the longest unused first.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._pages = [_Pages((0,), np.uint8)]
        self._unused = self._references(0)
        self._pages.clear()

    def take(self, size: int) -> _Pages | None:
        """Pages of at least `size` bytes, and not many more; None where none are to be kept."""
        # Who finds another thread here does without: no array is worth a wait.
        if not self._unused or size > self._limit or not self._lock.acquire(blocking=False):
            return None
        try:
            for number, pages in enumerate(self._sizes()):
                if size <= pages <= size + size // 4 and self._references(number) == self._unused:
                    self._pages.append(self._pages.pop(number))
                    return self._pages[-1]
            return self._made(size)
        finally:
            self._lock.release()

    def _references(self, number: int) -> int:
        return references(self._pages[number])

    def _sizes(self) -> list[int]:
        return [pages.size for pages in self._pages]

    def _made(self, size: int) -> _Pages:
        while sum(self._sizes()) + size > self._limit:
            self._pages.pop(0)
        try:
            pages = _Pages((size,), np.uint8)
        except MemoryError:
            self._pages.clear()
            pages = _Pages((size,), np.uint8)
        self._pages.append(pages)
        return pages

    def release(self) -> None:
        """Give back what nobody uses, and look after nothing that is in use."""
        with self._lock:
            self._pages.clear()


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


_kept = _Kept(int(_KEPT_SHARE * _machine_bytes()))


def release_memory() -> None:
    """Give back to the system the memory of freed arrays that is kept for the next ones.

    Outputs and gradients of 32 MB and more are kept so, a 32nd of the machine's memory at most: to have them
    made anew in each call takes the system as long as a layer takes to fill them.

        big = convforge.nn.functional.conv2d(x, weight)     100 MB
        del big                                             kept, for the next output of that size
        convforge.memory.release_memory()                   given back
    """
    _kept.release()


class Lines(np.ndarray[Any, Any]):
    """The memory of one array of `on_lines`, which nobody else holds: an array in it is not a view."""


def on_lines(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """An array without values that begins on a line of the cache.

    NumPy's large ones begin 16 bytes behind one, so that each store of 64 bytes writes to two lines. With
    outputs on lines layers took 5 to 30 % less time (AVX-512, Granite Rapids, two cores: VGG's first 635 ->
    584 us, a depthwise one of 32 channels at 112x112 64 -> 45).
    """
    kind = np.dtype(dtype)
    size = prod(shape) * kind.itemsize + LINE_BYTES
    pages = _kept.take(size) if size >= _FRESH_BYTES else None
    memory = Lines((size,), np.uint8, pages)
    address: int = memory.__array_interface__["data"][0]
    return np.ndarray(shape, kind, memory, -address % LINE_BYTES)


def base_of(array: NDArray[Any]) -> NDArray[Any] | None:
    """The array that this one is a view of, or None."""
    base: Any = array.base
    return base if isinstance(base, np.ndarray) and not isinstance(base, Lines) else None


def is_shared(array: NDArray[Any]) -> bool:
    """Whether the memory may be another array's too."""
    base: Any = array.base
    # One reference is the array's, the others are this variable's and the argument's.
    return sys.getrefcount(base) > _ALONE if isinstance(base, Lines) else base is not None


def _references() -> int:
    base: Any = on_lines((1,), np.uint8).base
    held = [base]
    return sys.getrefcount(base) if held else 0


_ALONE = _references()
