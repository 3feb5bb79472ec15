"""Transposed layers: overlaps of unequal depth draw a checkerboard."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import Site, Subject, drawing, possible, short_text, stack_costs
from convforge.explain.sentence import say
from convforge.explain.solve import solve
from convforge.explain.solve_axis import overlap
from convforge.explain.table import shape_text
from convforge.explain.words import Words
from convforge.problem import ConvLayer, normalize_layer

# Kernels that are tried: the next multiples of the stride.
MULTIPLES = 4

EVEN = Words(
    "the kernel of a transposed layer is a multiple of its stride: then every output adds up as "
    "many products.",
    "转置卷积的卷积核应是 stride 的整数倍：这样每个输出累加同样多的乘积。",
)
UNEVEN = Words(
    "kernel {kernel} at stride {stride}: an output adds up {low} to {high} products of an input "
    "channel, by where "
    "it stands: a checkerboard of contrast {ratio}.",
    "卷积核 {kernel}、stride {stride}：不同位置的输出在每个输入通道上累加 {low} 到 {high} 个乘积，"
    "形成对比度 {ratio} 的棋盘格。",
)
LEVEL = Words(
    "kernel {kernel}: {count} products everywhere, output {out} as before; parameters {before:,} → {after:,}",
    "卷积核 {kernel}：处处 {count} 个乘积，输出仍为 {out}；参数量 {before:,} → {after:,}",
)


@rule("uneven-overlap", EVEN)
def uneven_overlap(subject: Subject) -> Iterator[Finding]:
    """A transposed layer whose outputs meet different numbers of products away from the border."""
    for site in subject.sites:
        layer = site.layer
        if not layer.transposed:
            continue
        axes = overlaps(layer)
        if all(low == high for low, high in axes):
            continue
        low, high = prod(low for low, _ in axes), prod(high for _, high in axes)
        yield Finding(
            "uneven-overlap",
            "warning",
            (site.path,),
            (layer.text,),
            say(
                UNEVEN,
                kernel=shape_text(layer.kernel_size),
                stride=short_text(layer.stride),
                low=low,
                high=high,
                ratio=f"{high}:{low}",
            ),
            {"fewest_products": low, "most_products": high},
            _fix(site),
            drawing("overlap", site),
        )


def overlaps(layer: ConvLayer) -> tuple[tuple[int, int], ...]:
    """Products that an inner output meets along each axis: (fewest, most)."""
    return tuple(
        overlap(k, s, d) for k, s, d in zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    )


def _fix(site: Site) -> Fix | None:
    """The nearest kernel that is a multiple of the stride and gives the same output size, undilated."""
    layer, spec = site.layer, site.spec
    if not all(spec.output_size):
        return None
    for more in range(MULTIPLES):
        found = solve(
            spec.input_size,
            output_size=spec.output_size,
            transposed=True,
            kernel_size=tuple(
                (-(-k // s) + more) * s for k, s in zip(layer.kernel_size, layer.stride, strict=True)
            ),
            stride=layer.stride,
            dilation=1,
            limit=1,
        )
        if found.answers:
            return possible(_level, site, found.answers[0].layer)
    return None


def _level(site: Site, answer: ConvLayer) -> Fix:
    layer, spec = site.layer, site.spec
    changed = normalize_layer(
        layer.in_channels,
        layer.out_channels,
        answer.kernel_size,
        answer.stride,
        answer.padding,
        groups=layer.groups,
        bias=layer.bias,
        padding_mode=layer.padding_mode,
        rank=layer.rank,
        transposed=True,
        output_padding=answer.output_padding,
    )
    (costs,) = stack_costs((changed,), spec)
    return Fix(
        (changed,),
        say(
            LEVEL,
            kernel=shape_text(changed.kernel_size),
            count=prod(low for low, _ in overlaps(changed)),
            out=shape_text(changed.spec(spec.input_size).output_size),
            before=site.costs.parameters,
            after=costs.parameters,
        ),
    )


RULES = (uneven_overlap,)
