"""The FMA peak: a loop that touches registers only, emitted for this processor and run on every thread.

python -m benchmarks.peak --threads N --dtype float32 --isa native    prints GFLOP/s

acc_i = a * acc_i + b for as many independent accumulators as hide an FMA's latency: 4 cycles x 2 ports = 8 at
least; 12 leaves slack, and with the two operands stays within AVX2's 16 registers.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.isa import ISAS, hidden

ACCUMULATORS = 12
ROUND_STEPS = 100_000
"""A third of a millisecond: short enough that some rounds are not interrupted."""
ROUNDS = 300

Loop = Callable[[int, int], None]


def peak_gflops_in_own_process(threads: int, dtype: str, isa: str) -> float:
    """The peak of `threads` threads; half-width types are computed in float32, so they have its peak."""
    kind = "float64" if dtype == "float64" else "float32"
    flags = ["--threads", str(threads), "--dtype", kind, "--isa", isa]
    command = [sys.executable, "-m", "benchmarks.peak", *flags]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def host_features(isa: str) -> dict[str, bool]:
    """LLVM's features of this processor, without those that `isa` goes without."""
    from llvmlite import binding

    features = dict(binding.get_host_cpu_features())
    return features | dict.fromkeys(hidden(isa, features), False)


def vector_bits(features: dict[str, bool]) -> int:
    """Width of the widest registers with FMA."""
    if features.get("avx512f"):
        return 512
    return 256 if features.get("fma") else 128


def emit_peak(name: str, lanes: int, kind: str) -> str:
    """LLVM IR of `void name(ptr numbers, i64 steps)`; the result is stored so that nothing is removed."""
    from llvmlite import ir

    module = ir.Module(name=name)
    count = ir.IntType(64)
    vector = ir.VectorType(ir.DoubleType() if kind == "float64" else ir.FloatType(), lanes)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType(), count]), name)
    # The builder's own fma takes scalars only.
    bits = 64 if kind == "float64" else 32
    fma = ir.Function(module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{lanes}f{bits}")
    entry, loop, leave = (function.append_basic_block(label) for label in ("entry", "loop", "leave"))
    b = ir.IRBuilder(entry)
    factor = b.load(function.args[0], typ=vector, align=4)
    addend = b.fmul(factor, factor)
    b.branch(loop)
    b.position_at_end(loop)
    step = b.phi(count)
    accumulators = [b.phi(vector) for _ in range(ACCUMULATORS)]
    sums = [b.call(fma, [factor, accumulator, addend]) for accumulator in accumulators]
    following = b.add(step, count(1))
    b.cbranch(b.icmp_signed("<", following, function.args[1]), loop, leave)
    step.add_incoming(count(0), entry)
    step.add_incoming(following, loop)
    for accumulator, value in zip(accumulators, sums, strict=True):
        accumulator.add_incoming(factor, entry)
        accumulator.add_incoming(value, loop)
    b.position_at_end(leave)
    total = sums[0]
    for value in sums[1:]:
        total = b.fadd(total, value)
    b.store(total, function.args[0], align=4)
    b.ret_void()
    return str(module)


@contextlib.contextmanager
def compiled(text: str, features: dict[str, bool]) -> Iterator[Any]:
    """LLVM's engine with the machine code of a module, which lives as long as the block."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    listed = ",".join(("+" if present else "-") + name for name, present in sorted(features.items()))
    # Features, not the processor's name: LLVM's guess of the name has been wrong. Without this attribute
    # it would split 512-bit vectors in two on some processors.
    target = binding.Target.from_default_triple().create_target_machine(
        features=listed + (",-prefer-256-bit" if features.get("avx512f") else ""), opt=3, jit=True
    )
    module = binding.parse_assembly(text)
    module.verify()
    with binding.create_mcjit_compiler(module, target) as engine:
        engine.finalize_object()
        yield engine


def measure_peak(threads: int, kind: str, isa: str) -> float:
    """GFLOP/s of `threads` threads that run the loop at the same time, each counted by its best round."""
    features = host_features(isa)
    lanes = vector_bits(features) // (64 if kind == "float64" else 32)
    with compiled(emit_peak("peak", lanes, kind), features) as engine:
        run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(engine.get_function_address("peak"))
        best_seconds = best_rounds(run, threads)
    operations = 2 * lanes * ACCUMULATORS * ROUND_STEPS
    return sum(operations / best_s for best_s in best_seconds) / 1e9


def best_rounds(run: Loop, threads: int) -> list[float]:
    """Each thread's shortest round, while all of them run."""
    gate = threading.Barrier(threads)
    best: list[float] = []

    def work() -> None:
        numbers = ctypes.create_string_buffer(64)  # zeros: no denormals, no overflow
        seconds: list[float] = []
        gate.wait()
        for _ in range(ROUNDS):
            start = time.perf_counter()
            run(ctypes.addressof(numbers), ROUND_STEPS)  # ctypes releases the GIL
            seconds.append(time.perf_counter() - start)
        best.append(min(seconds))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return best


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peak")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--isa", choices=ISAS, default="native")
    options = parser.parse_args()
    print(measure_peak(options.threads, options.dtype, options.isa))


if __name__ == "__main__":
    main()
