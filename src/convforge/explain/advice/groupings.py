"""Groups and depthwise: cheap in products, not always in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import Subject, drawing, stack_costs
from convforge.explain.sentence import say
from convforge.explain.words import Words
from convforge.problem import normalize_layer

# With fewer channels the 1×1 behind costs as much as it saves.
FEWEST_CHANNELS = 16
# What a grouped layer must be slower by to be called slower: less is noise.
MARGIN = 1.05

SMALL_DEVICES = Words(
    "groups and depthwise layers for small devices: a k×k per channel and a 1×1 across in place of "
    "a dense k×k.",
    "资源受限的设备用分组与深度可分离卷积：逐通道的 k×k 加跨通道的 1×1，代替普通的 k×k。",
)
DENSE = Words(
    "a dense kernel of {taps} taps on {channels} channels takes {products:,} multiplications.",
    "{channels} 个通道上的 {taps} 点普通卷积需要 {products:,} 次乘法。",
)
SEPARATED = Words(
    "depthwise and 1×1: multiplications {products:,} → {fewer:,} ({share:.0%}), parameters "
    "{before:,} → {after:,}; "
    "less expressive, so train anew",
    "深度卷积加 1×1：乘法 {products:,} → {fewer:,}（{share:.0%}），参数量 {before:,} → {after:,}；"
    "表达能力有所下降，需要重新训练",
)
CLOCK_DECIDES = Words(
    "fewer multiplications are not less time: depthwise layers wait for memory, so the clock decides, here.",
    "乘法少不等于时间短：深度卷积受限于访存，快慢要在本机实测。",
)
SLOWER = Words(
    "groups={groups} does {share:.1%} of the multiplications of a dense layer and takes "
    "{times:.2f} times as long here "
    "({before:.3g} ms to {after:.3g} ms).",
    "groups={groups} 的乘法只有普通卷积的 {share:.1%}，在本机却要 {times:.2f} "
    "倍的时间（{before:.3g} ms 对 {after:.3g} ms）。",
)
GO_DENSE = Words(
    "dense: {before:.3g} ms → {after:.3g} ms here; parameters {few:,} → {many:,}",
    "改为普通卷积：本机 {before:.3g} ms → {after:.3g} ms；参数量 {few:,} → {many:,}",
)


@rule("depthwise-separable", SMALL_DEVICES, speaks_of_speed=True)
def depthwise_separable(subject: Subject) -> Iterator[Finding]:
    """For small devices: a dense layer that a depthwise and a pointwise one could stand in for."""
    if not subject.small_device:
        return
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        few = min(layer.in_channels, layer.out_channels) < FEWEST_CHANNELS
        if layer.transposed or layer.groups > 1 or max(layer.kernel_size) == 1 or few:
            continue
        depthwise = replace(layer, out_channels=layer.in_channels, groups=layer.in_channels, bias=False)
        pointwise = normalize_layer(
            layer.in_channels, layer.out_channels, 1, bias=layer.bias, rank=layer.rank
        )
        layers = (depthwise, pointwise)
        before, costs = site.costs, stack_costs(layers, spec)
        fewer = sum(each.multiply_adds for each in costs)
        taps = spec.kernel_size[0] if layer.rank == 1 else "×".join(map(str, layer.kernel_size))
        yield Finding(
            "depthwise-separable",
            "advice",
            (site.path,),
            (layer.text,),
            say(DENSE, taps=taps, channels=layer.in_channels, products=before.multiply_adds),
            {"multiply_adds": before.multiply_adds, "separable_multiply_adds": fewer},
            Fix(
                layers,
                say(
                    SEPARATED,
                    products=before.multiply_adds,
                    fewer=fewer,
                    share=fewer / before.multiply_adds,
                    before=before.parameters,
                    after=sum(each.parameters for each in costs),
                ),
            ),
            drawing("blocks", site),
            subject.timed_layers((layer,), layers, spec),
        )


@rule("slow-depthwise", CLOCK_DECIDES, speaks_of_speed=True, needs_measuring=True)
def slow_depthwise(subject: Subject) -> Iterator[Finding]:
    """A grouped layer that takes longer here than the dense one of its sizes."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        if layer.groups == 1:
            continue
        dense = replace(layer, groups=1)
        timing = subject.timed_layers((layer,), (dense,), spec)
        if timing is None or timing.before_ms < MARGIN * timing.after_ms:
            continue
        before, (after,) = site.costs, stack_costs((dense,), spec)
        share = before.multiply_adds / after.multiply_adds
        yield Finding(
            "slow-depthwise",
            "warning",
            (site.path,),
            (layer.text,),
            say(
                SLOWER,
                groups=layer.groups,
                share=share,
                times=timing.before_ms / timing.after_ms,
                before=timing.before_ms,
                after=timing.after_ms,
            ),
            {
                "groups": layer.groups,
                "share_of_multiply_adds": share,
                "milliseconds": timing.before_ms,
                "dense_milliseconds": timing.after_ms,
            },
            Fix(
                (dense,),
                say(
                    GO_DENSE,
                    before=timing.before_ms,
                    after=timing.after_ms,
                    few=before.parameters,
                    many=after.parameters,
                ),
            ),
            drawing("groups", site),
            timing,
        )


RULES = (
    depthwise_separable,
    slow_depthwise,
)
