"""One kernel made ready to run: compiled at most once, called with plain arrays."""

from __future__ import annotations

from ctypes import c_int64
from typing import TYPE_CHECKING, Protocol

from convforge import runtime
from convforge.target import Target

if TYPE_CHECKING:
    from convforge.ir.emitter import Deliver


class Kernel(Protocol):
    """A kernel of the contract: a name, and IR to compile."""

    @property
    def name(self) -> str:
        """A short name."""
        ...

    def emit(self, triple: str, deliver: Deliver | None = None) -> str:
        """The IR."""
        ...


class Job:
    """A kernel's machine code, bound to the thread pool. Compiling begins when it is made, and is waited for
    when it first runs.
    """

    def __init__(self, kernel: Kernel, target: Target) -> None:
        self._code = runtime.loader.begin(
            repr(kernel), target, lambda deliver: kernel.emit(target.triple, deliver)
        )
        runtime.begin_pool()
        self._bound: tuple[int, runtime.Pool] | None = None

    @property
    def code(self) -> runtime.Loaded:
        """The machine code; compiled by now."""
        return self._code.result()

    def _bind(self) -> tuple[int, runtime.Pool]:
        pool = runtime.pool()
        self._bound = (self.code.addresses["task"], pool)
        return self._bound

    def run(
        self,
        total: int,
        threads: int,
        scratch_bytes: int,
        parameters: int,
        x: int,
        weights: int,
        bias: int,
        y: int,
    ) -> None:
        """Run tasks 0 … total - 1; returns when all are done.

        `scratch_bytes` is one thread's; the others are addresses, 0 where a kernel takes none. The caller
        keeps what lies there alive.
        """
        task, pool = self._bound or self._bind()
        threads = min(threads, total)
        if threads > 1:
            pool.call(threads - 1)
        scratch = runtime.scratch.address(scratch_bytes * threads)
        pool.run(task, pool.address, total, threads, scratch, scratch_bytes, parameters, x, weights, bias, y)

    def run_watched(
        self,
        flag: int,
        total: int,
        threads: int,
        scratch_bytes: int,
        parameters: int,
        x: int,
        weights: int,
        bias: int,
        y: int,
    ) -> bool:
        """As `run`; whether no task has set the int64 that lies `flag` bytes into its thread's scratch."""
        scratch = runtime.scratch.address(scratch_bytes * min(threads, total))
        flags = [c_int64.from_address(scratch + i * scratch_bytes + flag) for i in range(min(threads, total))]
        for each in flags:
            each.value = 0
        self.run(total, threads, scratch_bytes, parameters, x, weights, bias, y)
        return not any(each.value for each in flags)
