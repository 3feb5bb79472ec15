"""Compiles emitted kernels, keeps their object code, and runs them on threads."""

from convforge.runtime.amx import why_tiles_refused
from convforge.runtime.loading import (
    Loaded,
    cache_clear,
    cache_info,
    generator_version,
    loader,
    notes,
    set_cache_dir,
)
from convforge.runtime.memory import ExecutableMemoryRefusedError, address_of, scratch
from convforge.runtime.threads import (
    Pool,
    begin_pool,
    get_num_threads,
    pool,
    probe_execution,
    set_num_threads,
)

__all__ = [
    "ExecutableMemoryRefusedError",
    "Loaded",
    "Pool",
    "address_of",
    "begin_pool",
    "cache_clear",
    "cache_info",
    "generator_version",
    "get_num_threads",
    "loader",
    "notes",
    "pool",
    "probe_execution",
    "scratch",
    "set_cache_dir",
    "set_num_threads",
    "why_tiles_refused",
]
