"""Memory bandwidth by a triad, a[i] = b[i] + s c[i], emitted for this processor and run on every thread.

python -m benchmarks.bandwidth --threads N --isa NAME    prints the levels as JSON

Counted as 12 bytes an element, with ordinary stores: the fetch of a line before it is overwritten is part of
what every kernel pays, and is not counted.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from benchmarks.isa import ISAS
from benchmarks.limit import Level
from benchmarks.machine import last_level_bytes
from benchmarks.peak import compiled, host_features, vector_bits

ROUNDS = 12
ROUND_S = 5e-3
"""Long against the tens of microseconds by which threads start apart."""
MEMORY_BYTES = 128 << 20
UNROLL = 4


def levels_in_own_process(threads: int, isa: str) -> tuple[Level, ...]:
    """Second-level caches of `threads` cores, the last level, memory, as measured."""
    command = [sys.executable, "-m", "benchmarks.bandwidth", "--threads", str(threads), "--isa", isa]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(Level(**facts) for facts in json.loads(answer))


def emit_triad(name: str, lanes: int) -> str:
    """LLVM IR of `void name(ptr a, ptr b, ptr c, i64 count, i64 repeats)`; count divides by 4 vectors."""
    from llvmlite import ir

    module = ir.Module(name=name)
    integer, pointer = ir.IntType(64), ir.PointerType()
    vector = ir.VectorType(ir.FloatType(), lanes)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * 3 + [integer] * 2), name)
    target, left, right, count, repeats = function.args
    entry, outer, loop, again, leave = (
        function.append_basic_block(label) for label in ("entry", "outer", "loop", "again", "leave")
    )
    b = ir.IRBuilder(entry)
    b.branch(outer)
    b.position_at_end(outer)
    turn = b.phi(integer)
    b.branch(loop)
    b.position_at_end(loop)
    at = b.phi(integer)
    factor = ir.Constant(vector, [0.5] * lanes)
    for k in range(UNROLL):
        place = b.add(at, integer(k * lanes))
        sources = [
            b.load(b.gep(array, [place], source_etype=ir.FloatType()), typ=vector, align=4)
            for array in (left, right)
        ]
        total = b.fadd(sources[0], b.fmul(factor, sources[1]))
        b.store(total, b.gep(target, [place], source_etype=ir.FloatType()), align=4)
    following = b.add(at, integer(UNROLL * lanes))
    b.cbranch(b.icmp_signed("<", following, count), loop, again)
    at.add_incoming(integer(0), outer)
    at.add_incoming(following, loop)
    b.position_at_end(again)
    next_turn = b.add(turn, integer(1))
    b.cbranch(b.icmp_signed("<", next_turn, repeats), outer, leave)
    turn.add_incoming(integer(0), entry)
    turn.add_incoming(next_turn, again)
    b.position_at_end(leave)
    b.ret_void()
    return str(module)


def measure_levels(threads: int, isa: str) -> list[Level]:
    """Each level with arrays that fill half of it, so that little else is in the way."""
    from convforge.target import Target

    near = Target.host().l2_bytes * threads
    last = last_level_bytes()
    features = host_features(isa)
    lanes = vector_bits(features) // 32
    with compiled(emit_triad("triad", lanes), features) as engine:
        signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 2)
        triad = signature(engine.get_function_address("triad"))

        def rate(total_bytes: int) -> float:
            return triad_rate(triad, threads, total_bytes // threads, UNROLL * lanes)

        levels = [Level("2", "second-level caches", near, rate(near // 2))]
        if last > 2 * near:  # else half of it would lie in the second level
            levels.append(Level("L", "last-level cache", last, rate(last // 2)))
        levels.append(Level("M", "memory", None, rate(max(MEMORY_BYTES, 4 * last))))
    return levels


def triad_rate(triad: Callable[..., None], threads: int, thread_bytes: int, step: int) -> float:
    """GB/s of all threads together, each on arrays of its own: the best of 12 rounds.

    A round counts from the first start to the last end, since the threads share what is measured.
    """
    count = thread_bytes // 12 // step * step
    arrays = [[np.ones(count, np.float32) for _ in range(3)] for _ in range(threads)]
    gate = threading.Barrier(threads)
    spans: list[list[tuple[float, float]]] = [[] for _ in range(threads)]
    repeats = max(1, int(ROUND_S * 30e9 / (12 * count)))  # 30 GB/s: within a few times of any machine

    def work(index: int) -> None:
        addresses = [array.ctypes.data for array in arrays[index]]
        triad(*addresses, count, 1)
        for _ in range(ROUNDS):
            gate.wait()
            start = time.perf_counter()
            triad(*addresses, count, repeats)  # ctypes releases the GIL
            spans[index].append((start, time.perf_counter()))

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    best_s = min(
        max(end for _, end in turn) - min(start for start, _ in turn) for turn in zip(*spans, strict=True)
    )
    return 12 * count * repeats * threads / best_s / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bandwidth")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", choices=ISAS, default="native")
    options = parser.parse_args()
    print(json.dumps([asdict(level) for level in measure_levels(options.threads, options.isa)]))


if __name__ == "__main__":
    main()
