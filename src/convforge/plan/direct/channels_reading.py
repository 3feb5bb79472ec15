"""How the small-map kernel reads its input (channels.py), and what that costs, without a clock."""

from __future__ import annotations

from functools import lru_cache

from convforge.ir.element import Element
from convforge.plan.bands import band_of
from convforge.plan.direct.channels_cut import Cutter
from convforge.plan.direct.channels_tiles import BY_MET_TAPS, IN_PLACE, Reading, phases_cycles
from convforge.plan.direct.met_taps import as_it_is, count_classes, meets_or_misses, share_of_taps
from convforge.plan.heuristic import mesh_cycles, rows_in_cycles
from convforge.plan.tables import reads_in_place, rows_collide
from convforge.plan.tiles import loads_add
from convforge.problem.gather import Gather
from convforge.schedule import Layout, layout_of
from convforge.target import Target

# Outputs of a phase beyond which vectors along the map waste little, and tables of outputs grow long.
OUTPUT_LIMIT = 2048
# And where less than this share of the taps meets data, for tiles of outputs that meet the same leave out all
# others: DeepLab's dilations; or where the direct kernel would pack every further column: AlexNet's first
# layer took 697 us so, and takes 639 in place, R3D's, of 50176 outputs, 14.3 and 12.8 ms. Tables of as many
# take 13 ms to make.
_FEW_MET, _LARGER_LIMIT = 0.7, 1 << 16
# Beyond so many kinds of outputs, tiles of one kind would be but partly filled, and are not counted out.
_CLASSES_LIMIT = 256
# The packed input of one group, of each thread.
_PACKED_LIMIT_BYTES = 4 << 20
# That of each thread as it is, where all of it is read; and where few taps meet data. 1x1 of 1920 -> 640
# channels at 32x32, 8 MB, took 14.9 ms so and 12.3 by the direct kernel.
_COMPACT_LIMIT_BYTES, _FEW_LIMIT_BYTES = 5 << 20, 12 << 20
# Where threads share a group of an image, each packs it; and rows of which every second or further column is
# packed take so many times as long beside products. Two cores of Zen 4, packed and read where taps meet data:
# 1x1 256 -> 512 of stride 2 at 56x56 1005 and 965 us, patches of 16x16 1130 and 1023, of 8x8 1172 and 581; 16
# images of 1x1 512 -> 1024 at 28x28 15.8 and 16.5 ms. Counted between readings alone.
_PACKED_TWICE, _STRIDED_ROW = 2.0, 1.5
# Of the sets of the second-level cache that channels read in place fall on, what they may take.
_INPUT_SHARE = 0.5
# Behind a mesh, with 16 registers, products take so much longer beside the direct kernel's: 1024 -> 256
# channels of 1x1 at 14x14 (two cores of Granite Rapids held to AVX2) 641 us, by the direct kernel 540.
_NARROW_MESH_SLOWER = 1.25


def why_too_large(gather: Gather) -> str | None:
    """The reason why no reading would do, or None."""
    outputs = _outputs(gather)
    return f"{outputs} outputs of a channel are more than {OUTPUT_LIMIT}" if outputs > _LARGER_LIMIT else None


def _outputs(gather: Gather) -> int:
    return max(d.count * h.count * w.count for d, h, w in gather.phase_triples)


def why_unfit(gather: Gather, element: Element, target: Target, reading: Reading) -> str | None:
    """The reason why this loop nest cannot serve a gather that is not too large, or None."""
    outputs = _outputs(gather)
    in_place = reading == "met" and gather.axes[2].in_step > 1
    few = reading in BY_MET_TAPS and share_of_taps(gather) < _FEW_MET
    limit = _LARGER_LIMIT if few or in_place else OUTPUT_LIMIT
    if outputs > limit:
        return f"{outputs} outputs of a channel are more than {limit}"
    if gather.out_channels * element.compute_bytes < target.vector_bytes:
        return f"{gather.out_channels} output channels do not fill a vector"
    size = _packed_bytes(gather, element)
    if reading == "packed" and size > _PACKED_LIMIT_BYTES:
        return f"the packed input of a group takes {size} bytes, more than {_PACKED_LIMIT_BYTES}"
    return None


def _packed_bytes(gather: Gather, element: Element) -> int:
    layout = layout_of(gather)
    band = band_of(layout, layout.flat, 1, 0)
    return gather.in_channels * layout.planes * band.plane * element.compute_bytes


@lru_cache(maxsize=256)
def reading_of(
    gather: Gather, element: Element, target: Target, x_steps: tuple[int, ...], *, packs: bool = False
) -> Reading:
    """How an input of these strides (elements, five axes) is best read. packs: whether it must be packed."""
    layout = layout_of(gather)
    # The weights pass through the second level too: 512 channels of a 16x16 map, 1 KB apart, ran 10 % slower
    # in place than packed.
    collides = rows_collide(layout, element, target, x_steps, _INPUT_SHARE)
    packs = packs or collides or element.storage != element.compute
    if not packs and reads_in_place(layout, x_steps):
        return "dense"
    if not meets_or_misses(gather) or count_classes(gather) > _CLASSES_LIMIT:
        return "packed"
    by_met_taps: Reading = "compact" if packs else "met"
    if _packed_bytes(gather, element) > _PACKED_LIMIT_BYTES:
        few = share_of_taps(gather) < _FEW_MET
        limit = _FEW_LIMIT_BYTES if few else _COMPACT_LIMIT_BYTES
        fits = not packs or _packed_bytes(as_it_is(gather), element) <= limit
        return by_met_taps if fits else "packed"
    # Two cores of Zen 4 held to AVX2, strided 1x1 layers: read where they lie 1.1 to 1.8 times as long.
    if target.vector_registers <= 16:
        return "packed"
    met, packed = (
        nest_cycles(gather, element, target, reading) + _packing_more(gather, element, target, reading)
        for reading in (by_met_taps, "packed")
    )
    return by_met_taps if met < packed else "packed"


def _packing_more(gather: Gather, element: Element, target: Target, reading: Reading) -> float:
    """Cycles of packing beyond those that `nest_cycles` has."""
    if reading in IN_PLACE:
        return 0.0
    layout, images = packed_layout(gather, reading), gather.batch * gather.groups
    times = _PACKED_TWICE if images == 1 else 1.0
    if layout.gather.axes[2].in_step > 1:
        times *= _STRIDED_ROW
    return (times - 1) * images * rows_in_cycles(layout, element, target, in_place=False)


def nest_cycles(
    gather: Gather, element: Element, target: Target, reading: Reading, *, slower: float = 1.0
) -> float:
    """Cycles of one core for this loop nest. slower: its products."""
    lanes = target.vector_bytes // element.compute_bytes
    pixels, nv = Cutter(gather, target, lanes, 1, reading).tiles()[0]
    rows = rows_in_cycles(packed_layout(gather, reading), element, target, in_place=reading in IN_PLACE)
    products = slower * phases_cycles(gather, target, lanes, reading, beside_others=True)(pixels, nv)
    if target.l3_is_far and not loads_add(target):
        products *= _NARROW_MESH_SLOWER
    far = mesh_cycles(gather, element, target)
    return ((rows + products) * gather.groups + far) * gather.batch


def packed_layout(gather: Gather, reading: Reading) -> Layout:
    """The planes that an input is packed into, or that it is by itself."""
    return layout_of(as_it_is(gather) if reading in BY_MET_TAPS else gather)
