"""Ctrl-C, told apart from every other failure wherever it strikes."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from types import FrameType, TracebackType

# Until an import that is not to be interrupted is looked at again; nobody notices so little.
WAIT_S = 0.01


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while the command runs.

    A class of its own: where KeyboardInterrupt itself passes through an `exec` (a dataclass is made by one),
    CPython remembers it and ends the process by the signal, caught or not, instead of with our status.
    """


class Interrupts:
    """`with Interrupts():` raises Interrupted at Ctrl-C, but never inside of an import.

    An extension module that is interrupted while it is imported turns that into an ImportError, or leaves
    what aborts the process as it ends (matplotlib's did in 6 of 230 tries). So the import is let finish.
    Elsewhere than in the main thread there are no signals, and nothing is done.
    """

    def __enter__(self) -> Interrupts:
        self.is_on = threading.current_thread() is threading.main_thread()
        if self.is_on:
            self.before = signal.signal(signal.SIGINT, self.interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_on:
            self.is_on = False
            signal.signal(signal.SIGINT, self.before)

    def interrupt(self, _number: int, frame: FrameType | None) -> None:
        """The handler of the signal."""
        if is_importing(frame):
            _thread.start_new_thread(self.interrupt_later, ())
            return
        raise Interrupted

    def interrupt_later(self) -> None:
        """Another Ctrl-C, in a moment, unless the command has ended by then."""
        time.sleep(WAIT_S)
        if not self.is_on:
            return
        if hasattr(signal, "pthread_kill"):  # this one wakes the main thread from its sleep
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        else:
            _thread.interrupt_main()


def is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported in the frame or in those that called it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
