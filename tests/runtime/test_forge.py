"""Work begun on other threads: done once, waited for, raised where it is asked for, safe in forks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from convforge.runtime.forge import Forge, guard_forks


def slow(value: int, done: list[int], seconds: float = 0.05) -> Callable[[], int]:
    """Work that takes a while and notes when it was done."""

    def make() -> int:
        time.sleep(seconds)
        done.append(value)
        return value

    return make


def test_results_come_from_workers_or_from_whoever_asks() -> None:
    for workers in (0, 1, 3):
        forge, done = Forge(workers), []
        pending = [forge.begin(slow(i, done)) for i in range(6)]
        assert [each.result() for each in reversed(pending)] == [5, 4, 3, 2, 1, 0]
        assert sorted(done) == list(range(6)), "each is done once"
        assert [each.result() for each in pending] == list(range(6))


def test_who_waits_does_what_is_queued() -> None:
    forge, threads = Forge(1), set[str]()
    first = forge.begin(slow(0, [], 0.3))
    time.sleep(0.05)
    others = [forge.begin(lambda: threads.add(threading.current_thread().name)) for _ in range(3)]
    assert first.result() == 0
    assert all(each.result() is None for each in others)
    assert threads == {threading.main_thread().name}


def test_workers_end_when_nothing_is_left() -> None:
    forge = Forge(2)
    for i in range(4):
        forge.begin(slow(i, [], 0.01))
    until = time.monotonic() + 10
    while forge._threads and time.monotonic() < until:
        time.sleep(0.01)
    assert not forge._threads
    assert forge.begin(lambda: 7).result() == 7, "and come back when something is"


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_raised_wherever_the_result_is_asked_for(workers: int) -> None:
    def fail() -> int:
        raise OSError("no")

    pending = Forge(workers).begin(fail)
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            pending.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_waits_for_what_is_under_way_and_the_child_does_what_was_queued() -> None:
    forge, done = Forge(1), []
    guard_forks(forge)
    begun = forge.begin(slow(1, done, 0.2))
    time.sleep(0.05)
    queued = forge.begin(slow(2, done, 0.2))
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        whole = begun.result() == 1 and queued.result() == 2
        os._exit(0 if whole else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (begun.result(), queued.result()) == (1, 2)


def test_who_waits_does_what_is_queued_later() -> None:
    """A kernel's parts are begun while somebody already waits for the kernel."""
    forge, threads = Forge(1), list[str]()

    def whole() -> int:
        time.sleep(0.1)
        parts = [forge.begin(lambda: time.sleep(0.05) or threads.append(_name())) for _ in range(4)]
        for part in parts:
            part.result()
        return 1

    begun = forge.begin(whole)
    time.sleep(0.02)
    assert begun.result() == 1
    assert len(threads) == 4
    assert threading.main_thread().name in threads


def _name() -> str:
    return threading.current_thread().name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_waits_for_what_the_work_under_way_begins() -> None:
    forge, done = Forge(1), []
    guard_forks(forge)

    def whole() -> int:
        time.sleep(0.1)
        return sum(part.result() for part in [forge.begin(slow(i, done, 0.05)) for i in (1, 2)])

    begun = forge.begin(whole)
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if begun.result() == 3 and forge.begin(lambda: 5).result() == 5 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert begun.result() == 3
