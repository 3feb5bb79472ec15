"""Strides: 1 inside, 2 to sample down; rows that a stride leaves unread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import (
    Site,
    Subject,
    drawing,
    padding_of,
    possible,
    short_text,
    stack_costs,
)
from convforge.explain.formula import AXES
from convforge.explain.sentence import say
from convforge.explain.table import shape_text
from convforge.explain.words import Words
from convforge.problem import ConvLayer, normalize_layer

BY_TWO = Words(
    "stride 1 inside a stage, 2 to sample down: larger steps lose detail at once.",
    "级内 stride 取 1，下采样取 2：更大的步幅会一次丢掉太多细节。",
)
LARGE_STEP = Words(
    "stride {stride} shrinks {size} to {out} in one layer: {kept:.1%} of the positions remain.",
    "stride {stride} 一层就把 {size} 缩到 {out}：只保留 {kept:.1%} 的位置。",
)
IN_STEPS = Words(
    "in {n} layers of at most stride 2: output {was} → {out}, multiplications {products:,} → {more:,}",
    "分成 {n} 层、每层 stride 不超过 2：输出 {was} → {out}，乘法 {products:,} → {more:,}",
)
ALL_READ = Words(
    "the stride divides what the windows cover, so that no row or column is left over.",
    "步幅要能整除窗口走过的范围，不留下读不到的行或列。",
)
LEFT_OVER = Words(
    "the floor of the size formula leaves over elements at the end ({axes}): {elements:,} of {all:,} "
    "positions ({share:.1%}) are never read.",
    "尺寸公式的向下取整在末尾留下读不到的元素（{axes}）：{all:,} 个位置中有 {elements:,} 个（{share:.1%}）"
    "从未被读取。",
)
READS_ALL = Words("every position is read; output {was} → {out}", "每个位置都被读取；输出 {was} → {out}")
ONE_SIDED = Words(
    "every position is read; output {was} → {out}; padding of one side alone is convforge's, in PyTorch put "
    "a ZeroPad layer before",
    "每个位置都被读取；输出 {was} → {out}；单侧 padding 是 convforge 的扩展，"
    "在 PyTorch 中请在前面加 ZeroPad 层",
)
NO_GAPS = Words(
    "the kernel spans at least the stride: else elements between windows are never read.",
    "卷积核跨度不小于 stride：否则窗口之间的元素从未被读取。",
)
GAPS = Words(
    "stride {stride} steps over a kernel that spans {span}: {share:.0%} of the input is never read.",
    "stride {stride} 大于卷积核跨度 {span}：{share:.0%} 的输入从未被读取。",
)
CLOSED = Words(
    "reads {read:.0%} of the input at output {out}; parameters {before:,} → {after:,}",
    "读到输入的 {read:.0%}，输出 {out}；参数量 {before:,} → {after:,}",
)


@rule("stride-two", BY_TWO)
def stride_two(subject: Subject) -> Iterator[Finding]:
    """A stride above 2 whose windows overlap; patches side by side are a choice of their own."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        overlapping = all(span > step for span, step in zip(site.spans, layer.stride, strict=True))
        if layer.transposed or max(spec.stride) <= 2 or not overlapping:
            continue
        kept = prod(spec.output_size) / prod(spec.input_size)
        yield Finding(
            "stride-two",
            "info",
            (site.path,),
            (layer.text,),
            say(
                LARGE_STEP,
                stride=short_text(layer.stride),
                size=shape_text(spec.input_size),
                out=shape_text(spec.output_size),
                kept=kept,
            ),
            {"stride": layer.stride, "positions_kept": kept},
            possible(_steps_fix, site),
            drawing("size_formula", site),
        )


def _steps_fix(site: Site) -> Fix:
    layers, spec = _in_steps(site.layer), site.spec
    size = spec.input_size
    for layer in layers:
        size = layer.spec(size).output_size
    return Fix(
        layers,
        say(
            IN_STEPS,
            n=len(layers),
            was=shape_text(spec.output_size),
            out=shape_text(size),
            products=site.costs.multiply_adds,
            more=sum(costs.multiply_adds for costs in stack_costs(layers, spec)),
        ),
    )


def _in_steps(layer: ConvLayer) -> tuple[ConvLayer, ...]:
    """The layer with stride 2, and 3×3 of stride 2 behind it until the stride is reached.

    stride 4 -> 2, 2    stride 3 -> 2, 2 (a size nearer to what was wanted than 2 alone)
    """
    left = layer.stride
    first = replace(layer, stride=tuple(min(2, step) for step in left))
    layers = [first]
    left = tuple(-(-step // 2) for step in left)
    while max(left) > 1:
        step = tuple(min(2, each) for each in left)
        channels = layer.out_channels
        layers.append(normalize_layer(channels, channels, 3, step, 1, bias=layer.bias, rank=layer.rank))
        left = tuple(-(-each // 2) for each in left)
    return tuple(layers)


@rule("dropped-rows", ALL_READ)
def dropped_rows(subject: Subject) -> Iterator[Finding]:
    """Input at the end that no window reaches, because the stride does not divide."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        left = left_over(site)
        if not any(left) or any(s > span for s, span in zip(layer.stride, site.spans, strict=True)):
            continue
        positions = prod(spec.input_size)
        unread = positions - prod(n - each for n, each in zip(spec.input_size, left, strict=True))
        axes = [f"{axis}: {n}" for axis, n in zip(AXES[spec.rank], left, strict=True) if n]
        yield Finding(
            "dropped-rows",
            "warning",
            (site.path,),
            (layer.text,),
            say(
                LEFT_OVER,
                axes=", ".join(axes),
                elements=unread,
                all=positions,
                share=unread / positions,
            ),
            {"unread_at_end": left, "unread_positions": unread, "share": unread / positions},
            possible(_reads_all_fix, site),
            drawing("size_formula", site),
        )


def left_over(site: Site) -> tuple[int, ...]:
    """Elements at the end of each axis that no window reaches; none of a transposed layer."""
    spec = site.spec
    if spec.transposed:
        return (0,) * spec.rank
    return tuple(
        max(0, size - ((out - 1) * step + span - before))
        for size, out, step, span, (before, _) in zip(
            spec.input_size, spec.output_size, site.layer.stride, site.spans, spec.padding, strict=True
        )
    )


def _reads_all_fix(site: Site) -> Fix:
    """As much padding as one window more needs: on both sides alike where that is enough."""
    spec = site.spec
    pairs: list[tuple[int, int]] = []
    for axis, unread in enumerate(left_over(site)):
        before, after = spec.padding[axis]
        if unread:
            span, step = site.spans[axis], site.layer.stride[axis]
            padded = before + spec.input_size[axis] + after
            missing = spec.output_size[axis] * step + span - padded
            both = before + -(-missing // 2)
            even = before == after and both <= (span - 1) // 2
            before, after = (both, both) if even else (before, after + missing)
        pairs.append((before, after))
    changed = replace(site.layer, padding=padding_of(pairs))
    return Fix(
        (changed,),
        say(
            READS_ALL if isinstance(changed.padding[0], int) else ONE_SIDED,
            was=shape_text(spec.output_size),
            out=shape_text(changed.spec(spec.input_size).output_size),
        ),
    )


@rule("gaps", NO_GAPS)
def gaps(subject: Subject) -> Iterator[Finding]:
    """A stride larger than the kernel's span."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        steps = [s > span for s, span in zip(spec.stride, site.spans, strict=True)]
        if layer.transposed or not any(steps):
            continue
        yield Finding(
            "gaps",
            "info",
            (site.path,),
            (layer.text,),
            say(
                GAPS,
                stride=short_text(spec.stride),
                span=shape_text(site.spans),
                share=share_unread(site),
            ),
            {"stride": spec.stride, "span": site.spans, "share": share_unread(site)},
            possible(_closed_fix, site),
            drawing("receptive_field", site),
        )


def _closed_fix(site: Site) -> Fix:
    """The next odd kernel that spans the stride, its windows over the same centres."""
    layer, spec = site.layer, site.spec
    kernel, dilation, pairs = list(layer.kernel_size), list(layer.dilation), list(spec.padding)
    for axis, (step, span) in enumerate(zip(spec.stride, site.spans, strict=True)):
        if step > span:
            kernel[axis], dilation[axis] = step + 1 - step % 2, 1
            grown, (before, after) = kernel[axis] - span, pairs[axis]
            pairs[axis] = (before + grown // 2, after + grown - grown // 2)
    changed = replace(layer, kernel_size=tuple(kernel), dilation=tuple(dilation), padding=padding_of(pairs))
    closed = replace(site, layer=changed, spec=changed.spec(spec.input_size))
    return Fix(
        (changed,),
        say(
            CLOSED,
            read=1 - share_unread(closed),
            out=shape_text(closed.spec.output_size),
            before=site.costs.parameters,
            after=closed.costs.parameters,
        ),
    )


def share_unread(site: Site) -> float:
    """The part of a plain layer's input that no window reads."""
    spec, read = site.spec, 1
    for axis in range(spec.rank):
        before, size = spec.padding[axis][0], spec.input_size[axis]
        taps = [tap * spec.dilation[axis] - before for tap in range(spec.kernel_size[axis])]
        starts = range(0, spec.output_size[axis] * spec.stride[axis], spec.stride[axis])
        read *= len({start + tap for start in starts for tap in taps if 0 <= start + tap < size})
    return 1 - read / prod(spec.input_size)


RULES = (
    stride_two,
    dropped_rows,
    gaps,
)
