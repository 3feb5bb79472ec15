"""What a `Convolution` keeps for one shape, and whether the weights are still those of the last call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge import plan, reference
from convforge.plan.fallback import executable_memory_refused
from convforge.problem import ConvSpec, Precision

Array = npt.NDArray[Any]
# (x, weight, bias, weight key) -> output; `out=` keyword for an array to write it to.
Run = Callable[..., Array]

# Up to here a copy into bytes and their comparison (0.2 µs for 432 bytes) beat a fingerprint (5 µs).
SMALL_BYTES = 1 << 15

_next_key = count(1).__next__


@dataclass(frozen=True, slots=True)
class Ready:
    """A convolution of one shape, with nothing left to decide.

    run(x, weight, bias, key, out=None): key stands for the values of weight and bias; packed ones are used
    again where it is the same, None keeps nothing. `forget` drops what is kept.
    """

    spec: ConvSpec
    unbatched: bool
    run: Run
    forget: Callable[[], None]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape that the caller sees: without a batch axis where the input has none."""
        return self.spec.output_shape[1:] if self.unbatched else self.spec.output_shape


def ready(
    spec: ConvSpec, unbatched: bool, native: bool, store: plan.WeightStore, precision: Precision
) -> Ready:
    """Plan a convolution. native: whether the arrays come in this processor's byte order."""
    forget: Callable[[], None]
    if executable_memory_refused():
        run, forget = _reference(spec), _nothing_to_forget
    else:
        prepared = plan.Prepared(spec, store=store, precision=precision)
        run, forget = prepared, prepared.forget
    if not native:
        run = _in_native_order(run, spec.dtype)
    if unbatched:
        run = _without_batch(run)
    return Ready(spec, unbatched, run, forget)


def _nothing_to_forget() -> None:
    pass


def _reference(spec: ConvSpec) -> Run:
    def run(x: Array, weight: Array, bias: Array | None, key: Any = None, out: Array | None = None) -> Array:
        del key
        return reference.output(spec, x, weight, bias, out=out)

    return run


def _without_batch(batched: Run) -> Run:
    def run(x: Array, weight: Array, bias: Array | None, key: Any = None, out: Array | None = None) -> Array:
        return batched(x[None], weight, bias, key, out=None if out is None else out[None])[0]

    return run


def _in_native_order(native: Run, dtype: np.dtype[Any]) -> Run:
    def run(x: Array, weight: Array, bias: Array | None, key: Any = None, out: Array | None = None) -> Array:
        # Without the key: the same bytes in the other order are other values.
        del key
        bias = None if bias is None else bias.astype(dtype)
        return native(x.astype(dtype), weight.astype(dtype), bias, None, out=out)

    return run


class WeightWatch:
    """Tells by their values whether weight and bias are those of the last call.

    By values, since memory may change without notice: through `.data`, `.numpy()`, a shared array. A
    fingerprint of 9 MB takes 0.1 ms where packing them takes 1.5 ms.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: tuple[bytes | None, bytes | None, int] = (None, None, 0)

    def key(self, weight: Array, bias: Array | None) -> int | None:
        """The same number while the values stay the same; None for a large weight that is not contiguous."""
        seen, seen_bias, key = self._last
        bias_now = None if bias is None else bias.tobytes()
        now = weight.tobytes() if weight.nbytes <= SMALL_BYTES else _fingerprint(weight)
        if now is None:
            return None
        if now == seen and bias_now == seen_bias:
            return key
        key = _next_key()
        # One assignment, so that no thread sees the values of one call with the key of another.
        self._last = (now, bias_now, key)
        return key


def _fingerprint(weight: Array) -> bytes | None:
    return None if executable_memory_refused() else plan.fingerprint(weight)
