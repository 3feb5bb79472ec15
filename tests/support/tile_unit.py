"""A processor with a tile unit to test on: the host's own, or what tests/amx/emulator.c puts in its place."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from convforge import plan, runtime
from convforge.plan.split_bf16 import products as split_bf16
from convforge.plan.tile_unit import permission as amx
from convforge.target import Target, target as target_module
from support.families import costing

SOURCE = Path(__file__).parent.parent / "amx" / "emulator.c"
FEATURES = frozenset({"amx-tile", "amx-bf16", "amx-int8"})
# For this machine: a product of tiles took 50 us by a call of fmaf for each of its 8192.
_FLAGS = ("-std=gnu11", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")


@lru_cache(maxsize=1)
def why_none() -> str | None:
    """The reason why there is no tile unit to test on, real or emulated."""
    if sys.platform != "linux" or not Target.host().is_x86:
        return "the emulator of a tile unit takes Linux on x86-64"
    if is_real() or _compiler() is not None:
        return None
    return "no C compiler for the emulator of a tile unit: install gcc or clang (Debian: apt-get install gcc)"


@lru_cache(maxsize=1)
def is_real() -> bool:
    """Whether this processor has one that the system lets us use."""
    return Target.host().features >= FEATURES and runtime.why_tiles_refused() is None


def _compiler() -> str | None:
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The emulator, compiled once in a process."""
    compiler = _compiler()
    assert compiler is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tile_unit.so"
        command = [compiler, *_FLAGS, "-o", str(path), str(SOURCE), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        loaded = ctypes.CDLL(str(path))
    for name in ("emulated", "products", "configured"):
        getattr(loaded, f"tile_unit_{name}").restype = ctypes.c_longlong
    return loaded


@dataclass(frozen=True)
class TileUnit:
    """What is tested on: a target that has tiles, and counts of what was executed (None on a real unit)."""

    target: Target
    emulator: Any

    @property
    def products(self) -> int | None:
        return None if self.emulator is None else self.emulator.tile_unit_products()

    @property
    def configured(self) -> int | None:
        """Threads that have not released their tiles."""
        return None if self.emulator is None else self.emulator.tile_unit_configured()


@contextmanager
def tile_unit(*hidden: str, cycles: float | None = 0.0) -> Iterator[TileUnit]:
    """Inside the block the host has a tile unit, but none of the `hidden` features.

    Each plan that can use it costs so many cycles; None: what it costs.
    """
    reason = why_none()
    if reason is not None:
        pytest.skip(reason)
    host = Target.host()
    target = replace(host, features=host.features | FEATURES).without(*hidden)
    emulator = None if is_real() else library()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target_module, "_masked_host", lambda hidden: target.without(*hidden))
        if emulator is not None:
            patch.setattr(amx, "why_tiles_refused", lambda: None)
            assert emulator.tile_unit_install() == 0
        plan.clear_plans()
        try:
            if cycles is None:
                yield TileUnit(target, emulator)
            else:
                with costing(split_bf16, cycles):
                    yield TileUnit(target, emulator)
        finally:
            if emulator is not None:
                emulator.tile_unit_remove()
            plan.clear_plans()
