"""Has the clock choose: inside `with tuning():` each new kind of product is measured once.

    with convforge.tuning() as log:
        model(images)
    print(log)

Without `same_bits`, also families and blocks of channels that add up in another order are tried. Results may
then differ in the last bits from those of an untuned machine; but the order is stored for the sizes alone, so
threads, batch and layout still change nothing.
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convforge.plan.planner import Choice, choices, tuned_choice
from convforge.plan.request import OutputRequest
from convforge.plan.search import tuned
from convforge.plan.search.race import Sample, race
from convforge.problem import ConvSpec
from convforge.runtime import address_of, get_num_threads, notes
from convforge.target import Target

Array = NDArray[Any]

# Samples of one race add up to this at most, but for layers whose every sample is long.
_BUDGET_S = 1.5
# A sample takes at least this long, by repeating the call: the clock costs 50 ns.
_SAMPLE_S = 300e-6
# How far, in norm, a choice of another order may be from the planner's: twice what the settings promise.
_TOLERANCES = {"highest": 1e-5, "high": 2e-5, "medium": 2e-2}


@dataclass(frozen=True, slots=True)
class Tuned:
    """One product that was measured: what the planner had chosen, what was faster, and by how much.

    default_s, best_s: shortest calls in seconds. gain: how many times as fast, of paired samples; 1 where
    the planner's own choice was not clearly beaten.
    """

    spec: ConvSpec
    threads: int
    tried: int
    default: str
    best: str
    default_s: float
    best_s: float
    gain: float

    def __str__(self) -> str:
        sizes = "x".join(map(str, self.spec.input_shape))
        kernel = "x".join(map(str, self.spec.kernel_size))
        what = f"{self.best}, was {self.default}" if self.best != self.default else self.default
        return (
            f"{sizes:<18} -> {self.spec.out_channels:<5} {kernel:<7} {1e3 * self.default_s:9.3f} ms"
            f" {1e3 * self.best_s:9.3f} ms {self.gain:6.2f} x  of {self.tried:<3} {what}"
        )


@dataclass(slots=True)
class TuningLog:
    """What was measured, in order; printed as a table."""

    entries: list[Tuned] = field(default_factory=list[Tuned])

    def __str__(self) -> str:
        if not self.entries:
            return "nothing to measure: every product was measured before, or has one way only"
        head = f"{'input':<18} -> {'out':<5} {'kernel':<7} {'planned':>12} {'tuned':>12} {'gain':>8}  tried"
        return "\n".join([head, *map(str, self.entries)])


@dataclass(frozen=True, slots=True)
class _Session:
    same_bits: bool
    log: TuningLog


_session: ContextVar[_Session | None] = ContextVar("convforge.tuning", default=None)
# One race at a time, whatever the threads of the program.
_racing = threading.Lock()


class tuning:  # noqa: N801 - a function to its users
    """Measure the products that are computed in a `with` block, unless they were before: see the module.

    same_bits: try only what adds up in the same order as the planner's own choice.

    Holds for this thread or asyncio task. The results hold for the user's processes on this machine: they lie
    beside the compiled kernels. `as` gives a `TuningLog`.
    """

    def __init__(self, *, same_bits: bool = True) -> None:
        self._same_bits = same_bits
        self._tokens: list[Any] = []

    def __enter__(self) -> TuningLog:
        log = TuningLog()
        self._tokens.append(_session.set(_Session(self._same_bits, log)))
        # Layers that know their plan already have to ask again.
        notes.touch()
        return log

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _session.reset(self._tokens.pop())


def tune_if_asked(request: OutputRequest, x: Array, weight: Array, bias: Array | None, y: Array) -> None:
    """Inside `with tuning()`: measure how to serve a request, on arrays that fit it. y is overwritten."""
    session = _session.get()
    if session is None:
        return
    target, threads = Target.host(), get_num_threads()
    with _racing:
        known = tuned.read_choice(request, target, threads) is not None
        if known and (session.same_bits or tuned.read_order(request, target) is not None):
            return
        offered = choices(request, target, threads)
        default = tuned_choice(request, target, threads) or offered[0]
        # An order that was chosen once stays: results of other batches and threads depend on it.
        if session.same_bits or tuned.read_order(request, target) is not None:
            offered = [choice for choice in offered if choice.order == default.order]
        offered = [default, *(choice for choice in offered if choice != default)]
        best = _measure(session.log, request, offered, (x, weight, bias, y))
        if not session.same_bits:
            tuned.write_order(request, target, best.order)
        tuned.write_choice(request, target, threads, str(best))


def _measure(
    log: TuningLog,
    request: OutputRequest,
    offered: list[Choice],
    arrays: tuple[Array, Array, Array | None, Array],
) -> Choice:
    target, threads = Target.host(), get_num_threads()
    runs = [_Run(choice, request, target, threads, arrays) for choice in offered]
    y = arrays[3]
    runs[0].call()
    expected = y.copy()
    for run in runs[1:]:
        y[...] = 0
        run.call()
        _check(run.choice, offered[0], request, y, expected)
    repeats = runs[0].repeats_for(_SAMPLE_S)
    outcome = race([run.sampler(repeats) for run in runs], _BUDGET_S)
    best = offered[outcome.winner]
    log.entries.append(
        Tuned(
            request.spec,
            threads,
            len(offered),
            runs[0].plan.describe(),
            runs[outcome.winner].plan.describe(),
            outcome.first_s / repeats,
            outcome.winner_s / repeats,
            1 / outcome.ratio,
        )
    )
    return best


class _Run:
    """A choice ready to be called on the arrays of a race."""

    def __init__(
        self,
        choice: Choice,
        request: OutputRequest,
        target: Target,
        threads: int,
        arrays: tuple[Array, Array, Array | None, Array],
    ) -> None:
        x, weight, bias, y = arrays
        self.choice = choice
        self.plan = choice.plan(request, target, threads)
        packing = self.plan.weights
        packed, packed_bias = packing.pack(weight, threads), None if bias is None else packing.pack_bias(bias)
        self._keep = (x, y, packed, packed_bias)
        self._at = (
            address_of(x),
            address_of(packed),
            0 if packed_bias is None else address_of(packed_bias),
            address_of(y),
        )

    def call(self) -> None:
        """Compute once."""
        self.plan(*self._at)

    def repeats_for(self, seconds: float) -> int:
        """How many calls take that long."""
        self.call()
        start = time.perf_counter()
        self.call()
        return max(1, min(10_000, int(seconds / max(time.perf_counter() - start, 1e-9))))

    def sampler(self, repeats: int) -> Sample:
        """Seconds of `repeats` calls, the shortest of three tries after one that warms the caches."""

        def sample() -> float:
            self.call()
            best_s = float("inf")
            for _ in range(3):
                start = time.perf_counter()
                for _ in range(repeats):
                    self.call()
                best_s = min(best_s, time.perf_counter() - start)
            return best_s

        return sample


def _check(choice: Choice, default: Choice, request: OutputRequest, y: Array, expected: Array) -> None:
    """What is timed must be right: the same bits where the order is the same, else the promised accuracy."""
    if not np.isfinite(expected).all():
        return  # weights that are not finite meet different numbers of zeros in padded rows
    if choice.order == default.order:
        assert np.array_equal(y, expected), f"{choice} has other bits than {default} for {request}"
        return
    wide, right = y.astype(np.float64), expected.astype(np.float64)
    error = float(np.linalg.norm(wide - right)) / (float(np.linalg.norm(right)) or 1.0)
    limit = _TOLERANCES[request.precision] if request.spec.dtype.itemsize >= 4 else 2e-2
    assert error <= limit, f"{choice} differs from {default} by {error:.1e} for {request}"
