"""The rows of a model's summary: one a call of a module, counts with all that it called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convforge.explain.tracing import ModuleCall, Seen
from convforge.nn.module import Module


@dataclass(frozen=True, slots=True)
class Row:
    """One call of one module; counts include the calls below it. depth: 0 is the model."""

    depth: int
    path: str
    kind: str
    kernel: str
    again: bool
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    parameters: int
    frozen: int
    multiply_adds: int
    real_multiply_adds: int
    additions: int
    bias_additions: int
    output_bytes: int
    kept_bytes: int
    seen: tuple[Seen, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "depth": self.depth,
            "path": self.path,
            "type": self.kind,
            "kernel": self.kernel,
            "again": self.again,
            "inputs": [list(shape) for shape in self.inputs],
            "outputs": [list(shape) for shape in self.outputs],
            "parameters": self.parameters,
            "frozen_parameters": self.frozen,
            "multiply_adds": self.multiply_adds,
            "real_multiply_adds": self.real_multiply_adds,
            "additions": self.additions,
            "bias_additions": self.bias_additions,
            "output_bytes": self.output_bytes,
            "kept_bytes": self.kept_bytes,
            "receptive_fields": [
                {
                    "input": seen.input,
                    "axis": seen.axis,
                    "dim": seen.dim,
                    "field": None if seen.field is None else seen.field.to_dict(),
                    "reason": None if seen.reason is None else str(seen.reason),
                }
                for seen in self.seen
            ],
            "notes": list(self.notes),
        }


def rows_of(call: ModuleCall, depth: int | None, level: int = 0) -> Iterator[Row]:
    """A row for the call and for each below it, down to `depth` levels; level: the call's own."""
    yield Row(
        level,
        call.path,
        call.name,
        kernel_text(call.module),
        call.again,
        call.inputs,
        call.outputs,
        call.total("parameters"),
        call.total("frozen"),
        call.total("multiply_adds"),
        call.total("real_multiply_adds"),
        call.total("additions"),
        call.total("bias_additions"),
        call.output_bytes,
        call.total("kept_bytes"),
        call.seen,
        tuple(str(note) for note in call.notes),
    )
    if depth is None or level < depth:
        for child in call.children:
            yield from rows_of(child, depth, level + 1)


def kernel_text(module: Module) -> str:
    """`3×3 s2 d2 g32`: kernel, stride, dilation and groups where they are not 1; empty for other modules."""
    kernel: Any = getattr(module, "kernel_size", None)
    if kernel is None:
        return ""
    rank = int(name[-2]) if (name := type(module).__name__)[-1:] == "d" and name[-2].isdigit() else 1
    parts = ["×".join(map(str, _each(kernel, rank)))]
    for letter, attribute in (("s", "stride"), ("d", "dilation")):
        value = getattr(module, attribute, 1)
        sizes = _each(value, rank)
        if set(sizes) != {1}:
            parts.append(letter + (str(sizes[0]) if len(set(sizes)) == 1 else "×".join(map(str, sizes))))
    groups = getattr(module, "groups", 1)
    return " ".join([*parts, *([f"g{groups}"] if groups != 1 else [])])


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * rank
