"""The quantised family on vectors (kernels/dot/gather.py): serves every convolution of bytes, on every
processor.

Three ways of summing (kernels.dot.contract.WAYS), the one with the fewest cycles that is exact is taken:

    floats    where a group has one channel, which would leave the other ways of an element empty
    pairs     on every x86
    quads     with AVX-512 VNNI
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from convforge.kernels.dot.contract import (
    DOT_PARAMETERS,
    WAYS,
    DotKernel,
    Instruction,
    Products,
    dot_element,
)
from convforge.plan.direct.gather import GatherPlan
from convforge.plan.dot.weights import DotWeights
from convforge.plan.heuristic import direct_cycles, gather_schedule
from convforge.plan.job import Job
from convforge.plan.request import DotRequest
from convforge.plan.tables import column_kind, tiles_along, way_out
from convforge.problem.gather import Gather, gather_of
from convforge.schedule import RunTiles, layout_of
from convforge.target import Target

NAME = "dot"

# Products of a byte and a byte, less its zero point, whose sum float32 holds exactly.
FLOAT_STEPS = (1 << 24) // (255 * 128)


def why_illegal(products: Products, gather: Gather) -> str | None:
    """The reason why sums in this way would not be exact, or None."""
    steps = gather.in_channels * max((len(taps) for taps in gather.taps_by_phase), default=0)
    if products == "floats" and steps > FLOAT_STEPS:
        return f"{steps} products of bytes may pass 2^24, from which on float32 rounds; {FLOAT_STEPS} do not"
    return None


def instruction_of(products: Products, target: Target) -> Instruction:
    """What multiplies and sums a packed element on a processor."""
    if products == "pairs" and target.is_x86:
        return "pmaddwd"
    if products == "quads" and target.vector_bytes == 64 and "avx512vnni" in target.features:
        return "vpdpbusd"
    return "plain"


def step_cycles(products: Products, target: Target) -> float:
    """Vector instructions of one step of a tile, in units of a fused multiply-add."""
    if products == "floats":
        return 1.0 if target.fused else 2.0
    # Additions find more ports than multiplications: pmaddwd and paddd take less than two multiply-adds.
    return {"pmaddwd": 1.6, "vpdpbusd": 1.0, "plain": 5.0 * WAYS[products]}[instruction_of(products, target)]


def choose_products(gather: Gather, target: Target) -> Products:
    """The way with the fewest cycles, of those that are exact."""
    legal: list[Products] = [products for products in WAYS if why_illegal(products, gather) is None]
    return min(legal, key=lambda p: -(-gather.in_channels // WAYS[p]) * step_cycles(p, target))


def cost_cycles(request: DotRequest, target: Target) -> float:
    """Cycles of one core that the request should take."""
    whole = gather_of(request.spec)
    products = choose_products(whole, target)
    layout = layout_of(replace(whole, in_channels=-(-whole.in_channels // WAYS[products])))
    element = dot_element(products, request.spec.dtype == np.int8)
    way = way_out(layout, request.y_steps)
    cycles = direct_cycles(
        layout,
        element,
        target,
        in_place=False,
        flat_output=way == "flat",
        along=tiles_along(layout, way),
    )
    return cycles * step_cycles(products, target)


class DotPlan(GatherPlan[DotKernel]):
    """How one convolution of bytes is computed for inputs of one shape and one set of strides."""

    def __init__(
        self,
        request: DotRequest,
        target: Target,
        threads: int,
        products: Products | None = None,
        instruction: Instruction | None = None,
    ) -> None:
        self.spec, self.threads = request.spec, threads
        spec, whole = request.spec, gather_of(request.spec)
        products = products or choose_products(whole, target)
        reason = why_illegal(products, whole)
        assert reason is None, reason
        self.gather = gather = replace(whole, in_channels=-(-whole.in_channels // WAYS[products]))
        self.layout = layout = layout_of(gather)
        self.element = element = dot_element(products, spec.dtype == np.int8)
        x_steps, y_steps = request.x_steps, request.y_steps
        way = way_out(layout, y_steps)
        self.schedule = schedule = gather_schedule(
            layout, element, target, threads, in_place=False, along=tiles_along(layout, way)
        )
        self.kernel = DotKernel(
            products=products,
            instruction=instruction or instruction_of(products, target),
            signed=spec.dtype == np.int8,
            output=request.output,
            lanes=schedule.lanes,
            mr=schedule.mr,
            nv=schedule.nv,
            fused=target.fused,
            columns=column_kind(layout, x_steps[4]),
            way_out=way,
            along_rows=schedule.along_rows,
            tail=RunTiles(layout, schedule.nv * schedule.lanes, schedule.along_rows).tail(schedule.lanes),
        )
        self.weights = DotWeights(spec, whole, products, schedule.mr)
        self.starts = self.weights.starts
        # Padding counts as the zero point in quads, and the correction for it as all taps.
        self.all_taps = products == "quads"
        self._job = Job(self.kernel, target)
        self._give(DOT_PARAMETERS, {**self._values(x_steps, y_steps), "group_channels": whole.in_channels})
