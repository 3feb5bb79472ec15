"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Processor, cores this process may use, system, Python."""
    return {
        "processor": processor_name(),
        "cores": cores(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def last_level_bytes() -> int:
    """The largest cache that the first core reaches; 0 where the system does not tell."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max(
        (int(path.read_text(encoding="ascii").strip().removesuffix("K")) << 10 for path in sizes), default=0
    )


def busy_share(seconds: float = 0.5) -> float | None:
    """Share of all processor time spent by anyone while this sleeps; None where the system does not tell."""
    before = processor_ticks()
    time.sleep(seconds)
    after = processor_ticks()
    if before is None or after is None:
        return None
    total = sum(after) - sum(before)
    idle = sum(after[3:5]) - sum(before[3:5])  # idle, and waiting for a disk
    return 1 - idle / total if total else None


def processor_ticks() -> list[int] | None:
    """The kernel's counts over all processors: user, nice, system, idle, iowait, …"""
    table = Path("/proc/stat")
    if not table.exists():
        return None
    return [int(word) for word in table.read_text(encoding="ascii").splitlines()[0].split()[1:9]]


def processor_name() -> str:
    """The name the system gives the processor, with the vector features that decide its speed."""
    name = platform.processor() or platform.machine()
    table = Path("/proc/cpuinfo")
    if not table.exists():
        return name
    facts = dict(
        (part.strip() for part in line.split(":", 1))
        for line in table.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        if ":" in line
    )
    name = facts.get("model name", name)
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    wanted = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve"]
    return f"{name} ({', '.join(flag for flag in wanted if flag in flags)})"
