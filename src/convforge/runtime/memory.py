"""Memory that code runs from, and scratch memory for kernels."""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PAGE = mmap.PAGESIZE
_READ_EXECUTE = 1 | 4  # PROT_READ | PROT_EXEC


class ExecutableMemoryRefusedError(OSError):
    """The operating system does not let this process make memory executable."""


class ExecutableMemory:
    """Code made executable: written first, then sealed, so that no page is ever writable and executable."""

    def __init__(self, code: bytes) -> None:
        size = max(-(-len(code) // _PAGE) * _PAGE, _PAGE)
        self._pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._pages[: len(code)] = code
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._pages))
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mprotect(ctypes.c_void_p(self.address), ctypes.c_size_t(size), _READ_EXECUTE) != 0:
            error = ctypes.get_errno()
            raise ExecutableMemoryRefusedError(
                error, "memory cannot be made executable (systemd MemoryDenyWriteExecute?)"
            )


class Scratch(threading.local):
    """Scratch memory of the calling thread: grown when a kernel needs more, kept for the next call."""

    def __init__(self) -> None:
        self._memory: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._address = 0
        self._size = 0

    def address(self, size: int) -> int:
        """Address of at least `size` bytes, aligned to 64."""
        if size > self._size:
            self._size = 0  # let go of the old memory before the new is taken
            self._memory = np.empty(size + 64, np.uint8)
            self._address = -(-self._memory.ctypes.data // 64) * 64
            self._size = size
        return self._address

    def release(self) -> None:
        """Give the memory back."""
        self._memory, self._size, self._address = np.empty(0, np.uint8), 0, 0


scratch = Scratch()


# The address of an array's first element lies behind the object's head in every CPython and NumPy since
# 1.0: reading it there takes 0.2 µs, `array.ctypes.data` 1.1 µs. Checked once below, not assumed.
_DATA_OFFSET = object.__basicsize__


def _read_address(array: NDArray[Any]) -> int:
    return ctypes.c_void_p.from_address(id(array) + _DATA_OFFSET).value or 0


def _ask_address(array: NDArray[Any]) -> int:
    return array.ctypes.data


def _choose_address() -> Callable[[NDArray[Any]], int]:
    if sys.implementation.name != "cpython":
        return _ask_address
    probes = [np.zeros(3), np.zeros((2, 5), np.int8)[:, ::-2], np.zeros(7, np.float32)[3:]]
    return _read_address if all(_read_address(p) == p.ctypes.data for p in probes) else _ask_address


address_of: Callable[[NDArray[Any]], int] = _choose_address()
"""Address of an array's first element."""
