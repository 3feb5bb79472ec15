"""The choices by which a convolution is blocked, as frozen values, and why a choice is illegal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from convforge.schedule.winograd import Tiling
from convforge.target import Target

# What the bits of an output depend on: schedules of equal order add up the same products in the same way.
Order = tuple[str | int, ...]


class Schedule(Protocol):
    """What families have in common: a frozen dataclass of numbers, which a tuner can try and store."""

    @property
    def order(self) -> Order:
        """The order of an output's sum."""
        ...


def blocked_order(channel_block: int, ways: int) -> Order:
    """Taps within channels, one chain for each block of channels, the chains added one after the other. ways:
    channels that are multiplied and added up at once.
    """
    return ("blocks", channel_block) if ways == 1 else ("blocks", channel_block, ways)


@dataclass(frozen=True, slots=True)
class GatherSchedule:
    """Blocking of the output product (and of grad-input, which is an output product too).

    mr: output channels of a tile. nv: vectors of outputs of a tile. lanes: elements of a vector.
    channel_block: input channels accumulated while a tile is in registers.
    band_tiles: tiles whose input is packed together. tile_group: tiles that share each fetch of weights.
    channel_tiles: tiles of output channels of one task. group_block: groups of one task.
    packed: whether the input is packed, or read where it lies. along_rows: whether every tile lies within one
    row, see `RunTiles`.
    """

    mr: int
    nv: int
    lanes: int
    channel_block: int
    band_tiles: int
    tile_group: int
    channel_tiles: int
    group_block: int
    packed: bool
    along_rows: bool = False
    ways: int = 1

    @property
    def order(self) -> Order:
        """The order of an output's sum: neither tiles nor threads have a say."""
        return blocked_order(self.channel_block, self.ways)


@dataclass(frozen=True, slots=True)
class ChannelsSchedule:
    """Blocking of the output product on small maps.

    pixels: outputs of a tile. nv: vectors of output channels of a tile. lanes: elements of a vector.
    channel_block: input channels accumulated while a tile is in registers.
    channel_tiles: tiles of output channels of one task. map_pieces: tasks that share the tiles of a map.
    """

    pixels: int
    nv: int
    lanes: int
    channel_block: int
    channel_tiles: int
    map_pieces: int = 1
    ways: int = 1

    @property
    def order(self) -> Order:
        """The order of an output's sum, the same as the direct family's."""
        return blocked_order(self.channel_block, self.ways)


@dataclass(frozen=True, slots=True)
class GradWeightSchedule:
    """Blocking of grad-weight.

    mr: channels of grad-output of a tile. nk: (channel, tap) pairs of a tile. lanes: elements of a vector.
    channel_block: input channels packed together; also the channels of one task.
    output_block: grad-output channels of one task. band_length: outputs of the flat run packed together.
    """

    mr: int
    nk: int
    lanes: int
    channel_block: int
    output_block: int
    band_length: int


@dataclass(frozen=True, slots=True)
class GradWeightOuterSchedule:
    """Blocking of grad-weight along channels.

    tile_channels, tile_taps: input channels and taps of a tile. ways: channels side by side in a packed
    position. nv: vectors of grad-output channels of a tile. lanes: elements of a vector.
    channel_block, output_block: input and grad-output channels of one task.
    box: images, slices, rows and columns of outputs packed together. parts: tasks that share the steps.
    """

    tile_channels: int
    tile_taps: int
    ways: int
    nv: int
    lanes: int
    channel_block: int
    output_block: int
    box: tuple[int, int, int, int]
    parts: int


@dataclass(frozen=True, slots=True)
class GradWeightWinogradSchedule:
    """Blocking of grad-weight by Winograd's algorithm.

    tiling: F(taps of the kernel, outputs of a tile). rows, nv: input channels and vectors of grad-output
    channels of a register tile. point: elements from the values of a point to the next's. The others are
    those of `GradWeightOuterSchedule`.
    """

    tiling: Tiling
    rows: int
    nv: int
    lanes: int
    point: int
    channel_block: int
    output_block: int
    box: tuple[int, int, int, int]
    parts: int


def why_tile_illegal(target: Target, accumulators: int, operands: int) -> str | None:
    """The reason why a tile of this many live vectors cannot be used, or None.

    LLVM spills when every register is live (a 4x7 tile with 35 live vectors ran at a third of the speed of
    4x6), so two registers of 32 stay free, and one of 16: 6x2 and 15 live are as many as it can keep apart.
    """
    registers = target.vector_registers
    live, room = accumulators + operands, registers - (2 if registers > 16 else 1)
    if live > room:
        return f"{live} live vectors ({accumulators} sums, {operands} operands) exceed {room} registers"
    return None
