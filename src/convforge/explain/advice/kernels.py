"""Kernels: 3×3 by default, two of them for a 5×5, large ones at large inputs, odd ones for a centre."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import Site, Subject, drawing, padding_of, possible, stack_costs
from convforge.explain.sentence import say
from convforge.explain.table import shape_text
from convforge.explain.words import Words
from convforge.problem import ConvLayer, normalize_layer

# A first layer of 7×7 is for photographs: 224 and more in the nets that have one, half of that still large.
LARGE_INPUT = 112
# Five layers of 3. More would be a net of its own: beyond, context is dilation's.
LARGEST_STACKED = 11

STACKED = Words(
    "3×3 by default: two 3×3 see what a 5×5 sees, three what a 7×7 sees, with fewer weights.",
    "默认用 3×3：两个 3×3 的感受野等于 5×5，三个等于 7×7，而权重更少。",
)
ONE_LARGE = Words(
    "a {kernel} kernel takes {weights} weights for each pair of channels; {n} layers of 3 see as "
    "far with {fewer}.",
    "{kernel} 卷积核每对通道需要 {weights} 个权重；{n} 层 3 的卷积核看得同样远，只要 {fewer} 个。",
)
SAME_FIELD = Words(
    "the same receptive field {field} and output size {size}; parameters {before:,} → {after:,}, "
    "multiplications {products:,} → {fewer:,}; put an activation between them",
    "感受野 {field} 与输出尺寸 {size} 不变；参数量 {before:,} → {after:,}，乘法 {products:,} → {fewer:,}；"
    "层间加激活函数",
)
AT_LARGE_INPUTS = Words(
    "7×7 and larger only in the first layers, where the input is large.",
    "7×7 及更大的卷积核只用于输入很大的最初几层。",
)
TOO_LARGE_HERE = Words(
    "a kernel of {kernel} on an input of only {size}: {share:.0%} of its products meet padding.",
    "在仅 {size} 的输入上使用 {kernel} 卷积核：{share:.0%} 的乘积落在填充上。",
)
SMALLER = Words(
    "output {size}, as before {was}; parameters {before:,} → {after:,}, multiplications "
    "{products:,} → {fewer:,}",
    "输出 {size}（原来 {was}）；参数量 {before:,} → {after:,}，乘法 {products:,} → {fewer:,}",
)
ODD = Words(
    "kernels are odd: an even one has no centre, so 'same' must pad one side more.",
    "卷积核取奇数：偶数核没有中心，'same' 只能在一侧多填一个。",
)
LOPSIDED = Words(
    "the even kernel {kernel} pads {before} before and {after} after: every output sits half an "
    "element aside.",
    "偶数卷积核 {kernel} 前后填充为 {before} 与 {after}：每个输出都偏移半个元素。",
)
CHANGES_SIZE = Words(
    "the even kernel {kernel} with padding {padding} turns {size} into {out}: no symmetric padding "
    "keeps the size.",
    "偶数卷积核 {kernel} 配 padding {padding} 把 {size} 变为 {out}：任何对称填充都保持不了尺寸。",
)
KEEPS = Words(
    "keeps {size} with the same padding on both sides; parameters {before:,} → {after:,}",
    "两侧填充相同且保持 {size}；参数量 {before:,} → {after:,}",
)


@rule("two-3x3", STACKED, speaks_of_speed=True)
def two_3x3(subject: Subject) -> Iterator[Finding]:
    """A dense kernel of 5 or more that a stack of 3s replaces with fewer parameters."""
    for site in subject.sites:
        layers = stack_of_threes(site)
        if not layers:
            continue
        before, costs = site.costs, stack_costs(layers, site.spec)
        after = sum(each.parameters for each in costs)
        if after >= before.parameters:
            continue
        layer, rank = site.layer, site.layer.rank
        kernel = layer.kernel_size[0]
        weights, fewer = kernel**rank, len(layers) * 3**rank
        fix = Fix(
            layers,
            say(
                SAME_FIELD,
                field=shape_text(layer.kernel_size),
                size=shape_text(site.spec.output_size),
                before=before.parameters,
                after=after,
                products=before.multiply_adds,
                fewer=sum(each.multiply_adds for each in costs),
            ),
        )
        yield Finding(
            "two-3x3",
            "advice",
            (site.path,),
            (layer.text,),
            say(ONE_LARGE, kernel=shape_text(layer.kernel_size), weights=weights, n=len(layers), fewer=fewer),
            {
                "weights": weights,
                "stacked_weights": fewer,
                "parameters": before.parameters,
                "stacked_parameters": after,
            },
            fix,
            drawing("blocks", site),
            subject.timed(site, fix),
        )


def stack_of_threes(site: Site) -> tuple[ConvLayer, ...]:
    """Layers of kernel 3 with the receptive field, stride and output size of one large one; else none.

    5, stride 2, padding 2  ->  3, padding 1;  3, stride 2, padding 1
    """
    layer = site.layer
    kernel = layer.kernel_size[0]
    dense = layer.groups == 1 and not layer.transposed and set(layer.dilation) == {1}
    if not dense or set(layer.kernel_size) != {kernel} or kernel % 2 == 0:
        return ()
    if not 5 <= kernel <= LARGEST_STACKED:
        return ()
    pads = site.spec.padding
    # A kernel over the whole input is a dense layer written as a convolution.
    whole = any(kernel >= size for size in site.spec.input_size)
    if whole or any(before != after for before, after in pads):
        return ()
    number = (kernel - 1) // 2
    left = [before for before, _ in pads]
    layers: list[ConvLayer] = []
    for i in range(number):
        last = i == number - 1
        padding = tuple(left) if last else tuple(min(1, each) for each in left)
        left = [each - used for each, used in zip(left, padding, strict=True)]
        layers.append(
            normalize_layer(
                layer.out_channels if i else layer.in_channels,
                layer.out_channels,
                3,
                layer.stride if last else 1,
                padding,
                bias=layer.bias,
                padding_mode=layer.padding_mode,
                rank=layer.rank,
            )
        )
    return tuple(layers)


@rule("large-kernel", AT_LARGE_INPUTS, speaks_of_speed=True)
def large_kernel(subject: Subject) -> Iterator[Finding]:
    """A dense kernel of 7 or more on an input that is not large."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        kernel, size = layer.kernel_size, spec.input_size
        covers_all = all(k >= n for k, n in zip(kernel, size, strict=True))
        if layer.transposed or layer.groups > 1 or set(layer.dilation) != {1} or covers_all:
            continue
        # One-dimensional signals are long, and large kernels are their practice.
        if layer.rank == 1 or min(kernel) < 7 or max(size) >= LARGE_INPUT:
            continue
        costs = site.costs
        share = costs.idle_multiply_adds / costs.multiply_adds if costs.multiply_adds else 0.0
        fix = possible(_three, site)
        yield Finding(
            "large-kernel",
            "advice",
            (site.path,),
            (layer.text,),
            say(TOO_LARGE_HERE, kernel=shape_text(kernel), size=shape_text(size), share=share),
            {"kernel_size": kernel, "input_size": size, "share_on_padding": share},
            fix,
            drawing("receptive_field", site),
            subject.timed(site, fix),
        )


def _three(site: Site) -> Fix:
    """A kernel of 3, the windows over the same centres."""
    layer, spec = site.layer, site.spec
    pairs = [
        (max(0, before - (k - 3) // 2), max(0, after - (k - 3) // 2))
        for k, (before, after) in zip(layer.kernel_size, spec.padding, strict=True)
    ]
    smaller = replace(layer, kernel_size=(3,) * layer.rank, padding=padding_of(pairs))
    before, (after,) = site.costs, stack_costs((smaller,), spec)
    return Fix(
        (smaller,),
        say(
            SMALLER,
            size=shape_text(smaller.spec(spec.input_size).output_size),
            was=shape_text(spec.output_size),
            before=before.parameters,
            after=after.parameters,
            products=before.multiply_adds,
            fewer=after.multiply_adds,
        ),
    )


@rule("even-kernel", ODD)
def even_kernel(subject: Subject) -> Iterator[Finding]:
    """A kernel that is meant to keep the size and cannot do so evenly."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        if layer.transposed or any(step > 1 for step in layer.stride):
            continue
        uneven = [span % 2 == 0 for span in site.spans]
        pads = [before + after for before, after in spec.padding]
        # Within one of keeping the size: what was meant is clear.
        meant = any(
            odd and abs(pad - (span - 1)) <= 1
            for odd, pad, span in zip(uneven, pads, site.spans, strict=True)
        )
        if not meant:
            continue
        axis = uneven.index(True)
        before, after = spec.padding[axis]
        shown = shape_text(layer.kernel_size)
        if spec.output_size[axis] == spec.input_size[axis]:
            what = say(LOPSIDED, kernel=shown, before=before, after=after)
        else:
            size, out = shape_text(spec.input_size), shape_text(spec.output_size)
            what = say(CHANGES_SIZE, kernel=shown, padding=before, size=size, out=out)
        yield Finding(
            "even-kernel",
            "advice",
            (site.path,),
            (layer.text,),
            what,
            {"kernel_size": layer.kernel_size, "padding": spec.padding, "output_size": spec.output_size},
            possible(_odd, site),
            drawing("padding", site),
        )


def _odd(site: Site) -> Fix:
    """Kernels one larger where their span is even, padded to keep the size."""
    layer, spec = site.layer, site.spec
    kernel = tuple(k + (span + 1) % 2 for k, span in zip(layer.kernel_size, site.spans, strict=True))
    half = tuple(d * (k - 1) // 2 for k, d in zip(kernel, layer.dilation, strict=True))
    changed = replace(layer, kernel_size=kernel, padding="same" if layer.padding == "same" else half)
    (costs,) = stack_costs((changed,), spec)
    size = shape_text(changed.spec(spec.input_size).output_size)
    return Fix((changed,), say(KEEPS, size=size, before=site.costs.parameters, after=costs.parameters))


RULES = (
    two_3x3,
    large_kernel,
    even_kernel,
)
