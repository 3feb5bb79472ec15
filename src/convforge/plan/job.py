"""One kernel made ready to run: compiled at most once, called with plain arrays."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convforge import runtime
from convforge.target import Target


Array = NDArray[Any]


class Kernel(Protocol):
    """A kernel of the contract: a name, and IR to compile."""

    @property
    def name(self) -> str:
        """A short name."""
        ...

    def emit(self, triple: str) -> str:
        """The IR."""
        ...


class Job:
    """A kernel's machine code, bound to the thread pool."""

    def __init__(self, kernel: Kernel, target: Target) -> None:
        self.code = runtime.loader.load(repr(kernel), target, lambda: kernel.emit(target.triple))
        self._task = self.code.addresses["task"]
        self._pool = runtime.pool()

    def run(
        self,
        total: int,
        threads: int,
        scratch_bytes: int,
        parameters: NDArray[np.int64],
        x: Array | None,
        weights: Array | None,
        bias: Array | None,
        y: Array,
    ) -> None:
        """Run tasks 0 … total - 1; returns when all are done. `scratch_bytes` is one thread's."""
        pool, address = self._pool, runtime.address_of
        threads = min(threads, total)
        if threads > 1:
            pool.call(threads - 1)
        pool.run(
            self._task,
            pool.address,
            total,
            threads,
            runtime.scratch.address(scratch_bytes * threads),
            scratch_bytes,
            address(parameters),
            0 if x is None else address(x),
            0 if weights is None else address(weights),
            0 if bias is None else address(bias),
            address(y),
        )
