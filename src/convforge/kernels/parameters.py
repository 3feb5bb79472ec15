"""The sizes that a kernel reads: run-time values in one array, or constants where they are baked in.

A kernel is emitted against names. `Parameters` turns a name into a load from the array that the plan
fills, so one piece of machine code serves every spatial size and channel count; a plan that wants a
kernel for one shape alone passes the values and they become constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from convforge.ir.emitter import Emitter, Int, Value


class Parameters:
    """Names resolved inside one emitted function: each use is a load.

    Sizes held in registers from the function's entry on were spilled in its loops: Winograd's F(2x2, 3x3)
    ran 15 % slower.
    """

    def __init__(
        self, emitter: Emitter, pointer: Value, names: Sequence[str], baked: Mapping[str, int] | None = None
    ) -> None:
        self._emitter = emitter
        self._pointer = pointer
        self._places = {name: i for i, name in enumerate(names)}
        self._values: dict[str, Int] = dict(baked or {})

    def __getattr__(self, name: str) -> Int:
        if name not in self._values:
            return self._emitter.load("i64", self._pointer, self._places[name])
        return self._values[name]

    @property
    def record(self) -> Value:
        """Where the array lies."""
        return self._pointer

    def let(self, names: Sequence[str], record: Value) -> None:
        """Read names from a record elsewhere: what a loop over phases changes."""
        for i, name in enumerate(names):
            self._values[name] = self._emitter.load("i64", record, i)

    def pointer(self, name: str) -> Value:
        """A name that holds an address."""
        if name in self._values:
            return self._emitter.b.inttoptr(self._emitter.i64(self._values[name]), self._pointer.type)
        return self._emitter.load_pointer(self._pointer, self._places[name])
