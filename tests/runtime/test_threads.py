"""The pool: shared by Python threads, made anew after a fork, gone at exit, never in the way."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from convforge import plan, reference, runtime
from convforge.problem import normalize_conv
from convforge.runtime import threads

SPEC, _ = normalize_conv((2, 24, 40, 40), (32, 24, 3, 3), None, 1, 1, rank=2, dtype=np.dtype(np.float32))

# A worker may still be on its way into what stood in for a call when its test is over.
KEPT: list[Any] = []


def arrays(seed: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    return tuple(
        generator.standard_normal(s).astype(np.float32) for s in (SPEC.input_shape, SPEC.weight_shape)
    )  # type: ignore[return-value]


def test_python_threads_convolve_side_by_side() -> None:
    inputs = [arrays(i) for i in range(4)]
    expected = [plan.output(SPEC, *pair) for pair in inputs]
    failures: list[int] = []

    def work(i: int) -> None:
        wrong = sum(not np.array_equal(plan.output(SPEC, *inputs[i]), expected[i]) for _ in range(60))
        failures.extend([i] * wrong)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_interpreter_runs_on_while_a_kernel_does() -> None:
    """The GIL is released: another thread counts during a convolution."""
    spec, _ = normalize_conv((1, 64, 300, 300), (64, 64, 3, 3), None, rank=2, dtype=np.dtype(np.float32))
    generator = np.random.default_rng(0)
    x, weight = (
        generator.standard_normal(s).astype(np.float32) for s in (spec.input_shape, spec.weight_shape)
    )
    plan.output(spec, x, weight)
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    plan.output(spec, x, weight)
    assert counted[0] > before
    stop.set()
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_convolves() -> None:
    x, weight = arrays(0)
    expected = plan.output(SPEC, x, weight)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if np.array_equal(plan.output(SPEC, x, weight), expected) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(plan.output(SPEC, x, weight), expected)


def test_exit_is_clean_with_workers_awake() -> None:
    program = (
        "import numpy as np, convforge.nn.functional as F, convforge\n"
        "convforge.set_num_threads(4)\n"
        "F.conv2d(np.ones((8, 32, 64, 64), np.float32), np.ones((32, 32, 3, 3), np.float32))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_many_threads_on_few_cores_agree_with_the_oracle() -> None:
    x, weight = arrays(1)
    before = runtime.get_num_threads()
    try:
        runtime.set_num_threads(16)
        np.testing.assert_allclose(plan.output(SPEC, x, weight), reference.output(SPEC, x, weight), atol=1e-4)
    finally:
        runtime.set_num_threads(before)


@pytest.mark.parametrize(
    ("value", "error"), [(0, RuntimeError), (-1, RuntimeError), (1.5, TypeError), (True, TypeError)]
)
def test_a_bad_number_of_threads_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="set_num_threads"):
        runtime.set_num_threads(value)


def seconds_of_workers() -> float:
    """Processor time of the pool's threads: those of other libraries may spin as they like."""
    workers = [each for each in threading.enumerate() if re.fullmatch(r"convforge-\d+", each.name)]
    assert workers
    return sum(time.clock_gettime(time.pthread_getcpuclockid(each.ident)) for each in workers if each.ident)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="threads have no clocks of their own")
def test_idle_workers_fall_asleep() -> None:
    runtime.set_num_threads(2)
    plan.output(SPEC, *arrays(0))
    time.sleep(0.05)
    before = seconds_of_workers()
    time.sleep(0.2)
    assert seconds_of_workers() - before < 0.05, "workers spin although there is nothing to do"


def test_a_worker_is_seen_asleep_while_the_interpreter_is_busy() -> None:
    """It goes to sleep while the caller computes in Python: were it to tell so only with the interpreter's
    lock in hand, the next convolution would take it for awake and run on one core (half of all calls did
    that come 0.1 ms or more after the last).
    """
    runtime.set_num_threads(2)
    pool = threads.pool()
    spin = pool._field(pool._at.SPIN)
    rounds, spin.value = spin.value, 1 << 60
    pool.call(1)
    while pool._asleep[0]:
        time.sleep(0.01)
    time.sleep(0.1)  # it is in the emitted code by now, and stays there
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)  # seconds for which the interpreter's lock stays here
    try:
        spin.value = rounds
        stop = time.monotonic() + 30
        while not pool._asleep[0] and time.monotonic() < stop:
            sum(range(1000))
        assert pool._asleep[0]
    finally:
        spin.value = rounds
        sys.setswitchinterval(interval)


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not tell a thread which cores it may use"
)
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("cores", [1, 2])
def test_a_worker_on_its_callers_core_moves_to_another(cores: int, same: bool) -> None:
    """By what stands in for the system's calls: cores 65 and 66 are the process's, threads are on 65, or on
    both. Nobody moves where threads are more than cores.
    """
    whole = 1 << 65 | 1 << 66
    held: list[int] = []
    asked: set[tuple[int, int]] = set()
    caller, size = threading.get_ident(), 128

    def core_of() -> int:
        return 65 if same or threading.get_ident() == caller else 66

    def get(whose: int, many: int, mask: int) -> int:
        asked.add((whose, many))
        ctypes.memmove(mask, whole.to_bytes(size, "little"), size)
        return 0

    def put(whose: int, many: int, mask: int) -> int:
        asked.add((whose, many))
        held.append(int.from_bytes(ctypes.string_at(mask, size), "little"))
        return 0

    number, address = ctypes.c_int, ctypes.c_void_p
    of_set = ctypes.CFUNCTYPE(number, number, ctypes.c_size_t, address)
    calls = [ctypes.CFUNCTYPE(number)(core_of), of_set(get), of_set(put)]
    KEPT.extend(calls)
    runtime.set_num_threads(2)
    plan.output(SPEC, *arrays(0))
    pool = threads.pool()
    at = pool._at
    fields = [pool._field(offset) for offset in (at.CORE_OF, at.GET_CORES, at.SET_CORES, at.SPREAD)]
    before = [field.value for field in fields]
    new = [ctypes.cast(call, address).value or 0 for call in calls]
    try:
        for field, value in zip(fields, [*new, cores]):
            field.value = value
        x, w = arrays(1)
        stop = time.monotonic() + 20
        while not held and time.monotonic() < stop:
            y = plan.output(SPEC, x, w)
            if not same or cores < 2:
                stop = min(stop, time.monotonic() + 0.5)
    finally:
        for field, value in zip(fields, before):
            field.value = value
    np.testing.assert_allclose(y, reference.output(SPEC, x, w, None), rtol=1e-4, atol=1e-4)
    if same and cores == 2:
        assert set(zip(held[::2], held[1::2])) == {(1 << 66, whole)}
        assert asked == {(0, size)}
    else:
        assert held == []


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not tell a thread which cores it may use"
)
def test_workers_keep_the_cores_that_the_process_may_use() -> None:
    runtime.set_num_threads(2)
    for i in range(20):
        plan.output(SPEC, *arrays(i))
        time.sleep(0.002)
    workers = [each for each in threading.enumerate() if each.name.startswith("convforge-")]
    assert workers
    for each in workers:
        assert each.native_id is not None
        assert os.sched_getaffinity(each.native_id) == os.sched_getaffinity(0)
