"""Pieces of work on threads: each index once, the caller's thread among them, errors raised."""

from __future__ import annotations

import threading

import pytest

from convforge.runtime.side_by_side import side_by_side


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_every_index_is_done_once(count: int, threads: int) -> None:
    done: list[int] = []
    side_by_side(lambda first, stop: done.extend(range(first, stop)), count, threads)
    assert sorted(done) == list(range(count))


def test_the_callers_thread_works_too() -> None:
    names: list[str] = []
    side_by_side(lambda first, stop: names.append(threading.current_thread().name), 2, 2)
    assert len(set(names)) == 2
    assert threading.current_thread().name in names


def test_an_error_is_raised_when_all_are_done() -> None:
    done: list[int] = []

    def work(first: int, stop: int) -> None:
        if first == 0:
            raise OSError("no")
        done.append(first)

    with pytest.raises(OSError, match="no"):
        side_by_side(work, 4, 4)
    assert sorted(done) == [1, 2, 3]
