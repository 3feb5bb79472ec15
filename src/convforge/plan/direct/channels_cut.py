"""Cuts the small-map kernel's work (channels.py) into tasks, without a clock: blocks of output channels, and
pieces of the map where blocks are too few for the threads, or do not go round.
"""

from __future__ import annotations

from dataclasses import dataclass

from convforge.ir.element import Element
from convforge.plan.cut import TASK_CYCLES, TASKS_PER_THREAD
from convforge.plan.direct.channels_tiles import IN_PLACE, Reading, legal_tiles, phases_cycles
from convforge.plan.tiles import chain_block
from convforge.problem.gather import Gather
from convforge.schedule import ChannelsSchedule
from convforge.target import Target

# Tiles that a tuner tries.
_TILES_TRIED = 5
# Where one task is cut, other threads are called: 0.8 us (LeNet's second layer, whole calls, 10.7 -> 9.0 us).
# Products of pieces take 0.5 to 1 % longer (eight layers in two and three pieces, two cores of Zen 4).
_CALL_CYCLES, _PIECES_SLOWER = 3000.0, 1.02


def nest_candidates(
    gather: Gather, element: Element, target: Target, threads: int, reading: Reading
) -> list[ChannelsSchedule]:
    """Schedules of this loop nest, its own first: the best tiles, tasks of two sizes. All of one order."""
    cutter = Cutter(gather, target, target.vector_bytes // element.compute_bytes, threads, reading)
    tiles = cutter.tiles()[:_TILES_TRIED]
    found = [cutter.schedule(tile) for tile in tiles]
    found += [cutter.schedule(tile, tasks_per_thread=1) for tile in tiles[:2]]
    return list(dict.fromkeys(found))


def nest_schedule(
    gather: Gather, element: Element, target: Target, threads: int, reading: Reading
) -> ChannelsSchedule:
    """The schedule that is best by its cost."""
    cutter = Cutter(gather, target, target.vector_bytes // element.compute_bytes, threads, reading)
    return cutter.schedule(cutter.tiles()[0])


@dataclass(frozen=True, slots=True)
class _Share:
    """Pieces of the map, and the cycles of the thread that is done last."""

    pieces: int
    cycles: float


class Cutter:
    """What one gather can be cut into, on so many threads."""

    def __init__(self, gather: Gather, target: Target, lanes: int, threads: int, reading: Reading) -> None:
        self._gather, self._lanes, self._threads = gather, lanes, threads
        self._cycles = phases_cycles(gather, target, lanes, reading)
        self._legal = legal_tiles(gather, target, lanes)
        self._times = gather.batch * gather.groups
        # Outputs of phases without taps are filled by whole channels; each piece of an image packs all of it.
        packs_once = self._times == 1 or reading in IN_PLACE
        self._cuts_map = threads > 1 and all(gather.taps_by_phase) and packs_once

    def tiles(self) -> list[tuple[int, int]]:
        """(pixels, vectors of channels) of all legal tiles, the one that keeps threads shortest first.

        Threads share out tiles of channels: 64 channels in one tile of four vectors ran on one thread, and
        took 1.8 times as long on two as the direct kernel.
        """
        return sorted(self._legal, key=lambda tile: self._share(tile, self._out_tiles(tile)).cycles)

    def schedule(self, tile: tuple[int, int], tasks_per_thread: int = TASKS_PER_THREAD) -> ChannelsSchedule:
        """Tasks for a tile."""
        pixels, nv = tile
        out_tiles, threads = self._out_tiles(tile), self._threads
        wanted = -(-threads * tasks_per_thread // self._times) if threads > 1 else 1
        block = even_block(out_tiles, min(out_tiles, wanted), self._times, threads)
        return ChannelsSchedule(
            pixels=pixels,
            nv=nv,
            lanes=self._lanes,
            channel_block=chain_block(self._gather),
            channel_tiles=block,
            map_pieces=self._share(tile, -(-out_tiles // block)).pieces,
        )

    def _out_tiles(self, tile: tuple[int, int]) -> int:
        return -(-self._gather.out_channels // (tile[1] * self._lanes))

    def _share(self, tile: tuple[int, int], blocks: int) -> _Share:
        """How the map is best shared where so many blocks of channels are."""
        units, threads = self._times * blocks, self._threads
        all_cycles = self._times * self._cycles(*tile)
        d, h, w = self._gather.phase_triples[0]
        map_tiles = -(-d.count * h.count * w.count // tile[0])

        def last(pieces: int) -> float:
            rounds = -(-units * pieces // threads)
            piece = -(-map_tiles // pieces) / map_tiles
            more = (rounds - units / threads) * TASK_CYCLES + (_CALL_CYCLES if units == 1 else 0.0)
            products = rounds * piece * all_cycles / units
            return _PIECES_SLOWER * products + more if pieces > 1 else products

        most = min(map_tiles, -(-TASKS_PER_THREAD * threads // units)) if self._cuts_map else 1
        shares = (_Share(pieces, last(pieces)) for pieces in range(1, max(most, 1) + 1))
        return min(shares, key=lambda share: share.cycles)


def even_block(tiles: int, pieces: int, times: int, threads: int) -> int:
    """Tiles of a task for at least so many pieces, `times` over: the most with which the last thread is done
    soonest. 160 channels in ten tiles were five tasks of two, three of them for one of two threads.
    """

    def rounds(size: int) -> int:
        return -(-times * -(-tiles // size) // threads) * size

    return min(range(-(-tiles // pieces), 0, -1), key=rounds)
