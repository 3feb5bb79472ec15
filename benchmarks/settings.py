"""What holds for a whole run of the layer benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Threads of every library, the dtype by NumPy's name, the batch size."""

    threads: int
    dtype: str
    batch: int
