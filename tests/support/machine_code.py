"""Machine code by its bytes, called with arrays."""

from __future__ import annotations

import ctypes
from typing import Any

from convforge.runtime.memory import ExecutableMemory


class Code:
    """A function of four addresses: System V's RDI, RSI, RDX, RCX."""

    def __init__(self, code: bytes) -> None:
        self._memory = ExecutableMemory(code)
        self._call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(self._memory.address)

    def __call__(self, *arrays: Any) -> None:
        self._call(*(array.ctypes.data for array in arrays))
