"""Notices that memory has changed, where no version counter can: weights that NumPy code may write to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.kernels.contract import FINGERPRINT_CHAINS, FINGERPRINT_PARAMETERS, FingerprintKernel, fill
from convforge.plan.job import Job
from convforge.runtime import address_of, get_num_threads
from convforge.target import Target

# Words of one task: 256 KB, a stretch that threads can share out evenly.
_CHUNK_WORDS = 1 << 16


def fingerprint(array: NDArray[Any]) -> bytes | None:
    """A few hundred bytes that change with the array's contents; None where it is not contiguous.

    One pass at the speed of memory: 9 MB of weights take a fraction of a millisecond.
    """
    if not array.flags.c_contiguous or array.nbytes == 0:
        return None
    if array.nbytes <= 1024:
        return array.tobytes()
    words, rest = divmod(array.nbytes, 4)
    tasks = -(-words // _CHUNK_WORDS)
    kernel, job = _job()
    states = np.empty((tasks, FINGERPRINT_CHAINS, kernel.lanes), np.uint32)
    parameters = fill(FINGERPRINT_PARAMETERS, {"words": words, "chunk": _CHUNK_WORDS})
    threads = get_num_threads() if tasks > 1 else 1
    job.run(tasks, threads, 64, address_of(parameters), address_of(array), 0, 0, address_of(states))
    tail = array.reshape(-1).view(np.uint8)[-rest:].tobytes() if rest else b""
    return states.tobytes() + tail


@lru_cache(maxsize=1)
def _job() -> tuple[FingerprintKernel, Job]:
    target = Target.host()
    kernel = FingerprintKernel(target.vector_bytes // 4)
    return kernel, Job(kernel, target)
