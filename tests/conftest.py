"""What every test shares: the oracle's presence said aloud, processor features, hypothesis settings."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Two workers with two OpenMP threads each would fight for two cores; read by PyTorch and BLAS when they load.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: an example may be the first that forges its kernel.
settings.register_profile(
    "convforge", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("convforge"), max_examples=2000)
# Continuous integration draws the same examples every time, so that a red run is the change's doing;
# elsewhere each run draws new ones.
settings.register_profile("ci", settings.get_profile("convforge"), derandomize=True, print_blob=False)
settings.load_profile("ci" if os.environ.get("CI") else "convforge")


def pytest_report_header() -> str:
    """Which oracle the comparisons of this run stand on."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "oracle: NumPy alone (PyTorch is not installed: comparisons with it are skipped)"
    return f"oracle: PyTorch {version}, and NumPy"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip `@pytest.mark.isa("avx512f")` where the processor lacks the feature."""
    from convforge.target import Target

    for mark in item.iter_markers("isa"):
        missing = set(mark.args) - Target.host().features
        if missing:
            pytest.skip(f"this processor has no {', '.join(sorted(missing))}")


@pytest.fixture
def unit() -> Iterator[Any]:
    """A tile unit (support.tile_unit), the host's or an emulated one, used wherever it can be."""
    from convforge import runtime
    from support.tile_unit import tile_unit

    threads = runtime.get_num_threads()
    with tile_unit() as found:
        yield found
    runtime.set_num_threads(threads)
