"""Arrays beside memory that nobody may touch."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE


class Guarded:
    """Arrays that end, or begin, where memory that nobody may touch begins, or ends."""

    def __init__(self) -> None:
        self._held: list[tuple[mmap.mmap, int]] = []

    def array(self, values: np.ndarray[Any, Any], *, at_end: bool) -> np.ndarray[Any, Any]:
        inner = max(-(-values.nbytes // PAGE), 1) * PAGE
        memory = mmap.mmap(-1, inner + 2 * PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for guard in (base, base + PAGE + inner):
            assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), 0) == 0
        self._held.append((memory, base))
        start = PAGE + (inner - values.nbytes if at_end else 0)
        array = np.frombuffer(memory, values.dtype, values.size, start).reshape(values.shape)
        array[...] = values
        return array


class GuardedScratch:
    """Scratch memory for kernels that ends where memory begins that nobody may touch."""

    def __init__(self) -> None:
        self._guarded = Guarded()

    def address(self, size: int) -> int:
        """Address of `size` bytes, rounded up to whole cache lines, aligned to one and full of ones."""
        memory = np.full(-(-size // 64) * 64, 0xFF, np.uint8)
        return self._guarded.array(memory, at_end=True).ctypes.data
