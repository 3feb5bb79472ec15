"""What the depthwise families have in common."""

from __future__ import annotations

from convforge.ir.element import ELEMENTS, Element
from convforge.plan.cut import SERIAL_MULTIPLY_ADDS, TASKS_PER_THREAD
from convforge.plan.request import OutputRequest
from convforge.plan.sizes import element_steps
from convforge.problem.gather import Gather, gather_of
from convforge.target import Target

# Costs of these families are cycles as measured (Zen 4, one 512-bit multiply-add a cycle); those of the other
# families count two a cycle.
MEASURED = 0.55
# With 16 registers they are cycles of Zen 1, one 256-bit multiply-add each: fitted on 40 layers, 2x2 to 11x11
# at 7x7 to 224x224, within 8 % in the mean; the family chosen took 1.5 % longer than the best.
MEASURED_NARROW = 0.5
# The code of a tile is unrolled to at most this many multiply-adds.
TILE_LIMIT = 512


def why_not_in_place(request: OutputRequest, target: Target) -> str | None:
    """The reason why a depthwise kernel cannot read this input where it lies, or None."""
    spec = request.spec
    if spec.in_channels != spec.groups:
        return f"a group has {spec.in_channels // spec.groups} input channels, not 1"
    if spec.transposed and set(spec.stride) != {1}:
        return f"a transposed convolution of stride {max(spec.stride)} has several tap lists"
    gather, element = gather_of(spec), ELEMENTS[spec.dtype.name]
    width = gather.axes[2]
    # Half types are masked lane by lane below AVX-512, and yet cost less than packed: 14x14 maps of float16
    # ran in 0.7 of the time, of bfloat16 in 0.8 (Zen 1).
    if not target.masks_loads(max(element.storage_bytes, 4) if element.is_float else element.storage_bytes):
        return "the processor has no masked loads of this type"
    if width.mode != "zeros":
        return f"padding mode {width.mode} needs a packed input"
    if width.in_step > 2:
        return f"columns {width.in_step} apart are not taken out of vectors"
    if len(gather.taps_by_phase[0]) < 2:
        return "a single tap has nothing to share"
    x_steps, y_steps = element_steps(request.x_strides, spec), element_steps(request.y_strides, spec)
    if (x_steps[4] != 1 and width.in_size > 1) or (y_steps[4] != 1 and width.out_size > 1):
        return "neighbouring columns are not neighbours in memory"
    return None


def reads_words(element: Element, target: Target) -> bool:
    """Whether every second column can be read as words, which AVX-512 masks one by one."""
    return element.storage == "bf16" and target.vector_bytes == 64


def is_narrow(target: Target) -> bool:
    """Whether there are too few registers for the weights of a kernel: 16, below AVX-512."""
    return target.vector_registers <= 16


def share_groups(gather: Gather, threads: int) -> tuple[int, int]:
    """(groups of a task, into how many pieces each task must still be cut) for all threads to be busy."""
    wanted = threads * TASKS_PER_THREAD if gather.multiply_adds > SERIAL_MULTIPLY_ADDS else 1
    blocks = min(gather.groups, max(1, -(-wanted // gather.batch)))
    return -(-gather.groups // blocks), max(1, -(-wanted // (gather.batch * blocks)))


def lanes_of(gather: Gather, target: Target, size: int) -> int:
    """Lanes of the widest vector that a row fills at least half of: 7 wide maps take half vectors."""
    lanes = target.vector_bytes // size
    while lanes * size > 16 and gather.axes[2].columns <= lanes // 2:
        lanes //= 2
    return lanes
