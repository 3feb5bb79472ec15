"""The tiles of a plan: which outputs one run through the kernel's innermost loop computes.

direct, 3 rows of 5, tiles of 8 outputs of the flat run (a row and the gap to the next):

    0 0 0 0 0
    0 1 1 1 1        every tile for `mr` output channels at a time
    1 1 2 2 2
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Any

from convforge.draw.arrays import array_box, plain_axes
from convforge.draw.drawing import Drawing
from convforge.draw.grid import Position, grid, shown
from convforge.draw.layout import Box, column, line, row, titled
from convforge.draw.subject import OUTPUT, Ints, Subject, subject_of
from convforge.draw.theme import TILE_STYLES
from convforge.errors import ConvValueError
from convforge.explain.words import Words
from convforge.nn.conv_nd import ConvNd
from convforge.plan import Explanation, explain
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import ChannelsSchedule, GatherSchedule, Layout, layout_of
from convforge.schedule.fold import folded, folded_whole
from convforge.schedule.polyphase import polyphase
from convforge.schedule.tap_rows import TapRowsSchedule
from convforge.schedule.tile_unit import STEP_POSITIONS, TILE_NUMBERS, TILE_ROWS, TileUnitSchedule

TITLE = Words("The plan's tiles", "执行计划如何分块")
_TILES = Words(
    "one number, one tile: {outputs} outputs × {channels} channels",
    "同号为一块：{outputs} 个输出 × {channels} 个通道",
)
_CHANNELS = Words("output channels, {n} a tile", "输出通道，每块 {n} 个")
_TASK = Words(
    "one task, in tiles: {tiles} of outputs × {channels} of channels",
    "一个任务：{tiles} 块输出 × {channels} 块通道",
)
_NOTE = Words(
    "{kernel}. {count} tiles of outputs in one channel plane; threads take tasks as they come, and no number "
    "depends on which.",
    "{kernel}。每个通道平面有 {count} 块输出；线程按先后领取任务，结果与由谁计算无关。",
)
DEFAULT = ("Conv2d(16, 32, 3, padding=1)", 14)
_WINOGRAD = re.compile(r"F\((\d+)x(\d+),")


@dataclass(frozen=True)
class Tiles:
    """How outputs are cut.

    tile_of: the tile of each position. outputs, channels: of a tile. task_tiles, task_channels: tiles of a
    task; 0 where the explanation does not say.
    """

    tile_of: dict[Position, int]
    outputs: int
    channels: int
    task_tiles: int
    task_channels: int


def tile_plan(
    layer: Any = None,
    input_size: Ints | None = None,
    *,
    explanation: Explanation | None = None,
    language: str | None = None,
    theme: str = "auto",
    numbers: bool = True,
) -> Drawing:
    """The output plane with the tile of each cell, and the output channels with theirs.

    explanation: what `module.explain_plan(shape)` returned; without, the layer is planned for this machine
    here. numbers: the tiles' numbers in the cells.

    Raises ValueError for a family whose explanation has no tiles.
    """
    if explanation is None:
        subject = subject_of(
            layer, input_size, default=DEFAULT, language=language, theme=theme, numbers=numbers
        )
        precision = layer.precision if isinstance(layer, ConvNd) else None
        explanation = explain(subject.spec, has_bias=subject.layer.bias, precision=precision)
    else:
        size = explanation.spec.input_size if input_size is None else input_size
        subject = subject_of(layer, size, default=DEFAULT, language=language, theme=theme, numbers=numbers)
    tiles = tiles_of(explanation)
    spec = subject.spec
    plane = array_box(
        subject,
        "output",
        plain_axes(spec.output_size, limit=28 if spec.rank < 3 else 10),
        role=lambda p: f"tile{tiles.tile_of[p] % TILE_STYLES}",
        label=lambda p: str(tiles.tile_of[p]) if numbers else "",
        leading=(0,),
    )
    caption = subject.say(_TILES, outputs=tiles.outputs, channels=tiles.channels)
    parts = [
        titled(plane, subject.say(OUTPUT), "t-output"),
        titled(_channels(subject, tiles), subject.say(_CHANNELS, n=tiles.channels), "t-output"),
    ]
    lines = [line((caption, "text"), size=14)]
    if tiles.task_tiles:
        task = subject.say(_TASK, tiles=tiles.task_tiles, channels=tiles.task_channels)
        lines.append(line((task, "muted"), size=13))
    arrays = row(*parts, gap=44, align="start") if spec.rank == 2 else column(*parts, gap=22)
    body = column(column(*lines, gap=4), arrays, gap=18)
    note = subject.say(_NOTE, kernel=explanation.kernel, count=len(set(tiles.tile_of.values())))
    return subject.drawing(body, TITLE, note)


def tiles_of(explanation: Explanation) -> Tiles:
    """The tiles that an explanation tells of.

    Raises ValueError for a family whose explanation has none.
    """
    gather, schedule = gather_of(explanation.spec), explanation.schedule
    if isinstance(schedule, GatherSchedule):
        length = schedule.nv * schedule.lanes
        tile_of = _flat_tiles(explanation, layout_of(gather), length)
        return Tiles(tile_of, length, schedule.mr, schedule.band_tiles, schedule.channel_tiles)
    if isinstance(schedule, TileUnitSchedule):
        # Several images may be one run; the first one's tiles are these.
        layout = layout_of(gather)
        if schedule.fold:
            layout = (
                folded_whole(layout)
                if schedule.way_in == "planes"
                else layout_of(folded(gather, schedule.fold))
            )
        length = schedule.columns * TILE_NUMBERS
        tile_of = _flat_tiles(explanation, layout, length)
        return Tiles(tile_of, length, schedule.rows * TILE_ROWS, schedule.band_tiles, schedule.channel_tiles)
    if isinstance(schedule, TapRowsSchedule):
        tile_of = _flat_tiles(explanation, layout_of(gather), STEP_POSITIONS)
        return Tiles(tile_of, STEP_POSITIONS, gather.out_channels, schedule.band // STEP_POSITIONS, 1)
    if isinstance(schedule, ChannelsSchedule):
        tile_of = _listed_tiles(explanation, gather, schedule.pixels)
        task_tiles = -(-len(set(tile_of.values())) // schedule.map_pieces)
        return Tiles(
            tile_of, schedule.pixels, schedule.nv * schedule.lanes, task_tiles, schedule.channel_tiles
        )
    found = _WINOGRAD.search(explanation.kernel)
    if explanation.family == "winograd" and found:
        tile_of, outputs = _block_tiles(explanation, gather, int(found[1]), int(found[2]))
        return Tiles(tile_of, outputs, 1, 0, 0)
    raise ConvValueError(
        f"family (={explanation.family or 'none'}) tells of no tiles, its kernel is {explanation.kernel!r}: "
        "tiles are drawn of direct, split bf16, split bf16 taps, channels and winograd"
    )


def _places(gather: Gather, rank: int) -> list[tuple[Position, int, tuple[int, int, int]]]:
    """(output position, phase, position within the phase) of every output."""
    found: list[tuple[Position, int, tuple[int, int, int]]] = []
    for number, phases in enumerate(gather.phase_triples):
        for steps in product(*(range(phase.count) for phase in phases)):
            position = tuple(
                phase.first + axis.out_step * step
                for axis, phase, step in zip(gather.axes, phases, steps, strict=True)
            )
            found.append((position[3 - rank :], number, (steps[0], steps[1], steps[2])))
    return found


def _numbered(keys: dict[Position, tuple[int, ...]]) -> dict[Position, int]:
    """Tiles numbered in the order in which they are computed: phase by phase."""
    order = {key: number for number, key in enumerate(sorted(set(keys.values())))}
    return {position: order[key] for position, key in sorted(keys.items())}


def _flat_tiles(explanation: Explanation, layout: Layout, length: int) -> dict[Position, int]:
    """Direct and split bf16: tiles of the flat run of all rows, gaps between rows counted."""
    return _numbered(
        {
            position: (phase, ((d * layout.slice_rows + h) * layout.pitch + w) // length)
            for position, phase, (d, h, w) in _places(layout.gather, explanation.spec.rank)
        }
    )


def _listed_tiles(explanation: Explanation, gather: Gather, pixels: int) -> dict[Position, int]:
    """The channels family: outputs of a phase in order, so many to a tile."""
    keys: dict[Position, tuple[int, ...]] = {}
    counts: dict[int, int] = {}
    for position, phase, _ in _places(gather, explanation.spec.rank):
        number = counts.get(phase, 0)
        keys[position] = (phase, number // pixels)
        counts[phase] = number + 1
    return _numbered(keys)


def _block_tiles(
    explanation: Explanation, gather: Gather, rows: int, columns: int
) -> tuple[dict[Position, int], int]:
    """Winograd: blocks of a phase's outputs, as their windows lie."""
    begins = [phase.begin for phase in polyphase(gather).phases]
    keys = {
        position: (phase, *((q + b) // side for q, b, side in zip(at, begins[phase], (1, rows, columns))))
        for position, phase, at in _places(gather, explanation.spec.rank)
    }
    return _numbered(keys), rows * columns if explanation.spec.rank > 1 else columns


def _channels(subject: Subject, tiles: Tiles) -> Box:
    """Output channels of one group as a row of cells, a tile's alike."""
    count = subject.spec.out_channels // subject.spec.groups
    positions = shown(count, limit=32 if subject.spec.rank == 2 else 40)
    down = subject.spec.rank == 2
    axes = (positions, (0,)) if down else ((0,), positions)

    def number(p: Position) -> int:
        return p[0 if down else 1]

    return grid(
        "channel",
        axes,
        role=lambda p: f"tile{number(p) // tiles.channels % TILE_STYLES}",
        label=lambda p: str(number(p)),
        cell=18.0,
        width=34.0 if down else 22.0,
        radius=3.0,
        indices=False,
    )
