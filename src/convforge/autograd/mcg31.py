"""Intel MKL's MCG31m1 generator, which PyTorch uses for `bernoulli_(p)` on Intel processors.

    x_0 = seed mod m (or 1),   x_n = a x_(n-1) mod m,   u_n = x_n / m,   m = 2**31 - 1,   a = 1132489760

PyTorch draws the seed from its own generator, so `manual_seed` fixes these numbers too. On every other
processor it draws from MT19937 directly; the two streams differ, and a program that must match PyTorch must
choose as it does.
Source: oneMKL Vector Statistics notes, MCG31m1; ATen/native/cpu/DistributionKernels.cpp.
"""

from __future__ import annotations

import platform
from functools import cache

import numpy as np
from numpy.typing import NDArray

MODULUS = 2**31 - 1
MULTIPLIER = 1132489760
_BLOCK = 1 << 14


@cache
def is_pytorchs_choice() -> bool:
    """Whether PyTorch draws scalar Bernoulli numbers from MCG31 here: an Intel x86-64, built with MKL."""
    if platform.machine().lower() not in {"x86_64", "amd64"} or platform.system() == "Darwin":
        return False
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            return any(line.startswith("vendor_id") and "GenuineIntel" in line for line in lines)
    except OSError:
        return "GenuineIntel" in platform.processor()


@cache
def _powers() -> NDArray[np.uint64]:
    # a**0 .. a**(block - 1) mod m by doubling; 31 + 31 bits fit into 64.
    powers = np.ones(_BLOCK, np.uint64)
    filled, step = 1, MULTIPLIER
    while filled < _BLOCK:
        powers[filled : 2 * filled] = powers[:filled] * np.uint64(step) % np.uint64(MODULUS)
        filled, step = 2 * filled, step * step % MODULUS
    powers.setflags(write=False)
    return powers


def uniform(seed: int, count: int) -> NDArray[np.float64]:
    """The first `count` numbers of the stream of `seed`, in (0, 1): float64 of shape (count,)."""
    out = np.empty(count, np.float64)
    state = seed % MODULUS or 1
    stride = pow(MULTIPLIER, _BLOCK, MODULUS)
    for start in range(0, count, _BLOCK):
        part = out[start : start + _BLOCK]
        part[...] = _powers()[: part.size] * np.uint64(state) % np.uint64(MODULUS)
        state = state * stride % MODULUS
    out /= MODULUS
    return out
