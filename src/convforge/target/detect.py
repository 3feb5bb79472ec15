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


def cache_bytes() -> tuple[int, int]:
    """(first-level data, second-level) cache of one core; 32 KiB and 1 MiB where it cannot be read."""
    sizes = {1: 32 << 10, 2: 1 << 20}
    if _CACHES.is_dir():
        for index in _CACHES.glob("index*"):
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
            if kind in ("Data", "Unified") and int(level) in sizes and size.endswith("K"):
                sizes[int(level)] = int(size[:-1]) << 10
    return sizes[1], sizes[2]
