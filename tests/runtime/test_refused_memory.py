"""Where memory cannot be made executable: NumPy computes, and one warning names the cause."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import warnings
import numpy as np
import convforge.runtime.loading as loading
import convforge.runtime.threads as threads
from convforge.runtime import ExecutableMemoryRefusedError

def refuse(code):
    raise ExecutableMemoryRefusedError(1, "memory cannot be made executable")

loading.ExecutableMemory = threads.ExecutableMemory = refuse
import convforge.nn.functional as F
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        y = F.conv2d(np.ones((1, 3, 9, 9), np.float32), np.ones((2, 3, 3, 3), np.float32))
assert (y == 27).all()
print(len(caught), caught[0].category.__name__, caught[0].message)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="images are linked by the package itself on Linux only")
def test_numpy_takes_over_and_says_so_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 RuntimeWarning convforge computes with NumPy")
    assert "MemoryDenyWriteExecute=no" in done.stdout
