"""What to do where the operating system refuses executable memory: say so once, and compute in NumPy."""

from __future__ import annotations

import warnings
from functools import lru_cache

from convforge.runtime import ExecutableMemoryRefusedError, probe_execution


@lru_cache(maxsize=1)
def executable_memory_refused() -> bool:
    """Whether kernels cannot run here. Warns once, naming the cause."""
    try:
        probe_execution()
    except ExecutableMemoryRefusedError as error:
        warnings.warn(
            f"convforge computes with NumPy, far slower than its kernels: {error}. Allow memory to become "
            "executable for this process (systemd: MemoryDenyWriteExecute=no; SELinux: execmem).",
            RuntimeWarning,
            stacklevel=3,
        )
        return True
    return False
