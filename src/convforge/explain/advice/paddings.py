"""Padding: ⌊k/2⌋ keeps the size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import Site, Subject, drawing, possible, short_text, stack_costs
from convforge.explain.sentence import say
from convforge.explain.table import shape_text
from convforge.explain.words import Words

KEEP = Words(
    "padding of ⌊kernel / 2⌋ (times the dilation) keeps the size at stride 1: 1 for 3, 2 for 5, 3 for 7.",
    "stride 为 1 时，padding = ⌊卷积核 / 2⌋（乘以 dilation）保持尺寸：3 配 1，5 配 2，7 配 3。",
)
CHANGES = Words(
    "padding {padding} at stride 1 turns {size} into {out}: {share:.1%} of the positions {gone}.",
    "stride 1 下 padding {padding} 把 {size} 变为 {out}：位置数{gone} {share:.1%}。",
)
LOST = Words("are lost", "减少")
ADDED = Words("are added, which see mostly padding", "增加（新增处大多只看到填充）")
KEPT = Words(
    "output {out}, the size of the input; multiplications {products:,} → {after:,}",
    "输出 {out}，与输入同尺寸；乘法 {products:,} → {after:,}",
)


@rule("keep-size", KEEP)
def keep_size(subject: Subject) -> Iterator[Finding]:
    """An odd kernel at stride 1 whose padding is not half its span."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        odd = all(span % 2 for span in site.spans)
        # What makes one element of many, as a classifier's last layer, does not mean to keep the size.
        whole = any(span >= n for span, n in zip(site.spans, spec.input_size, strict=True))
        if layer.transposed or isinstance(layer.padding, str) or not odd or whole:
            continue
        if max(layer.stride) > 1 or spec.output_size == spec.input_size:
            continue
        share = prod(spec.output_size) / prod(spec.input_size) - 1
        yield Finding(
            "keep-size",
            "info",
            (site.path,),
            (layer.text,),
            say(
                CHANGES,
                padding=short_text(tuple(before for before, _ in spec.padding)),
                size=shape_text(spec.input_size),
                out=shape_text(spec.output_size),
                share=abs(share),
                gone=LOST if share < 0 else ADDED,
            ),
            {"input_size": spec.input_size, "output_size": spec.output_size, "share_of_positions": share},
            possible(_kept_fix, site),
            drawing("padding", site),
        )


def _kept_fix(site: Site) -> Fix:
    changed = replace(site.layer, padding=tuple((span - 1) // 2 for span in site.spans))
    (costs,) = stack_costs((changed,), site.spec)
    return Fix(
        (changed,),
        say(
            KEPT,
            out=shape_text(changed.spec(site.spec.input_size).output_size),
            products=site.costs.multiply_adds,
            after=costs.multiply_adds,
        ),
    )


RULES = (keep_size,)
