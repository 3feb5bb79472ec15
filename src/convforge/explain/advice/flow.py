"""Which layer of a model reads whose output: its convolution calls, and the runs in which they follow.

x ─ conv1 ─ bn ─ relu ─ conv2 ─┬─ conv3 ─ + ─      conv1, conv2 are a run; conv3 is one of its own, for
                               └──────────┘        the sum reads conv2's output too
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convforge.explain.abstract import Step
from convforge.explain.advice.subject import Norm, Site
from convforge.explain.layers import as_layer
from convforge.nn import Module
from convforge.nn.conv_nd import ConvNd

# What keeps every element at its place and mixes no neighbours.
PASSING = frozenset(
    (
        *("relu", "relu6", "hardtanh", "leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish"),
        *("sigmoid", "tanh", "hardsigmoid", "hardswish", "softplus", "softsign", "logsigmoid", "clamp"),
        *("batch_norm", "dropout", "dropout1d", "dropout2d", "dropout3d", "contiguous", "detach"),
    )
)


def sites_of(model: Module, steps: Sequence[Step]) -> tuple[tuple[Site, ...], tuple[tuple[Site, ...], ...]]:
    """(every convolution call in order, the runs of those whose output only the next one reads)."""
    paths = {id(module): path for path, module in model.named_modules()}
    calls = [number for number, step in enumerate(steps) if _is_layer(step)]
    found = {number: _site(steps, number, paths) for number in calls}
    following = {number: _next_layer(steps, number) for number in calls}
    behind = {after for after in following.values() if after is not None}
    chains: list[tuple[Site, ...]] = []
    for number in calls:
        if number in behind:
            continue
        chain: list[Site] = []
        here: int | None = number
        while here is not None:
            chain.append(found[here])
            here = following[here]
        chains.append(tuple(chain))
    return tuple(found.values()), tuple(chains)


def _is_layer(step: Step) -> bool:
    return step.function == "convolution" and isinstance(step.module, ConvNd)


def _site(steps: Sequence[Step], number: int, paths: dict[int, str]) -> Site:
    step = steps[number]
    layer = as_layer(step.module)
    rank = layer.rank
    shape = step.shape if len(step.shape) > rank + 1 else (1, *step.shape)
    size = step.output[-rank:] if layer.transposed else None
    fields = [step.seen[0, axis].field for axis in range(rank) if (0, axis) in step.seen]
    known = tuple(field for field in fields if field is not None)
    return Site(
        path=paths[id(_original(step))],
        layer=layer,
        spec=layer.spec(shape[2:], batch=shape[0], output_size=size),
        given_channels=shape[1],
        fields=known if len(known) == rank else None,
        module=_original(step),
        norm=_norm(steps, number, paths),
    )


def _original(step: Step) -> Any:
    return step.module.__dict__["original"]


def _norm(steps: Sequence[Step], number: int, paths: dict[int, str]) -> Norm | None:
    """The batch norm that alone reads the output of a step."""
    after = _only_reader(steps, number)
    if after is None or steps[after].function != "batch_norm" or steps[after].gives == steps[number].gives:
        return None
    module = _original(steps[after])
    # A function called in a forward is no module that could be named, or folded.
    return Norm(paths[id(module)], module) if hasattr(module, "running_mean") else None


def _next_layer(steps: Sequence[Step], number: int) -> int | None:
    """The layer that the output goes to, through what passes elements on, and nowhere else."""
    here: int | None = number
    while True:
        here = _only_reader(steps, here)
        if here is None or _is_layer(steps[here]):
            return here
        if steps[here].function.removesuffix("_") not in PASSING:
            return None


def _only_reader(steps: Sequence[Step], number: int) -> int | None:
    """The step that reads what a step gives, if it is the only one."""
    given = steps[number].gives
    if len(given) != 1:
        return None
    readers = [i for i in range(number + 1, len(steps)) if given[0] in steps[i].reads]
    if not readers:
        return None
    # What is written in place is read under the same number again, by those behind.
    in_place = steps[readers[0]].gives == given
    return readers[0] if len(readers) == 1 or in_place else None
