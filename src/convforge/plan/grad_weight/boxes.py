"""What the grad-weight families along channels and along groups share: arrays, boxes of outputs, parts.

A box is a stretch of outputs that is packed together; a part is a number of boxes whose sums one task makes.
Both follow from the layer alone, so the order of every sum does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from convforge.ir.element import ELEMENTS, Element
from convforge.kernels.contract import FLAG_BYTES, Side
from convforge.plan.boxes import Sizes, box_counts, packed_values, place_values, side_of
from convforge.plan.job import Job
from convforge.plan.request import Array, GradWeightRequest
from convforge.plan.sizes import element_steps
from convforge.plan.tables import InputTables
from convforge.problem import ConvSpec
from convforge.problem.gather import gather_of
from convforge.runtime import address_of
from convforge.schedule import Layout, layout_of

# Tasks that keep any sensible number of threads busy to the end, and threads that a choice is judged by.
_TASKS, JUDGED_THREADS = 16, 8
# Cycles for each weight of each part: its memory is new, and one thread adds it up while others wait.
_PART_CYCLES = 3.0
_COMPUTE = {"f32": np.float32, "f64": np.float64, "i32": np.int32, "i64": np.int64}


def flattened(spec: ConvSpec) -> ConvSpec:
    """A pointwise convolution as one over a signal: its positions need no rows."""
    ones = (1,) * spec.rank
    unpadded = spec.padding == ((0, 0),) * spec.rank and spec.input_size == spec.output_size
    if spec.rank == 1 or spec.kernel_size != ones or spec.stride != ones or not unpadded:
        return spec
    size = (prod(spec.input_size),)
    return replace(
        spec, input_size=size, output_size=size, kernel_size=(1,), stride=(1,), padding=((0, 0),),
        dilation=(1,), output_padding=(0,),
    )  # fmt: skip


class GradWeightArrays:
    """The arrays of a request as these families see them: pointwise ones flattened, odd ones copied.

    unit_columns: whether columns of grad-output must lie side by side. reach: elements from an array's first
    within which its last must lie. x_steps, g_steps: element strides of five axes.
    """

    def __init__(
        self, request: GradWeightRequest, *, unit_columns: bool = False, reach: int | None = None
    ) -> None:
        spec, x_strides, g_strides = request.spec, request.x_strides, request.g_strides
        assert not spec.transposed
        flat = flattened(spec)
        x_shape, g_shape = spec.input_shape, spec.output_shape
        self.spec = spec
        step = _run_step(g_shape, g_strides)
        far_x, far_g = (
            reach is not None and _span(shape, strides) >= reach * spec.dtype.itemsize
            for shape, strides in ((x_shape, x_strides), (g_shape, g_strides))
        )
        self.copies_g = step is None or far_g or (unit_columns and step != spec.dtype.itemsize)
        if self.copies_g:
            g_strides = _contiguous(g_shape, spec.dtype.itemsize)
        g_strides = _flattened_strides(g_shape, g_strides, flat.rank)
        self.copies_x = far_x or (flat is not spec and _run_step(x_shape, x_strides) is None)
        if self.copies_x:
            x_strides = _contiguous(x_shape, spec.dtype.itemsize)
        if flat is not spec:
            x_strides = _flattened_strides(x_shape, x_strides, flat.rank)
        self.element: Element = ELEMENTS[spec.dtype.name]
        self.layout: Layout = layout_of(gather_of(flat))
        self.x_steps, self.g_steps = element_steps(x_strides, flat), element_steps(g_strides, flat)

    def sides(self, x_ways: int, g_ways: int, channels: tuple[int, int] = (1, 1)) -> tuple[Side, Side]:
        """What lies side by side in x and in grad-output, for vectors of this many channels or groups.

        channels: input and grad-output channels from one vector element to the next.
        """
        width = self.layout.gather.axes[2]
        x, g = self.x_steps, self.g_steps
        return (
            side_of((*x[:1], x[1] * channels[0], *x[2:]), width.in_size, width.in_step, x_ways),
            side_of((*g[:1], g[1] * channels[1], *g[2:]), prod(self.spec.output_size), 1, g_ways),
        )


@dataclass(frozen=True, slots=True)
class Steps:
    """Boxes of outputs, in order, and how they are dealt out to parts."""

    counts: tuple[int, int, int]
    steps: int
    part_steps: int
    parts: int


def steps_of(layout: Layout, box: Sizes, parts: int) -> Steps:
    """The boxes of a layer, for at most `parts` parts."""
    d, h, w = box_counts(layout, box)
    steps = -(-layout.gather.batch // box[0]) * d * h * w
    return Steps((d, h, w), steps, *parts_of(steps, parts))


def parts_of(steps: int, parts: int) -> tuple[int, int]:
    """(steps of a part, parts), for at most `parts` of them."""
    part_steps = -(-steps // parts)
    return part_steps, -(-steps // part_steps)


def deal(layout: Layout, box: Sizes, blocks: int, weights: int, cycles: float) -> tuple[int, float]:
    """(parts, cycles for each output) when `blocks` blocks of channels share out their steps.

    weights: of one group. A part is one more array of weights to fill and to add, by one thread; too few
    tasks leave threads without work: judged at eight, for bits may not depend on how many there are.
    """
    outputs = layout.gather.batch * prod(axis.columns for axis in layout.gather.axes)
    return deal_steps(steps_of(layout, box, 1).steps, outputs, blocks, weights, cycles)


def deal_steps(
    steps: int, outputs: int, blocks: int, weights: int, cycles: float, part_cycles: float = _PART_CYCLES
) -> tuple[int, float]:
    """The same for so many steps, of so many outputs. part_cycles: for each weight of each part."""

    def dealt(parts: int) -> float:
        tasks = blocks * parts
        adding = part_cycles * parts * weights / outputs if parts > 1 else 0.0
        return cycles * (-(-tasks // JUDGED_THREADS) * JUDGED_THREADS / tasks) + adding

    choices = sorted({1, 2, 3, 4, 8, max(1, -(-_TASKS // blocks))})
    parts = min((n for n in choices if n == 1 or n <= steps), key=dealt)
    return parts, dealt(parts)


def box_values(
    arrays: GradWeightArrays, box: Sizes, steps: Steps, ways: int, tables: InputTables
) -> dict[str, int]:
    """Parameters that say where boxes lie and how what they read is packed, `ways` channels side by side."""
    g_steps = arrays.g_steps
    own = step_values(arrays.layout, box, steps) | packed_values(
        arrays.layout, box, ways, tables, arrays.x_steps
    )
    return own | {
        "g_batch": g_steps[0],
        "g_channel": g_steps[1],
        "g_column": g_steps[4],
        "g_row": g_steps[3],
        "g_slice": g_steps[2],
        "taps": prod(arrays.spec.kernel_size),
    }


def step_values(layout: Layout, box: Sizes, steps: Steps) -> dict[str, int]:
    """Parameters that say where boxes of outputs lie, and which parts they are of."""
    return place_values(layout, box) | {
        "parts": steps.parts,
        "steps": steps.steps,
        "part_steps": steps.part_steps,
    }


def distance_in_box(layout: Layout, box: Sizes, tap: int, plane: int, ways: int) -> int:
    """How far from an output's own position a tap reads in a panel of planes `plane` elements apart."""
    gather = layout.gather
    _, h, w = gather.axes
    taps = gather.taps_by_phase[0][tap]
    (rd, sd), (rh, sh), (rw, sw) = (axis.split(t) for axis, t in zip(gather.axes, taps))
    residue = (rd * len(h.residues) + rh) * len(w.residues) + rw
    return residue * plane + ((sd * (box[2] + h.reach) + sh) * (box[3] + w.reach) + sw) * ways


def position_in_kernel(spec: ConvSpec, layout: Layout, tap: int) -> int:
    """Where a tap lies in a contiguous kernel."""
    sizes = [1] * (3 - spec.rank) + list(spec.kernel_size)
    d, h, w = layout.gather.taps_by_phase[0][tap]
    return (d.kernel * sizes[1] + h.kernel) * sizes[2] + w.kernel


def run_parts(
    arrays: GradWeightArrays,
    job: Job,
    tasks: int,
    threads: int,
    scratch_bytes: int,
    parts: int,
    parameters: NDArray[np.int64],
    x: Array,
    grad_output: Array,
    grad_weight: Array,
) -> bool:
    """Have the parts of a weight gradient computed, and add them up. False, and nothing added, where a task
    has set its flag.
    """
    if arrays.copies_x:
        x = np.ascontiguousarray(x)
    if arrays.copies_g:
        grad_output = np.ascontiguousarray(grad_output)
    element, to = arrays.element, grad_weight
    alone = parts == 1 and element.storage == element.compute
    if not alone:
        to = np.empty((parts, *grad_weight.shape), _COMPUTE[element.compute])
    served = job.run_watched(
        FLAG_BYTES,
        tasks,
        threads,
        scratch_bytes,
        address_of(parameters),
        address_of(x),
        0,
        address_of(grad_output),
        address_of(to),
    )
    if served and not alone:
        # Part after part, in the type that they were summed in: integers wrap around.
        if to.dtype == grad_weight.dtype:
            np.add.reduce(to, axis=0, dtype=to.dtype, out=grad_weight)
        else:
            grad_weight[...] = np.add.reduce(to, axis=0, dtype=to.dtype)
    return served


def _span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Bytes from the first element to the farthest, either way."""
    return sum((size - 1) * abs(stride) for size, stride in zip(shape, strides))


def _run_step(shape: tuple[int, ...], strides: tuple[int, ...]) -> int | None:
    """Bytes from a position to the next if all positions of a channel are equally far apart, else None."""
    step, size = None, 1
    for length, stride in zip(reversed(shape[2:]), reversed(strides[2:])):
        if length == 1:
            continue
        if step is None:
            step = stride
        elif stride != step * size:
            return None
        size *= length
    return 0 if step is None else step


def _flattened_strides(shape: tuple[int, ...], strides: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Strides of batch, channel and `rank` spatial axes, those of length 1 as if they were longer."""
    step = _run_step(shape, strides)
    assert step is not None
    spatial = [step]
    for length in reversed(shape[-rank + 1 :] if rank > 1 else ()):
        spatial.insert(0, spatial[0] * length)
    return (strides[0], strides[1], *spatial)


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = [itemsize]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides)
