"""The phase table of kernels that gather, read: each phase's outputs, and the taps that each tile needs."""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.emitter import Emitter, Int, Value
from convforge.kernels.direct.contract import PHASE_FIELDS, SELECTION_FIELDS


@dataclass(frozen=True, slots=True)
class Phase:
    """A record of the phase table, read into registers.

    number: of the phase. weights: where the phase's begin. tile_weights: elements from a tile of output
    channels to the next.
    """

    number: Int
    taps: Int
    tile_weights: Int
    weights: Value
    selections: Value
    tile_selection: Value
    tile_step: Int
    y_offset: Int
    size: tuple[Int, Int, Int]


@dataclass(frozen=True, slots=True)
class Selected:
    """The taps that a tile needs: how many of them, and for each (channel, tap) of a block two numbers."""

    taps: Int
    distances: Value
    rows: Value


def read_phase(
    e: Emitter,
    record: Value,
    *,
    number: Int,
    weights: Value,
    kind: str,
    group: Int,
    out_tiles: Int,
    tap_weights: Int,
) -> Phase:
    """Read a record. number: of the phase. tap_weights: elements (`kind`) of the weights of a tap, for a tile
    of output channels and all channels.
    """
    fields = [e.load("i64", record, i) for i in range(len(PHASE_FIELDS))]
    taps, weights_at, selections, tile_selection, tile_step, y_offset, *size = fields
    tile_weights = e.mul(tap_weights, taps)
    at = e.add(weights_at, e.mul(group, out_tiles, tile_weights))
    return Phase(
        number=number,
        taps=taps,
        tile_weights=tile_weights,
        weights=e.at(weights, kind, at),
        selections=e.b.inttoptr(selections, weights.type),
        tile_selection=e.b.inttoptr(tile_selection, weights.type),
        tile_step=tile_step,
        y_offset=y_offset,
        size=(size[0], size[1], size[2]),
    )


def read_selection(e: Emitter, phase: Phase, number: Int) -> Selected:
    """The taps of tile `number`."""
    chosen = e.load("i64", phase.tile_selection, e.mul(number, phase.tile_step))
    selection = e.at(phase.selections, "i64", e.mul(chosen, len(SELECTION_FIELDS)))
    return Selected(e.load("i64", selection), e.load_pointer(selection, 1), e.load_pointer(selection, 2))
