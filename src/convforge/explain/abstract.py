"""Tensors of a model that is followed by shape alone, and the ledger that is kept on the way."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convforge.autograd.stand_in import StandIn
from convforge.explain.places import Axis, Place, Places
from convforge.explain.receptive_field import INPUT
from convforge.explain.tracing_words import Said


class Memory:
    """A piece of memory that the real run would allocate; views and in-place results share it."""

    def __init__(self, number: int, size_bytes: int) -> None:
        self.number = number
        self.size_bytes = size_bytes


@dataclass
class Counts:
    """What one call of one module did itself, without the modules that it called."""

    multiply_adds: int = 0
    real_multiply_adds: int = 0
    additions: int = 0
    bias_additions: int = 0
    kept_bytes: int = 0
    notes: list[Said] = field(default_factory=list[Said])


@dataclass(frozen=True, slots=True)
class Step:
    """One function of tensors that the model's code called.

    module: the twin of the module that called it. reads, gives: numbers of the memory of the tensors among
    the arguments and of those returned; an in-place function and a view give what they read.
    shape: of the first argument. seen: what elements of the first result see, by axis of the inputs.
    """

    function: str
    module: Any
    reads: tuple[int, ...]
    gives: tuple[int, ...]
    shape: tuple[int, ...]
    output: tuple[int, ...]
    seen: Places


class Ledger:
    """Counts operations and bytes while a model is followed.

    Memory is counted as Python frees it, so the peak is that of the real run: a shortcut stays alive for as
    long as the model's own variables hold it.
    """

    def __init__(self) -> None:
        self.open: list[Counts] = [Counts()]
        self.live_bytes = 0
        self.peak_bytes = 0
        self.kept: dict[int, int] = {}
        self.modules: list[Any] = []
        self.steps: list[Step] = []
        self._made = 0

    def tensor(
        self,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        places: Places | None = None,
        *,
        memory: Memory | None = None,
        counted: bool = True,
    ) -> AbstractTensor:
        """A tensor of its own memory, or on a given one. counted: whether it is an activation."""
        made: AbstractTensor = AbstractTensor(tuple(int(size) for size in shape), np.dtype(dtype))
        if memory is None:
            self._made += 1
            memory = Memory(self._made, made.nbytes if counted else 0)
            self.live_bytes += memory.size_bytes
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)
            weakref.finalize(memory, self._free, memory.size_bytes)
        made.memory, made.ledger, made.places = memory, self, dict(places or {})
        return made

    def input(self, number: int, shape: Sequence[int], dtype: np.dtype[Any]) -> AbstractTensor:
        """An input of the model: (batch, channels, *sizes), or without sizes."""
        axes: dict[Axis, Place] = {
            (number, axis): Place(size, axis + 2, INPUT) for axis, size in enumerate(shape[2:])
        }
        return self.tensor(shape, dtype, axes)

    def keep(self, *tensors: Any) -> None:
        """Note that backward will need these tensors' memory."""
        for each in tensors:
            if isinstance(each, AbstractTensor) and each.memory.number not in self.kept:
                self._keep(each.memory.number, each.memory.size_bytes)

    def keep_more(self, size_bytes: int) -> None:
        """Note memory that backward needs and that no tensor has: positions of maxima, masks."""
        self._made += 1
        self._keep(self._made, size_bytes)

    def note(self, text: Said) -> None:
        """Say something about the module that is being called."""
        if text not in self.open[-1].notes:
            self.open[-1].notes.append(text)

    def record(self, function: str, args: Sequence[Any], result: Any) -> None:
        """Write down a call, made by the module that is being called."""
        reads, gives = abstract_tensors(args), abstract_tensors([result])
        if reads and gives and self.modules:
            self.steps.append(
                Step(
                    function,
                    self.modules[-1],
                    tuple(each.memory.number for each in reads),
                    tuple(each.memory.number for each in gives),
                    tuple(reads[0].shape),
                    tuple(gives[0].shape),
                    gives[0].places,
                )
            )

    def _keep(self, number: int, size_bytes: int) -> None:
        self.kept[number] = size_bytes
        self.open[-1].kept_bytes += size_bytes

    def _free(self, size_bytes: int) -> None:
        self.live_bytes -= size_bytes


class AbstractTensor(StandIn):
    """A tensor of which the shape is known, and what its elements see of the model's inputs."""

    __slots__ = ()
    memory: Memory
    ledger: Ledger
    places: dict[Axis, Place]

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._data.nbytes

    def become(self, other: AbstractTensor) -> AbstractTensor:
        """Take over what an in-place operation gives; the memory stays."""
        self._data, self.places = other._data, other.places
        return self

    def take_over(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """What the function gives, by its rule."""
        from convforge.explain.rules import apply

        made = apply(self.ledger, name, function, args, kwargs)
        self.ledger.record(name, [*args, *kwargs.values()], made)
        return made


def abstract_tensors(values: Sequence[Any]) -> list[AbstractTensor]:
    """The abstract tensors among values, in lists, tuples and dicts too, in order."""
    found: list[AbstractTensor] = []
    for value in values:
        if isinstance(value, AbstractTensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += abstract_tensors(value)
        elif isinstance(value, dict):
            found += abstract_tensors(list(value.values()))
    return found
