"""Dilation: context without weights; and the grid of what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import (
    Site,
    Subject,
    drawing,
    padding_of,
    spans_of,
    stack_costs,
)
from convforge.explain.sentence import say
from convforge.explain.table import shape_text
from convforge.explain.words import Words
from convforge.problem import ConvLayer

# Kernels from here on are there for context.
CONTEXT_KERNEL = 7

CONTEXT = Words(
    "dilation for context, as segmentation needs it: a wide view at the cost of a 3×3.",
    "需要大范围上下文（如语义分割）时用 dilation：以 3×3 的代价看得更远。",
)
BY_WEIGHTS = Words(
    "a kernel of {kernel} buys its view of {kernel} elements with {weights} weights a channel pair.",
    "卷积核 {kernel} 为看到 {kernel} 的范围，每对通道用了 {weights} 个权重。",
)
BY_DILATION = Words(
    "dilation {dilation} sees as far ({field}) with {taps} weights: parameters {before:,} → {after:,}, "
    "multiplications {products:,} → {fewer:,}; it reads {taps} of the {all} positions, so keep "
    "denser layers before it",
    "dilation {dilation} 以 {taps} 个权重看到同样的范围（{field}）：参数量 {before:,} → {after:,}，"
    "乘法 {products:,} → {fewer:,}；它只读 {all} 个位置中的 {taps} 个，前面应保留密集的层",
)
MIXED = Words(
    "dilations that follow each other have no common factor (1, 2, 3 and not 2, 2, 2): else "
    "outputs see a grid.",
    "相邻层的 dilation 不应有公因数（用 1、2、3 而不是 2、2、2）：否则输出只看到网格。",
)
GRID = Words(
    "dilations {dilations} one after the other: an output reads {read:,} of the {field:,} elements in its "
    "receptive field of {size} ({share:.0%}), a grid with holes.",
    "dilation 依次为 {dilations}：感受野 {size} 的 {field:,} 个元素中，输出只读到 {read:,} "
    "个（{share:.0%}），"
    "是一张有洞的网格。",
)
FILLED = Words(
    "dilations {dilations}: all {field:,} elements of a receptive field of {size} are read; parameters and "
    "output sizes as before",
    "dilation {dilations}：感受野 {size} 的 {field:,} 个元素全部被读到；参数量与输出尺寸不变",
)


@rule("dilation-for-context", CONTEXT, speaks_of_speed=True)
def dilation_for_context(subject: Subject) -> Iterator[Finding]:
    """A large dense kernel inside a net; data itself is better read densely."""
    for number, site in enumerate(subject.sites):
        layer, spec = site.layer, site.spec
        kernel = layer.kernel_size[0]
        plain = layer.groups == 1 and not layer.transposed and set(layer.dilation) == {1}
        if not plain or set(layer.kernel_size) != {kernel} or set(layer.stride) != {1}:
            continue
        inside = number > 0 or layer.in_channels > 4
        if kernel < CONTEXT_KERNEL or kernel % 2 == 0 or kernel >= min(spec.input_size) or not inside:
            continue
        dilation = (kernel - 1) // 2
        changed = replace(layer, kernel_size=(3,) * layer.rank, dilation=(dilation,) * layer.rank)
        before = site.costs
        (after,) = stack_costs((changed,), spec)
        yield Finding(
            "dilation-for-context",
            "info",
            (site.path,),
            (layer.text,),
            say(BY_WEIGHTS, kernel=shape_text(layer.kernel_size), weights=kernel**layer.rank),
            {"weights": kernel**layer.rank, "dilated_weights": 3**layer.rank},
            Fix(
                (changed,),
                say(
                    BY_DILATION,
                    dilation=dilation,
                    field=shape_text(spans_of(changed)),
                    taps=3**layer.rank,
                    all=kernel**layer.rank,
                    before=before.parameters,
                    after=after.parameters,
                    products=before.multiply_adds,
                    fewer=after.multiply_adds,
                ),
            ),
            drawing("dilation", site),
            subject.timed_layers((layer,), (changed,), spec),
        )


@rule("gridding", MIXED)
def gridding(subject: Subject) -> Iterator[Finding]:
    """Dilated layers in a row that read a grid with holes of what they span."""
    for chain in subject.chains:
        for run in _dense_runs(chain):
            dilated = [number for number, site in enumerate(run) if site.layer.dilation[0] > 1]
            if len(dilated) < 2:
                continue
            first, stop = dilated[0], dilated[-1] + 1
            layers = [site.layer for site in run]
            read, field = coverage(layers)
            if read < field and (better := _without_holes(layers, first, stop)):
                yield _grid(run, better, slice(first, stop))


def _dense_runs(chain: tuple[Site, ...]) -> Iterator[list[Site]]:
    """Neighbours of stride 1, each alike on all axes; 1×1 layers are passed over."""
    run: list[Site] = []
    for site in chain:
        layer = site.layer
        if max(layer.kernel_size) == max(layer.stride) == 1:
            continue
        alike = len(set(layer.dilation)) == len(set(layer.kernel_size)) == 1
        if alike and max(layer.stride) == 1 and not layer.transposed:
            run.append(site)
        else:
            yield run
            run = []
    yield run


def coverage(layers: Sequence[ConvLayer]) -> tuple[int, int]:
    """(elements that an output reads, elements from the first to the last) of layers of stride 1.

    3 taps, dilation 2, twice: 0 2 4 6 8 of 0 … 8 -> an axis 5 of 9, a plane 25 of 81
    """
    rank = layers[0].rank
    reached = {0}
    for layer in layers:
        taps = range(0, layer.dilation[0] * layer.kernel_size[0], layer.dilation[0])
        reached = {at + tap for at in reached for tap in taps}
    return len(reached) ** rank, (max(reached) + 1) ** rank


def _without_holes(layers: Sequence[ConvLayer], first: int, stop: int) -> tuple[ConvLayer, ...]:
    """All layers, those from first to stop at rising dilations that read everything and see as far."""
    wanted = sum(layer.dilation[0] * (layer.kernel_size[0] - 1) for layer in layers)
    largest = max(layer.dilation[0] for layer in layers) + 2
    # Beyond six layers the rest repeats 1, 2, 3: every longer choice would be searched for nothing.
    searched, rest = min(stop - first, 6), max(stop - first - 6, 0)
    best: tuple[int, tuple[ConvLayer, ...]] | None = None
    for dilations in combinations_with_replacement(range(1, largest + 1), searched):
        chosen = dilations + tuple(1 + i % 3 for i in range(rest))
        middle = (_dilated(layer, d) for layer, d in zip(layers[first:stop], chosen, strict=True))
        changed = (*layers[:first], *middle, *layers[stop:])
        off = abs(wanted - sum(layer.dilation[0] * (layer.kernel_size[0] - 1) for layer in changed))
        if best is None or off < best[0]:
            read, field = coverage(changed)
            if read == field:
                best = (off, changed)
    return best[1] if best else ()


def _dilated(layer: ConvLayer, dilation: int) -> ConvLayer:
    """The layer at another dilation, with padding that changes sizes by as much as it did."""
    change = (layer.dilation[0] - dilation) * (layer.kernel_size[0] - 1)
    padding = layer.padding
    if not isinstance(padding, str):
        pairs = [each if isinstance(each, tuple) else (each, each) for each in padding]
        less = [(before - change // 2, after - (change - change // 2)) for before, after in pairs]
        padding = padding_of([(max(0, before), max(0, after)) for before, after in less])
    return replace(layer, dilation=(dilation,) * layer.rank, padding=padding)


def _grid(run: list[Site], better: tuple[ConvLayer, ...], part: slice) -> Finding:
    """part: of the run, from its first dilated layer to its last; the rest stays as it is."""
    rank = run[0].layer.rank
    read, field = coverage([site.layer for site in run])
    _, filled = coverage(better)
    dilations = [site.layer.dilation[0] for site in run]
    sides = [(round(elements ** (1 / rank)),) * rank for elements in (field, filled)]
    return Finding(
        "gridding",
        "warning",
        tuple(site.path for site in run[part]),
        tuple(site.layer.text for site in run[part]),
        say(
            GRID,
            dilations=", ".join(map(str, dilations)),
            read=read,
            field=field,
            size=shape_text(sides[0]),
            share=read / field,
        ),
        {"dilations": dilations, "read": read, "receptive_field": field, "share": read / field},
        Fix(
            better[part],
            say(
                FILLED,
                dilations=", ".join(str(layer.dilation[0]) for layer in better),
                field=filled,
                size=shape_text(sides[1]),
            ),
        ),
        drawing("receptive_field", *run),
    )


RULES = (dilation_for_context, gridding)
