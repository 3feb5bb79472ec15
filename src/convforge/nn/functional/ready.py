"""What a `Convolution` keeps for one shape, and whether the weights are still those of the last call."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from convforge import plan, reference
from convforge.autograd.tensor import KNOWN_ADDRESS, from_data
from convforge.memory import references
from convforge.plan.fallback import executable_memory_refused
from convforge.problem import ConvSpec, Precision

Array = npt.NDArray[Any]
# (x, weight, bias, weight key) -> output; `out=` keyword for an array to write it to.
Run = Callable[..., Array]

# Up to here a copy into bytes and their comparison (0.2 µs for 432 bytes) beat all else.
_COPIED_BYTES = 1 << 11

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
    """Tells whether weight and bias still have the values of the last call.

    By the count of changes, where nobody else can have written to the weight since. Else by its values, since
    memory may change without notice: through `.data`, `.numpy()`, a shared array. A fingerprint of 9 MB
    takes 0.1 ms, and drives the packed weights out of the cache; packing them takes 1.5 ms.
    """

    __slots__ = ("_last", "_own")

    def __init__(self) -> None:
        self._last: tuple[bytes | None, bytes | None, int] = (None, None, 0)
        self._own: _Own | None = None

    def key(
        self, weight: Array, bias: Array | None, box: list[int] | None = None, holders: int = 0
    ) -> int | None:
        """The same number while the values stay the same; None for a large weight that is not contiguous.

        box: `_vbox` of the Tensor whose memory `weight` is. holders: `references(weight)` where a local
        variable holds it.
        """
        bias_now = None if bias is None else bias.tobytes()
        own: tuple[weakref.ref[Array], list[int], int, int] | None = None
        if holders == _ALONE and box is not None and weight.nbytes > _COPIED_BYTES:
            last = self._own
            if last is not None and last.is_still(weight, box, bias_now):
                return last.key
            if weight.flags.owndata and box[1] < KNOWN_ADDRESS:
                own = (weakref.ref(weight), box, box[0], box[1])  # counted before the values are read
        seen, seen_bias, key = self._last
        if own is not None:
            # Nobody else can write to it from here on: its values need no reading, now or later.
            key = _next_key()
            self._last, self._own = (None, None, key), _Own(*own, bias_now, key)
            return key
        now = weight.tobytes() if weight.nbytes <= _COPIED_BYTES else _fingerprint(weight)
        if now is None:
            return None
        if now != seen or bias_now != seen_bias:
            key = _next_key()
            # One assignment, so that no thread sees the values of one call with the key of another.
            self._last = (now, bias_now, key)
        self._own = None
        return key


@dataclass(frozen=True, slots=True)
class _Own:
    """A Tensor's memory to which nothing else refers, how often it was changed and handed out, and its key.

    The weak reference tells the array from a later one at its address.
    """

    array: weakref.ref[Array]
    box: list[int]
    changes: int
    handed_out: int
    bias: bytes | None
    key: int

    def is_still(self, weight: Array, box: list[int], bias: bytes | None) -> bool:
        """Whether nobody can have changed it since."""
        return (
            self.array() is weight
            and self.box is box
            and box[0] == self.changes
            and box[1] == self.handed_out
            and bias == self.bias
        )


def _references_alone() -> int:
    tensor = from_data(np.empty(1, np.float32))
    array = tensor._data
    return references(array) or -1


# Those of an array that a Tensor and one local variable hold.
_ALONE = _references_alone()


def _fingerprint(weight: Array) -> bytes | None:
    return None if executable_memory_refused() else plan.fingerprint(weight)
