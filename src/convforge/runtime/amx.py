"""Asks the system for tiles (AMX): their 8 KB of state are not a process's until it has asked for them."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from functools import lru_cache

# arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) by its number: the C library has no function for it.
# Source: Linux, Documentation/arch/x86/xstate.rst.
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18


@lru_cache(maxsize=1)
def why_tiles_refused() -> str | None:
    """The reason why this process may not use tiles, or None: asked once, holds for all its threads."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"tiles are asked for on Linux for x86-64 only, not on {sys.platform} for {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = (ctypes.c_long(n) for n in (_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA))
    if libc.syscall(*numbers) == 0:
        return None
    return f"the system refuses tiles to this process (arch_prctl: {os.strerror(ctypes.get_errno())})"
