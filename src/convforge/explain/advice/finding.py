"""What advice is made of: findings with their evidence, their fix, and the drawing that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from convforge.explain.sentence import Sentence
from convforge.problem import ConvLayer

Severity = Literal["error", "warning", "advice", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "advice", "info")

DrawingName = Literal[
    "cell",
    "size_formula",
    "padding",
    "dilation",
    "groups",
    "matrix",
    "transposed",
    "output_padding",
    "overlap",
    "receptive_field",
    "fusion",
    "blocks",
    "gradient",
    "tile_plan",
]


@dataclass(frozen=True, slots=True)
class DrawingRequest:
    """Names a drawing that shows a finding; `draw` is above Explain and makes it.

    layers: what is drawn, in PyTorch's spelling, one after the other. input_size: of the first.
    """

    name: DrawingName
    layers: tuple[str, ...]
    input_size: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Timing:
    """Median milliseconds of real calls on this machine: as it is, and with the fix in its place."""

    before_ms: float
    after_ms: float
    threads: int


@dataclass(frozen=True, slots=True)
class Fix:
    """What to write instead, and what that changes.

    layers: to stand, in order, in the place of all the layers of the finding; empty where the input is at
    fault: then `input_size` is one that the layers suit.
    """

    layers: tuple[ConvLayer, ...]
    effect: Sentence
    input_size: tuple[int, ...] | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The layers as PyTorch spells them."""
        return tuple(layer.text for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule has something to say.

    where: paths of the modules, "" for a layer by itself. layers: as they are, in PyTorch's spelling.
    what: the finding with its numbers in words; evidence: the same numbers by name.
    timing: None where nothing was measured, or speed is not the matter.
    """

    rule: str
    severity: Severity
    where: tuple[str, ...]
    layers: tuple[str, ...]
    what: Sentence
    evidence: dict[str, Any]
    fix: Fix | None
    drawing: DrawingRequest
    timing: Timing | None = None
