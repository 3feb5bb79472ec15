"""Dilation: context without weights; and what it leaves out, or spends on padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement

from convforge.explain.advice.finding import Finding, Fix
from convforge.explain.advice.rule import rule
from convforge.explain.advice.subject import Site, Subject, drawing, short_text, spans_of, stack_costs
from convforge.explain.sentence import say
from convforge.explain.table import shape_text
from convforge.explain.words import Words
from convforge.problem import ConvLayer

# Kernels from here on are there for context.
CONTEXT_KERNEL = 7
# Of a layer's products; with more it works on zeros for the most part.
MOSTLY = 0.5
# What a fix aims at.
FEW = 1 / 3

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
            subject.timed((layer,), (changed,), spec),
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
        pairs = [(max(0, before), max(0, after)) for before, after in less]
        alike = all(before == after for before, after in pairs)
        padding = tuple(before for before, _ in pairs) if alike else tuple(pairs)
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


@rule("dilated-on-padding", ON_DATA)
def dilated_on_padding(subject: Subject) -> Iterator[Finding]:
    """A dilated layer most of whose products meet padding."""
    for site in subject.sites:
        layer, spec = site.layer, site.spec
        share = _share_on_padding(site)
        if layer.transposed or max(spec.dilation) == 1 or share < MOSTLY:
            continue
        changed = _on_data(site)
        after = _share_on_padding(changed)
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
            Fix(
                (changed.layer,),
                say(
                    ON_DATA_AGAIN,
                    dilation=short_text(changed.layer.dilation),
                    share=after,
                    out=shape_text(changed.spec.output_size),
                ),
            ),
            drawing("dilation", site),
        )


def _share_on_padding(site: Site) -> float:
    costs = site.costs
    return costs.idle_multiply_adds / costs.multiply_adds if costs.multiply_adds else 0.0


def _on_data(site: Site) -> Site:
    """The site with the largest dilation at which most products meet data, sizes kept."""
    layer, spec = site.layer, site.spec
    for largest in range(max(layer.dilation) - 1, 0, -1):
        dilation = tuple(min(each, largest) for each in layer.dilation)
        # As much less padding as the kernel spans less.
        pairs = tuple(
            (max(0, before - (d - new) * (k - 1) // 2), max(0, after - ((d - new) * (k - 1) + 1) // 2))
            for (before, after), d, new, k in zip(
                spec.padding, layer.dilation, dilation, layer.kernel_size, strict=True
            )
        )
        alike = all(before == after for before, after in pairs)
        changed = replace(
            layer, dilation=dilation, padding=tuple(before for before, _ in pairs) if alike else pairs
        )
        found = replace(site, layer=changed, spec=changed.spec(spec.input_size, batch=spec.batch))
        if _share_on_padding(found) <= FEW or largest == 1:
            return found
    return site


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
    layer, spec = site.layer, site.spec
    kernel, dilation, padding = list(layer.kernel_size), list(layer.dilation), list(spec.padding)
    for axis, size in enumerate(spec.input_size):
        span = site.spans[axis]
        if span <= size:
            continue
        if kernel[axis] > size:
            kernel[axis] = size - (size + 1) % 2
        dilation[axis] = max(1, min(dilation[axis], (size - 1) // max(kernel[axis] - 1, 1)))
        less = span - (dilation[axis] * (kernel[axis] - 1) + 1)
        before, after = padding[axis]
        padding[axis] = (max(0, before - less // 2), max(0, after - (less - less // 2)))
    alike = all(before == after for before, after in padding)
    changed = replace(
        layer,
        kernel_size=tuple(kernel),
        dilation=tuple(dilation),
        padding=tuple(before for before, _ in padding) if alike else tuple(padding),
    )
    return Finding(
        "field-within-input",
        "warning",
        (site.path,),
        (layer.text,),
        say(SPAN_BEYOND, span=shape_text(site.spans), size=shape_text(spec.input_size)),
        {"span": site.spans, "input_size": spec.input_size},
        Fix(
            (changed,),
            say(
                FITS,
                span=shape_text(spans_of(changed)),
                size=shape_text(spec.input_size),
                out=shape_text(changed.spec(spec.input_size).output_size),
                was=shape_text(spec.output_size),
            ),
        ),
        drawing("receptive_field", site),
    )


RULES = (
    dilation_for_context,
    gridding,
    dilated_on_padding,
    field_within_input,
)
