"""Rules of functions that slide a window: convolutions, pools, padding, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convforge.autograd.tensor import Tensor, from_data
from convforge.explain.abstract import AbstractTensor
from convforge.explain.costs import costs_of_spec
from convforge.explain.places import Axis, Place
from convforge.explain.receptive_field import Window
from convforge.explain.rules import Call, rule, unknown, wrapped
from convforge.explain.tracing_words import LOST, UNEVEN, Said, said
from convforge.nn.functional.windows import int_tuple
from convforge.problem import ConvSpec
from convforge.problem.arguments import integers

Step = Window | Said
"""What happens along one axis: a window, or why it is not described."""
_POOLS = [f"{kind}_pool{rank}d" for kind in ("max", "avg", "lp") for rank in (1, 2, 3)]
_ADAPTIVE = [f"adaptive_{kind}_pool{rank}d" for kind in ("avg", "max") for rank in (1, 2, 3)]


def slid(tensor: AbstractTensor, steps: Sequence[Step]) -> dict[Axis, Place]:
    """Places behind one step for each of the last dimensions."""
    first = tensor.ndim - len(steps)
    places: dict[Axis, Place] = {}
    for axis, place in tensor.places.items():
        places[axis] = place
        if place.dim is not None and place.dim >= first:
            step = steps[place.dim - first]
            places[axis] = place.unknown(step) if isinstance(step, Said) else place.through(step)
    return places


def shaped(call: Call, rank: int) -> Any:
    """What the real function gives for an empty batch: its shapes and refusals, without its work.

    Its tensors have the batch's size again. An input without a batch gets one of 0 before it.
    """
    first = call.first
    batched = first.ndim > rank + 1
    empty = (0, *first.shape[1:]) if batched else (0, *first.shape)
    outputs = call.run(lambda each: from_data(np.zeros(empty, each.dtype.numpy)))
    batch = tuple(first.shape[:1]) if batched else ()
    return wrapped(outputs, lambda out: call.ledger.tensor((*batch, *out.shape[1:]), out._data.dtype))


@rule("convolution")
def _convolution(call: Call) -> Any:
    x, weight, bias = call.args
    given: dict[str, Any] = call.kwargs
    spec: ConvSpec
    spec, unbatched = call.function(x, weight, bias, output_size=given["output_size"])
    steps = [
        Window(kernel, stride, before, dilation, spec.transposed)
        for kernel, stride, (before, _), dilation in zip(
            spec.kernel_size,
            integers(given["stride"], "stride", spec.rank),
            spec.padding,
            integers(given["dilation"], "dilation", spec.rank),
            strict=True,
        )
    ]
    costs = costs_of_spec(spec, bias=bias is not None)
    counts = call.ledger.open[-1]
    counts.multiply_adds += costs.multiply_adds
    counts.real_multiply_adds += costs.real_multiply_adds
    counts.additions += costs.additions
    counts.bias_additions += costs.bias_additions
    call.ledger.keep(x)
    shape = spec.output_shape[1:] if unbatched else spec.output_shape
    places = slid(x, steps) if isinstance(x, AbstractTensor) else {}
    return call.ledger.tensor(shape, spec.dtype, places)


@rule(*_POOLS)
def _pool(call: Call) -> Any:
    first, rank = call.first, int(call.name[-2])
    kernels = int_tuple(call.name, "kernel_size", call.argument("kernel_size"), rank)
    stride = call.argument("stride")
    strides = kernels if stride is None or stride == () else int_tuple(call.name, "stride", stride, rank)
    plain = call.name.startswith("lp")
    pads = (0,) * rank if plain else int_tuple(call.name, "padding", call.argument("padding"), rank)
    gaps = (1,) * rank
    if call.name.startswith("max"):
        gaps = int_tuple(call.name, "dilation", call.argument("dilation"), rank)
    steps = [Window(*numbers) for numbers in zip(kernels, strides, pads, gaps, strict=True)]
    return _stepped(call, rank, steps, first)


@rule(*_ADAPTIVE)
def _adaptive_pool(call: Call) -> Any:
    first, rank = call.first, int(call.name[-2])
    outputs = shaped(call, rank)
    out = outputs if isinstance(outputs, Tensor) else outputs[0]
    steps: list[Step] = []
    for size, count in zip(first.shape[-rank:], out.shape[-rank:], strict=True):
        if count and size % count == 0:
            steps.append(Window(size // count, size // count))
        else:
            steps.append(said(UNEVEN, name=call.name, size=size, out=count))
    return _placed(call, outputs, _whole_where_one(first, steps, out.shape[-rank:]))


def _whole_where_one(first: AbstractTensor, steps: Sequence[Step], outs: Sequence[int]) -> dict[Axis, Place]:
    """An axis pooled to one element sees everything, from the input's first element to its last."""
    places = slid(first, steps)
    for axis, place in first.places.items():
        if place.dim is not None and place.dim >= first.ndim - len(outs):
            at = place.dim - (first.ndim - len(outs))
            if outs[at] == 1:
                places[axis] = place.everything(first.shape[place.dim])
    return places


def _stepped(call: Call, rank: int, steps: Sequence[Step], first: AbstractTensor) -> Any:
    return _placed(call, shaped(call, rank), slid(first, steps))


def _placed(call: Call, outputs: Any, places: dict[Axis, Place]) -> Any:
    listed: list[Any] = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    for each in listed:
        each.places = dict(places)
    if "max_pool" in call.name:
        call.ledger.keep_more(8 * listed[0].numel())  # positions of the maxima
    if call.name.startswith("lp"):
        call.ledger.keep(call.first)
    return outputs


@rule("pad")
def _pad(call: Call) -> Any:
    first = call.first
    numbers = [int(number) for number in call.argument("pad")]
    outputs = shaped(call, len(numbers) // 2) if len(numbers) < 2 * first.ndim - 2 else unknown(call)
    before = numbers[::2][::-1]
    outputs.places = slid(first, [Window(1, 1, number) for number in before])
    return outputs


@rule("pixel_shuffle", "pixel_unshuffle")
def _shuffle(call: Call) -> Any:
    first = call.first
    # Broadcast zeros: moving their dimensions about copies nothing.
    out = call.run(lambda each: from_data(np.broadcast_to(np.zeros((), each.dtype.numpy), each.shape)))
    factor = int(call.args[1] if len(call.args) > 1 else next(iter(call.kwargs.values())))
    step = Window(factor, factor, transposed=call.name == "pixel_shuffle")
    return call.ledger.tensor(out.shape, first.dtype.numpy, slid(first, [step, step]))


@rule("interpolate")
def _interpolate(call: Call) -> Any:
    first, mode = call.first, call.argument("mode")
    outputs = shaped(call, first.ndim - 2)
    steps: list[Step] = []
    for size, out in zip(first.shape[2:], outputs.shape[2:], strict=True):
        factor, rest = divmod(out, size)
        if out == size:
            steps.append(Window(1))
        elif mode in ("nearest", "nearest-exact") and not rest:
            steps.append(Window(factor, factor, transposed=True))
        elif mode in ("linear", "bilinear", "trilinear") and not rest and not call.argument("align_corners"):
            # Two neighbours an axis: PyTorch's well-known transposed layer of the same effect.
            steps.append(Window(2 * factor - factor % 2, factor, factor // 2, transposed=True))
        else:
            steps.append(said(LOST, name=f"{mode} {size} → {out}"))
    outputs.places = slid(first, steps)
    return outputs
