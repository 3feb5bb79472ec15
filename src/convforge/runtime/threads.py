"""The thread pool: Python threads that stay inside emitted code, and fall asleep when nothing comes."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from convforge.runtime.cores import available_cores
from convforge.runtime.forge import Pending
from convforge.runtime.loading import LINKS_ITSELF, Loaded, loader
from convforge.runtime.memory import ExecutableMemory
from convforge.target import Target

# An idle worker looks for work this many times before it sleeps: about 100 µs, the time between the layers
# of a network, after which waking it (60 µs) is cheaper than burning a laptop's battery.
SPIN_ROUNDS = 3000
_PAUSE = "llvm.x86.sse2.pause"
_POOL_NAME = "pool"


def _call_address(name: str) -> int:
    """Where a function of the system's library lies, that emitted code calls; 0 where there is none."""
    library: Any = ctypes.windll.kernel32 if sys.platform == "win32" else ctypes.CDLL(None)
    try:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    except AttributeError:
        return 0


class Pool:
    """Workers of one process. Started at the first job that wants them; made anew after a fork."""

    def __init__(self) -> None:
        from convforge.ir import layout_of_pool as at

        self._at = at
        self._memory = np.zeros(at.POOL_BYTES + 128, np.uint8)
        self.address = -(-self._memory.ctypes.data // 128) * 128
        self._code = code = begin_pool().result()
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        self._work = ctypes.CFUNCTYPE(integer, pointer, integer)(code.addresses["work"])
        signature: list[Any] = [None, pointer, pointer, integer, integer, pointer, integer] + [
            pointer
        ] * at.CALL_POINTERS
        self.run: Callable[..., None] = ctypes.CFUNCTYPE(*signature)(code.addresses["run"])
        self.reset()

    def reset(self) -> None:
        """Begin without workers and without a job."""
        self._memory[:] = 0
        self._field(self._at.SPIN).value = SPIN_ROUNDS
        lets_others = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        self._field(self._at.YIELD).value = _call_address(lets_others)
        self._field(self._at.SPREAD).value = available_cores()
        calls = [_call_address(f"sched_{name}") for name in ("getcpu", "getaffinity", "setaffinity")]
        if sys.platform == "linux" and all(calls):
            for at, address in zip((self._at.CORE_OF, self._at.GET_CORES, self._at.SET_CORES), calls):
                self._field(at).value = address
        self._bells: list[Any] = []
        self._asleep = (ctypes.c_int64 * self._at.MOST_WORKERS).from_address(self.address + self._at.ASLEEP)
        self._stopping = False
        self._lock = threading.Lock()

    def _field(self, offset: int) -> ctypes.c_int64:
        return ctypes.c_int64.from_address(self.address + offset)

    def call(self, workers: int) -> None:
        """Have `workers` of them awake, or waking: they join the coming job when they can."""
        workers = min(workers, self._at.MOST_WORKERS)
        if len(self._bells) < workers:
            self._grow(workers)
        for i in range(workers):
            if self._asleep[i]:
                self._wake(i)

    def _wake(self, worker: int) -> None:
        with self._lock:
            if self._asleep[worker]:
                self._asleep[worker] = 0
                self._bells[worker].release()

    def _grow(self, workers: int) -> None:
        with self._lock:
            while len(self._bells) < workers:
                bell = threading.Lock()
                bell.acquire()
                self._bells.append(bell)
                slot = len(self._bells)
                threading.Thread(
                    target=self._live, args=(slot,), name=f"convforge-{slot}", daemon=True
                ).start()

    def _live(self, slot: int) -> None:
        while not self._work(self.address, slot):
            self._bells[slot - 1].acquire()
            if self._stopping:
                return

    def stop(self) -> None:
        """Let all workers return."""
        self._stopping = True
        self._field(self._at.STOP).value = 1
        for worker in range(len(self._bells)):
            self._wake(worker)


def _emit_pool(target: Target) -> str:
    from convforge.ir.emitter import Module
    from convforge.ir.pool import emit_pool

    module = Module(target.triple)
    emit_pool(module, _PAUSE if target.is_x86 else None)
    return str(module)


class _State:
    """What this process has: its pool, once a kernel has run, and the number of threads, once asked for."""

    pool: Pool | None = None
    num_threads: int = 0
    lock = threading.Lock()


def begin_pool() -> Pending[Loaded]:
    """Have the pool's machine code made."""
    target = Target.host()
    return loader.begin(_POOL_NAME, target, lambda _: _emit_pool(target))


def pool() -> Pool:
    """The process's pool."""
    if _State.pool is None:
        with _State.lock:
            if _State.pool is None:
                _State.pool = Pool()
    return _State.pool


def probe_execution() -> None:
    """Raises ExecutableMemoryRefusedError where this process may not make memory executable."""
    if LINKS_ITSELF:
        ExecutableMemory(b"\0")
    else:
        pool()


def set_num_threads(num_threads: Any) -> None:
    """Set how many threads one convolution may use, the calling one included.

    Raises TypeError for anything but an int, RuntimeError (as PyTorch does) where it is not positive.
    """
    if isinstance(num_threads, bool) or not isinstance(num_threads, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(num_threads).__name__}")
    if num_threads < 1:
        raise RuntimeError(
            f"set_num_threads (={num_threads}) expects a positive integer: use 1 for no workers"
        )
    _State.num_threads = num_threads


def get_num_threads() -> int:
    """Return how many threads one convolution may use; at first, the cores that this process may use."""
    if not _State.num_threads:
        _State.num_threads = available_cores()
    return _State.num_threads


def _forget_pool() -> None:
    """After a fork the child has none of its parent's threads, whatever the pool's memory says of them."""
    _State.lock = threading.Lock()
    if _State.pool is not None:
        _State.pool.reset()


def _stop_pool() -> None:
    if _State.pool is not None:
        _State.pool.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
atexit.register(_stop_pool)
