"""Channels: in_channels from the data, out_channels that grow as maps shrink."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import gcd, prod

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import Site, Subject, drawing
from convforge.explain.costs import costs_of
from convforge.explain.sentence import say
from convforge.explain.table import shape_text
from convforge.explain.words import Words

# What the notes name as the widths of successive stages.
WIDEST = 512

FROM_DATA = Words(
    "in_channels is what the data has: 3 for RGB, 1 for grey, the out_channels of the layer before.",
    "in_channels 由输入数据决定：RGB 为 3，灰度为 1，中间层等于上一层的 out_channels。",
)
MISMATCH = Words(
    "in_channels is {has}, but what comes in has {given} channels: the call fails.",
    "in_channels 为 {has}，但输入有 {given} 个通道：调用会报错。",
)
TAKES = Words(
    "takes the {given} channels; parameters {before:,} → {after:,}",
    "接受 {given} 个通道；参数量 {before:,} → {after:,}",
)
GROW = Words(
    "out_channels grow with depth: 64, 128, 256, 512, doubling where the size is halved.",
    "out_channels 随深度递增：64、128、256、512，尺寸减半时通道加倍。",
)
NARROWER = Words(
    "the map shrinks from {large} to {small} and its channels from {wide} to {narrow}: "
    "the stage keeps {share:.0%} of the numbers of the one before.",
    "特征图从 {large} 缩小到 {small}，通道数也从 {wide} 减到 {narrow}："
    "这一级只保留了上一级数据量的 {share:.0%}。",
)
WIDER = Words(
    "{channels} channels: parameters {before:,} → {after:,}, multiplications {products:,} → {more:,}; "
    "the next layer takes in_channels={channels}",
    "{channels} 个通道：参数量 {before:,} → {after:,}，乘法 {products:,} → {more:,}；下一层取 "
    "in_channels={channels}",
)


@rule("in-channels", FROM_DATA)
def in_channels(subject: Subject) -> Iterator[Finding]:
    """A layer that does not take what comes to it."""
    for site in subject.sites:
        layer, given = site.layer, site.given_channels
        if layer.in_channels == given:
            continue
        groups = gcd(layer.groups, given)
        changed = replace(layer, in_channels=given, groups=groups)
        size = site.spec.input_size
        before, after = (costs_of(each, size).parameters for each in (layer, changed))
        yield Finding(
            "in-channels",
            "error",
            (site.path,),
            (layer.text,),
            say(MISMATCH, has=layer.in_channels, given=given),
            {"in_channels": layer.in_channels, "given_channels": given},
            Fix((changed,), say(TAKES, given=given, before=before, after=after)),
            drawing("groups", site),
        )


@rule("channels-grow", GROW)
def channels_grow(subject: Subject) -> Iterator[Finding]:
    """A stage of smaller maps that is narrower than the stage before."""
    widest: Site | None = None
    for stage in _stages(subject.sites):
        site = max(stage, key=lambda each: each.layer.out_channels)
        if widest is not None and site.layer.out_channels < widest.layer.out_channels:
            yield _narrower(widest, site)
        widest = site


def _stages(sites: tuple[Site, ...]) -> list[list[Site]]:
    """Runs of plain layers whose outputs are of one size; a larger map than before starts anew.

    A map of one element is no stage: there a classifier chooses the channels.
    """
    stages: list[list[Site]] = []
    for site in sites:
        size = site.spec.output_size
        if site.layer.transposed or site.layer.groups > 1 or prod(size) == 1:
            continue
        last = prod(stages[-1][-1].spec.output_size) if stages else 0
        if stages and prod(size) == last:
            stages[-1].append(site)
        elif prod(size) < last or not stages:
            stages.append([site])
    return stages


def _narrower(wide: Site, site: Site) -> Finding:
    layer, size = site.layer, site.spec.input_size
    channels = max(layer.out_channels, min(2 * wide.layer.out_channels, max(WIDEST, wide.layer.out_channels)))
    changed = replace(layer, out_channels=channels)
    before, after = costs_of(layer, size), costs_of(changed, size)
    kept = prod(site.spec.output_shape) / prod(wide.spec.output_shape)
    return Finding(
        "channels-grow",
        "info",
        (site.path,),
        (layer.text,),
        say(
            NARROWER,
            large=shape_text(wide.spec.output_size),
            small=shape_text(site.spec.output_size),
            wide=wide.layer.out_channels,
            narrow=layer.out_channels,
            share=kept,
        ),
        {
            "channels_before": wide.layer.out_channels,
            "channels": layer.out_channels,
            "share_of_numbers": kept,
        },
        Fix(
            (changed,),
            say(
                WIDER,
                channels=channels,
                before=before.parameters,
                after=after.parameters,
                products=before.multiply_adds,
                more=after.multiply_adds,
            ),
        ),
        drawing("groups", site),
    )


RULES = (
    in_channels,
    channels_grow,
)
