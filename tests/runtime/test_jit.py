"""LLVM's own loader, which serves the systems whose object files are not linked by the package itself."""

from __future__ import annotations

import ctypes

import numpy as np

from convforge.ir.layout_of_pool import CALL_POINTERS
from convforge.kernels.contract import FINGERPRINT_CHAINS, FINGERPRINT_PARAMETERS, FingerprintKernel, fill
from convforge.plan.fingerprint import fingerprint
from convforge.runtime.compiler import compile_object
from convforge.runtime.jit import start_object
from convforge.target import Target


def test_an_object_started_by_llvm_computes_what_the_linked_image_does() -> None:
    target = Target.host()
    kernel = FingerprintKernel(target.vector_bytes // 4)
    addresses, engine = start_object(compile_object(kernel.emit(target.triple), target))
    assert addresses.keys() == {"task"}
    task = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)(addresses["task"])
    data = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    states = np.zeros((FINGERPRINT_CHAINS, kernel.lanes), np.uint32)
    parameters = fill(FINGERPRINT_PARAMETERS, {"words": data.size, "chunk": 1 << 16})
    call = (ctypes.c_void_p * CALL_POINTERS)(
        parameters.ctypes.data, data.ctypes.data, None, None, states.ctypes.data
    )
    task(ctypes.addressof(call), 0, None)
    assert states.tobytes() == fingerprint(data)
    del engine
