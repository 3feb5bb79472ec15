"""A library's work on several threads: for functions that leave the interpreter's lock while they run."""

from __future__ import annotations

import threading
from collections.abc import Callable


def side_by_side(work: Callable[[int, int], None], count: int, threads: int) -> None:
    """Call `work(first, stop)` for even pieces of 0 … count - 1, one a thread, the calling one included.

    Threads live as long as the call: 0.1 ms each, so this is for work of milliseconds. What one raises is
    raised here, when all are done.
    """
    threads = max(1, min(threads, count))
    edges = [count * i // threads for i in range(threads + 1)]
    errors: list[BaseException] = []

    def piece(first: int, stop: int) -> None:
        try:
            work(first, stop)
        except BaseException as error:
            errors.append(error)

    others = [threading.Thread(target=piece, args=edges[i : i + 2], daemon=True) for i in range(1, threads)]
    for thread in others:
        thread.start()
    piece(edges[0], edges[1])
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]
