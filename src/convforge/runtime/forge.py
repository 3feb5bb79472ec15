"""Work that is begun when it is known to be needed, and waited for when it is needed.

    main thread    plan: begins kernel, pool, packer; asks for the packer: pool, packer; waits
    worker         kernel ------------------------------------------------------->

A layer needs three or four kernels, of which one takes as long to compile as all others: on two cores a first
call waits for that one only. What no worker has taken up yet is done by whoever asks for it, so on one core
nothing changes. Plans begin their longest kernel first.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """A result that somebody is at work on, or nobody yet."""

    def __init__(self, make: Callable[[], T], forge: Forge) -> None:
        self._make = make
        self._forge = forge
        self.done = False
        self._result: T
        self._error: BaseException | None = None

    def work(self) -> None:
        """Do it, unless somebody has begun to."""
        if not self._forge.claim(self):
            return
        try:
            self._result = self._make()
        except BaseException as error:
            self._error = error
        self._forge.finish(self)

    def result(self) -> T:
        """The result; done here and now if nobody has begun. Who waits does what else is queued meanwhile."""
        self.work()
        while not self.done:
            other = self._forge.take(unless=self)
            if other is not None:
                other.work()
        if self._error is not None:
            raise self._error
        return self._result


class Forge:
    """Does what is begun on up to `workers` threads, which end when nothing is left."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)  # something is queued, or done
        self._queue: deque[Pending[Any]] = deque()
        self._claimed: weakref.WeakSet[Pending[Any]] = weakref.WeakSet()
        self._threads = 0

    def begin(self, make: Callable[[], T]) -> Pending[T]:
        """Have `make` called, once, by a worker or by whoever asks for its result first."""
        pending = Pending(make, self)
        with self._lock:
            if self._workers > 0:
                self._queue.append(pending)
                self._changed.notify_all()
                if self._threads < self._workers:
                    self._threads += 1
                    threading.Thread(target=self._live, name="convforge-forge", daemon=True).start()
        return pending

    def now(self, make: Callable[[], T]) -> Pending[T]:
        """The same for what takes less time than to hand it to a worker."""
        pending = Pending(make, self)
        pending.work()
        return pending

    def claim(self, pending: Pending[Any]) -> bool:
        """Whether nobody has begun this before."""
        with self._lock:
            if pending in self._claimed:
                return False
            self._claimed.add(pending)
            return True

    def finish(self, pending: Pending[Any]) -> None:
        """Tell those who wait that something is done."""
        with self._lock:
            pending.done = True
            self._changed.notify_all()

    def take(self, unless: Pending[Any]) -> Pending[Any] | None:
        """What has been queued for longest, waited for; None once `unless` is done."""
        with self._lock:
            while not self._queue and not unless.done:
                self._changed.wait()
            return None if unless.done else self._queue.popleft()

    def _live(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._threads -= 1
                    return
                task = self._queue.popleft()
            task.work()

    # In the child of a fork no other thread goes on: what one of them has begun would never be done, and a
    # lock of the compiler that it holds never be free. So forks wait for what is under way.

    def before_fork(self) -> None:
        """Wait for what is under way and what that begins; then nothing begins until the fork is over."""
        self._lock.acquire()
        while not all(pending.done for pending in self._claimed):
            self._changed.wait()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Go on without workers: what is queued is done by whoever asks for it."""
        self._queue.clear()
        self._threads = 0
        self._lock.release()


def guard_forks(forge: Forge) -> None:
    """Have forks of this process wait for a forge."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=forge.before_fork,
            after_in_parent=forge.after_fork_in_parent,
            after_in_child=forge.after_fork_in_child,
        )
