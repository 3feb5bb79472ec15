"""The shortest time that a layer can take: the larger of arithmetic and bytes moved.

Operations are nominal (taps on padding count) at the FMA peak. Bytes are input, weights, bias and output,
each once, at the measured bandwidth of the nearest memory that holds them all together. AMX and Winograd can
pass the first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """A memory: its sign in tables, what it holds (None: anything), its triad bandwidth on all threads."""

    sign: str
    name: str
    capacity_bytes: int | None
    gbytes_per_s: float


@dataclass(frozen=True, slots=True)
class Limit:
    """Seconds, and what sets them: "a" for arithmetic, or a level's sign."""

    seconds: float
    sign: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What the limits are computed from; levels from the nearest to the farthest, which holds anything."""

    peak_gflops: float
    levels: tuple[Level, ...]

    def limit(self, flops: int, moved_bytes: int, held_bytes: int) -> Limit:
        """The limit of work that moves `moved_bytes` through arrays of `held_bytes`."""
        level = next(
            level
            for level in self.levels
            if level.capacity_bytes is None or held_bytes <= level.capacity_bytes
        )
        arithmetic_s = flops / self.peak_gflops / 1e9
        memory_s = moved_bytes / level.gbytes_per_s / 1e9
        return Limit(arithmetic_s, "a") if arithmetic_s >= memory_s else Limit(memory_s, level.sign)

    def describe(self) -> str:
        """One line of figures."""
        rates = ", ".join(f"{level.name} ({level.sign}) {level.gbytes_per_s:.0f}" for level in self.levels)
        return f"FMA peak measured: {self.peak_gflops:.0f} GFLOP/s; triad measured, GB/s: {rates}"
