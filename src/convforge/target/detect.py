"""Reads what the processor is. On Linux from the kernel's files, which is far quicker than loading LLVM."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

# The kernel's name of a feature where it is not LLVM's.
_LINUX_NAMES = {
    "pni": "sse3",
    "sse4_1": "sse4.1",
    "sse4_2": "sse4.2",
    "bmi1": "bmi",
    "avx512_vnni": "avx512vnni",
    "avx512_bf16": "avx512bf16",
    "avx512_vbmi2": "avx512vbmi2",
    "amx_tile": "amx-tile",
    "amx_bf16": "amx-bf16",
    "amx_int8": "amx-int8",
}
_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def triple() -> str:
    """LLVM's triple of this process: x86_64-unknown-linux-gnu."""
    machine = {"AMD64": "x86_64", "amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine(), platform.machine()
    )
    system = {"linux": "unknown-linux-gnu", "darwin": "apple-darwin", "win32": "pc-windows-msvc"}
    return f"{machine}-{system.get(sys.platform, 'unknown-linux-gnu')}"


def features(known: frozenset[str]) -> frozenset[str]:
    """The features (LLVM's names) that this processor and its system offer; on x86, of the `known` ones."""
    on_x86 = triple().startswith("x86_64")
    if sys.platform == "linux" and on_x86:
        # Every processor repeats the same flags: the first block is enough.
        with _CPUINFO.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("flags"):
                    names = line.partition(":")[2].split()
                    return frozenset(_LINUX_NAMES.get(n, n) for n in names) & known
    from llvmlite import binding

    host = binding.get_host_cpu_features()
    return frozenset(name for name, present in host.items() if present and (name in known or not on_x86))


def caches() -> dict[int, tuple[int, int]]:
    """Of each level of cache that can be read: (bytes, processors that share it). Of instructions: none."""
    found: dict[int, tuple[int, int]] = {}
    if _CACHES.is_dir():
        for index in _CACHES.glob("index*"):
            names = ("level", "type", "size", "shared_cpu_list")
            level, kind, size, shared = ((index / name).read_text().strip() for name in names)
            if kind in ("Data", "Unified") and size.endswith("K"):
                found[int(level)] = int(size[:-1]) << 10, _count(shared)
    return found


def _count(processors: str) -> int:
    """How many a list of Linux's names: 0-3,8 are five."""
    ends = [part.split("-") for part in processors.split(",") if part]
    return max(1, sum(int(last[-1]) - int(last[0]) + 1 for last in ends))
