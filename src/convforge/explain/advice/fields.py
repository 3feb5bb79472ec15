"""What windows see: mostly data, and no more than there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import (
    Site,
    Subject,
    drawing,
    padding_of,
    possible,
    short_text,
    spans_of,
)
from convforge.explain.sentence import say
from convforge.explain.table import shape_text
from convforge.explain.words import Words

# Of a layer's products; with more it works on zeros for the most part.
MOSTLY = 0.5
# What a fix aims at.
FEW = 1 / 3

ON_DATA = Words(
    "a dilated kernel fits into the map: on a small one its outer taps meet padding only.",
    "膨胀后的卷积核要放得进特征图：图太小时外侧的抽头只碰到填充。",
)
ON_PADDING = Words(
    "dilation {dilation} on a map of {size}: {idle:,} of {all:,} products ({share:.0%}) meet the "
    "zeros of the padding.",
    "在 {size} 的特征图上用 dilation {dilation}：{all:,} 个乘积中有 {idle:,} 个（{share:.0%}）碰到填充的零。",
)
ON_DATA_AGAIN = Words(
    "dilation {dilation}: {share:.0%} on padding, output {out} as before",
    "dilation {dilation}：落在填充上的降为 {share:.0%}，输出仍为 {out}",
)
WITHIN = Words(
    "the receptive field stays within the input: beyond it there is only padding.",
    "感受野不超出输入：超出的部分只有填充。",
)
SPAN_BEYOND = Words(
    "the kernel spans {span} elements, the input has {size}: no output sees data with all its taps.",
    "卷积核跨越 {span} 个元素，而输入只有 {size}：没有一个输出能让所有抽头都落在数据上。",
)
FITS = Words(
    "spans {span} of {size}; output {out} (before: {was})",
    "跨度 {span}，输入 {size}；输出 {out}（原为 {was}）",
)
FIELD_BEYOND = Words(
    "from here on the receptive field, {field}, is larger than the input, {size}: "
    "a part of what every output sees is padding.",
    "从这一层起感受野 {field} 大于输入 {size}：每个输出看到的范围里都有一部分是填充。",
)
LARGER_INPUT = Words(
    "an input of at least {size} holds the receptive field of all layers",
    "输入至少为 {size} 才能容纳所有层的感受野",
)


@rule("dilated-on-padding", ON_DATA)
def dilated_on_padding(subject: Subject) -> Iterator[Finding]:
    """A dilated layer most of whose products meet padding."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        share = _share_on_padding(site)
        if layer.transposed or max(spec.dilation) == 1 or share < MOSTLY:
            continue
        costs = site.costs
        yield Finding(
            "dilated-on-padding",
            "warning",
            (site.path,),
            (layer.text,),
            say(
                ON_PADDING,
                dilation=short_text(layer.dilation),
                size=shape_text(spec.input_size),
                idle=costs.idle_multiply_adds,
                all=costs.multiply_adds,
                share=share,
            ),
            {
                "idle_multiply_adds": costs.idle_multiply_adds,
                "multiply_adds": costs.multiply_adds,
                "share": share,
            },
            possible(_on_data_fix, site),
            drawing("dilation", site),
        )


def _share_on_padding(site: Site) -> float:
    costs = site.costs
    return costs.idle_multiply_adds / costs.multiply_adds if costs.multiply_adds else 0.0


def _on_data_fix(site: Site) -> Fix:
    """The largest dilation at which few products meet padding, which shrinks as the span does."""
    layer, spec = site.layer, site.spec
    found = site
    for largest in range(max(layer.dilation) - 1, 0, -1):
        dilation = tuple(min(each, largest) for each in layer.dilation)
        pairs = [
            (max(0, before - (d - new) * (k - 1) // 2), max(0, after - ((d - new) * (k - 1) + 1) // 2))
            for (before, after), d, new, k in zip(
                spec.padding, layer.dilation, dilation, layer.kernel_size, strict=True
            )
        ]
        changed = replace(layer, dilation=dilation, padding=padding_of(pairs))
        found = replace(site, layer=changed, spec=changed.spec(spec.input_size, batch=spec.batch))
        if _share_on_padding(found) <= FEW:
            break
    return Fix(
        (found.layer,),
        say(
            ON_DATA_AGAIN,
            dilation=short_text(found.layer.dilation),
            share=_share_on_padding(found),
            out=shape_text(found.spec.output_size),
        ),
    )


@rule("field-within-input", WITHIN)
def field_within_input(subject: Subject) -> Iterator[Finding]:
    """A kernel that spans more than its input; a receptive field larger than the whole input."""
    beyond: Site | None = None
    first: tuple[int, ...] = ()
    fields: tuple[int, ...] = ()
    for site in subject.sites:
        spec = site.spec
        if not site.layer.transposed and any(
            span > size for span, size in zip(site.spans, spec.input_size, strict=True)
        ):
            yield _too_wide(site)
            return
        if site.fields is None or len(site.fields) != len(subject.input_size):
            continue
        grown = tuple(field.size for field in site.fields)
        if all(n > size for n, size in zip(grown, subject.input_size, strict=True)):
            beyond, first = (beyond, first) if beyond else (site, grown)
            fields = tuple(map(max, grown, fields or grown))
    if beyond is None:
        return
    yield Finding(
        "field-within-input",
        "info",
        (beyond.path,),
        (beyond.layer.text,),
        say(FIELD_BEYOND, field=shape_text(first), size=shape_text(subject.input_size)),
        {"receptive_field": first, "input_size": subject.input_size, "last_receptive_field": fields},
        Fix((), say(LARGER_INPUT, size=shape_text(fields)), fields),
        drawing("receptive_field", *subject.sites),
    )


def _too_wide(site: Site) -> Finding:
    return Finding(
        "field-within-input",
        "warning",
        (site.path,),
        (site.layer.text,),
        say(SPAN_BEYOND, span=shape_text(site.spans), size=shape_text(site.spec.input_size)),
        {"span": site.spans, "input_size": site.spec.input_size},
        possible(_fitting_fix, site),
        drawing("receptive_field", site),
    )


def _fitting_fix(site: Site) -> Fix:
    """Less dilation, then a smaller odd kernel, until the kernel spans no more than its input."""
    layer, spec = site.layer, site.spec
    kernel, dilation, pairs = list(layer.kernel_size), list(layer.dilation), list(spec.padding)
    for axis, (size, span) in enumerate(zip(spec.input_size, site.spans, strict=True)):
        if span <= size:
            continue
        if kernel[axis] > size:
            kernel[axis] = size - (size + 1) % 2
        dilation[axis] = max(1, min(dilation[axis], (size - 1) // max(kernel[axis] - 1, 1)))
        less = span - (dilation[axis] * (kernel[axis] - 1) + 1)
        before, after = pairs[axis]
        pairs[axis] = (max(0, before - less // 2), max(0, after - (less - less // 2)))
    changed = replace(layer, kernel_size=tuple(kernel), dilation=tuple(dilation), padding=padding_of(pairs))
    return Fix(
        (changed,),
        say(
            FITS,
            span=shape_text(spans_of(changed)),
            size=shape_text(spec.input_size),
            out=shape_text(changed.spec(spec.input_size).output_size),
            was=shape_text(spec.output_size),
        ),
    )


RULES = (dilated_on_padding, field_within_input)
