"""The state of PyTorch's CPU generator: an MT19937 engine and one cached normal sample.

NumPy's `MT19937` is the engine (the same recurrence, in C); what is added here is PyTorch's seeding, its
64-bit draws (high word first) and the layout of its saved state.
Source: ATen/core/MT19937RNGEngine.h and ATen/CPUGeneratorImpl.cpp of PyTorch 2.13.
"""

from __future__ import annotations

import operator
import os
import threading
from collections import abc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convforge.autograd.device import CPU, Device, require_cpu

if TYPE_CHECKING:
    from numpy.random import MT19937

    from convforge.autograd.tensor import Tensor

DEFAULT_SEED = 67280421310721
STATE_WORDS = 624

# The bytes of `Generator.get_state()`: what PyTorch writes, so that a state saved there is read here.
STATE_LAYOUT = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("key", "<u8", (STATE_WORDS,)),
        ("normal_x", "<f8"),
        ("normal_y", "<f8"),
        ("normal_rho", "<f8"),
        ("normal_is_valid", "<i8"),
        ("next_float_normal", "<f4"),
        ("next_float_normal_is_valid", "<i4"),
    ]
)


class Generator:
    """A stream of random numbers, PyTorch's for the same seed.

    device: only "cpu" is known.

    Source: torch.Generator.
    """

    def __init__(self, device: str | Device = "cpu") -> None:
        require_cpu(device)
        self.lock = threading.RLock()
        self.next_normal: float | None = None
        self._seed = DEFAULT_SEED
        self._engine: MT19937 | None = None
        self._is_fresh = True

    @property
    def device(self) -> Device:
        """Where the numbers are drawn: always the CPU."""
        return CPU

    def manual_seed(self, seed: Any) -> Generator:
        """Start the stream that belongs to `seed`, in [-2**63, 2**64); negative seeds count from 2**64."""
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}: pass an int")
        seed = int(operator.index(seed))
        if not -(2**63) <= seed < 2**64:
            raise ValueError(
                f"Overflow when unpacking long long: seed (={seed}) must lie in [-2**63, 2**64): "
                f"use seed % 2**64 (={seed % 2**64})"
            )
        with self.lock:
            self._seed = seed % 2**64
            self._engine = None
            self._is_fresh = True
            self.next_normal = None
        return self

    def seed(self) -> int:
        """Seed from the operating system's entropy and return that seed."""
        seed = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the stream began with, in [0, 2**64)."""
        return self._seed

    def raw32(self, count: int) -> NDArray[np.uint64]:
        """The next `count` 32-bit outputs, as uint64 of shape (count,)."""
        if self._engine is None:
            self._engine = _seeded_engine(self._seed)
        self._is_fresh = self._is_fresh and count == 0
        return self._engine.random_raw(count)

    def raw64(self, count: int) -> NDArray[np.uint64]:
        """The next `count` 64-bit outputs, of shape (count,): two 32-bit draws each, the first one high."""
        words = self.raw32(2 * count)
        return (words[0::2] << np.uint64(32)) | words[1::2]

    def state_bytes(self) -> NDArray[np.uint8]:
        """The whole state in PyTorch's layout: uint8 of shape (5056,)."""
        state = np.zeros((), STATE_LAYOUT)
        with self.lock:
            if self._engine is None:
                self._engine = _seeded_engine(self._seed)
            engine: Any = self._engine.state["state"]
            pos = int(engine["pos"])
            state["seed"] = self._seed
            state["left"] = 1 if self._is_fresh else STATE_WORDS + 1 - pos
            state["seeded"] = 1
            state["next"] = 0 if self._is_fresh else pos
            state["key"] = engine["key"]
            if self.next_normal is not None:
                state["normal_y"] = self.next_normal
                state["normal_is_valid"] = 1
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def get_state(self) -> Tensor:
        """The whole state as a uint8 Tensor of shape (5056,), byte for byte PyTorch's."""
        from convforge.autograd.tensor import from_data

        return from_data(self.state_bytes())

    def set_state(self, new_state: Tensor | NDArray[Any]) -> Generator:
        """Go on from a state that `get_state` gave, here or in PyTorch.

        Raises TypeError where it is not made of bytes, RuntimeError where its size or content is wrong.
        """
        data: Any = getattr(new_state, "_data", new_state)
        array: NDArray[Any] = np.asarray(data)
        if array.dtype != np.uint8:
            raise TypeError(f"RNG state must be a torch.ByteTensor: got dtype {array.dtype}, use get_state()")
        if array.size != STATE_LAYOUT.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_LAYOUT.itemsize} but found the input RNG "
                f"state size to be {array.size}: use what get_state() gave"
            )
        state = np.frombuffer(array.tobytes(), STATE_LAYOUT)[0]
        left, following = int(state["left"]), int(state["next"])
        # left counts what remains before the next twist; before the first one PyTorch keeps next at 0.
        is_fresh = left == 1 and following == 0
        if not state["seeded"] or not (is_fresh or (left + following == STATE_WORDS + 1 and following > 0)):
            raise RuntimeError(
                f"Invalid mt19937 state: seeded={int(state['seeded'])}, left={left}, next={following}; "
                "use what get_state() gave"
            )
        with self.lock:
            self._seed = int(state["seed"])
            self._engine = _engine_at(state["key"].astype(np.uint32), STATE_WORDS if is_fresh else following)
            self._is_fresh = is_fresh
            self.next_normal = float(state["normal_y"]) if state["normal_is_valid"] else None
        return self

    def clone_state(self) -> Generator:
        """A second generator that will draw what this one would."""
        return Generator().set_state(self.state_bytes())

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.state_bytes().tobytes(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        memo[id(self)] = copy = self.clone_state()
        return copy


def uniform32(stream: Generator, count: int) -> NDArray[np.float32]:
    """`count` float32 numbers of [0, 1): the low 24 bits of one draw each."""
    words = (stream.raw32(count) & np.uint64(0xFFFFFF)).astype(np.uint32)
    return words.astype(np.float32) * np.float32(2.0**-24)


def uniform64(stream: Generator, count: int) -> NDArray[np.float64]:
    """`count` float64 numbers of [0, 1): the low 53 bits of two draws each."""
    return (stream.raw64(count) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53


def _rebuild(state: bytes) -> Generator:
    return Generator().set_state(np.frombuffer(state, np.uint8))


def _engine_at(key: NDArray[np.uint32], pos: int) -> MT19937:
    from numpy.random import MT19937

    engine = MT19937(0)
    engine.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": pos}}
    return engine


def _seeded_engine(seed: int) -> MT19937:
    # RandomState's integer seeding is Knuth's init_genrand on 32 bits, as PyTorch's engine does.
    from numpy.random import RandomState

    state: Any = RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)
    return _engine_at(state["state"]["key"], STATE_WORDS)


default_generator = Generator()
default_generator.seed()


def _renew_lock_in_child() -> None:
    # A thread of the parent may have held the lock while it forked; in the child nobody would let it go.
    default_generator.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock_in_child)


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, and return it. Negative seeds count from 2**64."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the operating system's entropy; return the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator began with."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state: a uint8 Tensor of shape (5056,)."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor | NDArray[Any]) -> None:
    """Let the default generator go on from a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(enabled: bool = True) -> abc.Generator[None]:
    """What is drawn inside the block leaves the default generator as it was."""
    state = default_generator.state_bytes()
    try:
        yield
    finally:
        if enabled:
            default_generator.set_state(state)
