"""Batch norms behind layers: they make a bias idle, and fold away for inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

from convforge.autograd.sampling import rand
from convforge.explain.advice.finding import Finding, Fix, Timing
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import Site, Subject, drawing
from convforge.explain.measure import LARGEST_BYTES
from convforge.explain.sentence import say
from convforge.explain.table import size_text
from convforge.explain.words import Words
from convforge.nn.utils.fusion import fuse_conv_bn

NO_BIAS = Words(
    "bias=False before a batch norm: it subtracts the mean, and the bias with it.",
    "批量归一化之前用 bias=False：归一化减去均值时，偏置也一并被减掉。",
)
IDLE_BIAS = Words(
    "the batch norm {norm} subtracts the bias again: {parameters:,} parameters and {additions:,} "
    "additions a call "
    "change nothing.",
    "其后的批量归一化 {norm} 会把偏置减掉：{parameters:,} 个参数与每次 {additions:,} 次加法毫无作用。",
)
WITHOUT_BIAS = Words(
    "the same output; parameters {before:,} → {after:,}", "输出不变；参数量 {before:,} → {after:,}"
)
FUSE = Words(
    "for inference a batch norm folds into the layer before it: the same numbers, one pass less.",
    "推理时批量归一化可以并入前一层：结果相同，少遍历一次特征图。",
)
CAN_FUSE = Words(
    "the batch norm {norm} in evaluation mode reads and writes {elements:,} numbers ({bytes}) once more.",
    "处于评估模式的批量归一化 {norm} 要把 {elements:,} 个数（{bytes}）再读写一遍。",
)
FUSED = Words(
    "convforge.nn.utils.fuse_conv_bn_eval(conv, bn): one layer; {products:,} multiplications and "
    "{bytes} of "
    "memory traffic less",
    "convforge.nn.utils.fuse_conv_bn_eval(conv, bn)：合为一层；少 {products:,} 次乘法与 {bytes} 的访存",
)


@rule("bias-before-norm", NO_BIAS)
def bias_before_norm(subject: Subject) -> Iterator[Finding]:
    """A layer with a bias whose output a batch norm reads."""
    for site in subject.sites:
        layer, costs = site.layer, site.costs
        # A fused layer needs its bias: in evaluation mode fusing is what there is to do.
        if site.norm is None or not layer.bias or _fusable(site):
            continue
        changed = replace(layer, bias=False)
        yield Finding(
            "bias-before-norm",
            "advice",
            (site.path,),
            (layer.text,),
            say(
                IDLE_BIAS,
                norm=site.norm.path,
                parameters=costs.bias_parameters,
                additions=costs.bias_additions,
            ),
            {"bias_parameters": costs.bias_parameters, "bias_additions": costs.bias_additions},
            Fix(
                (changed,),
                say(WITHOUT_BIAS, before=costs.parameters, after=costs.parameters - costs.bias_parameters),
            ),
            drawing("fusion", site),
        )


@rule("fuse-norm", FUSE, speaks_of_speed=True)
def fuse_norm(subject: Subject) -> Iterator[Finding]:
    """A batch norm in evaluation mode that could be part of the layer before it."""
    for site in subject.sites:
        if site.norm is None or not _fusable(site):
            continue
        elements = prod(site.spec.output_shape)
        traffic = size_text(2 * site.costs.output_bytes)
        yield Finding(
            "fuse-norm",
            "advice",
            (site.path, site.norm.path),
            (site.layer.text, f"{type(site.norm.module).__name__}({site.norm.module.num_features})"),
            say(CAN_FUSE, norm=site.norm.path, elements=elements, bytes=traffic),
            {"elements": elements, "bytes": 2 * site.costs.output_bytes},
            Fix((replace(site.layer, bias=True),), say(FUSED, products=elements, bytes=traffic)),
            drawing("fusion", site),
            _timed(subject, site),
        )


def _fusable(site: Site) -> bool:
    norm: Any = site.norm.module if site.norm else None
    return norm is not None and not norm.training and norm.running_mean is not None


def _timed(subject: Subject, site: Site) -> Timing | None:
    norm: Any = site.norm.module if site.norm else None
    if site.module is None or not subject.measure or site.costs.moved_bytes > LARGEST_BYTES:
        return None
    conv, fused = site.module, fuse_conv_bn(site.module, norm)
    x = rand(*site.spec.input_shape)
    return subject.timed_calls(lambda: norm(conv(x)), lambda: fused(x))


RULES = (
    bias_before_norm,
    fuse_norm,
)
