"""Compiles emitted kernels, keeps their object code, and runs them on threads."""

_num_threads = 2


def set_num_threads(num_threads: int) -> None:
    """Set how many threads one convolution may use."""
    global _num_threads
    _num_threads = num_threads


def get_num_threads() -> int:
    """Return how many threads one convolution may use."""
    return _num_threads
